"""Counts the streams of those who bring no counter along: the gateway over HTTP/1.1, and clients in this program.

The connections of HTTP/2 count by themselves, as every message passes there anyway.
"""

from __future__ import annotations

from ..errors import Code, EtcdError
from .call import Outlet, Stream
from .traffic import MethodCounter

__all__ = ["CountedStream"]


class CountedStream:
    """Both halves of a stream. Its end is counted once, by whoever ends it first."""

    def __init__(self, out: Outlet, counter: MethodCounter) -> None:
        self.inner: Stream | None = None
        self._out = out
        self._counter = counter
        self._over = False
        self.backlog = out.backlog

    def send(self, message: bytes) -> None:
        """See `Outlet`."""
        self._counter.sent += 1
        self._out.send(message)

    def finish(self, error: EtcdError | None = None) -> None:
        """See `Outlet`."""
        self._end(Code.OK if error is None else error.status)
        self._out.finish(error)

    def message(self, data: bytes) -> None:
        """See `Stream`."""
        if self.inner is None:
            return
        self._counter.received += 1
        try:
            self.inner.message(data)
        except Exception as error:  # the caller ends the call with it
            self._end(error.status if isinstance(error, EtcdError) else Code.INTERNAL)
            raise

    def half_closed(self) -> None:
        """See `Stream`."""
        if self.inner is not None:
            self.inner.half_closed()

    def cancelled(self) -> None:
        """See `Stream`."""
        self._end(Code.CANCELED)
        if self.inner is not None:
            self.inner.cancelled()

    def writable(self) -> None:
        """See `Stream`."""
        if self.inner is not None:
            self.inner.writable()

    def _end(self, code: int) -> None:
        if self._over:
            return
        self._over = True
        if code == Code.OK:
            self._counter.ok += 1
        else:
            self._counter.ended[code] += 1
