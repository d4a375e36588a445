"""When each stream's periodic progress notifications are due."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from .watch_stream import WatchStream

__all__ = ["INTERVAL_SECONDS_DEFAULT", "INTERVAL_SECONDS_MIN", "ProgressTimer"]

INTERVAL_SECONDS_DEFAULT = 600.0
INTERVAL_SECONDS_MIN = 0.1
_JITTER = (
    0.1  # of the interval at most, so that clients which connect together are not told together
)


class ProgressTimer:
    """A heap of streams by due time.

    A stream is planned from the first tick after it got a watch with progress_notify, at its own
    period, until a tick finds no such watch.
    """

    def __init__(self, interval_seconds: float, random: Callable[[], float]) -> None:
        self._interval = max(interval_seconds, INTERVAL_SECONDS_MIN)
        self._random = random
        self._new: list[WatchStream] = []
        self._heap: list[tuple[float, int, float, WatchStream]] = []  # due, serial, period, stream
        self._serial = 0
        self._planned: set[WatchStream] = set()

    def plan(self, stream: WatchStream) -> None:
        if stream not in self._planned:
            self._planned.add(stream)
            self._new.append(stream)

    def tick(self, now: float) -> None:
        """Let every stream that is due notify. `now` in seconds, never going back."""
        for stream in self._new:
            period = self._interval * (1 + _JITTER * self._random())
            self._push(now + period, period, stream)
        self._new.clear()
        while self._heap and self._heap[0][0] <= now:
            due, _, period, stream = heapq.heappop(self._heap)
            if not stream.closed and stream.progress_tick():
                due += period
                self._push(due if due > now else now + period, period, stream)
            else:
                self._planned.discard(stream)

    def _push(self, due: float, period: float, stream: WatchStream) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (due, self._serial, period, stream))
