"""How far a node's log is known to go, and how appends flow to it.

A node is in one of three states:

* *probe*: where its log ends is not known. One append is sent, and the next only after an answer
  or a heartbeat interval; a rejection carries a hint where to look next.
* *replicate*: it follows. Appends are sent ahead of the answers, as many as the window of
  `inflights` takes.
* *snapshot*: it needs entries that are gone from the log. A snapshot is on its way, and nothing
  is appended until it has arrived or failed.

Invariant: match < next. Entries between are under way.
"""

from __future__ import annotations

import enum

from ..errors import InvariantBroken
from .inflights import Inflights

__all__ = ["Progress", "ProgressState"]


class ProgressState(enum.Enum):
    """See the module; the values are etcd's words."""

    PROBE = "StateProbe"
    REPLICATE = "StateReplicate"
    SNAPSHOT = "StateSnapshot"

    def __str__(self) -> str:
        return self.value


class Progress:
    """One node's progress, as its leader sees it."""

    __slots__ = (
        "flow_paused",
        "inflights",
        "is_learner",
        "match",
        "next",
        "pending_snapshot",
        "recent_active",
        "sent_commit",
        "state",
    )

    def __init__(
        self,
        next: int,
        inflights: Inflights,
        *,
        match: int = 0,
        is_learner: bool = False,
        recent_active: bool = False,
    ) -> None:
        self.match = match
        """The highest index up to which its log is known to equal the leader's."""
        self.next = next
        """The index of the next entry to send; with a snapshot pending, the one after it."""
        self.sent_commit = 0
        """The highest commit index under way to it."""
        self.state = ProgressState.PROBE
        self.pending_snapshot = 0
        """In state snapshot: the index of the one that was sent."""
        self.recent_active = recent_active
        """It has answered since the last check of the quorum."""
        self.flow_paused = False
        """Nothing more is sent until an answer or a heartbeat's answer comes."""
        self.inflights = inflights
        self.is_learner = is_learner

    def copy(self, *, inflights: Inflights | None = None) -> Progress:
        """A copy that shares the window, or has the one given."""
        other = Progress(
            self.next,
            self.inflights if inflights is None else inflights,
            match=self.match,
            is_learner=self.is_learner,
            recent_active=self.recent_active,
        )
        other.sent_commit = self.sent_commit
        other.state = self.state
        other.pending_snapshot = self.pending_snapshot
        other.flow_paused = self.flow_paused
        return other

    def _become(self, state: ProgressState) -> None:
        self.flow_paused = False
        self.pending_snapshot = 0
        self.state = state
        self.inflights.reset()

    def become_probe(self) -> None:
        """Look for the end of its log, from what is known or from the snapshot that was sent."""
        base = self.match
        if self.state is ProgressState.SNAPSHOT:
            base = max(base, self.pending_snapshot)
        self._become(ProgressState.PROBE)
        self.next = base + 1
        self.sent_commit = min(self.sent_commit, base)

    def become_replicate(self) -> None:
        self._become(ProgressState.REPLICATE)
        self.next = self.match + 1

    def become_snapshot(self, index: int) -> None:
        """A snapshot of `index` is sent."""
        self._become(ProgressState.SNAPSHOT)
        self.pending_snapshot = index
        self.next = index + 1
        self.sent_commit = index

    def sent_entries(self, count: int, size: int) -> None:
        """An append of `count` entries from `next` on, of `size` payload bytes, is sent."""
        if self.state is ProgressState.REPLICATE:
            if count:
                self.next += count
                self.inflights.add(self.next - 1, size)
            # What goes out with a full window is a probe: wait for what comes of it.
            self.flow_paused = self.inflights.full
        elif self.state is ProgressState.PROBE:
            if count:
                self.flow_paused = True
        else:
            raise InvariantBroken(f"sending append in unhandled state {self.state}")

    def can_bump_commit(self, index: int) -> bool:
        """Whether sending this commit index could advance the node's own."""
        return index > self.sent_commit and self.sent_commit < self.next - 1

    def maybe_update(self, index: int) -> bool:
        """It acknowledges `index`; False when that is old news."""
        if index <= self.match:
            return False
        self.match = index
        self.next = max(self.next, index + 1)
        self.flow_paused = False
        return True

    def maybe_decrease_to(self, rejected: int, hint: int) -> bool:
        """It rejects the append after `rejected`, and may match at `hint`; False when stale."""
        if self.state is ProgressState.REPLICATE:
            if rejected <= self.match:
                return False
            self.next = self.match + 1
        else:
            # Nodes in the other states are sent one message at a time, so it must be about that
            # one.
            if self.next - 1 != rejected:
                return False
            self.next = max(min(rejected, hint + 1), self.match + 1)
            self.flow_paused = False
        # What was sent along was probably not accepted either.
        self.sent_commit = min(self.sent_commit, self.next - 1)
        return True

    @property
    def paused(self) -> bool:
        """Nothing is to be sent now."""
        return self.flow_paused or self.state is ProgressState.SNAPSHOT

    def __str__(self) -> str:
        out = f"{self.state} match={self.match} next={self.next}"
        if self.is_learner:
            out += " learner"
        if self.paused:
            out += " paused"
        if self.pending_snapshot:
            out += f" pendingSnap={self.pending_snapshot}"
        if not self.recent_active:
            out += " inactive"
        if self.inflights.count:
            out += f" inflight={self.inflights.count}"
            if self.inflights.full:
                out += "[full]"
        return out
