"""Watches: every change after a revision, in order, once, however slow the reader.

Theory
======
A watcher is asked for by (range, start revision, filters). Its whole state is where it stands:

* SYNCED: it has been handed everything up to the hub's revision. It is in the interest index and
  gets each applied batch as it comes.
* LAGGING: everything below its `next_revision` has been handed over, nothing from there on. It is
  caught up from history, and becomes SYNCED when it reaches the hub's revision.
* WAITING: it starts in the future. No event and no progress before that revision concerns it.

"Handed over" means queued in the stream's outbox, which the connection takes as fast as the client
reads. An outbox has a bound. A watcher that would get more than the bound allows becomes LAGGING at the
first revision it did not get; nothing is dropped, because history still holds it, and no memory is
used, because history is all that holds it. When the outbox is taken, the watcher is caught up like any
other. (etcd holds refused batches in memory, as "victims"; there is no such third place here, hence
nothing to lose on the way between places.)

Order, atomicity, uniqueness. A watcher is handed revisions in ascending order by exactly one of two
hands: `notify` while SYNCED, `catch_up` while LAGGING. It changes hands only at a revision: what the
one hand delivered ends right below where the other starts. All events of one main revision go into
one response (or consecutive fragments of one), which is queued whole or not at all.

Progress. A progress response says: nothing at or below header.revision is still to come. It is
only made for SYNCED watchers, for which everything up to the hub's revision *is already queued*; as it
joins the same queue, it cannot overtake an event. A stream-wide one (watch id -1) needs every watch of
the stream SYNCED. It never speaks for a WAITING watcher: a client would take it for its new start.

Compaction. A lagging watcher whose next revision is below the compact revision cannot be served
truthfully; it is cancelled with that revision. From the compact revision itself on, history is whole.

The hub's revision is that of the last `notify`, not the store's. Whoever applies must call `notify`
for a batch before anyone is told of the batch; then a watch that is created after an acknowledged
write starts after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs
from sortedcontainers import SortedDict

from ..errors import InvariantBroken
from .events import Event, History
from .watch_catchup import Past, Rotation
from .watch_delivery import Delivery
from .watch_group import InterestIndex, State, Watcher
from .watch_messages import framed_header
from .watch_progress import INTERVAL_SECONDS_DEFAULT, ProgressTimer
from .watch_stream import WatchStream

__all__ = ["WatchHub", "WatchStatistics", "WatchStream"]

BACKLOG_MESSAGES_MAX_DEFAULT = 1024
BACKLOG_BYTES_MAX_DEFAULT = 4 << 20
FRAGMENT_BYTES_MAX_DEFAULT = (3 << 19) + (1 << 19)  # max-request-bytes and gRPC's allowance
CATCH_UP_WATCHERS_MAX = 512
CATCH_UP_REVISIONS_MAX = 256  # a few milliseconds of history
SLICE_BYTES_TARGET = 8 << 20


@attrs.frozen
class WatchStatistics:
    """A look at the hub. `events_total` counts deliveries since start, once per watcher."""

    streams: int
    watchers: int
    slow_watchers: int
    waiting_watchers: int
    pending_events: int
    events_total: int


class WatchHub:
    """All watches of one member.

    Args:
        past: the store, or what stands for it: history for those who catch up.
        header: ResponseHeader bytes (unframed) for a revision; revision 0 is left out of it.
        on_lagging: called when `catch_up` has something to do and had nothing before.
        random: a number in [0, 1), for the jitter of progress notifications.
        progress_interval_seconds: between periodic notifications; at least 0.1.

    Callbacks only signal: they may call `WatchStream.take`, and nothing else of the hub.
    """

    def __init__(
        self,
        past: Past,
        *,
        header: Callable[[int], bytes],
        on_lagging: Callable[[], None] = lambda: None,
        random: Callable[[], float] = lambda: 0.0,
        progress_interval_seconds: float = INTERVAL_SECONDS_DEFAULT,
    ) -> None:
        self._past = past
        self._raw_header = header
        self._on_lagging = on_lagging
        self._timer = ProgressTimer(progress_interval_seconds, random)
        self._streams: dict[WatchStream, None] = {}
        self._synced = InterestIndex()
        self._rotation = Rotation()
        self._waiting: SortedDict[int, dict[Watcher, None]] = SortedDict()
        self._events_total = 0
        self._told_lagging = False
        self._slice_revisions = CATCH_UP_REVISIONS_MAX
        self.revision = past.revision

    # --- the applier's side ---------------------------------------------------------------------

    def notify(self, revision: int, events: Iterable[Event]) -> None:
        """Hand out a batch: all `events` after the last one, up to and including `revision`.

        If a value that has to be told cannot be read, the hub stays at the revision that it had: nobody is told
        that this batch is not to come any more.
        """
        if revision < self.revision:
            raise InvariantBroken(f"watches were told of {self.revision}, now of {revision}")
        if revision == self.revision:
            return
        woken = self._wake_waiting(revision)
        start = self.revision + 1
        for watcher in woken:
            if watcher.next_revision == start:
                self._sync(watcher)
        ready: list[WatchStream] = []
        if len(self._synced):
            delivery = Delivery(self._header, self._past.prev_kv)
            try:
                refused = delivery.send(self._synced, events)
            except BaseException:
                self._wait_again(woken)
                raise
            for watcher, next_revision in refused.items():
                if not start <= next_revision <= revision:
                    raise InvariantBroken(f"a watch goes on at {next_revision}, after {revision}")
                self._synced.remove(watcher)
                self._lag(watcher, next_revision)
            self._events_total += delivery.events
            ready = delivery.ready
        self.revision = revision
        for watcher in woken:
            if watcher.state is State.WAITING:  # it starts in the middle of the batch
                self._lag(watcher, watcher.next_revision)
        for stream in ready:
            stream.on_ready()
        self._tell_lagging()

    def catch_up(
        self,
        watchers_max: int = CATCH_UP_WATCHERS_MAX,
        revisions_max: int = CATCH_UP_REVISIONS_MAX,
    ) -> bool:
        """Serve one bounded slice of history to lagging watchers; True if there is more to do now."""
        self._told_lagging = True
        stream = self._rotation.head()
        if stream is None:
            self._told_lagging = False
            return False
        start = self._cancel_compacted(min(stream.lagging), watchers_max)
        if start is not None:
            self._serve(start, watchers_max, revisions_max)
        self._told_lagging = bool(self._rotation)
        return self._told_lagging

    def tick(self, now: float) -> None:
        """Send the periodic progress notifications that are due. `now` in seconds, monotonic."""
        self._timer.tick(now)

    def restore(self, past: Past) -> None:
        """A snapshot replaced the store: everybody goes on from where they stand.

        A watcher that had everything up to the old revision needs what came after it, from the new
        history; if the new store is older than that, it waits, and nothing is sent twice.
        """
        old = self.revision
        watchers = [w for stream in self._streams for w in stream.watchers.values()]
        for watcher in watchers:
            synced = watcher.state is State.SYNCED
            self._unlink(watcher)
            if synced:
                watcher.next_revision = old + 1
        self._past = past
        self.revision = past.revision
        for watcher in watchers:
            self._place(watcher, watcher.next_revision)
        self._tell_lagging()

    # --- the connections' side ------------------------------------------------------------------

    def open_stream(
        self,
        on_ready: Callable[[], None],
        *,
        backlog_messages_max: int = BACKLOG_MESSAGES_MAX_DEFAULT,
        backlog_bytes_max: int = BACKLOG_BYTES_MAX_DEFAULT,
        fragment_bytes_max: int = FRAGMENT_BYTES_MAX_DEFAULT,
    ) -> WatchStream:
        """A stream for one Watch call. `on_ready`: its outbox was empty and is not any more."""
        stream = WatchStream(
            self,
            on_ready,
            backlog_messages_max=backlog_messages_max,
            backlog_bytes_max=backlog_bytes_max,
            fragment_bytes_max=fragment_bytes_max,
        )
        self._streams[stream] = None
        return stream

    @property
    def watched(self) -> bool:
        """Whether anybody watches: if not, `notify` needs no events."""
        return bool(self._streams)

    def statistics(self) -> WatchStatistics:
        streams = self._streams
        watchers = sum(len(stream.watchers) for stream in streams)
        waiting = sum(map(len, self._waiting.values()))
        return WatchStatistics(
            streams=len(streams),
            watchers=watchers,
            slow_watchers=watchers - waiting - len(self._synced),
            waiting_watchers=waiting,
            pending_events=sum(stream.pending_events for stream in streams),
            events_total=self._events_total,
        )

    # --- for the streams ------------------------------------------------------------------------

    def _header(self, revision: int) -> bytes:
        return framed_header(self._raw_header(revision))

    def _admit(self, watcher: Watcher) -> None:
        """A watch was created, and its answer queued."""
        start = watcher.start_revision
        compact_revision = self._past.compact_revision
        if 0 < start < compact_revision:
            self._expire(watcher, compact_revision)
            return
        if watcher.progress_notify:
            self._timer.plan(watcher.stream)
        self._place(watcher, start or self.revision + 1)
        self._tell_lagging()

    def _remove(self, watcher: Watcher) -> None:
        self._unlink(watcher)
        del watcher.stream.watchers[watcher.id]

    def _resume(self, stream: WatchStream) -> None:
        self._rotation.resume(stream)
        self._tell_lagging()

    def _close(self, stream: WatchStream) -> None:
        for watcher in stream.watchers.values():
            self._unlink(watcher)
        stream.watchers.clear()
        self._rotation.drop(stream)
        del self._streams[stream]

    # --- the moves between states ---------------------------------------------------------------

    def _place(self, watcher: Watcher, next_revision: int) -> None:
        """Put a watcher that needs everything from `next_revision` on where it belongs."""
        assert watcher.state is State.CLOSED
        if next_revision <= self.revision:
            self._lag(watcher, next_revision)
        elif next_revision == self.revision + 1 and watcher.start_revision <= self.revision:
            self._sync(watcher)
        else:
            watcher.state = State.WAITING
            watcher.next_revision = next_revision
            self._wait_again([watcher])

    def _wait_again(self, watchers: Iterable[Watcher]) -> None:
        """File those that wait for their start; others are where they belong."""
        for watcher in watchers:
            if watcher.state is State.WAITING:
                self._waiting.setdefault(watcher.next_revision, {})[watcher] = None

    def _sync(self, watcher: Watcher) -> None:
        watcher.state = State.SYNCED
        self._synced.add(watcher)

    def _lag(self, watcher: Watcher, next_revision: int) -> None:
        watcher.state = State.LAGGING
        self._rotation.lag(watcher, next_revision)

    def _unlink(self, watcher: Watcher) -> None:
        if watcher.state is State.SYNCED:
            self._synced.remove(watcher)
        elif watcher.state is State.LAGGING:
            self._rotation.forget(watcher)
        elif watcher.state is State.WAITING:
            place = self._waiting[watcher.next_revision]
            del place[watcher]
            if not place:
                del self._waiting[watcher.next_revision]
        watcher.state = State.CLOSED

    def _expire(self, watcher: Watcher, compact_revision: int) -> None:
        self._remove(watcher)
        watcher.stream.cancel_compacted(watcher, compact_revision)

    def _wake_waiting(self, revision: int) -> list[Watcher]:
        """Take out those whose start is reached by `revision`; they are in no structure then."""
        woken: list[Watcher] = []
        waiting = self._waiting
        while waiting and waiting.peekitem(0)[0] <= revision:
            woken += waiting.popitem(0)[1]
        return woken

    def _tell_lagging(self) -> None:
        if self._rotation and not self._told_lagging:
            self._told_lagging = True
            self._on_lagging()

    # --- catching up ----------------------------------------------------------------------------

    def _cancel_compacted(self, start: int, watchers_max: int) -> int | None:
        """Cancel watchers from `start` on which history cannot serve; where to read from, if at all."""
        compact_revision = self._past.compact_revision
        if start >= compact_revision:
            return start
        for watcher in self._rotation.choose(start, compact_revision, watchers_max):
            self._expire(watcher, compact_revision)
        return None

    def _serve(self, start: int, watchers_max: int, revisions_max: int) -> None:
        revisions_max = min(revisions_max, self._slice_revisions)
        chosen = self._rotation.choose(start, start + revisions_max, watchers_max)
        history = self._past.history(start, revisions_max)
        self._pace(history, revisions_max)
        next_revision = min(history.next_revision, self.revision + 1)
        if next_revision <= start:
            raise InvariantBroken(f"the history after {start} ends at {next_revision}")
        events = [event for event in history.events if event.mod_revision < next_revision]
        index = InterestIndex()
        served = [watcher for watcher in chosen if watcher.next_revision < next_revision]
        for watcher in served:
            index.add(watcher, watcher.next_revision)
        delivery = Delivery(self._header, self._past.prev_kv)
        refused = delivery.send(index, events, header_revision=self.revision)
        for watcher in served:
            self._unlink(watcher)
            self._place(watcher, refused.get(watcher, next_revision))
        self._events_total += delivery.events
        for stream in delivery.ready:
            stream.on_ready()

    def _pace(self, history: History, revisions_max: int) -> None:
        """Read less at a time where values are large: a slice lives in memory while it is sent."""
        size = sum(len(event.kv) for event in history.events)
        if size > SLICE_BYTES_TARGET:
            self._slice_revisions = max(1, revisions_max * SLICE_BYTES_TARGET // size)
        else:
            self._slice_revisions = min(2 * revisions_max, CATCH_UP_REVISIONS_MAX)
