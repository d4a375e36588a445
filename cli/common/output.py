"""Where a command's results go: bytes, as they are, to stdout."""

from __future__ import annotations

from typing import BinaryIO

from .exits import IO_FAILED, Failure
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
        self._failed = False
        self.colours = colours

    def write(self, data: bytes | str) -> None:
        """Write as it is.

        Raises:
            BrokenPipeError: the reader has left.
            Failure: it cannot be written for another reason (exit code 6).
        """
        try:
            self._stream.write(as_bytes(data))
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._unwritten(error) from None

    def line(self, text: bytes | str = b"", style: str = "") -> None:
        """Write a line; in a style of `colour.STYLES` if colours are wanted."""
        self.write(self.painted(text, style) if style else text)
        self.write(b"\n")

    def painted(self, text: bytes | str, style: str) -> bytes:
        """Text in a style, if colours are wanted."""
        if not self.colours:
            return as_bytes(text)
        from .colour import paint

        return paint(text, style)

    def flush(self) -> None:
        """Hand over to the system what was written. Raises as `write` does, but once."""
        if self._failed:
            return
        try:
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._unwritten(error) from None

    def _unwritten(self, error: OSError) -> Failure:
        self._failed = True
        return Failure(f"write: {(error.strerror or str(error)).lower()}", IO_FAILED)
