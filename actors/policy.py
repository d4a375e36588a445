"""Restart policies: who is restarted, with whom, how often and how soon. Pure data and arithmetic."""

from __future__ import annotations

import enum
from collections import deque
from random import Random

import attrs

__all__ = ["Backoff", "Restart", "RestartWindow", "Strategy"]


class Restart(enum.Enum):
    """What a supervisor does when a child ends without having been asked to."""

    PERMANENT = "permanent"  # restart it, however it ended
    TRANSIENT = "transient"  # restart it after a crash only
    TEMPORARY = "temporary"  # note it and forget the child
    NEVER = "never"  # fail, and with this supervisor the whole tree


class Strategy(enum.Enum):
    """Which children are restarted together with one that ended."""

    ONE_FOR_ONE = "one for one"  # it alone
    REST_FOR_ONE = "rest for one"  # it and those started after it
    ONE_FOR_ALL = "one for all"  # all of them


@attrs.frozen
class Backoff:
    """The wait before a restart: doubles (`factor`) from `seconds_min` up to `seconds_max`.

    `jitter` is the share of the wait (0 to 1) that is left to chance, so that many actors that
    failed together do not come back together.
    """

    seconds_min: float = 0.05
    seconds_max: float = 10.0
    factor: float = 2.0
    jitter: float = 0.2

    def delay_seconds(self, attempt: int, random: Random | None) -> float:
        """The wait before restart number `attempt` (from 1) of a series; no jitter without `random`."""
        assert attempt >= 1
        exponent = min(attempt - 1, 64)  # beyond the cap anyway, and floats do not overflow
        delay = min(self.seconds_min * self.factor**exponent, self.seconds_max)
        return delay if random is None else delay * (1.0 - self.jitter * random.random())


class RestartWindow:
    """The intensity limit: at most `restarts_max` restarts within any `window_seconds`."""

    __slots__ = ("_times", "restarts_max", "window_seconds")

    def __init__(self, restarts_max: int, window_seconds: float) -> None:
        self.restarts_max = restarts_max
        self.window_seconds = window_seconds
        self._times: deque[float] = deque()

    def allow(self, now: float) -> bool:
        """Note a restart at `now` (seconds) and say whether it is within the limit."""
        times = self._times
        times.append(now)
        while times[0] <= now - self.window_seconds:
            times.popleft()
        return len(times) <= self.restarts_max

    def clear(self) -> None:
        """Forget the restarts so far."""
        self._times.clear()
