"""Whether a leader may still believe that it is one.

A process that has been stopped for a while (a debugger, a paused machine, a long garbage collection) wakes up as the
leader that it was; the others may have elected another one meanwhile. As ticks come at a known rate, it notices
that time is missing, and asks for a quorum's confirmation before it acts on what only a leader knows: when leases
end. A new leader asks as well: the log may hold the end of a lease that it has not applied yet. Source: etcd's ensureLeadership, with one difference: the first tick after the pause does not make up for it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Protocol

from ..errors import EtcdError
from .call import Call, Waiter
from .log import Log
from .world import Clock

__all__ = ["Leadership"]

TICKS_MISSED_MAX = 3
log = Log("triode.raft")


class _Raft(Protocol):
    @property
    def is_leader(self) -> bool: ...
    @property
    def handing_over(self) -> bool: ...


class Leadership:
    """One member's trust in its own leadership."""

    def __init__(
        self,
        clock: Clock,
        raft: _Raft,
        read_index: Callable[[Call, Callable[[], None]], None],
        *,
        tick_seconds: float,
        request_seconds_max: float,
    ) -> None:
        self._clock = clock
        self._raft = raft
        self._read_index = read_index
        self._silence_seconds_max = TICKS_MISSED_MAX * tick_seconds
        self._request_seconds_max = request_seconds_max
        self._ticked_at = inf
        self._pauses = 0
        self._confirmed_pauses = 0

    def ticked(self) -> None:
        """A heartbeat interval has passed, or more: to be called at every tick."""
        now = self._clock.now()
        if now - self._ticked_at > self._silence_seconds_max:
            self._pauses += 1
        self._ticked_at = now

    def handed_over(self) -> None:
        """This member has begun to hand over: whom it asks may follow another one before an election timeout."""
        self._pauses += 1

    def elected(self) -> None:
        """This member has begun to lead: it has to commit something, and so apply what others have, first."""
        self._pauses += 1

    @property
    def certain(self) -> bool:
        """Whether this member leads, and neither that nor a pause is newer than a quorum's confirmation."""
        return (
            self._raft.is_leader
            and not self._raft.handing_over
            and self._pauses == self._confirmed_pauses
            and self._clock.now() - self._ticked_at <= self._silence_seconds_max
        )

    async def ensure(self) -> bool:
        """Whether this member leads; after a pause only if a quorum says so."""
        if self.certain:
            return True
        if not self._raft.is_leader:
            return False
        pauses, waiter = self._pauses, Waiter()
        call = Call(waiter, 0)
        self._read_index(call, lambda: call.answer(b""))
        try:
            await waiter.wait(self._request_seconds_max)
        except EtcdError as error:
            log.warning("failed to check current member's leadership", error=error.message)
            return False
        if not self._raft.handing_over:
            self._confirmed_pauses = max(self._confirmed_pauses, pauses)
        return self._raft.is_leader
