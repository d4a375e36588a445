"""The clock of one machine: it goes at its own rate, and its zero and its date are its own."""

from __future__ import annotations

import attrs
import trio

__all__ = ["EPOCH_SECONDS", "MachineClock"]

EPOCH_SECONDS = 1_700_000_000.0
"""The date on which simulated time begins: 14 November 2023."""


@attrs.define
class MachineClock:
    """A `Clock` made of Trio's, which is the time that everybody outside agrees on.

    `rate` is how many of its seconds pass in one second outside. A `date_offset` moves the date only. Between
    `stall` and `go_on` the clock stands still; the date is right again afterwards, as somebody sets it.
    """

    rate: float = 1.0
    offset: float = 0.0
    date_offset: float = 0.0
    _stalled_at: float | None = None

    def now(self) -> float:
        if self._stalled_at is not None:
            return self._stalled_at
        return self.offset + self.rate * trio.current_time()

    def stall(self) -> None:
        """Stand still until `go_on`."""
        if self._stalled_at is None:
            self._stalled_at = self.now()

    def go_on(self) -> None:
        """Go on from where it stood."""
        if self._stalled_at is not None:
            at, self._stalled_at = self._stalled_at, None
            self.offset += at - self.now()

    def skip(self, seconds: float) -> None:
        """Go on by that much of the time outside at once."""
        self.offset += self.rate * seconds
        self.date_offset += self.rate * seconds

    def wall(self) -> float:
        return EPOCH_SECONDS + self.date_offset + self.rate * trio.current_time()
