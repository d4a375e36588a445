"""Joint consensus: how members are exchanged without a moment of two majorities.

Were a cluster to switch from an old set of voters to a new one at once, its nodes would do so at
different times, and in between a majority of the old set and one of the new set could each elect
a leader or commit an entry, without a node in common. Changing one voter at a time avoids that,
because majorities of sets that differ in one member always overlap; but it cannot replace a voter
without passing through a cluster that is weaker than before or after (dissertation, 4.3).

So any larger change goes through a *joint* configuration `incoming && outgoing` (Raft, 6): while
it lasts, every decision needs a majority of the new set *and* a majority of the old one. Once it
is committed, a second entry leaves it, and only `incoming` remains:

    (1 2 3)  --enter: v4 r3-->  (1 2 4)&&(1 2 3)  --leave-->  (1 2 4)

Unlike in the paper, a configuration takes effect on a node when its entry is *applied*, not when
it is appended. That is safe because the leader has at most one change in its log that is not
applied, and a node does not campaign before it has applied the changes that it knows are
committed.

A node that is to become a learner while it still votes in `outgoing` waits in `learners_next`, so
that voters and learners never share a member; leaving the joint configuration moves it over.
Who leaves: the leader by itself (`auto_leave`), or the application.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from .majority import VoteResult, committed_index, describe, format_ids, vote_result

__all__ = ["JointConfig"]


class JointConfig(NamedTuple):
    """Two sets of voters that must agree; `outgoing` is empty unless a change is under way."""

    incoming: AbstractSet[int] = frozenset()
    outgoing: AbstractSet[int] = frozenset()

    def __str__(self) -> str:
        if self.outgoing:
            return f"{format_ids(self.incoming)}&&{format_ids(self.outgoing)}"
        return format_ids(self.incoming)

    @property
    def joint(self) -> bool:
        return bool(self.outgoing)

    @property
    def ids(self) -> AbstractSet[int]:
        """All voters of both sets."""
        return self.incoming | self.outgoing if self.outgoing else self.incoming

    def committed_index(self, acked: Callable[[int], int]) -> int:
        """The highest index that a majority of each set has acknowledged."""
        if not self.outgoing:
            return committed_index(self.incoming, acked)
        return min(committed_index(self.incoming, acked), committed_index(self.outgoing, acked))

    def vote_result(self, votes: Mapping[int, bool]) -> VoteResult:
        """Won when both sets say so, lost when either does."""
        results = {vote_result(self.incoming, votes), vote_result(self.outgoing, votes)}
        if len(results) == 1:
            return results.pop()
        return VoteResult.LOST if VoteResult.LOST in results else VoteResult.PENDING

    def describe(self, acked: Mapping[int, int]) -> str:
        """A chart of what the voters have acknowledged."""
        return describe(self.ids, acked)
