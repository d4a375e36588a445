"""A gRPC server session over one HTTP/2 connection, without any IO.

A unary call is one event, `Request`, and one answer, `respond`. Nothing else happens per call: the head is
shared, the answer's header blocks are constants, and the stream object is the only state.

Streaming calls: `CallStarted`, then `Message` ... `HalfClosed`; the user answers with `send_message`
and `finish` in any order and at any time. Calls that the client has given up are gone at once: answering one
is not an error, it does nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Container

import attrs

from ...errors import Code
from ..h2 import hpack_encoder
from ..h2.connection import Connection
from ..h2.errors import ErrorCode
from ..h2.events import (
    BodyTooLarge,
    ConnectionEnded,
    DataReceived,
    Event,
    HeadersReceived,
    PingReceived,
    RequestReceived,
    StreamReset,
    StreamWritable,
    TrailersReceived,
)
from ..h2.frames import END_HEADERS, END_STREAM, HEADERS
from ..h2.hpack_tables import Field
from ..h2.limits import Limits
from ..h2.streams import Stream
from .events import (
    CallStarted,
    Cancelled,
    Ended,
    HalfClosed,
    HttpRequest,
    Message,
    Request,
    ServerEvent,
    Writable,
)
from .framing import (
    PREFIX_BYTES,
    Deframer,
    MessageFault,
    frame,
    read_prefix,
)
from .heads import RequestHead, RequestParser
from .keepalive import KeepaliveEnforcer
from .metadata import Metadata, encode_metadata
from .session import Call, Session
from .status import trailers_block, trailers_only_block

__all__ = ["GrpcServer"]

_HEAD_FIELDS: tuple[Field, ...] = ((b":status", b"200"), (b"content-type", b"application/grpc"))
_HEAD_BLOCK = hpack_encoder.encode(_HEAD_FIELDS)
_OK_BLOCK = trailers_block(0, "")
# A whole unary answer but for the message: HEADERS, then DATA's header and the message's prefix ...
_pack_answer = struct.Struct(f">IBI{len(_HEAD_BLOCK)}sIBIBI").pack
_HEADERS_WORD = len(_HEAD_BLOCK) << 8 | HEADERS
# ... and HEADERS with the trailers.
_pack_trailers = struct.Struct(f">IBI{len(_OK_BLOCK)}s").pack
_TRAILERS_WORD = len(_OK_BLOCK) << 8 | HEADERS
_make = tuple.__new__
_SATISFIED = Deframer(
    0, single=True
)  # of unary calls that go on sending when they have been reported
_SATISFIED.satisfied = True

MESSAGE_BYTES_MAX = (2 << 20) + (512 << 10)


class GrpcServer(Session):
    """The server's side of one connection.

    Args:
        is_unary: paths of unary methods, as a set or as a function. Unknown paths are reported like
            streaming calls, for the user to refuse.
        server_streams: paths of streaming methods that take one message. What comes behind it is dropped.
        limits: of the HTTP/2 connection; bodies may be as large as `message_bytes_max` says, whatever is set there.
        message_bytes_max: the largest message accepted, in bytes.
        clock: monotonic seconds, for flood limits and keepalive enforcement; None: no time passes.
        keepalive: bounds on the client's pings; None: not enforced.
        http: report requests that are not gRPC as `HttpRequest` instead of refusing them with 415.
    """

    def __init__(
        self,
        *,
        is_unary: Callable[[str], bool] | Container[str],
        server_streams: Container[str] = (),
        limits: Limits | None = None,
        message_bytes_max: int = MESSAGE_BYTES_MAX,
        clock: Callable[[], float] | None = None,
        keepalive: KeepaliveEnforcer | None = None,
        http: bool = False,
    ) -> None:
        limits = limits or Limits()
        body_bytes_max = message_bytes_max + PREFIX_BYTES
        limits = attrs.evolve(
            limits,
            body_bytes_max=body_bytes_max,
            collected_bytes_max=max(limits.collected_bytes_max, 2 * body_bytes_max),
        )
        self._message_bytes_max = message_bytes_max
        self._server_streams = server_streams
        self._held_bytes = 0
        self._clock = clock
        self._keepalive = keepalive
        parser = RequestParser(is_unary, http=http, heads_max=limits.memo_blocks_max)
        super().__init__(Connection(limits=limits, parse_head=parser, clock=clock))

    # --- in -----------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[ServerEvent]:
        """Take bytes from the client; returns what they mean. Never raises for a client's faults."""
        out: list[ServerEvent] = []
        bytes_max = self._message_bytes_max
        for event in self.connection.receive(data):
            if type(event) is RequestReceived:
                stream_id, head, body = event
                if head.unary and len(body) >= PREFIX_BYTES:
                    flag, size = read_prefix(body)
                    if not flag and size == len(body) - PREFIX_BYTES and size <= bytes_max:
                        out.append(_make(Request, (stream_id, head, body[PREFIX_BYTES:])))
                        continue
                self._odd_request(event, out)
            else:
                self._event(event, out)
        return out

    def _event(self, event: Event, out: list[ServerEvent]) -> None:
        if isinstance(event, DataReceived):
            self._data(event, out)
        elif isinstance(event, HeadersReceived):
            self._started(event, out)
        elif isinstance(event, TrailersReceived):
            self._half_closed(event.stream_id, out)
        elif isinstance(event, StreamReset):
            out.append(Cancelled(event.stream_id))
        elif isinstance(event, StreamWritable):
            if event.stream_id in self._streams:
                out.append(Writable(event.stream_id))
        elif isinstance(event, BodyTooLarge):
            self._too_large(event, out)
        elif isinstance(event, PingReceived):
            self._pinged(event, out)
        elif isinstance(event, ConnectionEnded):
            out.append(Ended(event.code, event.text))

    def _odd_request(self, event: RequestReceived, out: list[ServerEvent]) -> None:
        """A complete body that is not exactly one plain message: its first message is the request.

        The errors are those of grpc-go, which reads one message and does not look at what comes behind it.
        """
        stream_id, head, body = event
        if not head.unary:
            out.append(HttpRequest(stream_id, head, body))
            return
        missing = MessageFault(Code.UNKNOWN, "unexpected EOF" if body else "EOF")
        self._first_message(stream_id, head, body, missing, out)

    def _first_message(
        self,
        stream_id: int,
        head: RequestHead,
        body: bytes,
        missing: MessageFault,
        out: list[ServerEvent],
    ) -> None:
        """Report the first message of a body as the request, or fail the call, with `missing` if it is not whole."""
        try:
            messages = Deframer(self._message_bytes_max, head.encoding, single=True).feed(body)
            if not messages:
                raise missing
        except MessageFault as fault:
            self.fail(stream_id, fault.code, fault.text)
        else:
            out.append(Request(stream_id, head, messages[0]))

    def _too_large(self, event: BodyTooLarge, out: list[ServerEvent]) -> None:
        """A body of more bytes than one message may have, or one too many that are not complete yet."""
        stream_id, head, start = event
        if not head.unary:
            self.respond_http(stream_id, 413, (), b"request body is too large\n")
            return
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.call = Call(
                _SATISFIED
            )  # more may come: the answer must not take the shortcut of `respond`
        missing = MessageFault(Code.RESOURCE_EXHAUSTED, "grpc: too many incomplete requests")
        self._first_message(stream_id, head, start, missing, out)

    def _started(self, event: HeadersReceived, out: list[ServerEvent]) -> None:
        stream_id, head, end_stream = event
        if head.refusal is not None:
            code, text, http_status = head.refusal
            block = trailers_only_block(code, text, http_status)
            self.connection.send_headers(stream_id, block, end_stream=True)
            return
        stream = self._streams.get(stream_id)
        if stream is not None:  # else its reset came in the same buffer, and is the next event
            single = head.path in self._server_streams
            stream.call = Call(Deframer(self._message_bytes_max, head.encoding, single=single))
        out.append(CallStarted(stream_id, head))
        if end_stream:
            self._half_closed(stream_id, out)

    def _data(self, event: DataReceived, out: list[ServerEvent]) -> None:
        stream_id, data, end_stream = event
        stream = self._streams.get(stream_id)
        call = stream.call if stream is not None else None
        if stream is None or call is None or call.over:
            return
        try:
            messages = self._take(stream, call, data)
            if call.deframer.pending_bytes:
                self._hold(len(data))
        except MessageFault as fault:
            out.append(Cancelled(stream_id, fault.code))
            self.finish(stream_id, fault.code, fault.text)
            return
        out += [Message(stream_id, message) for message in messages]
        if end_stream:
            self._half_closed(stream_id, out)

    def _hold(self, size: int) -> None:
        """Bound the incomplete messages of all streaming calls; raises MessageFault.

        What has become of earlier ones is found out only when the bound seems to be reached.
        """
        bytes_max = self.connection.limits.collected_bytes_max
        self._held_bytes += size
        if self._held_bytes > bytes_max:
            calls: list[Call | None] = [stream.call for stream in self._streams.values()]
            self._held_bytes = sum(call.deframer.pending_bytes for call in calls if call)
            if self._held_bytes > bytes_max:
                raise MessageFault(Code.RESOURCE_EXHAUSTED, "grpc: too many incomplete requests")

    def _half_closed(self, stream_id: int, out: list[ServerEvent]) -> None:
        stream = self._streams.get(stream_id)
        if stream is None or stream.call is None or stream.call.over:
            return
        if stream.call.deframer is _SATISFIED:
            return
        if stream.call.deframer.pending_bytes:
            out.append(Cancelled(stream_id, Code.INTERNAL))
            self.finish(stream_id, Code.INTERNAL, "unexpected EOF")
        else:
            out.append(HalfClosed(stream_id))

    # --- out ----------------------------------------------------------------------------------

    def respond(self, stream_id: int, message: bytes) -> None:
        """Answer a unary call with OK; nothing happens when the client has cancelled it."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        outbox = self._outbox
        size = len(message) + PREFIX_BYTES
        if (
            size <= outbox.window
            and size <= stream.send_window
            and size <= outbox.shortcut_bytes_max
            and stream.call is None
        ):
            outbox.window -= size
            outbox.wrote = True
            del self._streams[stream_id]
            outbox.frames += (
                _pack_answer(
                    _HEADERS_WORD,
                    END_HEADERS,
                    stream_id,
                    _HEAD_BLOCK,
                    size << 8,
                    0,
                    stream_id,
                    0,
                    size - PREFIX_BYTES,
                ),
                message,
                _pack_trailers(_TRAILERS_WORD, END_HEADERS | END_STREAM, stream_id, _OK_BLOCK),
            )
        else:
            self.send_message(stream_id, message)
            self.finish(stream_id)

    def send_headers(self, stream_id: int, metadata: Metadata | None = None) -> None:
        """Send the response's head now; otherwise it goes out with the first message."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.local_closed:
            return
        call = self._call(stream)
        if call.answered:
            return
        call.answered = True
        block = _HEAD_BLOCK
        if metadata:
            block += hpack_encoder.encode(encode_metadata(metadata))
        self.connection.send_headers(stream_id, block)

    def send_message(self, stream_id: int, message: bytes) -> None:
        """Send one message, or queue it for flow control (`backlog_bytes`, `Writable`)."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.local_closed:
            return
        call = self._call(stream)
        if call.over:
            return
        if not call.answered:
            self.send_headers(stream_id)
        self.connection.send_data(stream_id, frame(message))

    def finish(
        self, stream_id: int, code: int = 0, text: str = "", metadata: Metadata | None = None
    ) -> None:
        """End a call with a status, behind all messages sent before."""
        stream = self._streams.get(stream_id)
        if stream is None or stream.local_closed:
            return
        call = self._call(stream)
        if call.over:
            return
        call.over = True
        extra = encode_metadata(metadata) if metadata else ()
        if call.answered:
            block = trailers_block(code, text, extra)
        else:
            block = trailers_only_block(code, text, extra=extra)
        self.connection.send_headers(stream_id, block, end_stream=True)

    def fail(self, stream_id: int, code: int, text: str) -> None:
        """End a call with an error: trailers only, or trailers behind the messages already sent."""
        self.finish(stream_id, code, text)

    def reset(self, stream_id: int, code: ErrorCode = ErrorCode.CANCEL) -> None:
        """Drop a call at once, without a status and without what is still queued."""
        self.connection.reset(stream_id, code)

    def respond_http(
        self, stream_id: int, status: int, fields: tuple[Field, ...], body: bytes
    ) -> None:
        """Answer an `HttpRequest`."""
        block = hpack_encoder.encode(((b":status", b"%d" % status), *fields))
        self.connection.send_headers(stream_id, block, end_stream=not body)
        if body:
            self.connection.send_data(stream_id, body, end_stream=True)

    def begin_http(self, stream_id: int, status: int, fields: tuple[Field, ...]) -> None:
        """Begin to answer an `HttpRequest` with a body that comes bit by bit (`send_http`)."""
        block = hpack_encoder.encode(((b":status", b"%d" % status), *fields))
        self.connection.send_headers(stream_id, block)

    def send_http(self, stream_id: int, data: bytes, *, end: bool = False) -> None:
        """Send or queue a part of that body, as `send_message` does."""
        self.connection.send_data(stream_id, data, end_stream=end)

    def _call(self, stream: Stream) -> Call:
        if stream.call is None:
            stream.call = Call(Deframer(0))
        call: Call = stream.call
        return call

    def _pinged(self, event: PingReceived, out: list[ServerEvent]) -> None:
        keepalive = self._keepalive
        if keepalive is None or self._clock is None:
            return
        calls = len(self._streams)
        if not keepalive.on_ping(self._clock(), streams=calls, sent=event.after_write):
            self.terminate(ErrorCode.ENHANCE_YOUR_CALM, "too_many_pings")
            out.append(Ended(ErrorCode.ENHANCE_YOUR_CALM, "too_many_pings"))
