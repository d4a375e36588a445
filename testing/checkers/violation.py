"""What a checker finds."""

from __future__ import annotations

import attrs

__all__ = ["Violation"]


@attrs.frozen
class Violation:
    """A promise that was not kept.

    Attributes:
        promise: its short name: "linearizable", "watch: ordered", "lease: never early".
        text: what was seen and what should have been, for people; the first line says the most.
    """

    promise: str
    text: str

    def __str__(self) -> str:
        return f"[{self.promise}] {self.text}"
