"""What answers and watches give away about single revisions, whatever the order of the operations.

A key-value that anybody was shown says what its `mod_revision` did: this key, this value, this version, this
lease. So an operation of unknown result whose value was seen has its place, and one that contradicts what was seen
of a revision has no place there. Two who were shown different things of one revision need no further
check: some member has diverged, or has served what was never committed.

A *log*, the complete list of changes from a member's store at the end of a run, is the strongest evidence there is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping

import attrs

from .history import History, Operation, Watch, changes_something, values_in
from .model import Change
from .requests import (
    EQUAL,
    MOD,
    Delete,
    Deleted,
    Got,
    KeyValue,
    Put,
    PutDone,
    Range,
    Refused,
    Request,
    Response,
    Result,
    Revoked,
    Txn,
    TxnDone,
    leases_of,
    ops,
    within,
)
from .violation import Violation

__all__ = ["Evidence", "Log", "collect"]

REVISIONS_LOOKED_AT_MAX = 200  # looking further costs more than it saves


@attrs.frozen
class Log:
    """All changes of the revisions in (`first`, `last`], by revision, as some store tells at the end.

    `first` is the compact revision, below and at which nothing is known, or 1 (of a store whose revision 1 is
    the empty one everything is known).
    """

    first: int
    last: int
    changes: Mapping[int, tuple[Change, ...]]

    def covers(self, revision: int) -> bool:
        """Whether it knows a revision."""
        return self.first < revision <= self.last


@attrs.define
class Evidence:
    """See the module.

    Attributes:
        shown: by revision, what it did to keys as far as anybody saw; None: it deleted the key.
        births: by revision, keys that it created (known from a later `create_revision`).
        versions: by key, the sightings in order: (mod revision, create revision, version).
        authors: by revision, the request whose answer says that it made it.
        puts: by key, the revisions of the puts that were answered, in order.
        reads: by key, (revision of the read, mod revision that it was shown or 0: no such key), in order.
        alive: by lease, the last revision at which an answer proves that it still existed.
        reached: (stamp, revision): by then the store was surely at that revision; both strictly growing.
        conflicts: sightings that contradict each other.
    """

    shown: dict[int, dict[bytes, KeyValue | None]] = attrs.Factory(dict)
    births: dict[int, set[bytes]] = attrs.Factory(dict)
    versions: dict[bytes, list[tuple[int, int, int]]] = attrs.Factory(dict)
    authors: dict[int, Request] = attrs.Factory(dict)
    puts: dict[bytes, list[int]] = attrs.Factory(dict)
    reads: dict[bytes, list[tuple[int, int]]] = attrs.Factory(dict)
    alive: dict[int, int] = attrs.Factory(dict)
    reached: list[tuple[int, int]] = attrs.Factory(list)
    conflicts: list[Violation] = attrs.Factory(list)
    log: Log | None = None

    def agrees(self, revision: int, changes: tuple[Change, ...]) -> bool:
        """Whether a revision may have made these changes, for all that was seen of it."""
        log = self.log
        if log is not None and revision > log.first:
            return revision <= log.last and _last_of(changes) == _last_of(log.changes[revision])
        shown = self.shown.get(revision)
        births = self.births.get(revision)
        if not shown and not births:
            return all(self._leads_on(change, revision) for change in changes)
        made = dict(changes)
        for key, kv in (shown or {}).items():
            if key not in made or made[key] != kv:
                return False
        for key in births or ():
            put = made.get(key)
            if put is None or put.create_revision != revision:
                return False
        return all(self._leads_on(change, revision) for change in changes)

    def _leads_on(self, change: Change, revision: int) -> bool:
        """Whether later sightings of the key leave room for this change."""
        reads = self.reads.get(change.key)
        if reads:
            at = bisect_left(reads, (revision, 0))
            if at < len(reads):
                read, mod = reads[at]
                if 0 < mod < revision:
                    return False  # a later read was still shown what was there before
                if (
                    not mod
                    and change.kv is not None
                    and not self._may_go(change.key, revision, read)
                ):
                    return False  # a later read was told that the key does not exist
        sightings = self.versions.get(change.key)
        if not sightings:
            return True
        at = bisect_right(sightings, (revision, revision, 2**63))
        if at == len(sightings):
            return True
        mod, create, version = sightings[at]
        if change.kv is None:
            return create > revision  # the key of the later sighting was born after this
        if create > revision:
            return True
        # the same life: each of the revisions in between can have put the key at most once
        more = version - change.kv.version
        if change.kv.create_revision != create or not 1 <= more <= mod - revision:
            return False
        puts = self.puts.get(change.key, ())
        return more >= bisect_right(puts, mod) - bisect_right(puts, revision)

    def _may_go(self, key: bytes, after: int, until: int) -> bool:
        """Whether any revision in (after, until] can have deleted a key."""
        if until - after > REVISIONS_LOOKED_AT_MAX:
            return True
        for revision in range(after + 1, until + 1):
            author = self.authors.get(revision)
            if author is None or any(
                isinstance(op, Delete) and within(key, op.key, op.end) for op in ops(author)
            ):
                return True
        return False

    def add(self, revision: int, key: bytes, kv: KeyValue | None, who: str) -> None:
        """Note what a revision did to a key."""
        shown = self.shown.setdefault(revision, {})
        if key not in shown:
            shown[key] = kv
            if kv is not None:
                if kv.create_revision != revision:
                    self.births.setdefault(kv.create_revision, set()).add(key)
                sighting = (revision, kv.create_revision, kv.version)
                self.versions.setdefault(key, []).append(sighting)
        elif shown[key] != kv:
            text = f"revision {revision} of {key!r} was shown as {shown[key]} and, {who}, as {kv}"
            self.conflicts.append(Violation("agreement", text))


def collect(history: History, log: Log | None = None, until: int | None = None) -> Evidence:
    """Gather the evidence of a history.

    Args:
        history: what clients did and saw.
        log: the changes that some member's store tells at the end.
        until: only what was seen up to this stamp; the log is for the end only.
    """
    evidence = Evidence(log=log)
    reached: list[tuple[int, int]] = []
    for operation in history.operations:
        if operation.returned is None or (until is not None and operation.returned > until):
            continue
        if operation.revision:
            reached.append((operation.returned, operation.revision))
        _add_answer(evidence, operation)
    for watch in history.watches:
        _add_watch(evidence, watch, until, reached)
    if log is not None and until is None:
        _add_log(evidence, log)
        reached.append((_end_of(history) + 2, log.last))
    for sightings in evidence.versions.values():
        sightings.sort()
    for reads in evidence.reads.values():
        reads.sort()
    for puts in evidence.puts.values():
        puts.sort()
    evidence.reached = _growing(reached)
    return evidence


def _add_answer(evidence: Evidence, operation: Operation) -> None:
    who = f"in an answer to client {operation.client}"
    for kv in _whole_values(operation.request, operation.response):
        evidence.add(kv.mod_revision, kv.key, kv, who)
    if operation.revision and changes_something(operation.response):
        evidence.authors[operation.revision] = operation.request
        for key in {op.key for op in _done(operation.request, operation.response)}:
            evidence.puts.setdefault(key, []).append(operation.revision)

    if operation.revision:
        _add_reads(evidence, operation)
        for lease in _proven_leases(operation):
            last = max(evidence.alive.get(lease, 0), operation.revision)
            evidence.alive[lease] = last


def _add_reads(evidence: Evidence, operation: Operation) -> None:
    """Which keys were not touched since the mod revision that an answer showed, or were not there."""
    request, response = operation.request, operation.response
    before = operation.revision - bool(changes_something(response))
    for key, mod, at in _untouched(request, response):
        if mod <= before:
            evidence.reads.setdefault(key, []).append((at or before, mod))


def _untouched(
    request: Request, response: Response | Result | None
) -> Iterator[tuple[bytes, int, int]]:
    """(key, its mod revision or 0, the revision at which it was so or 0: just before the request)."""
    if isinstance(request, Range) and isinstance(response, Got):
        for kv in response.kvs:
            yield kv.key, kv.mod_revision, request.revision
        if not request.end and response.count == 0:
            yield request.key, 0, request.revision
    elif isinstance(request, Put) and isinstance(response, PutDone) and request.prev_kv:
        yield request.key, response.prev.mod_revision if response.prev else 0, 0
    elif isinstance(request, Delete) and isinstance(response, Deleted):
        for kv in response.prevs:
            yield kv.key, kv.mod_revision, 0
        if not request.end and not response.count:
            yield request.key, 0, 0
    elif isinstance(request, Txn) and isinstance(response, TxnDone):
        yield from _untouched_by_txn(request, response)


def _untouched_by_txn(request: Txn, response: TxnDone) -> Iterator[tuple[bytes, int, int]]:
    if response.succeeded:
        for compare in request.compares:
            mod = compare.operand
            if (compare.target, compare.result) == (MOD, EQUAL) and isinstance(mod, int):
                yield compare.key, mod, 0
    if not changes_something(response):  # else a read may see what the txn did before it
        done = request.success if response.succeeded else request.failure
        for op, result in zip(done, response.results, strict=False):
            yield from _untouched(op, result)


def _proven_leases(operation: Operation) -> set[int]:
    """Leases that were there just before this answer's revision."""
    if isinstance(operation.response, Revoked):
        return leases_of(operation.request)
    return {put.lease for put in _done(operation.request, operation.response) if put.lease}


def _done(request: Request, response: Response | Result | None) -> Iterable[Put]:
    """The puts that were executed."""
    if isinstance(request, Put) and not isinstance(response, Refused):
        yield request
    elif isinstance(request, Txn) and isinstance(response, TxnDone):
        chosen = request.success if response.succeeded else request.failure
        for op, result in zip(chosen, response.results, strict=False):
            yield from _done(op, result)


def _whole_values(request: Request, response: Response | Result | None) -> Iterable[KeyValue]:
    """The key-values of an answer that have all their fields."""
    if isinstance(request, Range):
        return () if request.keys_only else values_in(response)
    if isinstance(request, Txn) and isinstance(response, TxnDone):
        done = request.success if response.succeeded else request.failure
        pairs = zip(done, response.results, strict=False)
        return [kv for op, result in pairs for kv in _whole_values(op, result)]
    return values_in(response) if not isinstance(response, Got) else ()


def _add_watch(
    evidence: Evidence, watch: Watch, until: int | None, reached: list[tuple[int, int]]
) -> None:
    who = f"in a watch of client {watch.client}"
    for response in watch.responses:
        if until is not None and response.stamp > until:
            return
        if response.revision and not response.canceled:
            reached.append((response.stamp, response.revision))
        last = {(event.kv.mod_revision, event.kv.key): event for event in response.events}
        for event in last.values():  # of two changes of a key in a revision the later one counts
            kv = event.kv
            evidence.add(kv.mod_revision, kv.key, None if event.deleted else kv, who)
            if event.prev is not None:
                evidence.add(event.prev.mod_revision, kv.key, event.prev, who)
            reached.append((response.stamp, kv.mod_revision))


def _add_log(evidence: Evidence, log: Log) -> None:
    for revision, changes in log.changes.items():
        for key, kv in _last_of(changes).items():
            evidence.add(revision, key, kv, "in the log of a member")


def _last_of(changes: Iterable[Change]) -> dict[bytes, KeyValue | None]:
    """What is left of changes; a txn may delete a range and put a key of it."""
    return dict(changes)


def _end_of(history: History) -> int:
    ends = [max(op.call, op.returned or 0) for op in history.operations]
    ends += [watch.responses[-1].stamp for watch in history.watches if watch.responses]
    return max(ends, default=0)


def _growing(reached: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Only those that say something new."""
    found: list[tuple[int, int]] = []
    highest = 0
    for stamp, revision in sorted(reached):
        if revision > highest:
            highest = revision
            found.append((stamp, revision))
    return found
