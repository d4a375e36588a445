"""A steady rate of requests."""

from __future__ import annotations

from typing import Final

__all__ = ["Pace"]

BURST_SECONDS: Final = 0.02


class Pace:
    """Says how many requests are due. What a stall has held up is not made up for later.

    Args:
        per_second: the rate.
        now: any monotonic time in seconds.
    """

    def __init__(self, per_second: float, now: float) -> None:
        self._per_second = per_second
        self._burst_max = max(1.0, per_second * BURST_SECONDS)
        self._credit = 1.0
        self._at = now

    def take(self, now: float) -> int:
        """How many requests may start now."""
        self._credit += (now - self._at) * self._per_second
        self._at = now
        self._credit = min(self._credit, self._burst_max)
        due = int(self._credit)
        self._credit -= due
        return due

    def wait_seconds(self) -> float:
        """How long to wait until one is due."""
        return max(0.0, (1.0 - self._credit) / self._per_second)
