"""Leases: never early, and not late for ever.

*Never early.* A renewal that was acknowledged (a grant, or a keep-alive with a TTL above 0) took place after it was
asked for. So the lease cannot have ended by itself before that moment plus its TTL, shortened by how much faster
a leader's clock may run. That it has ended is known as soon as anybody sees the revision that deleted its keys, or
an answer that it does not exist.

*Bounded lateness.* While one leader is in office and has its quorum, a lease that nobody renews is gone soon
after its TTL: a new leader starts the time anew, so it counts from its election.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

import attrs

from .describe import describe_operation, text_of
from .evidence import Evidence
from .history import STAMPS_PER_SECOND, History, Operation, seconds, values_in
from .items import SERVER
from .requests import Grant, Granted, KeepAlive, KeptAlive, Refused, Revoke, is_serializable
from .search import Placed
from .violation import Violation

__all__ = [
    "LATENESS_SECONDS_MAX",
    "Peace",
    "check_leases_early",
    "check_leases_late",
    "promised_ends",
    "ttls",
]

LATENESS_SECONDS_MAX = 4.0  # a turn of the reaper, a retry, a proposal


@attrs.frozen
class Peace:
    """A time with one leader and its quorum: stamps. It may begin with the election."""

    start: int
    end: int


@attrs.frozen
class _Renewal:
    operation: Operation
    ttl: int

    def ends(self, fastest_clock: float) -> float:
        """The stamp from which on the lease may be over."""
        return self.operation.call + self.ttl / fastest_clock * STAMPS_PER_SECOND


def check_leases_early(
    history: History, order: Sequence[Placed], evidence: Evidence, *, fastest_clock: float = 1.0
) -> list[Violation]:
    """Find leases that ended too early.

    Args:
        history: what clients did and saw.
        order: the order that the check for linearizability found: who deleted what.
        evidence: when revisions were seen first.
        fastest_clock: how fast a leader's clock may run, 1.05 for five percent too fast. With right clocks
            nothing is tolerated.
    """
    renewals = _renewals(history.operations)
    found = []
    for lease, stamp, how in _ends(history.operations, order, evidence):
        for renewal in renewals.get(lease, ()):
            if renewal.operation.call < stamp < renewal.ends(fastest_clock):
                text = (
                    f"lease {lease:x} had ended by {seconds(stamp):.6f}: {how}\n"
                    f"  but was renewed: {describe_operation(renewal.operation)}"
                )
                found.append(Violation("lease: never early", text))
                break
    return found


def _renewals(operations: Iterable[Operation]) -> dict[int, list[_Renewal]]:
    found: dict[int, list[_Renewal]] = {}
    for op in operations:
        if isinstance(op.response, Granted):
            found.setdefault(op.response.lease, []).append(_Renewal(op, op.response.ttl))
        elif isinstance(op.request, KeepAlive) and isinstance(op.response, KeptAlive):
            renewal = _Renewal(op, op.response.ttl)  # 0 forbids nothing
            found.setdefault(op.request.lease, []).append(renewal)
    return found


def promised_ends(
    operations: Iterable[Operation], *, fastest_clock: float = 1.0
) -> dict[int, float]:
    """By lease that a client relies on: the stamp from which on it may end by itself."""
    return {
        lease: max(renewal.ends(fastest_clock) for renewal in renewals)
        for lease, renewals in _renewals(operations).items()
    }


def ttls(operations: Iterable[Operation]) -> list[int]:
    """The TTLs of all leases that may exist."""
    return [
        op.response.ttl if isinstance(op.response, Granted) else op.request.ttl
        for op in operations
        if isinstance(op.request, Grant) and not op.failed
    ]


def _ends(
    operations: Iterable[Operation], order: Sequence[Placed], evidence: Evidence
) -> Iterable[tuple[int, int, str]]:
    """Leases that ended by themselves: when that was seen, and how."""
    operations = list(operations)
    revoked: dict[int, int] = {}  # when somebody first asked for its end
    for op in operations:
        if isinstance(op.request, Revoke) and not op.failed:
            lease = op.request.lease
            revoked[lease] = min(op.call, revoked.get(lease, op.call))
    stamps = evidence.reached
    for placed in order:
        item = placed.item
        if item.operation.client != SERVER or not placed.changes:
            continue
        assert isinstance(item.request, Revoke)
        at = bisect_left([revision for _, revision in stamps], placed.state.revision)
        if at < len(stamps) and stamps[at][0] < revoked.get(item.request.lease, stamps[at][0] + 1):
            keys = ", ".join(text_of(change.key) for change in placed.changes)
            how = f"revision {placed.state.revision} deleted {keys}"
            yield item.request.lease, stamps[at][0], how
    for op in operations:
        lease = _denied(op)
        if lease and op.returned is not None and op.returned < revoked.get(lease, op.returned + 1):
            yield lease, op.returned, describe_operation(op)


def _denied(op: Operation) -> int:
    """The lease that an answer says does not exist."""
    missing = isinstance(op.response, Refused) and op.response.text.endswith("lease not found")
    if isinstance(op.request, KeepAlive) and isinstance(op.response, KeptAlive):
        return 0 if op.response.ttl else op.request.lease
    if missing and isinstance(op.request, Revoke):
        return op.request.lease
    if missing and hasattr(op.request, "lease"):
        return int(op.request.lease)
    return 0


def check_leases_late(
    history: History,
    peace: Iterable[Peace],
    *,
    slowest_clock: float = 1.0,
    lateness_seconds_max: float = LATENESS_SECONDS_MAX,
) -> list[Violation]:
    """Find keys that linearizable reads were still shown long after their lease's end.

    Args:
        history: what clients did and saw.
        peace: the times in which a leader was in office.
        slowest_clock: how fast a leader's clock runs at least, 0.95 for five percent too slow.
        lateness_seconds_max: how long after the TTL a lease may live on.
    """
    times = sorted(peace, key=lambda one: one.start)
    attempts = _attempts(history.operations)
    found = []
    for op in history.operations:
        if not op.known or is_serializable(op.request) or isinstance(op.request, KeepAlive):
            continue
        if getattr(op.request, "revision", 0):
            continue  # it read the past
        now = next((one for one in times if one.start <= op.call <= one.end), None)
        for kv in values_in(op.response):
            if now is None or not kv.lease or kv.lease not in attempts:
                continue
            last, ttl = attempts[kv.lease]
            lasts = ttl / slowest_clock + lateness_seconds_max
            if max(last, now.start) + lasts * STAMPS_PER_SECOND < op.call:
                text = f"lease {kv.lease:x} should have ended, but {describe_operation(op)}"
                found.append(Violation("lease: bounded lateness", text))
    return found


def _attempts(operations: Iterable[Operation]) -> dict[int, tuple[int, int]]:
    """By lease: the last moment at which it may have been renewed, and its TTL."""
    found: dict[int, tuple[int, int]] = {}
    for op in operations:
        if isinstance(op.response, Granted) and op.returned is not None:
            found[op.response.lease] = op.returned, op.response.ttl
        elif isinstance(op.request, Grant) and op.request.lease and not op.known and not op.failed:
            found[op.request.lease] = 2**63, op.request.ttl
        elif isinstance(op.request, KeepAlive) and op.request.lease in found and not op.failed:
            last, ttl = found[op.request.lease]
            until = op.returned if op.returned is not None else 2**63
            found[op.request.lease] = max(last, until), ttl
    return found
