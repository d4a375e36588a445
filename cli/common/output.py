"""Where a command's results go: bytes, as they are, to stdout."""

from __future__ import annotations

from typing import BinaryIO

from .goquote import as_bytes

__all__ = ["Output"]


class Output:
    """Writes bytes and lines; keys and values may be any bytes.

    Args:
        stream: buffered, binary.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, data: bytes | str) -> None:
        """Write as it is."""
        self._stream.write(as_bytes(data))

    def line(self, text: bytes | str = b"") -> None:
        """Write a line."""
        self._stream.write(as_bytes(text))
        self._stream.write(b"\n")

    def flush(self) -> None:
        """Hand over to the system what was written."""
        self._stream.flush()
