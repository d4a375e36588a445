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

    `rate` is how many of its seconds pass in one second outside. A `date_offset` moves the date only.
    """

    rate: float = 1.0
    offset: float = 0.0
    date_offset: float = 0.0

    def now(self) -> float:
        return self.offset + self.rate * trio.current_time()

    def wall(self) -> float:
        return EPOCH_SECONDS + self.date_offset + self.rate * trio.current_time()
