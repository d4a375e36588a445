"""Who waits for which proposal.

There are three ways to know a call's entry when it is applied. On the leader, its index and term: an index alone
names nothing, as a new leader may put another entry there, but if the entry that is committed at the index
has the term in which the call was appended, it is the call's entry (Raft paper, section 5.3). That is the
cheap way, as the entry need not be decoded. A proposal that a follower has passed on, and a membership
change, are known by the request ID that is inside. And what came while there was nobody to take it, during an
election or a hand-over, is held, and proposed as soon as there is a leader.

When the first entry of a new leader is applied, whatever was appended under another and has not been applied never
will be: its index is taken (Raft paper, 5.3). What was passed on to the leader before may be anywhere, even on its way
to the new one. These callers are told at once; others are told a timeout in the end.
"""

from __future__ import annotations

from ..errors import EtcdError, LeaderChanged, RequestTimeout, TimeoutDueToLeaderFail
from .call import Call

__all__ = ["Pending"]


class Pending:
    """The proposals of one member that have no result yet."""

    def __init__(self) -> None:
        self.by_index: dict[int, Call] = {}
        self.by_id: dict[int, Call] = {}
        self.held: list[Call] = []

    def __len__(self) -> int:
        return len(self.by_index) + len(self.by_id) + len(self.held)

    def appended(self, call: Call, index: int, term: int) -> None:
        """The call's entry is at `index` of this leader's log; whoever was there in an earlier term has lost it."""
        before = self.by_index.get(index)
        if before is not None:
            before.refuse(LeaderChanged())
        call.term = term
        self.by_index[index] = call

    def new_term(self, term: int) -> None:
        """The first entry of `term` is being applied: tell those whose entry came from a leader before it."""
        for waiting, error in (
            (self.by_index, LeaderChanged),
            (self.by_id, TimeoutDueToLeaderFail),
        ):
            lost = [key for key, call in waiting.items() if call.term < term]
            for key in lost:
                waiting.pop(key).refuse(error())

    def installed(self, index: int, term: int) -> None:
        """A snapshot has taken the place of all entries up to `index`: what became of calls there, nobody knows."""
        for at in [at for at in self.by_index if at <= index]:
            self.by_index.pop(at).refuse(TimeoutDueToLeaderFail())
        self.new_term(term)

    def sweep(self, now: float) -> None:
        """Tell those that have waited too long."""
        for waiting in (self.by_index, self.by_id):
            late = [key for key, call in waiting.items() if call.deadline <= now]
            for key in late:
                waiting.pop(key).refuse(RequestTimeout())
        if self.held:
            late_calls = [call for call in self.held if call.deadline <= now]
            self.held = [call for call in self.held if call.deadline > now]
            for call in late_calls:
                call.refuse(RequestTimeout())

    def take_held(self) -> list[Call]:
        """Those that can be proposed now."""
        held, self.held = self.held, []
        return held

    def fail(self, error: type[EtcdError]) -> None:
        """Tell everybody the same."""
        calls = [*self.by_index.values(), *self.by_id.values(), *self.held]
        self.by_index.clear()
        self.by_id.clear()
        self.held = []
        for call in calls:
            call.refuse(error())
