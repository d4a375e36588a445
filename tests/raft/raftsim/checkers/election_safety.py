"""Election safety (Raft, 5.2): at most one leader is elected in a given term."""

from __future__ import annotations

from .violation import Violation

__all__ = ["ElectionSafety"]


class ElectionSafety:
    """Remembers who was elected when.

    `life` tells a node's lives apart: one that has crashed and is elected a second time in the same
    term may give other entries to the same places of the log, as any second leader would.
    """

    def __init__(self) -> None:
        self.elected: dict[int, tuple[int, int]] = {}  # by term

    def leads(self, node: int, life: int, term: int) -> None:
        """`node` has become leader of `term`."""
        first = self.elected.setdefault(term, (node, life))
        if first != (node, life):
            whom = f"node {node} is elected" if first[0] != node else f"node {node} again"
            raise Violation(f"election safety: term {term} had node {first[0]}, now {whom}")
