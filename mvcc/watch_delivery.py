"""Handing events to streams: encode per cohort, share bytes, respect each stream's bound."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .events import Event
from .watch_group import InterestIndex, Watcher
from .watch_messages import Chunk, chunks_of, fragments
from .watch_stream import WatchStream

__all__ = ["Delivery"]


class Delivery:
    """One turn of sending: shares headers and previous values, collects whom to wake.

    Args:
        header: framed ResponseHeader for a revision.
        prev_kv: framed previous KeyValue of an event, or None.
    """

    __slots__ = ("_header", "_headers", "_prev", "_prev_kv", "_single", "events", "ready")

    def __init__(
        self, header: Callable[[int], bytes], prev_kv: Callable[[Event], bytes | None]
    ) -> None:
        self._header = header
        self._headers: dict[int, bytes] = {}
        self._prev_kv = prev_kv
        self._prev: dict[Event, bytes | None] = {}
        self._single: dict[tuple[Event, int], list[Chunk]] = {}
        self.ready: list[WatchStream] = []  # streams whose outbox was empty: the caller wakes them
        self.events = 0  # events queued, counted per watcher

    def send(
        self, index: InterestIndex, events: Iterable[Event], header_revision: int = 0
    ) -> dict[Watcher, int]:
        """Queue `events` for all of `index`.

        `header_revision` 0 means each response bears the revision of its last event. Returns the
        watchers whose stream was full, with the first revision that each did not get.

        Previous values may have to be read, which may fail: then nothing has been queued for anybody.
        """
        encoded = [
            (cohort, self._chunks(wanted, variant, first_revision))
            for interest, wanted in index.match(events).items()
            for (variant, first_revision), cohort in interest.cohorts.items()
        ]
        refused: dict[Watcher, int] = {}
        for cohort, chunks in encoded:
            watchers: Iterable[Watcher] = cohort
            for chunk in chunks:
                header = self._header_of(header_revision or chunk.last)
                before = len(refused)
                self._fan_out(watchers, chunk, header, refused)
                if len(refused) > before:
                    watchers = [w for w in watchers if w not in refused]
        return refused

    def _chunks(self, wanted: list[Event], variant: int, first_revision: int) -> list[Chunk]:
        """Encode; a lone event, the usual case, once for all interests that overlap on it."""
        if len(wanted) > 1 or first_revision > wanted[0].mod_revision:
            return chunks_of(wanted, variant, first_revision, self._previous)
        known = self._single.get((wanted[0], variant))
        if known is None:
            known = chunks_of(wanted, variant, 0, self._previous)
            self._single[wanted[0], variant] = known
        return known

    def _fan_out(
        self, watchers: Iterable[Watcher], chunk: Chunk, header: bytes, refused: dict[Watcher, int]
    ) -> None:
        """The hottest loop of a watch server: one response to each of a cohort."""
        body, count, ready = chunk.body, len(chunk.parts), self.ready
        messages = chunk.messages
        sent = 0
        for watcher in watchers:
            stream = watcher.stream
            outbox = stream.outbox
            if (
                len(outbox) >= stream.backlog_messages_max
                or stream.outbox_bytes >= stream.backlog_bytes_max
            ):
                refused[watcher] = chunk.first
                continue
            if not outbox:
                ready.append(stream)
            watcher.quiet = False
            stream.pending_events += count
            sent += count
            if watcher.fragment:
                self._fragment(watcher, chunk, header)
                continue
            watch_id = watcher.id
            if watch_id in messages:
                message = messages[watch_id]
            else:
                message = messages[watch_id] = header + watcher.id_field + body
            outbox.append(message)
            stream.outbox_bytes += len(message)
        self.events += sent

    @staticmethod
    def _fragment(watcher: Watcher, chunk: Chunk, header: bytes) -> None:
        # All parts go in at once: a response must not be left half sent.
        stream = watcher.stream
        prefix = header + watcher.id_field
        for message in fragments(prefix, chunk, stream.fragment_bytes_max):
            stream.outbox.append(message)
            stream.outbox_bytes += len(message)

    def _header_of(self, revision: int) -> bytes:
        header = self._headers.get(revision)
        if header is None:
            header = self._headers[revision] = self._header(revision)
        return header

    def _previous(self, event: Event) -> bytes | None:
        if event in self._prev:
            return self._prev[event]
        prev = self._prev[event] = self._prev_kv(event)
        return prev
