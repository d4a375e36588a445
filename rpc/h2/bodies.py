"""Bodies that are wanted whole: what is held of them, and which streams may send theirs.

A peer that uploads on many streams at once sends a piece of each in turn, so that all of them grow and none is
complete. Were each given credit as it sends, as other streams are, what is held would have no bound but the number of
streams; a call that is refused instead is one that etcd would have served. So each stream gets one small window to
begin with, which is enough for most bodies, and beyond it the credit for all that its body may be, in one piece: at
once as long as those grants stay within half of `collected_bytes_max`, else when it is its turn. Who has a grant needs
nothing more to complete, so the turn always comes, unless the peer itself stops. The other half is for the first windows of
those that wait; only streams beyond that, some five hundred, are refused.
"""

from __future__ import annotations

from .frames import WINDOW_BYTES_MAX, window_update
from .limits import Limits
from .streams import Chunk, Stream

__all__ = ["Bodies"]


class Bodies:
    """The bodies of one connection that are being collected.

    Args:
        limits: of the connection.
        frames: where WINDOW_UPDATE frames go.

    Attributes:
        collected_bytes: incomplete bodies, all streams.
    """

    __slots__ = ("_frames", "_granted_bytes", "_limits", "_waiting", "collected_bytes")

    def __init__(self, limits: Limits, frames: list[Chunk]) -> None:
        self._limits = limits
        self._frames = frames
        self._granted_bytes = 0
        self._waiting: dict[int, Stream] = {}  # in the order in which they came
        self.collected_bytes = 0

    def add(self, stream: Stream, payload: bytes) -> bool:
        """Keep a piece; False: now it is more than is taken, of this stream or of all."""
        if stream.body is None:
            stream.body = []
        stream.body.append(payload)
        self.collected_bytes += len(payload)
        limits = self._limits
        return (
            stream.received <= limits.body_bytes_max
            and self.collected_bytes <= limits.collected_bytes_max
        )

    def expect(self, stream: Stream, window_bytes: int) -> None:
        """More is to come on a stream, whose window is so large when it begins."""
        if not stream.granted and stream.recv_window * 2 < window_bytes:
            self._waiting[stream.id] = stream
            self._grant()

    def take(self, stream: Stream) -> bytes:
        """What has been collected for a stream; it is no longer charged, and no credit is kept for it."""
        body = b"".join(stream.body or ())
        self.collected_bytes -= len(body)
        stream.body = None
        self._waiting.pop(stream.id, None)
        if stream.granted:
            self._granted_bytes -= stream.granted
            stream.granted = 0
            self._grant()
        return body

    def stop(self) -> None:
        """Give no more credit."""
        self._waiting.clear()

    def _grant(self) -> None:
        """Give credit to those whose turn it is. One grant is given however large it is."""
        limits = self._limits
        while self._waiting:
            stream = next(iter(self._waiting.values()))
            # More than is taken: a body that is too large is to be seen, not waited for; and padding wants some.
            most = limits.body_bytes_max + limits.stream_window_bytes
            wanted = most - stream.received - stream.recv_window
            credit = min(wanted, WINDOW_BYTES_MAX - stream.recv_window)
            granted = self._granted_bytes + credit
            if self._granted_bytes and granted > limits.collected_bytes_max // 2:
                return
            del self._waiting[stream.id]
            if credit > 0:
                self._granted_bytes = granted
                stream.granted = credit
                stream.recv_window += credit
                self._frames.append(window_update(stream.id, credit))
