"""Streams of clients that want a member with a leader (metadata `hasleader: true`).

A new one is refused while there is no leader. One that is open is worth more, so it is ended, with NoLeader, only when
there has been none for three election timeouts in a row: the client then goes on elsewhere. Source: etcd's
monitorLeader.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import EtcdError, NoLeader
from .call import Outlet, Stream

__all__ = ["LedStreams"]

LOOKS_WITHOUT_LEADER_MAX = 3


class LedStreams:
    """The open streams of one node that want a leader."""

    def __init__(self, has_leader: Callable[[], bool], flush: Callable[[], None]) -> None:
        self._has_leader = has_leader
        self._flush = flush
        self._streams: dict[_LedStream, None] = {}
        self._without = 0

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, out: Outlet, opener: Callable[[Outlet], Stream]) -> Stream:
        """Open a stream that can be ended from here."""
        led = _LedStream(out, self._streams)
        self._streams[led] = None
        try:
            led.inner = opener(led)
        except BaseException:
            del self._streams[led]
            raise
        return led

    def look(self) -> None:
        """To be called every election timeout."""
        if self._has_leader():
            self._without = 0
            return
        self._without += 1
        if self._without >= LOOKS_WITHOUT_LEADER_MAX and self._streams:
            for led in list(self._streams):
                led.end(NoLeader())
            self._flush()


class _LedStream:
    """Both halves of a stream: what the service sends through, and what the client's messages go to."""

    def __init__(self, out: Outlet, streams: dict[_LedStream, None]) -> None:
        self.inner: Stream | None = None
        self._out = out
        self._streams = streams
        self._over = False
        self.send = out.send  # as they are: they are called for every message
        self.backlog = out.backlog

    def finish(self, error: EtcdError | None = None) -> None:
        """The service ends the stream."""
        if self._leave():
            self._out.finish(error)

    def end(self, error: EtcdError) -> None:
        """The node ends the stream."""
        if self._leave():
            if self.inner is not None:
                self.inner.cancelled()
            self._out.finish(error)

    def _leave(self) -> bool:
        was_open, self._over = not self._over, True
        self._streams.pop(self, None)
        return was_open

    def message(self, data: bytes) -> None:
        if not self._over and self.inner is not None:
            self.inner.message(data)

    def half_closed(self) -> None:
        if not self._over and self.inner is not None:
            self.inner.half_closed()

    def cancelled(self) -> None:
        """The client ends the stream."""
        if self._leave() and self.inner is not None:
            self.inner.cancelled()

    def writable(self) -> None:
        if not self._over and self.inner is not None:
            self.inner.writable()
