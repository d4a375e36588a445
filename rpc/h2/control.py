"""The frames that carry no message: settings, ping, goaway, credit, resets (RFC 9113 section 6).

None of them is on the path of a call. Each handler takes the connection and changes it.
"""

# ruff: noqa: ARG001 - all handlers share one signature

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from . import settings as s
from .errors import ConnectionFault, ErrorCode, StreamFault
from .events import (
    Event,
    GoawayReceived,
    PingAcked,
    PingReceived,
    SettingsReceived,
    StreamReset,
    StreamWritable,
)
from .frames import (
    ACK,
    GOAWAY,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    SETTINGS_ACK,
    STREAM_ID_MASK,
    WINDOW_BYTES_MAX,
    WINDOW_UPDATE,
    goaway,
    ping,
)
from .messages import forget, is_idle

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["DRAIN_PING", "HANDLERS"]

DRAIN_PING = b"\x01\x06\x01\x08\x00\x03\x03\x09"
"""The PING whose answer tells a server that the peer knows of its graceful GOAWAY."""
SMALL_CREDIT_BYTES = 1024
"""A WINDOW_UPDATE below this, for data that waits, is a nuisance: it makes us send crumbs."""


def _size(payload: bytes, size: int) -> None:
    if len(payload) != size:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "frame of a wrong length")


def _connection_only(stream_id: int) -> None:
    if stream_id:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "connection frame on a stream")


def _stream_only(conn: Connection, stream_id: int) -> None:
    if not stream_id or is_idle(conn, stream_id):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "frame on an idle stream or on stream 0")


def on_settings(
    conn: Connection, flags: int, stream_id: int, payload: bytes, events: list[Event]
) -> None:
    _connection_only(stream_id)
    if flags & ACK:
        _size(payload, 0)
        if not conn.settings_acked:
            conn.settings_acked = True
            conn.outbox.frames += conn.windows.acknowledged(conn.streams)
            for stream in conn.streams.values():
                if stream.body is not None:
                    conn.bodies.expect(stream, conn.windows.initial)
            conn.decoder.limit(conn.limits.header_table_bytes_max)
        return
    conn.budget.spend("SETTINGS frames")
    peer = conn.peer
    old_window = peer.initial_window_bytes
    for key, value in s.parse(payload):
        if key == s.HEADER_TABLE_SIZE:
            peer.header_table_bytes_max = value
            conn.outbox.table_limited(value)
        elif key == s.MAX_CONCURRENT_STREAMS:
            peer.concurrent_streams_max = value
        elif key == s.INITIAL_WINDOW_SIZE:
            peer.initial_window_bytes = value
        elif key == s.MAX_FRAME_SIZE:
            peer.frame_bytes_max = value
        elif key == s.MAX_HEADER_LIST_SIZE:
            peer.header_list_bytes_max = value
    conn.reply(SETTINGS_ACK)
    done = conn.outbox.settle(old_window, peer)
    events.append(SettingsReceived())
    events.extend(map(StreamWritable, done))


def on_ping(
    conn: Connection, flags: int, stream_id: int, payload: bytes, events: list[Event]
) -> None:
    _connection_only(stream_id)
    _size(payload, 8)
    if not flags & ACK:
        # Go's and C's clients measure the round trip with a PING whenever data arrives, thousands of
        # times a second on a short line: what we have sent pays for one.
        after_write, conn.outbox.wrote = conn.outbox.wrote, False
        if not after_write:
            conn.budget.spend("PING frames")
        conn.reply(ping(payload, ack=True))
        events.append(PingReceived(after_write))
    elif payload == DRAIN_PING and conn.draining and not conn.client:
        conn.accept_max = conn.peer_stream_max
        conn.outbox.frames.append(goaway(conn.accept_max, ErrorCode.NO_ERROR, b""))
    else:
        events.append(PingAcked(payload))


def on_goaway(
    conn: Connection, flags: int, stream_id: int, payload: bytes, events: list[Event]
) -> None:
    _connection_only(stream_id)
    if len(payload) < 8:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY is too short")
    if conn.client:
        conn.draining = True
    last = int.from_bytes(payload[:4], "big") & STREAM_ID_MASK
    code = int.from_bytes(payload[4:8], "big")
    events.append(GoawayReceived(last, code, payload[8:]))


def on_window_update(
    conn: Connection, flags: int, stream_id: int, payload: bytes, events: list[Event]
) -> None:
    _size(payload, 4)
    credit = int.from_bytes(payload, "big") & WINDOW_BYTES_MAX
    small = credit < SMALL_CREDIT_BYTES
    if not stream_id:
        if small and conn.outbox.waiting:
            conn.budget.spend("small WINDOW_UPDATE frames")
        if not credit:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        events.extend(map(StreamWritable, conn.outbox.connection_credit(credit)))
        return
    _stream_only(conn, stream_id)
    stream = conn.streams.get(stream_id)
    if stream is None:
        return
    if small and stream.queue:
        conn.budget.spend("small WINDOW_UPDATE frames")
    if not credit:
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
    if conn.outbox.stream_credit(stream, credit):
        events.append(StreamWritable(stream_id))


def on_rst_stream(
    conn: Connection, flags: int, stream_id: int, payload: bytes, events: list[Event]
) -> None:
    _size(payload, 4)
    _stream_only(conn, stream_id)
    stream = conn.streams.pop(stream_id, None)
    if stream is None:
        return
    # Cancelling a stream that has been answered is the ordinary end of a watch or a keep-alive.
    if not conn.client and not stream.answered:
        conn.budget.spend("reset streams")
    forget(conn, stream)
    events.append(StreamReset(stream_id, int.from_bytes(payload, "big"), by_peer=True))


def on_priority(
    conn: Connection, flags: int, stream_id: int, payload: bytes, events: list[Event]
) -> None:
    """Ignored (section 5.3.2), but still checked and charged."""
    if not stream_id:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
    conn.budget.spend("PRIORITY frames")
    if len(payload) != 5:
        raise StreamFault(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY of a wrong length")
    if int.from_bytes(payload[:4], "big") & STREAM_ID_MASK == stream_id:
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "a stream depends on itself")


def on_push_promise(
    conn: Connection, flags: int, stream_id: int, payload: bytes, events: list[Event]
) -> None:
    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE is not allowed")


Handler = Callable[["Connection", int, int, bytes, list[Event]], None]
HANDLERS: dict[int, Handler] = {
    PRIORITY: on_priority,
    RST_STREAM: on_rst_stream,
    SETTINGS: on_settings,
    PUSH_PROMISE: on_push_promise,
    PING: on_ping,
    GOAWAY: on_goaway,
    WINDOW_UPDATE: on_window_update,
}
