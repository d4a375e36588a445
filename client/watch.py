"""One watch, as its user sees it: an iterator of events, whatever becomes of the connection below.

Two sides meet in a `Watch`. The stream that carries it puts responses into the buffer (`accept`) and keeps
`position`, the first revision that has not come yet: that is where the watch goes on after a loss, on whatever
endpoint. The user takes them out. Nothing is lost, doubled or reordered in between, because a position moves only
by whole responses, and whatever the server says again is left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Protocol

import trio

from ..errors import EtcdError
from ..rpc.pb.kv_pb2 import KeyValue
from ..rpc.pb.rpc_pb2 import WatchCreateRequest, WatchResponse
from .errors import WatchCompacted
from .watch_events import Event

__all__ = ["BUFFER_BYTES_MAX", "Watch", "WatchBatches"]

BUFFER_BYTES_MAX = 4 << 20  # responses that wait for the user of one watch, as encoded
TURN_RESPONSES_MAX = 32  # taken at once, without letting other tasks run
_NONE: Iterator[Event] = iter(())


class Carrier(Protocol):
    """The stream that a watch is on."""

    def request_progress(self) -> None:
        """Ask the server how far the watches of the stream are."""


class Watch:
    """A watch that runs: `async for event in watch`. Made by `client.watch`; one task at a time iterates.

    Attributes:
        create: what the server is asked for, but for the revision.
        position: the first revision that the server has not told of yet; 0: not known yet.
        progress_revision: all events up to this one have been yielded.
        resumes: how often it went on after the stream was lost.
        compactions: how often history was gone that it needed, with `resume_compacted`: each time some events
            may have been missed.
        id: the server's number for it on the present stream, or None.
        stream: what carries it.
        refusals: how often servers have refused it since one took it.
    """

    def __init__(
        self,
        create: WatchCreateRequest,
        *,
        cut: int = 0,
        yields_progress: bool = False,
        resume_compacted: bool = False,
        buffer_bytes_max: int = BUFFER_BYTES_MAX,
    ) -> None:
        self.create = create
        self.position = create.start_revision
        self.progress_revision = 0
        self.resumes = 0
        self.compactions = 0
        self.id: int | None = None
        self.stream: Carrier | None = None
        self.created = False
        self.refusals = 0
        self._cut = cut
        self._yields_progress = yields_progress
        self._resume_compacted = resume_compacted
        self._progress_asked = 0
        self._bytes_max = buffer_bytes_max
        self._bytes = 0
        self._turn = 0
        self._buffer: deque[tuple[WatchResponse, int]] = deque()
        self._parts: WatchResponse | None = None
        self._events = _NONE
        self._error: EtcdError | None = None
        self._closed = False
        self._news = trio.Event()
        self._room = trio.Event()

    # --- the user's side ------------------------------------------------------------------------

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Event:
        """The next event.

        Raises:
            WatchCompacted: history that it needs is gone.
            EtcdError: the server has cancelled it, and why.
        """
        while True:
            for event in self._events:
                return event
            response = await self._next()
            if response.events:
                self._events = map(Event, response.events)
            elif self._yields_progress or self._progress_asked:
                self._progress_asked = max(0, self._progress_asked - 1)
                return Event.progress(response.header.revision)

    def batches(self) -> WatchBatches:
        """The same, as the server's whole responses: all events of a revision come in one response.

        A response without events says how far the watch is: all that happened up to `header.revision` has come.
        """
        return WatchBatches(self._next)

    async def request_progress(self) -> None:
        """Ask how far the watch is. An event PROGRESS answers, when the server has nothing left to tell.

        A server does not answer while any watch of the stream lags behind: ask again, if it matters.
        """
        await trio.lowlevel.checkpoint()
        self._progress_asked += 1
        if self.stream is not None:
            self.stream.request_progress()

    async def wait_created(self) -> None:
        """Wait until the server has taken it. Raises EtcdError if it refuses."""
        while not self.created:
            if self._error is not None:
                raise self._error
            await self._wait()

    async def _next(self) -> WatchResponse:
        buffer = self._buffer
        if buffer and self._turn < TURN_RESPONSES_MAX:
            self._turn += 1
            await trio.lowlevel.checkpoint_if_cancelled()
        elif buffer:
            self._turn = 0
            await trio.lowlevel.checkpoint()
        while not buffer:
            if self._error is not None:
                raise self._error
            if self._closed:
                raise StopAsyncIteration
            self._turn = 0
            await self._wait()
        response, size = buffer.popleft()
        self._bytes -= size
        if 2 * self._bytes <= self._bytes_max:
            self._room.set()
        if not response.events:
            self.progress_revision = max(self.progress_revision, response.header.revision)
        return response

    async def _wait(self) -> None:
        self._news = trio.Event()
        await self._news.wait()

    # --- the stream's side ----------------------------------------------------------------------

    @property
    def full(self) -> bool:
        """Whether the user has to read before more may come."""
        return self._bytes >= self._bytes_max and not self._closed

    async def wait_room(self) -> None:
        """Wait until the user has read half of the buffer, or leaves."""
        while self.full:
            self._room = trio.Event()
            await self._room.wait()

    def request(self) -> WatchCreateRequest:
        """What to ask a server for, now."""
        request = WatchCreateRequest()
        request.CopyFrom(self.create)
        request.start_revision = self.position
        return request

    def take_created(self, revision: int) -> None:
        """The server has it, and its store is at that revision."""
        if not self.position:
            self.position = revision + 1
        self.created = True
        self.refusals = 0
        self._news.set()

    def accept(self, response: WatchResponse, size: int) -> None:
        """Take a response of `size` bytes that is for this watch, and no word on its end."""
        if response.fragment or self._parts is not None:
            whole = self._merge(response)
            if whole is None:
                return
            response, size = whole, whole.ByteSize()
        events = response.events
        if events:
            if events[0].kv.mod_revision < self.position:
                self._leave_out_old(response)
                if not events:
                    return
            self.position = events[-1].kv.mod_revision + 1
            if self._cut:
                self._strip(response)
        else:
            self.position = max(self.position, response.header.revision + 1)
        self._put(response, size)

    def accept_progress(self, response: WatchResponse, size: int) -> None:
        """Take the answer to a request for progress. It is passed on, but nothing is built on it.

        Before 3.5.8, etcd's answer may overtake events that wait: so the position stays where it is.
        """
        self._put(response, size)

    def compacted(self, compact_revision: int) -> bool:
        """The server has not the history any more. Returns whether the watch goes on, with what there is."""
        self._parts = None
        if not self._resume_compacted:
            self.fail(WatchCompacted(compact_revision))
            return False
        self.compactions += 1
        self.position = max(self.position, compact_revision)
        return True

    def lost(self) -> None:
        """The stream is gone: what had come of a response in parts does not count."""
        self._parts = None
        self.id = None
        if self.created:
            self.resumes += 1

    def fail(self, error: EtcdError) -> None:
        """End it: what is in the buffer can still be read."""
        self._error = error
        self._news.set()

    def close(self) -> None:
        """Its block ends."""
        self._closed = True
        self._buffer.clear()
        self._events = _NONE
        self._room.set()
        self._news.set()

    def _put(self, response: WatchResponse, size: int) -> None:
        self._buffer.append((response, size))
        self._bytes += size
        self._news.set()

    def _merge(self, response: WatchResponse) -> WatchResponse | None:
        """Add a part; the whole, if it was the last."""
        parts = self._parts
        if parts is None:
            self._parts = response
            return None
        parts.events.extend(response.events)
        if response.fragment:
            return None
        self._parts = None
        parts.fragment = False
        return parts

    def _leave_out_old(self, response: WatchResponse) -> None:
        """A member that was behind may tell again what has come already."""
        new = [e for e in response.events if e.kv.mod_revision >= self.position]
        del response.events[: len(response.events) - len(new)]

    def _strip(self, response: WatchResponse) -> None:
        """Give the keys the names that they have in the namespace."""
        cut = self._cut
        for event in response.events:
            _cut_key(event.kv, cut)
            if event.HasField("prev_kv"):
                _cut_key(event.prev_kv, cut)


def _cut_key(pair: KeyValue, size: int) -> None:
    pair.key = pair.key[size:]


class WatchBatches:
    """The responses of a watch. No generator: one may leave a loop over it half-way."""

    def __init__(self, take: _Take) -> None:
        self._take = take

    def __aiter__(self) -> WatchBatches:
        return self

    async def __anext__(self) -> WatchResponse:
        return await self._take()


class _Take(Protocol):
    async def __call__(self) -> WatchResponse: ...
