"""One Watch call: its watches, and the responses that wait for the connection to take them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import attrs

from .. import errors
from .watch_group import State, Watcher
from .watch_messages import CANCELED, CREATED, NO_DELETE, NO_PUT, WITH_PREV_KV, control

if TYPE_CHECKING:
    from .watch import WatchHub

__all__ = ["CreateRequest", "StreamStatistics", "WatchStream"]

NO_WATCH_ID = -1  # "this response is for no watch, or for all of them"
AUTO_WATCH_ID = 0  # asked for: "choose one"

# The texts of etcd's WatchResponse.cancel_reason.
RANGE_IS_EMPTY = "mvcc: watcher range is empty"
DUPLICATE_ID = "mvcc: duplicate watch ID provided on the WatchStream"
NEGATIVE_REVISION = errors.Compacted.text

_FILTER_NOPUT = 0  # etcdserverpb.WatchCreateRequest.FilterType
_FILTER_NODELETE = 1
_VARIANT_OF_FILTER = {_FILTER_NOPUT: NO_PUT, _FILTER_NODELETE: NO_DELETE}


class CreateRequest(Protocol):
    """etcdserverpb.WatchCreateRequest, by its fields."""

    @property
    def key(self) -> bytes: ...
    @property
    def range_end(self) -> bytes: ...
    @property
    def start_revision(self) -> int: ...
    @property
    def progress_notify(self) -> bool: ...
    @property
    def filters(self) -> Sequence[int]: ...
    @property
    def prev_kv(self) -> bool: ...
    @property
    def watch_id(self) -> int: ...
    @property
    def fragment(self) -> bool: ...


@attrs.frozen
class StreamStatistics:
    """A look at one stream. `slow_watchers` are catching up; `outbox_*` wait to be taken."""

    watchers: int
    slow_watchers: int
    outbox_messages: int
    outbox_bytes: int
    pending_events: int


class WatchStream:
    """Made by `WatchHub.open_stream`. Feed it requests, call `take` when the client can read more.

    Answers to requests are always queued, so a caller must not feed requests while `full`: that, not
    a drop, is the limit on a client which asks without reading.
    """

    def __init__(
        self,
        hub: WatchHub,
        on_ready: Callable[[], None],
        *,
        backlog_messages_max: int,
        backlog_bytes_max: int,
        fragment_bytes_max: int,
    ) -> None:
        self._hub = hub
        self.on_ready = on_ready
        self.backlog_messages_max = backlog_messages_max
        self.backlog_bytes_max = backlog_bytes_max
        self.fragment_bytes_max = fragment_bytes_max
        self.outbox: list[bytes] = []
        self.outbox_bytes = 0
        self.pending_events = 0
        self.watchers: dict[int, Watcher] = {}
        self.lagging: dict[int, dict[Watcher, None]] = {}  # by next revision
        self.closed = False
        self._next_id = 0

    @property
    def full(self) -> bool:
        """Whether the outbox is at its bound: watchers with news are moved to catching up."""
        return (
            len(self.outbox) >= self.backlog_messages_max
            or self.outbox_bytes >= self.backlog_bytes_max
        )

    def create(self, request: CreateRequest) -> int:
        """Create a watch; the answer is queued. Returns its id, or -1 if it was refused.

        Whether the caller may read the range must have been checked: see `reject`.
        """
        key = request.key or b"\x00"
        end = _range_end(request.range_end)
        watch_id = request.watch_id
        if request.start_revision < 0:
            return self.reject(NEGATIVE_REVISION)
        if self.closed or (end and key >= end):
            return self.reject(RANGE_IS_EMPTY)
        if watch_id == AUTO_WATCH_ID:
            while self._next_id in self.watchers:
                self._next_id += 1
            watch_id = self._next_id
            self._next_id += 1
        elif watch_id in self.watchers:
            return self.reject(DUPLICATE_ID)
        variant = WITH_PREV_KV if request.prev_kv else 0
        for kind in request.filters:
            variant |= _VARIANT_OF_FILTER.get(kind, 0)
        watcher = Watcher(
            self,
            id=watch_id,
            key=key,
            end=end,
            start_revision=request.start_revision,
            variant=variant,
            fragment=request.fragment,
            progress_notify=request.progress_notify,
        )
        self.watchers[watch_id] = watcher
        self._answer(watch_id, CREATED)
        self._hub._admit(watcher)
        return watch_id

    def reject(self, reason: str) -> int:
        """Answer a create with created and canceled, id -1, and a reason; the stream goes on."""
        self._answer(NO_WATCH_ID, CREATED + CANCELED, reason=reason)
        return NO_WATCH_ID

    def cancel(self, watch_id: int) -> None:
        """End a watch; the answer is queued behind its events. An unknown id is ignored."""
        watcher = self.watchers.get(watch_id)
        if watcher is None or self.closed:
            return
        self._hub._remove(watcher)
        self._answer(watch_id, CANCELED)

    def request_progress(self) -> None:
        """Queue one progress response for the whole stream, if all its watches are synced.

        Otherwise, and when there are none, nothing is sent, as in etcd.
        """
        if self.watchers and all(w.state is State.SYNCED for w in self.watchers.values()):
            self._answer(NO_WATCH_ID, b"")

    def take(self) -> list[bytes]:
        """All queued responses, encoded, in order. Lagging watches go on from here."""
        messages, self.outbox = self.outbox, []
        self.outbox_bytes = self.pending_events = 0
        if self.lagging:
            self._hub._resume(self)
        return messages

    def close(self) -> None:
        """End all watches without an answer. Nothing is queued any more; idempotent."""
        if not self.closed:
            self.closed = True
            self.outbox = []
            self.outbox_bytes = self.pending_events = 0
            self._hub._close(self)

    def statistics(self) -> StreamStatistics:
        return StreamStatistics(
            watchers=len(self.watchers),
            slow_watchers=sum(map(len, self.lagging.values())),
            outbox_messages=len(self.outbox),
            outbox_bytes=self.outbox_bytes,
            pending_events=self.pending_events,
        )

    # --- for the hub ----------------------------------------------------------------------------

    def progress_tick(self) -> bool:
        """Queue the periodic progress of quiet, synced watches; False if no watch asks for it."""
        wanted = [w for w in self.watchers.values() if w.progress_notify]
        for watcher in wanted:
            if watcher.quiet and watcher.state is State.SYNCED and not self.full:
                self._answer(watcher.id, b"")
            watcher.quiet = True
        return bool(wanted)

    def cancel_compacted(self, watcher: Watcher, compact_revision: int) -> None:
        """Tell that a watch ended because history below `compact_revision` is gone."""
        header = self._hub._header(0)
        self.push(control(header, watcher.id, CANCELED, compact_revision=compact_revision))

    def push(self, message: bytes) -> None:
        if self.closed:
            return
        outbox = self.outbox
        outbox.append(message)
        self.outbox_bytes += len(message)
        if len(outbox) == 1:
            self.on_ready()

    def _answer(self, watch_id: int, flags: bytes, *, reason: str = "") -> None:
        header = self._hub._header(self._hub.revision)
        self.push(control(header, watch_id, flags, reason=reason))


def _range_end(range_end: bytes) -> bytes | None:
    """None for a single key, b"" for without end (asked for by a single zero byte)."""
    if not range_end:
        return None
    return b"" if range_end == b"\x00" else range_end
