"""HEADERS, CONTINUATION and DATA: the rules of streams (RFC 9113 sections 5.1, 6.1, 6.2, 6.10, 8.1).

The loop in `connection.py` takes the common case in place; everything here is the complete version.
A header block is always decoded, even for a stream that is refused or gone, because the HPACK table
is shared by the whole connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from .errors import ConnectionFault, ErrorCode, StreamFault
from .events import (
    BodyTooLarge,
    DataReceived,
    Event,
    HeadersReceived,
    RequestReceived,
    StreamReset,
    TrailersReceived,
)
from .frames import END_HEADERS, END_STREAM, PADDED, PRIORITY_FLAG, rst_stream
from .hpack_decoder import list_size
from .hpack_tables import Fields
from .streams import AWAITED, Stream

if TYPE_CHECKING:
    from .connection import Connection

__all__ = [
    "OpenBlock",
    "end_faulty",
    "forget",
    "on_continuation",
    "on_data",
    "on_headers",
    "request_head",
]


@attrs.define
class OpenBlock:
    """A header block whose END_HEADERS has not come yet."""

    stream_id: int
    end_stream: bool
    parts: list[bytes]
    size: int


# --- header blocks ----------------------------------------------------------------------------


def on_headers(
    conn: Connection, flags: int, stream_id: int, payload: bytes, events: list[Event]
) -> None:
    if not stream_id:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
    if flags & PADDED:
        payload = unpad(payload)
    if flags & PRIORITY_FLAG:
        if len(payload) < 5:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS is too short")
        if int.from_bytes(payload[:4], "big") & 0x7FFFFFFF == stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a stream depends on itself")
        payload = payload[5:]
    if flags & END_HEADERS:
        _block(conn, stream_id, payload, bool(flags & END_STREAM), events)
    else:
        conn.block = OpenBlock(stream_id, bool(flags & END_STREAM), [payload], len(payload))
        _bound(conn, conn.block)


def on_continuation(
    conn: Connection, flags: int, stream_id: int, payload: bytes, events: list[Event]
) -> None:
    block = conn.block
    if block is None or block.stream_id != stream_id:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
    if not payload:
        conn.budget.spend("empty CONTINUATION frames")
    block.parts.append(payload)
    block.size += len(payload)
    _bound(conn, block)
    if flags & END_HEADERS:
        conn.block = None
        _block(conn, stream_id, b"".join(block.parts), block.end_stream, events)


def _bound(conn: Connection, block: OpenBlock) -> None:
    if block.size > conn.limits.header_list_bytes_max:
        raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header block is too large")


def _decode(conn: Connection, block: bytes) -> Fields:
    """Decode, keep the memo true, and hold the list against its limit."""
    decoder = conn.decoder
    generation = decoder.generation
    fields = decoder.decode(block)
    if decoder.generation != generation:
        conn.memo.clear()
        conn.trailers_memo.clear()
    bytes_max = conn.limits.header_list_bytes_max
    if len(fields) * decoder.widest > bytes_max and list_size(fields) > bytes_max:
        raise StreamFault(ErrorCode.ENHANCE_YOUR_CALM, "header list is too large")
    return fields


def _parsed(
    conn: Connection, block: bytes, memo: dict[bytes, Any], parse: Callable[[Fields], Any]
) -> Any:
    """What a block means to `parse`; remembered in `memo` where that stays true."""
    known = memo.get(block)
    if known is None:
        generation = conn.decoder.generation
        known = parse(_decode(conn, block))
        limits = conn.limits
        if conn.decoder.generation == generation and len(block) <= limits.memo_block_bytes_max:
            if len(memo) >= limits.memo_blocks_max:
                memo.clear()
            memo[block] = known
    return known


def request_head(conn: Connection, stream_id: int, block: bytes, events: list[Event]) -> Any:
    """The head of a new request; None when it is malformed, which is dealt with here."""
    try:
        return _parsed(conn, block, conn.memo, conn.parse_head)
    except StreamFault as fault:
        conn.budget.spend("faulty streams")
        end_faulty(conn, stream_id, fault, events)
        return None


def _block(
    conn: Connection, stream_id: int, block: bytes, end_stream: bool, events: list[Event]
) -> None:
    """A complete header block: a request, a response, or trailers."""
    stream = conn.streams.get(stream_id)
    if stream is not None:
        if stream.head is AWAITED:
            _response(conn, stream, block, end_stream, events)
        else:
            _trailers(conn, stream, block, end_stream, events)
    elif conn.client or not stream_id & 1 or stream_id <= conn.peer_stream_max:
        _stray_block(conn, stream_id, block)
    else:
        _request(conn, stream_id, block, end_stream, events)


def _request(
    conn: Connection, stream_id: int, block: bytes, end_stream: bool, events: list[Event]
) -> None:
    conn.peer_stream_max = stream_id
    head = _parsed(conn, block, conn.memo, conn.parse_head)
    if stream_id > conn.accept_max:
        return
    if len(conn.streams) >= conn.streams_max:
        raise StreamFault(ErrorCode.REFUSED_STREAM, "too many streams")
    stream = Stream(stream_id, head, conn.outbox.initial_window, conn.windows.initial)
    conn.streams[stream_id] = stream
    if end_stream:
        _check_length(stream)
        stream.remote_closed = True
    if not head.whole:
        events.append(HeadersReceived(stream_id, head, end_stream))
    elif end_stream:
        events.append(RequestReceived(stream_id, head, b""))


def _response(
    conn: Connection, stream: Stream, block: bytes, end_stream: bool, events: list[Event]
) -> None:
    head = _parsed(conn, block, conn.memo, conn.parse_head)
    if 100 <= head.status < 200:
        if end_stream:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "an interim response ends the stream")
        conn.budget.spend("interim responses")
        return
    stream.head = head
    events.append(HeadersReceived(stream.id, head, end_stream))
    if end_stream:
        close_remote(conn, stream)


def _trailers(
    conn: Connection, stream: Stream, block: bytes, end_stream: bool, events: list[Event]
) -> None:
    if stream.remote_closed:
        _decode(conn, block)
        raise StreamFault(ErrorCode.STREAM_CLOSED, "HEADERS after END_STREAM")
    parsed = _parsed(conn, block, conn.trailers_memo, conn.parse_trailers)
    if not end_stream:
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "trailers without END_STREAM")
    _check_length(stream)
    if stream.head.whole:
        _finish_whole(conn, stream, events)
    else:
        events.append(TrailersReceived(stream.id, parsed))
    close_remote(conn, stream)


def _stray_block(conn: Connection, stream_id: int, block: bytes) -> None:
    """A header block for no stream that we know."""
    _decode(conn, block)
    if is_idle(conn, stream_id):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "HEADERS on a stream that may not open")
    if stream_id not in conn.resets:
        raise ConnectionFault(ErrorCode.STREAM_CLOSED, "HEADERS on a closed stream")
    conn.budget.spend("frames on closed streams")


# --- DATA -------------------------------------------------------------------------------------


def on_data(
    conn: Connection, flags: int, stream_id: int, payload: bytes, events: list[Event]
) -> None:
    """One DATA frame; its bytes are already charged to the connection."""
    size = len(payload)
    stream = conn.streams.get(stream_id)
    if stream is None:
        _stray_data(conn, stream_id)
        return
    if stream.remote_closed or stream.head is AWAITED:
        raise StreamFault(ErrorCode.STREAM_CLOSED, "DATA before HEADERS or after END_STREAM")
    if flags & PADDED:
        payload = unpad(payload)
    end_stream = bool(flags & END_STREAM)
    if not payload and not end_stream:
        conn.budget.spend("empty DATA frames")
    # Padding is never consumed by anybody, so its credit returns at once; that of whole bodies is in `bodies.py`.
    auto = stream.auto_credit and not stream.head.whole
    renewal = conn.windows.stream_received(stream, size, size if auto else size - len(payload))
    if renewal and not end_stream:
        conn.outbox.frames.append(renewal)
    stream.received += len(payload)
    if end_stream:
        _check_length(stream)
    if stream.head.whole:
        _collect(conn, stream, payload, end_stream, events)
    elif payload or end_stream:
        events.append(DataReceived(stream_id, payload, end_stream))
    if end_stream and stream_id in conn.streams:
        close_remote(conn, stream)


def _collect(
    conn: Connection, stream: Stream, payload: bytes, end_stream: bool, events: list[Event]
) -> None:
    """A piece of a body that is wanted whole."""
    if not conn.bodies.add(stream, payload):
        start = conn.bodies.take(stream)
        stream.auto_credit = True
        events.append(BodyTooLarge(stream.id, stream.head, start))
        stream.head = _Discarding()
    elif end_stream:
        _finish_whole(conn, stream, events)
    else:
        conn.bodies.expect(stream, conn.windows.initial)


def _finish_whole(conn: Connection, stream: Stream, events: list[Event]) -> None:
    events.append(RequestReceived(stream.id, stream.head, conn.bodies.take(stream)))


@attrs.frozen
class _Discarding:
    """The head of a stream whose body was too large: what still comes is not collected."""

    whole: bool = False
    content_length: int | None = None


def _stray_data(conn: Connection, stream_id: int) -> None:
    if not stream_id or is_idle(conn, stream_id):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "DATA on an idle stream")
    conn.budget.spend("frames on closed streams")
    if stream_id not in conn.resets:
        conn.resets.add(stream_id)
        conn.reply(rst_stream(stream_id, ErrorCode.STREAM_CLOSED))


# --- the life of streams ----------------------------------------------------------------------


def is_idle(conn: Connection, stream_id: int) -> bool:
    """The stream has never been opened by the side that its id belongs to."""
    if bool(stream_id & 1) == conn.client:
        return stream_id >= conn.next_stream_id
    return stream_id > conn.peer_stream_max


def close_remote(conn: Connection, stream: Stream) -> None:
    stream.remote_closed = True
    if stream.local_closed:
        conn.streams.pop(stream.id, None)


def forget(conn: Connection, stream: Stream) -> None:
    """Release what a stream that ended early still holds."""
    conn.outbox.forget(stream)
    conn.bodies.take(stream)


def end_faulty(conn: Connection, stream_id: int, fault: StreamFault, events: list[Event]) -> None:
    """RST_STREAM for a fault of the peer's."""
    stream = conn.streams.pop(stream_id, None)
    if stream is not None:
        forget(conn, stream)
        events.append(StreamReset(stream_id, fault.code, by_peer=False))
    conn.resets.add(stream_id)
    conn.reply(rst_stream(stream_id, fault.code))


def _check_length(stream: Stream) -> None:
    expected = stream.head.content_length
    if expected is not None and stream.received != expected:
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "body and content-length differ")


def unpad(payload: bytes) -> bytes:
    if not payload:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "padded frame is empty")
    padding = payload[0]
    if padding >= len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "padding is longer than the frame")
    return payload[1 : len(payload) - padding]
