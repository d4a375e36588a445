"""Watchers, and the index that finds those who want an event.

Watchers on the same range form an interest; within it, those that get byte-for-byte the same events
form a cohort. An event is matched against interests (a dict for single keys, an `IntervalIndex` for
ranges) and encoded per cohort, so ten thousand watchers of one key cost one match and one encoding.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .events import Event
from .intervals import IntervalIndex
from .watch_messages import id_field

if TYPE_CHECKING:
    from .watch_stream import WatchStream

__all__ = ["Interest", "InterestIndex", "State", "Watcher"]


class State(enum.Enum):
    """Where a watcher stands; `watch.py` explains the moves."""

    SYNCED = enum.auto()
    LAGGING = enum.auto()
    WAITING = enum.auto()
    CLOSED = enum.auto()


class Watcher:
    """One watch of one stream.

    Attributes:
        end: None for a single key, b"" for a range without end.
        variant: filters and prev_kv, see `watch_messages`.
        next_revision: LAGGING and WAITING: everything below is queued, nothing from here on is.
        start_revision: what the client asked for, 0 for "from now".
        quiet: no events were queued since the last progress tick.
    """

    __slots__ = (
        "end",
        "fragment",
        "id",
        "id_field",
        "key",
        "next_revision",
        "progress_notify",
        "quiet",
        "start_revision",
        "state",
        "stream",
        "variant",
    )

    def __init__(
        self,
        stream: WatchStream,
        *,
        id: int,
        key: bytes,
        end: bytes | None,
        start_revision: int,
        variant: int,
        fragment: bool,
        progress_notify: bool,
    ) -> None:
        self.stream = stream
        self.id = id
        self.id_field = id_field(id)
        self.key = key
        self.end = end
        self.start_revision = start_revision
        self.next_revision = start_revision
        self.variant = variant
        self.fragment = fragment
        self.progress_notify = progress_notify
        self.quiet = True
        self.state = State.CLOSED

    def __repr__(self) -> str:
        end = "" if self.end is None else f"..{self.end!r}"
        return f"<watcher {self.id} {self.key!r}{end} {self.state.name} {self.next_revision}>"


class Interest:
    """All watchers of one range: cohorts by (variant, first revision they may see)."""

    __slots__ = ("cohorts", "end", "key")

    def __init__(self, key: bytes, end: bytes | None) -> None:
        self.key = key
        self.end = end
        self.cohorts: dict[tuple[int, int], dict[Watcher, None]] = {}


class InterestIndex:
    """A set of watchers, asked by key. `len()` counts watchers."""

    __slots__ = ("_count", "_keys", "_ranges", "_spans")

    def __init__(self) -> None:
        self._count = 0
        self._keys: dict[bytes, Interest] = {}
        self._spans: dict[tuple[bytes, bytes], Interest] = {}
        self._ranges: IntervalIndex[Interest] = IntervalIndex()

    def __len__(self) -> int:
        return self._count

    def add(self, watcher: Watcher, first_revision: int = 0) -> None:
        """Add a watcher that may see events from `first_revision` on."""
        key, end = watcher.key, watcher.end
        if end is None:
            interest = self._keys.get(key)
            if interest is None:
                interest = self._keys[key] = Interest(key, None)
        else:
            interest = self._spans.get((key, end))
            if interest is None:
                interest = self._spans[key, end] = Interest(key, end)
                self._ranges.add(key, end, interest)
        cohort = interest.cohorts.setdefault((watcher.variant, first_revision), {})
        assert watcher not in cohort
        cohort[watcher] = None
        self._count += 1

    def remove(self, watcher: Watcher) -> None:
        """Remove a watcher that was added with the default first revision; KeyError if absent."""
        key, end = watcher.key, watcher.end
        interest = self._keys[key] if end is None else self._spans[key, end]
        cohort = interest.cohorts[watcher.variant, 0]
        del cohort[watcher]
        self._count -= 1
        if cohort:
            return
        del interest.cohorts[watcher.variant, 0]
        if interest.cohorts:
            return
        if end is None:
            del self._keys[key]
        else:
            del self._spans[key, end]
            self._ranges.remove(key, end)

    def match(self, events: Iterable[Event]) -> dict[Interest, list[Event]]:
        """The events of each interest, in the order given."""
        found: dict[Interest, list[Event]] = {}
        keys, ranges = self._keys, self._ranges
        for event in events:
            key = event.key
            if key in keys:
                found.setdefault(keys[key], []).append(event)
            if ranges:
                for interest in ranges.stab(key):
                    if interest in found:
                        found[interest].append(event)
                    else:
                        found[interest] = [event]
        return found
