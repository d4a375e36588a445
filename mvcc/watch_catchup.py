"""Reading history for watchers that are behind, a bounded slice at a time.

Streams that have lagging watchers and room in their outbox stand in a rotation. A slice serves the
lowest position of the first stream, and, since the history is read anyway, every watcher that stands
within the same window, on whichever stream, up to the slice's limit. Then the served streams go to
the end of the rotation. So one scan is shared by all who are close to each other (after a restart of
many clients, a snapshot, a burst: nearly all), while a stream with thousands of watchers at the
beginning of time holds up nobody for longer than one slice.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from typing import Protocol

from .events import Event, History
from .watch_group import Watcher
from .watch_stream import WatchStream

__all__ = ["Past", "Rotation"]

_VISITS_PER_WATCHER = 4  # streams looked at per watcher allowed, so that a slice stays bounded


class Past(Protocol):
    """What the hub asks of the store."""

    @property
    def revision(self) -> int: ...
    @property
    def compact_revision(self) -> int: ...
    def history(self, start_revision: int, revisions_max: int) -> History: ...
    def prev_kv(self, event: Event) -> bytes | None: ...


class Rotation:
    """The streams that can be caught up now, next first."""

    def __init__(self) -> None:
        self._streams: OrderedDict[WatchStream, None] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._streams)

    def lag(self, watcher: Watcher, next_revision: int) -> None:
        """File a watcher that needs everything from `next_revision` on."""
        watcher.next_revision = next_revision
        stream = watcher.stream
        stream.lagging.setdefault(next_revision, {})[watcher] = None
        if not stream.full:
            self._streams.setdefault(stream)

    def forget(self, watcher: Watcher) -> None:
        """Take a lagging watcher out."""
        lagging = watcher.stream.lagging
        place = lagging[watcher.next_revision]
        del place[watcher]
        if not place:
            del lagging[watcher.next_revision]
            if not lagging:
                self._streams.pop(watcher.stream, None)

    def resume(self, stream: WatchStream) -> None:
        """The stream's outbox was drained."""
        if stream.lagging:
            self._streams.setdefault(stream)

    def drop(self, stream: WatchStream) -> None:
        self._streams.pop(stream, None)

    def head(self) -> WatchStream | None:
        """The stream whose turn it is; full ones leave until they are drained."""
        streams = self._streams
        while streams:
            stream = next(iter(streams))
            if not stream.full:
                return stream
            del streams[stream]
        return None

    def choose(self, start: int, end: int, watchers_max: int) -> list[Watcher]:
        """Up to `watchers_max` watchers with `start <= next_revision < end`; their streams step back."""
        chosen: list[Watcher] = []
        visits = list(islice(self._streams, watchers_max * _VISITS_PER_WATCHER))
        for stream in visits:
            room = watchers_max - len(chosen)
            if room <= 0:
                break
            if stream.full:
                del self._streams[stream]
                continue
            near = [place for at, place in stream.lagging.items() if start <= at < end]
            if near:
                chosen += islice((watcher for place in near for watcher in place), room)
                self._streams.move_to_end(stream)
        return chosen
