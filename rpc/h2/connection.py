"""One HTTP/2 connection without any IO (RFC 9113), as server or as client.

Bytes from the peer go into `receive`, which returns events; bytes for the peer come out of
`data_to_send`. Nothing a peer sends makes `receive` raise: a broken rule queues RST_STREAM (its stream
ends, an event says so) or GOAWAY (`closed` is set, the last event says why, and nothing more is read).

`receive` is the hot path: one loop over the buffer, in which the two frames that make up a unary request,
HEADERS and DATA, are handled in place, and every other frame goes to a
handler in `control.py` or `messages.py`. Bytes are copied once, out of the buffer into the event.

Rules of this file: it owns the life of the connection (preface, shutdown, end) and the loop. Stream
rules are in `messages.py`, rare frames in `control.py`, credit in `windows.py` and `sending.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import control, messages
from .bodies import Bodies
from .errors import ConnectionFault, ErrorCode, StreamFault
from .events import ConnectionEnded, Event, HeadersReceived, RequestReceived
from .fields import parse_plain, parse_trailers
from .floods import NuisanceBudget
from .frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_HEADER_BYTES,
    HEADERS,
    PREFACE,
    SETTINGS,
    STREAM_ID_MASK,
    frame_head,
    goaway,
    ping,
    rst_stream,
    settings,
)
from .hpack_decoder import HpackDecoder
from .hpack_tables import Fields
from .limits import Limits
from .sending import Outbox
from .settings import PeerSettings, announced
from .streams import AWAITED, RecentResets, Stream
from .windows import ReceiveWindows

__all__ = ["Connection", "HeadParser"]

HeadParser = Callable[[Fields], Any]
"""Turns the fields of a peer's first header block into a head: any object with `whole` (bool: deliver
the body in one piece) and `content_length` (int or None). It raises StreamFault for malformed fields. It
must be a pure function, since its results are remembered."""

_make = tuple.__new__


class Connection:
    """An HTTP/2 connection.

    Args:
        client: our role.
        limits: what we allow the peer.
        parse_head: see `HeadParser`; the default gives `PlainHead`.
        parse_trailers: turns the fields of trailers into what `TrailersReceived` carries; the default
            checks them and leaves them as they are.
        clock: monotonic seconds, for flood limits that recover; None: they recover by useful work only.
    """

    def __init__(
        self,
        *,
        client: bool = False,
        limits: Limits | None = None,
        parse_head: HeadParser | None = None,
        parse_trailers: Callable[[Fields], Any] = parse_trailers,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.client = client
        self.limits = limits = limits or Limits()
        self.parse_head: HeadParser = parse_head or (
            lambda fields: parse_plain(fields, request=not client)
        )
        self.parse_trailers = parse_trailers
        self.streams: dict[int, Stream] = {}
        self.resets = RecentResets()
        self.outbox = Outbox(limits, self.streams, self.resets, client=client)
        self.windows = ReceiveWindows(limits)
        self.bodies = Bodies(limits, self.outbox.frames)
        self.decoder = HpackDecoder(max(4096, limits.header_table_bytes_max))
        self.budget = NuisanceBudget(
            limits.nuisance_burst,
            limits.nuisance_per_second,
            clock=clock,
            work=lambda: self.peer_stream_max >> 1,
        )
        self.peer = PeerSettings()
        self.closed = False
        """GOAWAY for a fault has been queued, or `terminate` was called: send what is left, then close."""
        self.draining = False
        """We, or the peer, have announced the end: no new streams."""
        self.streams_max = min(limits.concurrent_streams_max, limits.open_streams_max)
        self.peer_stream_max = 0
        """The highest stream id the peer has opened."""
        self.next_stream_id = 1 if client else 2
        self.replies_bytes = 0
        """Control frames in the outbox that the peer's frames have called for."""
        self.settings_acked = False
        self.accept_max = 0 if client else STREAM_ID_MASK
        """The highest stream the peer may open: what our last GOAWAY said; a server may open none."""
        self.block: messages.OpenBlock | None = None
        """A header block that goes on in CONTINUATION frames."""
        self.memo: dict[bytes, Any] = {}
        """Header block -> head, for blocks that left the HPACK table as it was; valid for that table."""
        self.trailers_memo: dict[bytes, Any] = {}
        self._tail = bytearray()
        self._need_bytes = 0
        self._counted_frames = self._counted_bytes = 0
        self._preface_due = not client
        self._settings_due = True
        frames = self.outbox.frames
        if client:
            frames.append(PREFACE)
        frames += (settings(announced(limits, client=client)), self.windows.opening())

    @property
    def plain(self) -> bool:
        """Nothing is half-way: no partial frame, no open header block, no preface or settings due."""
        return not (
            self._tail
            or self.block is not None
            or self._settings_due
            or self._preface_due
            or self.closed
        )

    # --- bytes in -----------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes from the peer; returns what they mean, in order. Never raises for them."""
        events: list[Event] = []
        if self.closed:
            return events
        tail = self._tail
        if tail:
            tail += data
            if len(tail) < self._need_bytes:
                return events
            data = bytes(tail)
            tail.clear()
        try:
            at = self._preface(data) if self._preface_due else 0
            at = self._frames(data, at, events)
        except ConnectionFault as fault:
            self._end(fault, events)
            return events
        if at < len(data):
            tail += data[at:] if at else data
        return events

    def _preface(self, data: bytes) -> int:
        self._need_bytes = len(PREFACE)
        if not PREFACE.startswith(data[: len(PREFACE)]):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 preface")
        if len(data) < len(PREFACE):
            return 0
        self._preface_due = False
        return len(PREFACE)

    def _frames(self, data: bytes, at: int, events: list[Event]) -> int:
        """The loop over complete frames; returns where the first incomplete one starts."""
        if self._preface_due:
            return at
        streams, memo, outbox = self.streams, self.memo, self.outbox
        frame_bytes_max = self.limits.frame_bytes_max
        received = 0
        end = len(data)
        last = end - FRAME_HEADER_BYTES
        while at <= last:
            word, flags, stream_id = frame_head(data, at)
            size = word >> 8
            start = at + FRAME_HEADER_BYTES
            stop = start + size
            if stop > end or size > frame_bytes_max:
                if size > frame_bytes_max:
                    raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "frame is too large")
                self._need_bytes = FRAME_HEADER_BYTES + size
                break
            at = stop
            kind = word & 255
            if kind == DATA:
                received += size
                if flags == END_STREAM and (stream := streams.get(stream_id)) is not None:
                    # The whole body of a unary call in one frame.
                    head = stream.head
                    if (
                        stream.body is None
                        and not stream.remote_closed
                        and head.whole
                        and size <= stream.recv_window
                        and (head.content_length is None or head.content_length == size)
                        and self.block is None
                    ):
                        stream.remote_closed = True
                        events.append(_make(RequestReceived, (stream_id, head, data[start:stop])))
                        continue
            elif (
                kind == HEADERS
                and flags == END_HEADERS
                and self.peer_stream_max < stream_id <= self.accept_max
                and stream_id & 1
                and len(streams) < self.streams_max
                and self.block is None
                and not self._settings_due
            ):
                # A new request, with a body to come.
                self.peer_stream_max = stream_id
                block = data[start:stop]
                head = memo.get(block) or messages.request_head(self, stream_id, block, events)
                if head is not None:
                    streams[stream_id] = Stream(
                        stream_id, head, outbox.initial_window, self.windows.initial
                    )
                    if not head.whole:
                        events.append(HeadersReceived(stream_id, head, end_stream=False))
                continue
            self._frame(kind, flags, stream_id & STREAM_ID_MASK, data[start:stop], events)
        else:
            self._need_bytes = FRAME_HEADER_BYTES
        if received and (renewal := self.windows.received(received)):
            outbox.frames.append(renewal)
        return at

    def _frame(
        self, kind: int, flags: int, stream_id: int, payload: bytes, events: list[Event]
    ) -> None:
        """A frame that the loop does not handle itself."""
        if self._settings_due:
            if kind != SETTINGS or flags & 1:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._settings_due = False
        if self.block is not None and kind != CONTINUATION:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a header block is interrupted")
        try:
            if kind == DATA:
                messages.on_data(self, flags, stream_id, payload, events)
            elif kind == HEADERS:
                messages.on_headers(self, flags, stream_id, payload, events)
            elif kind == CONTINUATION:
                messages.on_continuation(self, flags, stream_id, payload, events)
            elif kind < CONTINUATION:
                control.HANDLERS[kind](self, flags, stream_id, payload, events)
            # Frames of unknown types are ignored (section 4.1), but not for nothing.
            else:
                self.budget.spend("frames of unknown types")
        except StreamFault as fault:
            self.budget.spend("faulty streams")
            messages.end_faulty(self, stream_id, fault, events)

    def _end(self, fault: ConnectionFault, events: list[Event]) -> None:
        self.terminate(fault.code, fault.text)
        events.append(ConnectionEnded(fault.code, fault.text))

    # --- bytes out ----------------------------------------------------------------------------

    def data_to_send(self) -> bytes:
        """Everything to be written now, in one piece; empty when there is nothing."""
        frames = self.outbox.frames
        if not frames:
            return b""
        data = b"".join(frames)
        frames.clear()
        self.replies_bytes = self._counted_frames = self._counted_bytes = 0
        return data

    @property
    def pending_bytes(self) -> int:
        """Bytes that `data_to_send` would give. Cheap to ask for again and again."""
        frames = self.outbox.frames
        if len(frames) > self._counted_frames:
            self._counted_bytes += sum(map(len, frames[self._counted_frames :]))
            self._counted_frames = len(frames)
        return self._counted_bytes

    def reply(self, frame: bytes) -> None:
        """Queue a control frame that a frame of the peer's has called for; bounded."""
        self.replies_bytes += len(frame)
        if self.replies_bytes > self.limits.replies_bytes_max:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "replies are not read")
        self.outbox.frames.append(frame)

    # --- streams, for the layer above ---------------------------------------------------------

    def open_stream(self, block: bytes, *, end_stream: bool) -> Stream:
        """Start a stream of ours with a request's header block (client role)."""
        assert not self.closed
        stream = Stream(
            self.next_stream_id, AWAITED, self.outbox.initial_window, self.windows.initial
        )
        self.next_stream_id += 2
        self.streams[stream.id] = stream
        self.outbox.send_headers(stream, block, end_stream=end_stream)
        return stream

    def send_headers(self, stream_id: int, block: bytes, *, end_stream: bool = False) -> None:
        """Send a header block; nothing happens when the stream is gone."""
        stream = self.streams.get(stream_id)
        if stream is not None and not stream.local_closed and not self.closed:
            self.outbox.send_headers(stream, block, end_stream=end_stream)

    def send_data(self, stream_id: int, data: bytes, *, end_stream: bool = False) -> None:
        """Send or queue body; nothing happens when the stream is gone.

        When more than `backlog_bytes_max` waits already, the connection ends (`closed`).
        """
        stream = self.streams.get(stream_id)
        if stream is None or stream.local_closed or self.closed:
            return
        try:
            self.outbox.send_data(stream, data, end_stream=end_stream)
        except ConnectionFault as fault:
            self.terminate(fault.code, fault.text)

    def reset(self, stream_id: int, code: ErrorCode = ErrorCode.CANCEL) -> None:
        """End a stream at once; nothing happens when it is gone."""
        stream = self.streams.pop(stream_id, None)
        if stream is not None and not self.closed:
            messages.forget(self, stream)
            self.resets.add(stream_id)
            self.outbox.frames.append(rst_stream(stream_id, code))

    def consume(self, stream_id: int, length: int) -> None:
        """Return `length` bytes of credit for a stream with `auto_credit` off."""
        stream = self.streams.get(stream_id)
        if stream is not None and not self.closed:
            renewal = self.windows.consumed(stream, length)
            if renewal:
                self.outbox.frames.append(renewal)

    def ping(self, data: bytes = bytes(8)) -> None:
        assert len(data) == 8
        self.outbox.frames.append(ping(data, ack=False))

    # --- the end ------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """No stream is open and nothing waits to be written."""
        return not self.streams and not self.outbox.frames

    def shutdown(self) -> None:
        """Stop gracefully: no new streams, present ones finish (section 6.8).

        A server first names the highest possible id and a PING; when that is answered, what the peer
        sent before it knew has arrived, and a second GOAWAY names the last stream that is served.
        """
        if self.closed or self.draining:
            return
        self.draining = True
        frames = self.outbox.frames
        if self.client:
            frames.append(goaway(0, ErrorCode.NO_ERROR, b""))
            return
        frames.append(goaway(STREAM_ID_MASK, ErrorCode.NO_ERROR, b"graceful_stop"))
        frames.append(ping(control.DRAIN_PING, ack=False))

    def terminate(self, code: ErrorCode = ErrorCode.NO_ERROR, text: str = "") -> None:
        """End now: GOAWAY is the last thing sent, all streams are dropped."""
        if self.closed:
            return
        self.outbox.frames.append(goaway(self.peer_stream_max, code, text.encode()))
        self._drop()

    def lost(self) -> None:
        """The transport is gone: drop everything."""
        self.outbox.frames.clear()
        self._counted_frames = self._counted_bytes = 0
        self._drop()

    def _drop(self) -> None:
        self.closed = self.draining = True
        self.bodies.stop()
        for stream in self.streams.values():
            messages.forget(self, stream)
        self.streams.clear()
        self._tail.clear()
        self.block = None
