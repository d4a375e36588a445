"""Reads (dissertation, 6.4): what is read is not older than what was acknowledged before it was asked."""

from __future__ import annotations

from .violation import Violation

__all__ = ["LinearizableReads"]


class LinearizableReads:
    """Remembers, per read, what was applied anywhere when it was asked."""

    def __init__(self) -> None:
        self.floors: dict[bytes, int] = {}

    def asks(self, context: bytes, applied: int) -> None:
        self.floors[context] = applied

    def answers(self, node: int, context: bytes, index: int) -> None:
        """`node` may serve the read once it has applied `index`."""
        floor = self.floors[context]
        if index < floor:
            raise Violation(
                f"linearizable reads: node {node} reads at {index}, when it asked {floor} was applied"
            )
