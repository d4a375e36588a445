"""What a checker raises."""

from __future__ import annotations

__all__ = ["Violation"]


class Violation(AssertionError):
    """A promise is broken; the text says which, by whom, and how."""
