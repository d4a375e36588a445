"""The frames of etcd's peer streams, cut out of bytes as they arrive. Sans-IO.

Source: etcd's rafthttp package. Numbers are unsigned, of 8 bytes, big-endian.

* The *message* stream, and the head of a snapshot: a length, then so many bytes of a raft message.
* The *msgappv2* stream: a byte that says what follows. 0: nothing, the link lives. 1: the number of entries, each
  as a length and its bytes, then the commit index; the rest of the message follows from the one before. 2: a length and
  a raft message.

What is in the messages is not known here. Decoders keep what is incomplete, are linear in the bytes fed, and raise
`FrameError` for lengths beyond the limit before anything of that size is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

__all__ = [
    "LINK_HEARTBEAT",
    "MESSAGE_BYTES_MAX",
    "SNAPSHOT_HEAD_BYTES_MAX",
    "AppendFrame",
    "AppendFrames",
    "FrameError",
    "LengthFrames",
    "SnapshotHead",
    "append_frame",
    "append_frame_entries",
    "full_frame",
    "length_frame",
]

MESSAGE_BYTES_MAX: Final = 512 << 20
"""The longest raft message on a stream, as in etcd."""
SNAPSHOT_HEAD_BYTES_MAX: Final = 64 << 20
"""The longest raft message before a snapshot's data, as in etcd since 3.6.14."""
LINK_HEARTBEAT: Final = b"\0"
"""The msgappv2 frame that says nothing."""

_HEARTBEAT, _CONTINUING, _FULL = 0, 1, 2
_NONE = -1
_LENGTHS: Final = tuple(size.to_bytes(8, "big") for size in range(4096))


class FrameError(ValueError):
    """Bytes that are no such frame, or a length beyond the limit."""


def _length(size: int) -> bytes:
    return _LENGTHS[size] if size < 4096 else size.to_bytes(8, "big")


def length_frame(message: bytes) -> bytes:
    """A frame of the message stream."""
    return _length(len(message)) + message


def full_frame(message: bytes) -> bytes:
    """A msgappv2 frame of type 2."""
    return b"\2" + _length(len(message)) + message


def append_frame_entries(entries: Iterable[bytes]) -> bytes:
    """The part of a type 1 frame that is the same for all receivers."""
    parts: list[bytes] = []
    count = 0
    for entry in entries:
        parts += (_length(len(entry)), entry)
        count += 1
    return b"".join((b"\1", _length(count), *parts))


def append_frame(entries: bytes, commit: int) -> bytes:
    """A msgappv2 frame of type 1 from `append_frame_entries`."""
    return entries + commit.to_bytes(8, "big")


class LengthFrames:
    """Decodes the message stream: `feed` bytes, get the messages that are complete."""

    __slots__ = ("_bytes_max", "_have", "_need", "_parts")

    def __init__(self, bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._parts: list[bytes] = []
        self._have = 0
        self._need = 8

    @property
    def pending_bytes(self) -> int:
        """Bytes of a frame that is not complete."""
        return self._have

    def feed(self, data: bytes) -> list[bytes]:
        """The next complete messages; raises FrameError."""
        self._parts.append(data)
        self._have += len(data)
        if self._have < self._need:
            return []
        if len(self._parts) > 1:
            data = b"".join(self._parts)
        frames: list[bytes] = []
        at, end, self._need = 0, len(data), 8
        while end - at >= 8:
            size = int.from_bytes(data[at : at + 8], "big")
            if size > self._bytes_max:
                raise FrameError(
                    f"a message of {size} bytes; at most {self._bytes_max} are allowed"
                )
            stop = at + 8 + size
            if stop > end:
                self._need = 8 + size
                break
            frames.append(data[at + 8 : stop])
            at = stop
        self._parts = [data[at:]] if at < end else []
        self._have = end - at
        return frames


class SnapshotHead:
    """Finds the raft message before a snapshot's data.

    Attributes:
        rest: the data that came with the message's last bytes.
    """

    def __init__(self, bytes_max: int = SNAPSHOT_HEAD_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._head = bytearray()
        self.rest = b""

    def feed(self, data: bytes) -> bytes | None:
        """The message once it is complete; raises FrameError."""
        head = self._head
        head += data
        if len(head) < 8:
            return None
        size = int.from_bytes(head[:8], "big")
        if size > self._bytes_max:
            raise FrameError("rafthttp: error limit exceeded")
        if len(head) < 8 + size:
            return None
        self.rest = bytes(head[8 + size :])
        return bytes(head[8 : 8 + size])


class AppendFrame(NamedTuple):
    """A frame of type 1."""

    entries: list[bytes]
    commit: int


Frame: TypeAlias = AppendFrame | bytes | None


class AppendFrames:
    """Decodes the msgappv2 stream into frames: None (link heartbeat), `AppendFrame`, or a whole message."""

    __slots__ = ("_bytes_max", "_entries", "_entries_bytes", "_have", "_left", "_need", "_parts")

    def __init__(self, bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._parts: list[bytes] = []
        self._have = 0
        self._need = 1
        self._entries: list[bytes] = []
        self._entries_bytes = 0
        self._left = _NONE  # entries that are still to come in the frame that is being read

    def feed(self, data: bytes) -> list[Frame]:
        """The next complete frames; raises FrameError."""
        self._parts.append(data)
        self._have += len(data)
        if self._have < self._need:
            return []
        if len(self._parts) > 1:
            data = b"".join(self._parts)
        frames: list[Frame] = []
        at, end = 0, len(data)
        while at < end:
            if self._left == _NONE:
                stop = self._begin(data, at, frames)
            elif self._left:
                stop = self._read_entries(data, at)
            else:
                stop = self._finish(data, at, frames)
            if stop < 0:
                break
            at, self._need = stop, 1
        self._parts = [data[at:]] if at < end else []
        self._have = end - at
        return frames

    # Each step returns where it has come to, or -1 if `_need` bytes from `at` are not there yet.

    def _begin(self, data: bytes, at: int, frames: list[Frame]) -> int:
        kind = data[at]
        if kind == _HEARTBEAT:
            frames.append(None)
            return at + 1
        if kind not in (_CONTINUING, _FULL):
            raise FrameError(f"a frame of type {kind}")
        if len(data) - at < 9:
            self._need = 9
            return -1
        number = int.from_bytes(data[at + 1 : at + 9], "big")
        if kind == _CONTINUING:
            self._check(number * 8)
            self._left = number
            self._entries = []
            self._entries_bytes = 0
            return at + 9
        self._check(number)
        stop = at + 9 + number
        if stop > len(data):
            self._need = 9 + number
            return -1
        frames.append(data[at + 9 : stop])
        return stop

    def _read_entries(self, data: bytes, at: int) -> int:
        entries, left, total, end, start = (
            self._entries,
            self._left,
            self._entries_bytes,
            len(data),
            at,
        )
        need = 8
        while left:
            begin = at + 8
            if begin > end:
                break
            stop = begin + int.from_bytes(data[at:begin], "big")
            total += stop - begin
            if stop > end:
                self._check(total)
                total -= stop - begin
                need = stop - at
                break
            entries.append(data[begin:stop])
            at = stop
            left -= 1
        self._check(total)
        self._left, self._entries_bytes = left, total
        if at == start:
            self._need = need
            return -1
        return at

    def _finish(self, data: bytes, at: int, frames: list[Frame]) -> int:
        stop = at + 8
        if stop > len(data):
            self._need = 8
            return -1
        frames.append(AppendFrame(self._entries, int.from_bytes(data[at:stop], "big")))
        self._entries = []
        self._left = _NONE
        return stop

    def _check(self, size: int) -> None:
        if size > self._bytes_max:
            raise FrameError(f"a frame of {size} bytes; at most {self._bytes_max} are allowed")
