"""Auto compaction: when to compact, and to which revision. It proposes; the caller compacts.

* periodic: keep the history of the last `period`. The revision is sampled ten times per interval, an
  interval being the period but at most an hour. Once the first full period has passed, and then every
  interval, the revision of one period ago is proposed.
* revision: keep the last `retention` revisions. Every five minutes.

Both are driven by `tick(now, revision)`, whose time comes from the caller, and return a revision to
compact to, or None. The caller says `done(revision, now)` when the compaction succeeded (or was
refused as already compacted); until then it is proposed again at the next sample. A member that
does not lead sets `paused`: it goes on sampling, so that it is ready when it is elected.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Protocol

from ..errors import ConfigError

__all__ = ["AutoCompactor", "Periodic", "Revision", "auto_compactor", "duration_seconds"]

HOUR_SECONDS = 3600.0
SAMPLES_PER_INTERVAL = 10
REVISION_INTERVAL_SECONDS = 300.0

_UNIT_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": HOUR_SECONDS,
}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


class AutoCompactor(Protocol):
    """What both modes offer."""

    paused: bool

    def tick(self, now: float, revision: int) -> int | None:
        """Tell the time (seconds) and the store's revision; returns where to compact to, or None."""

    def done(self, revision: int, now: float) -> None:
        """The compaction to `revision` succeeded."""


class Periodic:
    """Keep the history of `period_seconds`."""

    def __init__(self, period_seconds: float) -> None:
        assert period_seconds > 0
        self.paused = False
        self._interval = min(period_seconds, HOUR_SECONDS)
        self._sample_interval = self._interval / SAMPLES_PER_INTERVAL
        samples = int(period_seconds / self._sample_interval + 1e-6) + 1
        self._samples: deque[int] = deque(maxlen=samples)
        self._wait = period_seconds  # at first; then the interval
        self._next: float | None = None
        self._last_success = 0.0
        self._last_revision = 0

    def tick(self, now: float, revision: int) -> int | None:
        if self._next is None:
            self._last_success = now
            self._sample(now, revision)
            return None
        if now < self._next:
            return None
        proposal = None if self.paused else self._proposal(now)
        self._sample(now, revision)
        return proposal

    def done(self, revision: int, now: float) -> None:
        self._last_revision = revision
        self._last_success = now

    def _sample(self, now: float, revision: int) -> None:
        self._samples.append(revision)
        self._next = now + self._sample_interval

    def _proposal(self, now: float) -> int | None:
        oldest = self._samples[0]  # of one period ago, once the deque is full
        if now - self._last_success < self._wait or oldest == self._last_revision:
            return None
        self._wait = self._interval
        return oldest


class Revision:
    """Keep the last `retention` revisions."""

    def __init__(self, retention: int) -> None:
        assert retention > 0
        self.paused = False
        self._retention = retention
        self._next: float | None = None
        self._last_revision = 0

    def tick(self, now: float, revision: int) -> int | None:
        if self._next is None:
            self._next = now + REVISION_INTERVAL_SECONDS
            return None
        if now < self._next:
            return None
        self._next = now + REVISION_INTERVAL_SECONDS
        goal = revision - self._retention
        return None if self.paused or goal <= 0 or goal == self._last_revision else goal

    def done(self, revision: int, now: float) -> None:  # noqa: ARG002  # the time matters to the other mode
        self._last_revision = revision


def auto_compactor(mode: str, retention: str) -> AutoCompactor | None:
    """Read etcd's --auto-compaction-mode and --auto-compaction-retention; None for "0" (off).

    In mode "periodic" a bare number means hours. Raises ConfigError.
    """
    try:
        number = int(retention or "0")
    except ValueError:
        if mode == "periodic":
            try:
                seconds = duration_seconds(retention)
            except ConfigError as error:
                raise ConfigError(f"auto-compaction-retention: {error}") from None
            return Periodic(seconds) if seconds > 0 else None
        raise ConfigError(f"auto-compaction-retention: {retention!r} is not a number") from None
    if number < 0:
        raise ConfigError("auto-compaction-retention: it must not be negative")
    if mode == "periodic":
        return Periodic(number * HOUR_SECONDS) if number else None
    if mode == "revision":
        return Revision(number) if number else None
    raise ConfigError(f"auto-compaction-mode: {mode!r} is neither 'periodic' nor 'revision'")


def duration_seconds(text: str) -> float:
    """Read a duration as Go writes it ("1h30m", "500ms"). Raises ConfigError."""
    at = 0
    seconds = 0.0
    while found := _PART.match(text, at):
        seconds += float(found[1]) * _UNIT_SECONDS[found[2]]
        at = found.end()
    if not at or at < len(text):
        raise ConfigError(f"duration: {text!r} is not one (write '72h' or '1h30m')")
    return seconds
