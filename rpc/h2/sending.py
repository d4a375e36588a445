"""The sending side: what goes out, in which order, and how far the peer's credit reaches.

HEADERS and control frames are never held back. DATA needs credit from the stream's window and from the
connection's (see `windows.py` for the theory). What does not fit waits in its stream's queue, and is
released, one frame per stream in turn, when credit comes. Trailers wait behind the data they follow.
`backlog_bytes` counts all that waits, so that the owner can stop producing for a peer that does not read.
"""

from __future__ import annotations

from collections import deque

from .errors import ConnectionFault, ErrorCode, StreamFault
from .frames import (
    DATA,
    DEFAULT_WINDOW_BYTES,
    END_STREAM,
    WINDOW_BYTES_MAX,
    headers,
    pack_head,
    rst_stream,
)
from .hpack_encoder import TABLE_SIZE_ZERO
from .limits import Limits
from .settings import PeerSettings
from .streams import RecentResets, Stream

__all__ = ["Outbox"]


class Outbox:
    """Frames on their way out, and the credit that the peer has given.

    `frames` is drained by the connection. `room` and the streams' `send_window` are read and
    written directly by the layers above where one call per request would be too many.
    """

    __slots__ = (
        "_client",
        "_limits",
        "_resets",
        "_table_update_due",
        "_table_zero",
        "backlog_bytes",
        "blocked",
        "frame_bytes_max",
        "frames",
        "initial_window",
        "streams",
        "window",
    )

    def __init__(
        self, limits: Limits, streams: dict[int, Stream], resets: RecentResets, *, client: bool
    ) -> None:
        self._limits = limits
        self._resets = resets
        self._client = client
        self.streams = streams
        self.frames: list[bytes | memoryview] = []
        self.window = DEFAULT_WINDOW_BYTES
        """Credit on the connection."""
        self.initial_window = DEFAULT_WINDOW_BYTES
        self.frame_bytes_max = 16384
        """The peer's limit for one frame; -1 while a table size update is due, so that the shortcut
        for unary answers, which compares with it anyway, steps aside."""
        self.blocked: dict[int, Stream] = {}
        self.backlog_bytes = 0
        self._table_zero = False
        self._table_update_due = False

    # --- what the layers above send -----------------------------------------------------------

    def send_headers(self, stream: Stream, block: bytes, *, end_stream: bool) -> None:
        """Send a header block, behind any data of the same stream that still waits."""
        if stream.queue:
            stream.trailers_queued = block
            stream.end_queued = end_stream
            return
        if self._table_update_due:
            self._table_update_due = False
            self.frame_bytes_max = abs(self.frame_bytes_max)
            block = TABLE_SIZE_ZERO + block
        self.frames.append(
            headers(
                stream.id, block, end_stream=end_stream, frame_bytes_max=abs(self.frame_bytes_max)
            )
        )
        if end_stream:
            self.close_local(stream)

    def send_data(self, stream: Stream, data: bytes, *, end_stream: bool) -> None:
        """Send body as far as credit reaches and queue the rest.

        Raises:
            ConnectionFault: the peer lets more wait than `backlog_bytes_max`.
        """
        if not stream.queue:
            size = len(data)
            if size <= self.window and size <= stream.send_window and size <= self.frame_bytes_max:
                self._write(stream, data, END_STREAM if end_stream else 0)
                if end_stream:
                    self.close_local(stream)
                return
            if self.backlog_bytes > self._limits.backlog_bytes_max:
                raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "send backlog is full")
            stream.queue = deque()
        elif self.backlog_bytes > self._limits.backlog_bytes_max:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "send backlog is full")
        assert stream.queue is not None
        stream.queue.append(data)
        stream.queued_bytes += len(data)
        self.backlog_bytes += len(data)
        stream.end_queued = end_stream
        while self._write_next(stream):
            pass
        if stream.queue:
            self.blocked[stream.id] = stream

    def close_local(self, stream: Stream) -> None:
        """Our side of the stream is complete.

        A server that has answered before the request was complete does not want the rest of it:
        RST_STREAM with NO_ERROR says so (RFC 9113 section 8.1).
        """
        stream.local_closed = True
        if stream.remote_closed:
            self.streams.pop(stream.id, None)
        elif not self._client:
            self.streams.pop(stream.id, None)
            self._resets.add(stream.id)
            self.frames.append(rst_stream(stream.id, ErrorCode.NO_ERROR))

    def forget(self, stream: Stream) -> None:
        """Drop what waits for a stream that was reset."""
        self.backlog_bytes -= stream.queued_bytes
        stream.queued_bytes = 0
        stream.queue = None
        self.blocked.pop(stream.id, None)

    # --- credit -------------------------------------------------------------------------------

    def connection_credit(self, credit: int) -> list[int]:
        """The connection's window is raised; ids of the streams that have nothing waiting now."""
        if self.window + credit > WINDOW_BYTES_MAX:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "connection window too large")
        self.window += credit
        return self.release()

    def release(self) -> list[int]:
        """Write what waits, one frame per stream in turn, as far as the credit reaches."""
        done: list[int] = []
        ready = deque(self.blocked.values())
        while ready and self.window > 0:
            stream = ready.popleft()
            if self._write_next(stream):
                ready.append(stream)
            elif not stream.queue:
                done.append(stream.id)
        for stream_id in done:
            self.blocked.pop(stream_id, None)
        return done

    def settle(self, old_initial_window: int, settings: PeerSettings) -> list[int]:
        """Apply the peer's new settings; ids of the streams that have nothing waiting now.

        Raises:
            ConnectionFault: a stream's window would exceed 2**31 - 1.
        """
        delta = settings.initial_window_bytes - old_initial_window
        self.initial_window = settings.initial_window_bytes
        for stream in self.streams.values():
            stream.send_window += delta
            if stream.send_window > WINDOW_BYTES_MAX:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "stream window too large")
        due = self._table_update_due
        self.frame_bytes_max = -settings.frame_bytes_max if due else settings.frame_bytes_max
        return self.release() if delta > 0 else []

    def stream_credit(self, stream: Stream, credit: int) -> bool:
        """A stream's window is raised; tells whether what waited has all gone out."""
        if stream.send_window + credit > WINDOW_BYTES_MAX:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, "stream window too large")
        stream.send_window += credit
        if not stream.queue:
            return False
        while self._write_next(stream):
            pass
        if stream.queue:
            return False
        self.blocked.pop(stream.id, None)
        return True

    def table_limited(self, header_table_bytes_max: int) -> None:
        """The peer's HPACK decoder has a new maximum.

        We use no table, but a decoder that shrinks must be told so once (RFC 7541 section 4.2).
        """
        if header_table_bytes_max < 4096 and not self._table_zero:
            self._table_zero = self._table_update_due = True

    # --- frames -------------------------------------------------------------------------------

    def _write_next(self, stream: Stream) -> bool:
        """Write one frame of what waits; tell whether another one could follow at once."""
        queue = stream.queue
        if not queue:
            return False
        room = min(self.window, stream.send_window, abs(self.frame_bytes_max))
        chunk = queue[0]
        if chunk and room <= 0:
            return False
        if chunk and len(chunk) > room:
            view = memoryview(chunk)
            queue[0], chunk = view[room:], view[:room]
        else:
            queue.popleft()
        stream.queued_bytes -= len(chunk)
        self.backlog_bytes -= len(chunk)
        last = stream.end_queued and not queue and stream.trailers_queued is None
        self._write(stream, chunk, END_STREAM if last else 0)
        if queue:
            return True
        if stream.trailers_queued is not None:
            block, stream.trailers_queued = stream.trailers_queued, None
            self.send_headers(stream, block, end_stream=stream.end_queued)
        elif last:
            self.close_local(stream)
        return False

    def _write(self, stream: Stream, data: bytes | memoryview, flags: int) -> None:
        size = len(data)
        self.window -= size
        stream.send_window -= size
        self.frames.append(pack_head(size << 8 | DATA, flags, stream.id))
        self.frames.append(data)
