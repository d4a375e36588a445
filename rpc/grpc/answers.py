"""The client's short cut: answers to unary calls that look as they always do.

A server answers thousands of calls with the same three frames: a head that is known, one message in one DATA frame,
and the trailers of success. HPACK makes the two header blocks alike as soon as its table has settled, so that only
the stream and the message differ: such an answer is read in two steps, without an event per frame. Every other frame
is left to the HTTP/2 connection, which knows all rules; nothing is taken here that it would refuse.
"""

from __future__ import annotations

import struct
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
from .framing import PREFIX_BYTES
from .session import Call

if TYPE_CHECKING:
    from ..h2.connection import Connection

__all__ = ["AnswerShape", "Answered", "OpenCalls", "take_frames"]

REPLIES_BYTES_MAX: Final = 1 << 16
"""Of acknowledgements that wait to be written; more of them take the long way, which has a bound."""
_PING: Final = 8 << 8 | PING
_WINDOW_UPDATE: Final = 4 << 8 | WINDOW_UPDATE
_TRAILERS: Final = END_HEADERS | END_STREAM
_make = tuple.__new__

OpenCalls = dict[int, Call | None]
"""The open calls by stream; None: a unary one of which only a usual answer is expected, or nothing has come yet."""


class Answered(NamedTuple):
    """A unary call has succeeded: its message, and the end of the call, in one event."""

    stream_id: int
    data: bytes


class AnswerShape:
    """Where things are in the usual answer: it follows from the sizes of its two header blocks.

    Attributes:
        head: length and type of the first HEADERS frame.
        read_start: (data, at) -> the first frame, and DATA as far as the message.
        start_bytes: how much that is.
        trailers: length and type of the last frame.
        read_end: (data, at) -> that frame.
        end_bytes: how much that is.
    """

    __slots__ = ("end_bytes", "head", "read_end", "read_start", "start_bytes", "trailers")

    def __init__(self) -> None:
        self._begin(0)
        self._finish(0)

    def learn(self, flags: int, size: int) -> None:
        """A HEADERS frame had a block of this size."""
        if flags == END_HEADERS:
            self._begin(size)
        elif flags == _TRAILERS:
            self._finish(size)

    def _begin(self, size: int) -> None:
        start = struct.Struct(f">IBI{size}sIBIBI")
        self.head = size << 8 | HEADERS
        self.read_start, self.start_bytes = start.unpack_from, start.size

    def _finish(self, size: int) -> None:
        end = struct.Struct(f">IBI{size}s")
        self.trailers = size << 8 | HEADERS
        self.read_end, self.end_bytes = end.unpack_from, end.size


def take_frames(
    conn: Connection,
    calls: OpenCalls,
    shape: AnswerShape,
    data: bytes,
    bytes_max: int,
    out: list[Any],
    other: Callable[[bytes], None],
) -> int:
    """Take the complete frames of `data`; returns where the first incomplete one starts.

    `conn` has nothing half-way in it; `bytes_max` bounds messages. Events go to `out`, and every frame that is not
    of a usual answer to `other`.
    """
    at, end = 0, len(data)
    last = end - FRAME_HEADER_BYTES
    while (at := _take_answers(conn, calls, shape, data, at, bytes_max, out)) <= last:
        word, flags, stream_id = frame_head(data, at)
        start = at + FRAME_HEADER_BYTES
        stop = start + (word >> 8)
        if stop > end:
            if stop - start > conn.limits.frame_bytes_max:
                other(data[at:])  # a fault, which need not be waited for
                at = end
            break
        if stream_id or not _usual(conn, word, flags, data[start:stop]):
            if word & 255 == HEADERS:
                shape.learn(flags, stop - start)
            other(data[at:stop])
        at = stop
        if conn.closed or conn.block is not None:
            break
    return at


def _take_answers(
    conn: Connection,
    calls: OpenCalls,
    shape: AnswerShape,
    data: bytes,
    at: int,
    bytes_max: int,
    out: list[Any],
) -> int:
    """Take the usual answers that follow each other from `at` on; returns where something else starts."""
    streams, memo, trailers_memo = conn.streams, conn.memo, conn.trailers_memo
    windows, start_bytes = conn.windows, shape.start_bytes
    received, stop_max = 0, len(data) - shape.end_bytes
    last = stop_max - start_bytes
    while at <= last:
        head_word, head_flags, stream_id, head_block, word, flags, data_id, compressed, length = (
            shape.read_start(data, at)
        )
        start = at + start_bytes
        stop, size = start + length, length + PREFIX_BYTES
        if stop > stop_max or word != size << 8 | DATA or stream_id not in calls:
            break
        end_word, end_flags, end_id, end_block = shape.read_end(data, stop)
        stream, head, status = (
            streams.get(stream_id),
            memo.get(head_block),
            trailers_memo.get(end_block),
        )
        if not (
            # The three frames, of one stream, ...
            head_word == shape.head
            and end_word == shape.trailers
            and stream_id == data_id == end_id
            and head_flags == END_HEADERS
            and not flags
            and end_flags == _TRAILERS
            # ... say what they always say, ...
            and head is not None
            and head.plain
            and not compressed
            and status is not None
            and not status[0]
            # ... to a call of which they are all, and within its bounds.
            and calls[stream_id] is None
            and stream is not None
            and stream.local_closed
            and length <= bytes_max
            and size <= stream.recv_window
            and received + size <= windows.connection
        ):
            break
        received += size
        del calls[stream_id], streams[stream_id]
        out.append(_make(Answered, (stream_id, data[start:stop])))
        at = stop + shape.end_bytes
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
