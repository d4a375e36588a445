"""Log matching (Raft, 5.3): logs that have an entry of the same index and term agree up to it.

An entry is held against the first one with its index and term that any log had: both must be the
same, and follow entries of the same term. By induction along the log everything before agrees.
"""

from __future__ import annotations

from collections.abc import Sequence

from triode.raft import Entry

from .violation import Violation

__all__ = ["LogMatching"]


class LogMatching:
    """Remembers every entry that any log ever had."""

    def __init__(self) -> None:
        self.seen: dict[tuple[int, int], tuple[Entry, int]] = {}  # the entry, the term before it

    def appends(self, node: int, previous_term: int, entries: Sequence[Entry]) -> None:
        """`node` appends `entries` after one of `previous_term`; 0 when that is not known."""
        seen = self.seen
        for entry in entries:
            key = entry[:2]
            known = seen.get(key)
            if known is None:
                seen[key] = (entry, previous_term)
            elif known[0] != entry or (previous_term and known[1] not in (0, previous_term)):
                raise Violation(
                    f"log matching: node {node} has {entry} after term {previous_term}, "
                    f"another had {known[0]} after term {known[1]}"
                )
            previous_term = entry[0]
