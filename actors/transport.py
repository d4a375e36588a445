"""Byte streams below a connection.

A connection writes as soon as it has something to say: `write_nowait` hands bytes to the kernel without a
task switch, and only what the kernel does not take is waited for. That is why this is not a
`trio.abc.Stream`, whose `send_all` must be awaited: answering a thousand calls from the applier would cost
a thousand wake-ups.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Protocol

import trio

__all__ = ["SocketTransport", "Transport"]

RECEIVE_BYTES_MAX = 256 * 1024


class Transport(Protocol):
    """A connected, ordered byte stream in both directions."""

    @property
    def peer(self) -> str:
        """Who is at the other end, for logs."""

    async def receive(self) -> bytes:
        """Bytes that arrived; empty at the end of the stream or after `close`."""

    def write_nowait(self, data: bytes | memoryview) -> int:
        """How many bytes were taken; raises OSError when the connection is gone."""

    async def wait_writable(self) -> None:
        """Return when `write_nowait` may take more."""

    def end_writing(self) -> None:
        """Tell the peer that nothing more comes; it may still send."""

    def close(self) -> None:
        """Close at once; pending calls end."""


class SocketTransport:
    """A TCP or unix socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._closed = False
        self.peer = _name(sock)

    async def receive(self) -> bytes:
        """See `Transport`; a connection that was reset counts as ended."""
        waited = False
        while not self._closed:
            try:
                data = self._sock.recv(RECEIVE_BYTES_MAX)
            except BlockingIOError:
                try:
                    await trio.lowlevel.wait_readable(self._sock)
                except trio.ClosedResourceError:
                    break
                waited = True
                continue
            except OSError:
                break
            if not waited:  # a peer that never pauses must not keep the others from running
                await trio.lowlevel.cancel_shielded_checkpoint()
            return data
        await trio.lowlevel.checkpoint()
        return b""

    def write_nowait(self, data: bytes | memoryview) -> int:
        """See `Transport`."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0

    async def wait_writable(self) -> None:
        """See `Transport`."""
        with contextlib.suppress(trio.ClosedResourceError):
            await trio.lowlevel.wait_writable(self._sock)

    def end_writing(self) -> None:
        """See `Transport`."""
        if not self._closed:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """See `Transport`."""
        if not self._closed:
            self._closed = True
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()


def _name(sock: socket.socket) -> str:
    with contextlib.suppress(OSError):
        address = sock.getpeername()
        if isinstance(address, tuple):
            return f"{address[0]}:{address[1]}"
        return str(address) or "unix"
    return "unknown"
