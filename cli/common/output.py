"""Where a command's results go: bytes, as they are, to stdout."""

from __future__ import annotations

from typing import BinaryIO

from .goquote import as_bytes

__all__ = ["Output"]


class Output:
    """Writes bytes and lines; keys and values may be any bytes.

    Args:
        stream: buffered, binary.
        colours: `paint` does paint: a person looks at it.
    """

    def __init__(self, stream: BinaryIO, *, colours: bool = False) -> None:
        self._stream = stream
        self.colours = colours

    def write(self, data: bytes | str) -> None:
        """Write as it is."""
        self._stream.write(as_bytes(data))

    def line(self, text: bytes | str = b"", style: str = "") -> None:
        """Write a line; in a style of `colour.STYLES` if colours are wanted."""
        self._stream.write(self.painted(text, style) if style else as_bytes(text))
        self._stream.write(b"\n")

    def painted(self, text: bytes | str, style: str) -> bytes:
        """Text in a style, if colours are wanted."""
        if not self.colours:
            return as_bytes(text)
        from .colour import paint

        return paint(text, style)

    def flush(self) -> None:
        """Hand over to the system what was written."""
        self._stream.flush()
