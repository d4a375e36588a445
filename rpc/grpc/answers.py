"""The client's short cut: answers to unary calls that look as they always do.

A server answers thousands of calls with the same three frames: a head that is known, one message in one DATA frame,
and the trailers of success. Here these are taken in one loop, without an event per frame. Every other frame is left
to the HTTP/2 connection, which knows all rules; nothing is taken here that it would refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..h2.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_HEADER_BYTES,
    HEADERS,
    PING,
    WINDOW_BYTES_MAX,
    WINDOW_UPDATE,
    frame_head,
    ping,
)
from ..h2.streams import AWAITED
from .framing import PREFIX_BYTES, Deframer, read_prefix
from .session import Call

if TYPE_CHECKING:
    from ..h2.connection import Connection

__all__ = ["Answered", "ClientCall", "take_frames"]

REPLIES_BYTES_MAX: Final = 1 << 16
"""Of acknowledgements that wait to be written; more of them take the long way, which has a bound."""
_PING: Final = 8 << 8 | PING
_WINDOW_UPDATE: Final = 4 << 8 | WINDOW_UPDATE
_TRAILERS: Final = END_HEADERS | END_STREAM
_make = tuple.__new__


class Answered(NamedTuple):
    """A unary call has succeeded: its message, and the end of the call, in one event."""

    stream_id: int
    data: bytes


class ClientCall(Call):
    """A call of ours. `unary`: one message is expected; `message`: it has come."""

    __slots__ = ("message", "unary")

    def __init__(self, deframer: Deframer, *, unary: bool) -> None:
        super().__init__(deframer)
        self.unary = unary
        self.message: bytes | None = None


def take_frames(
    conn: Connection,
    calls: dict[int, ClientCall],
    data: bytes,
    bytes_max: int,
    out: list[Any],
    other: Callable[[bytes], None],
) -> int:
    """Take the complete frames of `data`; returns where the first incomplete one starts.

    `conn` has nothing half-way in it; `calls` are the open ones by stream; `bytes_max` bounds messages. Events go
    to `out`, and every frame that is not one of the three to `other`.
    """
    streams, memo, trailers_memo = conn.streams, conn.memo, conn.trailers_memo
    windows = conn.windows
    at, received, end = 0, 0, len(data)
    last = end - FRAME_HEADER_BYTES
    while at <= last:
        word, flags, stream_id = frame_head(data, at)
        start = at + FRAME_HEADER_BYTES
        stop = start + (word >> 8)
        if stop > end:
            if stop - start > conn.limits.frame_bytes_max:
                other(data[at:])  # a fault, which need not be waited for
                at = end
            break
        if not stream_id and _usual(conn, word, flags, data[start:stop]):
            at = stop
            continue
        kind = word & 255
        stream = streams.get(stream_id)
        call = calls.get(stream_id)
        if stream is not None and call is not None and call.unary:
            if kind == HEADERS and flags == END_HEADERS:
                head = memo.get(data[start:stop])
                if head is not None and stream.head is AWAITED and _plain(head):
                    stream.head, call.answered, at = head, True, stop
                    continue
            elif kind == DATA and not flags and stop - start >= PREFIX_BYTES:
                size = stop - start
                flag, length = read_prefix(data, start)
                if (
                    not flag
                    and length == size - PREFIX_BYTES
                    and length <= bytes_max
                    and call.answered
                    and size <= stream.recv_window
                    and received + size <= windows.connection
                    and not call.deframer.pending_bytes
                    and not stream.received
                ):
                    stream.recv_window -= size
                    stream.received = size
                    received += size
                    call.message, at = data[start + PREFIX_BYTES : stop], stop
                    continue
            elif kind == HEADERS and flags == _TRAILERS and call.message is not None:
                status = trailers_memo.get(data[start:stop])
                if status is not None and not status[0] and stream.local_closed:
                    del calls[stream_id], streams[stream_id]
                    out.append(_make(Answered, (stream_id, call.message)))
                    at = stop
                    continue
        other(data[at:stop])
        at = stop
        if conn.closed or conn.block is not None:
            break
    if received and (renewal := windows.received(received)):
        conn.outbox.frames.append(renewal)
    return at


def _usual(conn: Connection, word: int, flags: int, payload: bytes) -> bool:
    """Take a PING, or credit of the connection: grpc-go sends one of each with every answer."""
    outbox = conn.outbox
    if word == _PING and not flags and outbox.wrote and conn.replies_bytes < REPLIES_BYTES_MAX:
        outbox.wrote = False
        conn.reply(ping(payload, ack=True))
        return True
    if word == _WINDOW_UPDATE and not outbox.waiting:
        credit = int.from_bytes(payload, "big") & WINDOW_BYTES_MAX
        if credit and outbox.window + credit <= WINDOW_BYTES_MAX:
            outbox.window += credit
            return True
    return False


def _plain(head: Any) -> bool:
    """The head of an answer that needs no attention."""
    return (
        head.status == 200
        and head.fault is None
        and head.content_length is None
        and not head.encoding
    )
