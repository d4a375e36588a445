"""A gRPC client session over one HTTP/2 connection, without any IO: the mirror image of the server's.

`start_call` gives a stream id; events of a call are `Headers`, any number of `Message`, and exactly one
`Finished`, whatever happens: status, reset, GOAWAY, a broken rule, or the loss of the connection (of which
the user tells with `lost`). Only after `cancel` comes nothing. For those who want it so, a unary call (`call`) that
has succeeded is one event, `Answered`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from ...errors import Code
from ..h2 import hpack_encoder
from ..h2.connection import Connection
from ..h2.errors import ErrorCode
from ..h2.events import (
    ConnectionEnded,
    DataReceived,
    Event,
    GoawayReceived,
    HeadersReceived,
    StreamReset,
    StreamWritable,
    TrailersReceived,
)
from ..h2.frames import DATA, END_HEADERS, END_STREAM, HEADERS, STREAM_ID_MASK
from ..h2.hpack_tables import Field
from ..h2.limits import Limits
from ..h2.streams import AWAITED, Stream
from .answers import Answered, AnswerShape, OpenCalls, take_frames
from .framing import PREFIX_BYTES, Deframer, MessageFault, frame
from .metadata import Metadata, encode_metadata
from .responses import ResponseHead, parse_response, parse_status, read_status, reset_status
from .session import Call, Session
from .timeout import format_timeout

__all__ = [
    "Answered",
    "ClientEvent",
    "Draining",
    "Finished",
    "GrpcClient",
    "Headers",
    "Message",
    "Writable",
]

_BLOCKS_MAX = 256
CARRY_BYTES_MAX = 32 << 10
"""A partial frame up to this is kept for the short cut; a larger one is collected by the connection."""


@lru_cache(1024)
def _request_packer(block_bytes: int) -> Callable[..., bytes]:
    """What packs HEADERS with a block of this size, the header of a DATA frame, and the prefix of its one message."""
    return struct.Struct(f">IBI{block_bytes}sIBIBI").pack


class Headers(NamedTuple):
    """The server has begun to answer."""

    stream_id: int
    metadata: Metadata


class Message(NamedTuple):
    """The next message of the answer."""

    stream_id: int
    data: bytes


class Finished(NamedTuple):
    """The call is over. `processed` False: the server surely has not seen it, so try elsewhere."""

    stream_id: int
    code: int
    text: str
    metadata: Metadata
    processed: bool


class Writable(NamedTuple):
    """All that waited for flow control credit on this call has gone out."""

    stream_id: int


class Draining(NamedTuple):
    """The server takes no new calls on this connection; present ones go on."""

    code: int
    text: str


ClientEvent = Headers | Message | Finished | Answered | Writable | Draining


class GrpcClient(Session):
    """The client's side of one connection.

    Args:
        authority: the server's host and port, as `:authority`.
        scheme: "http" or "https".
        user_agent: sent with each call.
        limits: of the HTTP/2 connection.
        message_bytes_max: the largest message accepted, in bytes.
        clock: monotonic seconds, for flood limits; None: no time passes.
        answered: report a unary call that has succeeded as one `Answered`, without `Headers`, which is quicker.
    """

    def __init__(
        self,
        *,
        authority: str,
        scheme: str = "http",
        user_agent: str = "grpc-python-triode",
        limits: Limits | None = None,
        message_bytes_max: int = 2**31 - 1,
        clock: Callable[[], float] | None = None,
        answered: bool = False,
    ) -> None:
        super().__init__(
            Connection(
                client=True,
                limits=limits,
                parse_head=parse_response,
                parse_trailers=parse_status,
                clock=clock,
            )
        )
        self._message_bytes_max = message_bytes_max
        self._head: tuple[Field, ...] = (
            (b":method", b"POST"),
            (b":scheme", scheme.encode()),
            (b":authority", authority.encode()),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
            (b"grpc-accept-encoding", b"identity"),
            (b"user-agent", user_agent.encode()),
        )
        self._blocks: dict[str | tuple[str, tuple[Field, ...]], bytes] = {}
        self._open: OpenCalls = {}
        self._answered = answered
        self._shape = AnswerShape()
        self._carry = b""

    # --- calls --------------------------------------------------------------------------------

    @property
    def can_start(self) -> bool:
        """A call may start now: the server is not draining and allows one more stream."""
        conn = self.connection
        return not (
            conn.closed
            or conn.draining
            or conn.next_stream_id > STREAM_ID_MASK
            or len(self._streams) >= conn.peer.concurrent_streams_max
        )

    def start_call(
        self,
        path: str,
        *,
        metadata: Metadata | None = None,
        timeout_ns: int | None = None,
    ) -> int:
        """Send the head of a call and return its stream id.

        Args:
            path: "/package.Service/Method".
            metadata: fields of the application.
            timeout_ns: time for the whole call; it is sent along, watching it is the user's part.

        Raises:
            RuntimeError: `can_start` is False.
            ValueError, TypeError: the metadata cannot be sent.
        """
        if not self.can_start:
            raise RuntimeError("the connection takes no new calls")
        block = self._block(path, metadata, timeout_ns)
        stream = self.connection.open_stream(block, end_stream=False)
        stream.call = self._open[stream.id] = Call(Deframer(self._message_bytes_max))
        return stream.id

    def call(
        self,
        path: str,
        message: bytes,
        *,
        metadata: Metadata | None = None,
        timeout_ns: int | None = None,
    ) -> int:
        """Start a unary call, with its one message; see `start_call`. `can_start` must be True."""
        block = None
        if not metadata and timeout_ns is None:
            block = self._blocks.get(path)
        if block is None:
            block = self._block(path, metadata, timeout_ns)
        conn, outbox = self.connection, self._outbox
        length, header_size = len(message), len(block)
        size = length + PREFIX_BYTES
        frame_bytes_max = outbox.shortcut_bytes_max
        stream_id = conn.next_stream_id
        if (
            size <= outbox.window
            and size <= outbox.initial_window
            and size <= frame_bytes_max
            and header_size <= frame_bytes_max
        ):
            # All of it fits: HEADERS and DATA in one piece, and our side is complete.
            conn.next_stream_id += 2
            stream = Stream(stream_id, AWAITED, outbox.initial_window - size, conn.windows.initial)
            stream.local_closed = stream.answered = outbox.wrote = True
            outbox.window -= size
            self._streams[stream_id] = stream
            outbox.frames += (
                _request_packer(header_size)(
                    header_size << 8 | HEADERS,
                    END_HEADERS,
                    stream_id,
                    block,
                    size << 8 | DATA,
                    END_STREAM,
                    stream_id,
                    0,
                    length,
                ),
                message,
            )
        else:
            conn.open_stream(block, end_stream=False)
            conn.send_data(stream_id, frame(message), end_stream=True)
        self._open[stream_id] = None
        return stream_id

    def send_message(self, stream_id: int, message: bytes) -> None:
        """Send one message, or queue it for flow control (`backlog_bytes`, `Writable`)."""
        self.connection.send_data(stream_id, frame(message))

    def half_close(self, stream_id: int) -> None:
        """Say that no more messages come."""
        self.connection.send_data(stream_id, b"", end_stream=True)

    def cancel(self, stream_id: int) -> None:
        """Give a call up; no more events come for it."""
        self._open.pop(stream_id, None)
        self.connection.reset(stream_id, ErrorCode.CANCEL)

    def _block(self, path: str, metadata: Metadata | None, timeout_ns: int | None) -> bytes:
        more = encode_metadata(metadata) if metadata else ()
        key = (path, more) if more else path
        block = self._blocks.get(key)
        if block is None:
            fields = (*self._head[:3], (b":path", path.encode()), *self._head[3:], *more)
            block = hpack_encoder.encode(fields)
            if len(self._blocks) >= _BLOCKS_MAX:
                self._blocks.clear()
            self._blocks[key] = block
        if timeout_ns is not None:
            block += hpack_encoder.encode(((b"grpc-timeout", format_timeout(timeout_ns)),))
        return block

    # --- in -----------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[ClientEvent]:
        """Take bytes from the server; returns what they mean. Never raises for a server's faults."""
        out: list[ClientEvent] = []
        conn = self.connection

        def other(piece: bytes) -> None:
            for event in conn.receive(piece):
                self._event(event, out)

        if self._answered and conn.plain:
            data = self._carry + data if self._carry else data
            at = take_frames(
                conn, self._open, self._shape, data, self._message_bytes_max, out, other
            )
            data = data[at:]
            self._carry = b""
            if not conn.closed and conn.plain and len(data) <= CARRY_BYTES_MAX:
                self._carry = data
                return out
        if data:
            other(data)
        return out

    def lost(self, text: str) -> list[ClientEvent]:
        """The connection is gone (end of file, or an error): how the open calls end."""
        self.connection.lost()
        out: list[ClientEvent] = []
        self._fail_all(text, out)
        return out

    def _event(self, event: Event, out: list[ClientEvent]) -> None:
        if type(event) is DataReceived:
            self._data(event, out)
        elif type(event) is HeadersReceived:
            self._headers(event, out)
        elif type(event) is TrailersReceived:
            code, text, metadata = event.fields
            self._finish(event.stream_id, code, text, metadata, out)
        elif isinstance(event, StreamReset):
            code, text = reset_status(event.code)
            processed = event.code != ErrorCode.REFUSED_STREAM
            self._finish(event.stream_id, code, text, {}, out, processed=processed)
        elif isinstance(event, StreamWritable):
            if event.stream_id in self._streams:
                out.append(Writable(event.stream_id))
        elif isinstance(event, GoawayReceived):
            self._goaway(event, out)
        elif isinstance(event, ConnectionEnded):
            self._fail_all(f"connection error: {event.text}", out)

    def _headers(self, event: HeadersReceived, out: list[ClientEvent]) -> None:
        stream_id = event.stream_id
        head: ResponseHead = event.head
        call = self._call(stream_id)
        if call is None:
            return
        if head.fault is not None:
            self._give_up(stream_id, *head.fault, out)
        elif event.end_stream:
            code, text, metadata = read_status(head.fields)
            self._finish(stream_id, code, text, metadata, out)
        else:
            call.deframer.encoding = head.encoding
            out.append(Headers(stream_id, head.metadata))

    def _call(self, stream_id: int) -> Call | None:
        """An open call whose answer is not the usual one."""
        if stream_id not in self._open:
            return None
        call = self._open[stream_id]
        if call is None:
            call = self._open[stream_id] = Call(Deframer(self._message_bytes_max))
            if stream_id in self._streams:
                self._streams[stream_id].call = call
        return call

    def _data(self, event: DataReceived, out: list[ClientEvent]) -> None:
        stream_id = event.stream_id
        call = self._call(stream_id)
        stream = self._streams.get(stream_id)
        if call is None:
            return
        try:
            if stream is not None:
                messages = self._take(stream, call, event.data)
            else:
                messages = call.deframer.feed(event.data)
        except MessageFault as fault:
            self._give_up(stream_id, fault.code, fault.text, out)
            return
        out += [Message(stream_id, message) for message in messages]
        if event.end_stream:
            text = "server closed the stream without sending trailers"
            self._finish(stream_id, Code.INTERNAL, text, {}, out)

    def _goaway(self, event: GoawayReceived, out: list[ClientEvent]) -> None:
        text = event.debug.decode("utf-8", "replace")
        out.append(Draining(event.code, text))
        for stream_id in [at for at in self._open if at > event.last_stream_id]:
            stream = self._streams.pop(stream_id, None)
            if stream is not None:
                self._outbox.forget(stream)
            reason = "the server is going away before it saw the call"
            self._finish(stream_id, Code.UNAVAILABLE, reason, {}, out, processed=False)

    def _give_up(self, stream_id: int, code: int, text: str, out: list[ClientEvent]) -> None:
        """End a call because of what the server sent."""
        self.connection.reset(stream_id, ErrorCode.CANCEL)
        self._finish(stream_id, code, text, {}, out)

    def _finish(
        self,
        stream_id: int,
        code: int,
        text: str,
        metadata: Metadata,
        out: list[ClientEvent],
        *,
        processed: bool = True,
    ) -> None:
        if stream_id not in self._open:
            return
        call = self._open.pop(stream_id)
        if code == Code.OK and call is not None and call.deframer.pending_bytes:
            code, text = Code.INTERNAL, "the last message is cut"
        out.append(Finished(stream_id, code, text, metadata, processed))
        if stream_id in self._streams:
            # The answer is complete and our request is not: nobody reads the rest of it.
            self.connection.reset(stream_id, ErrorCode.NO_ERROR)

    def _fail_all(self, text: str, out: list[ClientEvent]) -> None:
        for stream_id in list(self._open):
            self._finish(stream_id, Code.UNAVAILABLE, text, {}, out)
