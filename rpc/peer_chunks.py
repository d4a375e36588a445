"""HTTP/1.1's chunked coding for a body that never ends. Sans-IO.

A stream between peers is the body of a response. Its bytes are the hot path, which is why they do not go through the
HTTP library. Source: RFC 9112, section 7.1. Extensions are skipped, trailers are ignored.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ChunkError", "Unchunker", "chunk"]

SIZE_LINE_BYTES_MAX: Final = 1024
SIZE_DIGITS_MAX: Final = 15
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")


class ChunkError(ValueError):
    """Bytes that are not chunked."""


def chunk(parts: list[bytes]) -> bytes:
    """One chunk of at least one byte made of `parts`."""
    return b"".join((b"%x\r\n" % sum(map(len, parts)), *parts, b"\r\n"))


class Unchunker:
    """Takes the coding off: `feed` bytes, get the body's.

    Attributes:
        ended: the last chunk has come; what follows is not the body's.
    """

    __slots__ = ("_left", "_line", "ended")

    def __init__(self) -> None:
        self._line = b""  # of a size line, or of the line end after a chunk, that is not complete
        self._left = 0  # bytes of the current chunk to come, its line end included
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """The next bytes of the body; raises ChunkError."""
        out: list[bytes] = []
        at, end = 0, len(data)
        while at < end and not self.ended:
            if self._left > 2:
                stop = min(at + self._left - 2, end)
                out.append(data[at:stop])
                self._left -= stop - at
                at = stop
            elif self._left:
                if data[at] != b"\n\r"[self._left - 1]:
                    raise ChunkError("no line end after a chunk")
                self._left -= 1
                at += 1
            else:
                at = self._read_size(data, at)
        return out[0] if len(out) == 1 else b"".join(out)

    def _read_size(self, data: bytes, at: int) -> int:
        found = data.find(b"\n", at)
        line = self._line + (data[at:] if found < 0 else data[at : found + 1])
        if len(line) > SIZE_LINE_BYTES_MAX:
            raise ChunkError("the size line of a chunk is too long")
        if found < 0:
            self._line = line
            return len(data)
        self._line = b""
        digits = line.partition(b";")[0].strip()
        if not 0 < len(digits) <= SIZE_DIGITS_MAX or not _HEX.issuperset(digits):
            raise ChunkError("the size of a chunk is not a number")
        size = int(digits, 16)
        if size:
            self._left = size + 2
        else:
            self.ended = True
        return found + 1
