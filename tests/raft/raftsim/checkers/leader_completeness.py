"""Leader completeness (Raft, 5.4): a leader has every entry that was committed in earlier terms.

It is enough to look for the last committed one: where logs match in it, they match before it.
"""

from __future__ import annotations

from .violation import Violation

__all__ = ["LeaderCompleteness"]


class LeaderCompleteness:
    """Remembers the last entry that any node took for committed."""

    def __init__(self) -> None:
        self.index = 0
        self.term = 0

    def commits(self, node: int, index: int, term: int) -> None:
        """`node` takes the entry at `index`, of `term` in its log, for committed."""
        if index > self.index:
            self.index, self.term = index, term
        elif index == self.index and term != self.term:
            raise Violation(
                f"leader completeness: node {node} commits term {term} at {index}, "
                f"another committed term {self.term}"
            )

    def leads(self, node: int, term_at: int) -> None:
        """`node` has become leader; `term_at` is the term in its log at `index`, 0 for none."""
        if self.index and term_at != self.term:
            raise Violation(
                f"leader completeness: node {node} leads, with term {term_at} at {self.index}, "
                f"where term {self.term} is committed"
            )
