"""State machine safety (Raft, 5.4.3): at an index no two nodes apply different entries.

And each applies every entry once and in order: a digest of all that was applied goes along, and
must be the same on all nodes at the same index.
"""

from __future__ import annotations

from zlib import crc32

from triode.raft import Entry

from .violation import Violation

__all__ = ["StateMachineSafety"]


class StateMachineSafety:
    """Remembers what was applied, by index, with the digest of the state after it."""

    def __init__(self) -> None:
        self.applied: dict[int, tuple[Entry, int]] = {}
        self.last = 0  # the highest index that any node has applied

    def applies(self, node: int, entry: Entry, digest: int) -> int:
        """`node` applies `entry` to a state of `digest`; the digest after it."""
        digest = crc32(b"%d:%d:%b" % (entry.term, entry.index, entry.data), digest)
        known = self.applied.get(entry.index)
        if known is None:
            if entry.index <= self.last:
                raise Violation(f"state machine safety: node {node} applies {entry} for the first")
            self.applied[entry.index] = (entry, digest)
            self.last = entry.index
        elif known[0] != entry:
            raise Violation(
                f"state machine safety: node {node} applies {entry}, another {known[0]}"
            )
        elif known[1] != digest:
            raise Violation(
                f"state machine safety: node {node} applies {entry} to another state than others"
            )
        return digest

    def restores(self, node: int, index: int, digest: int) -> None:
        """`node` takes over a snapshot of `index`."""
        known = self.applied.get(index)
        if known is not None and known[1] != digest:
            raise Violation(f"state machine safety: node {node} restores another state at {index}")
