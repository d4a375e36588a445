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
    DEFAULT_FRAME_BYTES_MAX,
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

    `frames` is drained by the connection. `window` and the streams' `send_window` are read and
    written directly by the layers above where one call per request would be too many.
    """

    __slots__ = (
        "_client",
        "_limits",
        "_resets",
        "_table_update_due",
        "_table_zero",
        "backlog_bytes",
        "frame_bytes_max",
        "frames",
        "initial_window",
        "shortcut_bytes_max",
        "streams",
        "waiting",
        "window",
        "wrote",
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
        self.frame_bytes_max = DEFAULT_FRAME_BYTES_MAX
        """The peer's limit for one frame."""
        self.shortcut_bytes_max = DEFAULT_FRAME_BYTES_MAX
        """The same for those who write whole answers on their own; 0 while a table size update is
        due, which must go out in the next header block."""
        self.waiting: dict[int, Stream] = {}
        """Streams that have credit themselves and wait for the connection's, in turn."""
        self.backlog_bytes = 0
        self.wrote = False
        """HEADERS or DATA were written since the peer's last PING."""
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
            self.shortcut_bytes_max = self.frame_bytes_max
            block = TABLE_SIZE_ZERO + block
        self.wrote = stream.answered = True
        self.frames.append(
            headers(stream.id, block, end_stream=end_stream, frame_bytes_max=self.frame_bytes_max)
        )
        if end_stream:
            self.close_local(stream)

    def send_data(self, stream: Stream, data: bytes, *, end_stream: bool) -> None:
        """Send body as far as credit reaches and queue the rest.

        Raises:
            ConnectionFault: the peer lets more wait than `backlog_bytes_max`.
        """
        size = len(data)
        if (
            not stream.queue
            and size <= self.window
            and size <= stream.send_window
            and size <= self.frame_bytes_max
        ):
            self._write(stream, data, END_STREAM if end_stream else 0)
            if end_stream:
                self.close_local(stream)
            return
        # What waits already is held against the bound, not this message: any single one may pass.
        if self.backlog_bytes > self._limits.backlog_bytes_max:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "send backlog is full")
        if stream.queue is None:
            stream.queue = deque()
        stream.queue.append(data)
        stream.queued_bytes += size
        self.backlog_bytes += size
        stream.end_queued = end_stream
        if stream.id not in self.waiting:
            self._write_all(stream)

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
        self.waiting.pop(stream.id, None)

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
        waiting = self.waiting
        ready = deque(waiting.values())
        while ready and self.window > 0:
            stream = ready.popleft()
            if self._write_next(stream):
                ready.append(stream)
            elif not stream.queue:
                done.append(stream.id)
                del waiting[stream.id]
            elif stream.send_window <= 0:
                del waiting[stream.id]
        return done

    def settle(self, old_initial_window: int, settings: PeerSettings) -> list[int]:
        """Apply the peer's new settings; ids of the streams that have nothing waiting now.

        Raises:
            ConnectionFault: a stream's window would exceed 2**31 - 1.
        """
        self.initial_window = settings.initial_window_bytes
        self.frame_bytes_max = settings.frame_bytes_max
        self.shortcut_bytes_max = 0 if self._table_update_due else self.frame_bytes_max
        delta = self.initial_window - old_initial_window
        done: list[int] = []
        for stream in list(self.streams.values()) if delta else ():
            stream.send_window += delta
            if stream.send_window > WINDOW_BYTES_MAX:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "stream window too large")
            if stream.queue and self._write_all(stream):
                done.append(stream.id)
        return done

    def stream_credit(self, stream: Stream, credit: int) -> bool:
        """A stream's window is raised; tells whether what waited has all gone out."""
        if stream.send_window + credit > WINDOW_BYTES_MAX:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, "stream window too large")
        stream.send_window += credit
        return bool(stream.queue) and self._write_all(stream)

    def table_limited(self, header_table_bytes_max: int) -> None:
        """The peer's HPACK decoder has a new maximum.

        We use no table, but a decoder that shrinks must be told so once (RFC 7541 section 4.2).
        """
        if header_table_bytes_max < 4096 and not self._table_zero:
            self._table_zero = self._table_update_due = True

    # --- frames -------------------------------------------------------------------------------

    def _write_all(self, stream: Stream) -> bool:
        """Write what waits on one stream as far as credit reaches; tells whether that was all."""
        while self._write_next(stream):
            pass
        if not stream.queue:
            self.waiting.pop(stream.id, None)
            return True
        if stream.send_window > 0:
            self.waiting.setdefault(stream.id, stream)
        else:
            self.waiting.pop(stream.id, None)
        return False

    def _write_next(self, stream: Stream) -> bool:
        """Write one frame of what waits; tell whether another one could follow at once."""
        queue = stream.queue
        if not queue:
            return False
        room = min(self.window, stream.send_window, self.frame_bytes_max)
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
        self.wrote = True
        self.window -= size
        stream.send_window -= size
        self.frames.append(pack_head(size << 8 | DATA, flags, stream.id))
        self.frames.append(data)
