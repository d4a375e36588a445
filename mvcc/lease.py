"""Leases: a time to live for keys.

Theory
======
A lease has two halves, and they must not be mixed.

*What is replicated*: that the lease exists, its TTL, its keys, and perhaps a checkpoint of its remaining
TTL. Every member makes the same changes by applying the same log: `grant`, `revoke`, `checkpoint`,
`attach`, `detach`. None of them looks at a clock for its result. The record is in the "lease"
bucket, in the same backend transaction as the keys; the attachment is not stored at all: it is in each
key's `lease` field, and the store re-attaches while it restores its index.

*What the primary knows*: when a lease ends. The leader's lessor is the primary, and it alone has expiries,
on its own clock; keep-alives only change those. When a lease is over, the primary does not end it: it
proposes a revoke, and the lease ends when that is applied, everywhere at the same revision. Until then
the keys are there.

A new primary does not know how much of a TTL was used up. It starts every lease anew, from its full
TTL or the last checkpoint, and adds the time that an election may have taken. A lease may so live
longer than its TTL, never shorter. Without checkpoints a long lease could live for ever under
frequent elections; with them it loses at most one interval per election. A checkpoint in force
must be cleared *before* a keep-alive is answered, or the next primary would start from the old one
and end the lease too early: see `needs_clearing`. One that was proposed counts as in force from then
on: it may be in the log already, to be applied after the keep-alive. It counts until a clearing that
was proposed after it has been applied.

Times are float seconds of any monotonic clock of the caller's, TTLs whole seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs

from ..backends.buffer import Backend
from ..errors import (
    InvariantBroken,
    LeaseExist,
    LeaseNotFound,
    LeaseTTLTooLarge,
    NotPrimaryLessor,
)
from .lease_promotion import REVOKES_PER_SECOND, renew_all
from .lease_queue import LeaseQueue
from .lease_record import BUCKET, FOREVER, NO_LEASE, Lease, decode, encode, key_of

__all__ = [
    "CHECKPOINT_INTERVAL_SECONDS",
    "TTL_SECONDS_MAX",
    "Lease",
    "LeaseStatistics",
    "Lessor",
    "ttl_seconds_min",
]

TTL_SECONDS_MAX = 9_000_000_000
CHECKPOINT_INTERVAL_SECONDS = 300.0
CHECKPOINTS_PER_BATCH_MAX = 1000
EXPIRED_PER_CALL_MAX = REVOKES_PER_SECOND // 2  # asked each half second
EXPIRED_RETRY_SECONDS = 3.0  # a lease that was reported is reported again if it still lives then


def ttl_seconds_min(election_timeout_seconds: float) -> int:
    """The shortest TTL worth granting: one and a half election timeouts."""
    return math.ceil(1.5 * election_timeout_seconds)


@attrs.frozen
class LeaseStatistics:
    """Counts; the totals are of this process since its start."""

    leases: int
    keys: int
    primary: bool
    granted_total: int
    revoked_total: int
    renewed_total: int
    expired_total: int


class Lessor:
    """All leases of a member, read from `backend`. It is not the primary until promoted.

    Args:
        ttl_seconds_min: shorter grants are raised to this, silently.
        checkpoint_interval_seconds: between checkpoints of a lease; infinite for none at all.
        persist_checkpoints: whether checkpoints survive a restart.
        on_grant: told each granted TTL, for a histogram.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        ttl_seconds_min: int = 2,
        checkpoint_interval_seconds: float = CHECKPOINT_INTERVAL_SECONDS,
        persist_checkpoints: bool = True,
        revokes_per_second: int = REVOKES_PER_SECOND,
        on_grant: Callable[[int], None] = lambda _ttl: None,
    ) -> None:
        self._ttl_min = ttl_seconds_min
        self._checkpoint_interval = checkpoint_interval_seconds
        self._persist_checkpoints = persist_checkpoints
        self._revokes_per_second = revokes_per_second
        self.on_grant = on_grant
        self._granted = self._revoked = self._renewed = self._expired = 0
        self._proposed = 0  # the number of the last checkpoint
        self.restore(backend)

    def restore(self, backend: Backend) -> None:
        """Read all leases from `backend`, with no keys attached, as a follower."""
        self._backend = backend
        backend.create_bucket(BUCKET)
        self._leases: dict[int, Lease] = {}
        self.attached: dict[bytes, int] = {}
        for key, value in backend.range(BUCKET, b"", None):
            lease = decode(key, value)
            lease.ttl = max(lease.ttl, self._ttl_min)
            self._leases[lease.id] = lease
        self._become_follower()

    # --- applied on every member ------------------------------------------------------------------

    def grant(self, lease_id: int, ttl: int, now: float) -> int:
        """Make a lease; returns its TTL. `now` matters to the primary only.

        Raises LeaseTTLTooLarge, LeaseExist; LeaseNotFound for id 0, which the caller must replace.
        """
        if lease_id == NO_LEASE:
            raise LeaseNotFound
        if ttl > TTL_SECONDS_MAX:
            raise LeaseTTLTooLarge
        if lease_id in self._leases:
            raise LeaseExist
        lease = self._leases[lease_id] = Lease(lease_id, max(ttl, self._ttl_min))
        self._persist(lease)
        if self.primary:
            lease.expiry = now + lease.ttl
            self._expiries.push(lease.expiry, lease)
            self._plan_checkpoint(lease, now)
        self._granted += 1
        self.on_grant(lease.ttl)
        return lease.ttl

    def revoke(self, lease_id: int) -> list[bytes]:
        """End a lease; returns its keys, sorted, which the caller deletes in one revision.

        They are detached already. The caller must delete them before the backend commits. Raises
        LeaseNotFound.
        """
        lease = self._leases.pop(lease_id, None)
        if lease is None:
            raise LeaseNotFound
        lease.revoked = True
        self._backend.delete(BUCKET, key_of(lease_id))
        keys = sorted(lease.keys)
        for key in keys:
            del self.attached[key]
        if self.primary:
            self._expiries.bury()
            if lease.checkpoint_planned:
                self._checkpoints.bury()
        self._revoked += 1
        return keys

    def checkpoint(self, lease_id: int, remaining_ttl: int) -> None:
        """Note the remaining TTL, 0 to clear it. An unknown lease is ignored, as in etcd."""
        lease = self._leases.get(lease_id)
        if lease is not None:
            lease.remaining_ttl = remaining_ttl
            if self._persist_checkpoints:
                self._persist(lease)

    def attach(self, lease_id: int, key: bytes) -> None:
        """Tie a key, which must be free, to a lease. Raises LeaseNotFound."""
        lease = self._leases.get(lease_id)
        if lease is None:
            raise LeaseNotFound
        if self.attached.get(key, lease_id) != lease_id:
            raise InvariantBroken(f"{key!r} is tied to another lease than {lease_id:x}")
        lease.keys.add(key)
        self.attached[key] = lease_id

    def detach(self, lease_id: int, key: bytes) -> None:
        """Untie a key from its lease. Raises LeaseNotFound."""
        lease = self._leases.get(lease_id)
        if lease is None:
            raise LeaseNotFound
        if key in lease.keys:
            lease.keys.remove(key)
            del self.attached[key]

    # --- asked on any member ----------------------------------------------------------------------

    def exists(self, lease_id: int) -> bool:
        return lease_id in self._leases

    def keys(self, lease_id: int) -> list[bytes]:
        """The keys of a lease, sorted; empty for an unknown lease."""
        lease = self._leases.get(lease_id)
        return sorted(lease.keys) if lease else []

    def granted_ttl(self, lease_id: int) -> int:
        """Seconds; 0 for an unknown lease."""
        lease = self._leases.get(lease_id)
        return lease.ttl if lease else 0

    def leases(self) -> list[int]:
        """All lease ids; on the primary, the next to expire first."""
        leases = sorted(self._leases.values(), key=lambda lease: (lease.expiry, lease.id))
        return [lease.id for lease in leases]

    def statistics(self) -> LeaseStatistics:
        return LeaseStatistics(
            leases=len(self._leases),
            keys=len(self.attached),
            primary=self.primary,
            granted_total=self._granted,
            revoked_total=self._revoked,
            renewed_total=self._renewed,
            expired_total=self._expired,
        )

    # --- the primary ------------------------------------------------------------------------------

    def promote(self, now: float, extend_seconds: float) -> None:
        """Become the primary: every lease starts anew, longer by `extend_seconds`."""
        self.primary = True
        leases = self._leases.values()
        renew_all(leases, now, extend_seconds, self._revokes_per_second)
        self._expiries.fill((lease.expiry, lease) for lease in leases)
        self._checkpoints.fill(())
        for lease in leases:
            lease.checkpoint_planned = False
            lease.proposed = 0  # what was proposed before is applied, or never will be
            self._plan_checkpoint(lease, now)

    def demote(self) -> None:
        """Stop being the primary: nothing expires here any more."""
        for lease in self._leases.values():
            lease.expiry = FOREVER
        self._become_follower()

    def keep_alive(self, lease_id: int, now: float) -> int:
        """Start the TTL anew and return it; 0 if the lease is unknown or already over.

        If `needs_clearing`, clear first. Raises NotPrimaryLessor: ask the leader.
        """
        lease = self._of_primary(lease_id)
        if lease is None or lease.expiry <= now:
            return 0
        lease.expiry = max(lease.expiry, now + lease.ttl)
        self._plan_checkpoint(lease, now)
        self._renewed += 1
        return lease.ttl

    def over(self, lease_id: int, now: float) -> bool:
        """Whether its time is up although it still exists: its revocation has not been applied yet."""
        lease = self._leases.get(lease_id)
        return lease is not None and lease.expiry <= now

    def needs_clearing(self, lease_id: int) -> bool:
        """Whether a checkpoint is in force, or was proposed and may come into force.

        Then `checkpoint(lease_id, 0)` must have been applied, by way of the log, before a keep-alive
        of this lease is answered; see `clearing`.
        """
        lease = self._leases.get(lease_id)
        return lease is not None and (lease.remaining_ttl > 0 or lease.proposed > 0)

    def clearing(self, lease_id: int) -> int:
        """A mark to be taken before `checkpoint(lease_id, 0)` is proposed, for `cleared`."""
        lease = self._leases.get(lease_id)
        return 0 if lease is None else lease.proposed

    def cleared(self, lease_id: int, mark: int) -> None:
        """The clearing of that mark has been applied; a checkpoint that was proposed since still counts."""
        lease = self._leases.get(lease_id)
        if lease is not None and lease.proposed == mark:
            lease.proposed = 0

    def due(self, now: float) -> bool:
        """Whether `expired` or `checkpoints` may return something. False on a follower."""
        return self._expiries.due(now) or self._checkpoints.due(now)

    def time_to_live(self, lease_id: int, now: float) -> int:
        """Whole seconds left, 0 while a revoke is under way, -1 for an unknown lease.

        Raises NotPrimaryLessor: ask the leader.
        """
        lease = self._of_primary(lease_id)
        return -1 if lease is None else max(0, int(lease.expiry - now))

    def expired(self, now: float, limit: int = EXPIRED_PER_CALL_MAX) -> list[int]:
        """Up to `limit` leases that are over, to be revoked by way of the log. Empty on a follower.

        A lease that still lives `EXPIRED_RETRY_SECONDS` after it was returned is returned again.
        """
        over: list[int] = []
        while len(over) < limit and (lease := self._expiries.pop(now)) is not None:
            if lease.expiry > now:
                self._expiries.push(lease.expiry, lease)
            else:
                self._expiries.push(now + EXPIRED_RETRY_SECONDS, lease)
                over.append(lease.id)
        self._expired += len(over)
        return over

    def checkpoints(
        self, now: float, limit: int = CHECKPOINTS_PER_BATCH_MAX
    ) -> list[tuple[int, int]]:
        """Up to `limit` (lease id, remaining TTL) to be proposed now. Empty on a follower."""
        due: list[tuple[int, int]] = []
        while len(due) < limit and (lease := self._checkpoints.pop(now)) is not None:
            lease.checkpoint_planned = False
            self._plan_checkpoint(lease, now)
            remaining = math.ceil(lease.expiry - now)
            if 0 < remaining < lease.ttl:
                self._proposed += 1
                lease.proposed = self._proposed
                due.append((lease.id, remaining))
        return due

    def _of_primary(self, lease_id: int) -> Lease | None:
        if not self.primary:
            raise NotPrimaryLessor
        return self._leases.get(lease_id)

    def _become_follower(self) -> None:
        self.primary = False
        self._expiries = LeaseQueue()
        self._checkpoints = LeaseQueue()

    def _plan_checkpoint(self, lease: Lease, now: float) -> None:
        interval = self._checkpoint_interval
        if not lease.checkpoint_planned and lease.expiry - now > interval:
            lease.checkpoint_planned = True
            self._checkpoints.push(now + interval, lease)

    def _persist(self, lease: Lease) -> None:
        self._backend.put(BUCKET, key_of(lease.id), encode(lease))
