"""Connections to peers over the world's network, as the `Transport` that everything else here writes to."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

import trio

from ...errors import ConfigError
from ..actor import takes_tasks
from ..transport import SocketTransport, Transport
from ..world import Network

__all__ = ["StreamTransport", "check_peer_url", "dial", "transport_of"]

UNSENT_BYTES_MAX = 1024 * 1024
RECEIVE_BYTES_MAX = 256 * 1024
CLOSE_SECONDS_MAX = 1.0
DEFAULT_PORT = 80


class StreamTransport:
    """A Trio stream as a transport: for networks that are not made of sockets. `pump` must run beside it."""

    def __init__(self, stream: trio.abc.Stream, peer: str = "stream") -> None:
        self._stream = stream
        self._unsent = bytearray()
        self._news = trio.Event()
        self._room = trio.Event()
        self._closing = trio.CancelScope()
        self._closed = False
        self._broken = False
        self.peer = peer

    async def receive(self) -> bytes:
        """See `Transport`."""
        if self._closed:
            await trio.lowlevel.checkpoint()
            return b""
        try:
            return bytes(await self._stream.receive_some(RECEIVE_BYTES_MAX))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    def write_nowait(self, data: bytes | memoryview) -> int:
        """See `Transport`."""
        if self._closed or self._broken:
            raise OSError("the connection is closed")
        taken = min(len(data), UNSENT_BYTES_MAX - len(self._unsent))
        self._unsent += data[:taken]
        self._news.set()
        return taken

    async def wait_writable(self) -> None:
        """See `Transport`."""
        await trio.lowlevel.checkpoint()
        while len(self._unsent) >= UNSENT_BYTES_MAX and not (self._closed or self._broken):
            self._room = trio.Event()
            await self._room.wait()

    def end_writing(self) -> None:
        """See `Transport`; a stream that cannot be closed by halves is left open."""

    def close(self) -> None:
        """See `Transport`. What was taken is sent still, if the other side takes it soon."""
        if not self._closed:
            self._closed = True
            self._closing.deadline = trio.current_time() + CLOSE_SECONDS_MAX
        self._news.set()
        self._room.set()

    async def pump(self) -> None:
        """Send what was taken, until the transport is closed."""
        try:
            with self._closing:
                while not self._closed:
                    await self._news.wait()
                    self._news = trio.Event()
                    while self._unsent:
                        data = bytes(self._unsent)
                        del self._unsent[:]
                        self._room.set()
                        await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._broken = True
            self._room.set()
        finally:
            await trio.aclose_forcefully(self._stream)


def transport_of(stream: trio.abc.Stream, nursery: trio.Nursery, peer: str = "stream") -> Transport:
    """`stream` as a transport; what it needs runs in `nursery`."""
    if isinstance(stream, trio.SocketStream):
        return SocketTransport(socket.socket(fileno=stream.socket.detach()))
    transport = StreamTransport(stream, peer)
    nursery.start_soon(transport.pump)
    return transport


def check_peer_url(url: str) -> tuple[str, int]:
    """The host and port of a peer URL; raises ConfigError for one that this version cannot talk to."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError as error:
        raise ConfigError(f"peer URL {url!r}: {error}") from None
    if parts.scheme == "https":
        raise ConfigError(f"peer URL {url!r}: TLS between peers is not supported yet")
    if parts.scheme != "http" or not host:
        raise ConfigError(f"peer URL {url!r}: write it as http://HOST:PORT")
    return host, port


async def dial(
    network: Network,
    url: str,
    nursery: trio.Nursery,
    *,
    seconds_max: float,
    ssl_context: ssl.SSLContext | None = None,
) -> Transport:
    """Connect to a peer URL.

    Raises:
        OSError: nobody listens there, it took too long, or the URL is not one that can be used.
    """
    assert ssl_context is None, "TLS between peers has its place here"
    try:
        host, port = check_peer_url(url)
    except ConfigError as error:
        raise OSError(str(error)) from None
    stream: trio.abc.Stream | None = None
    with trio.move_on_after(seconds_max):
        stream = await network.connect(host, port)
    if stream is None:
        raise TimeoutError(f"{url} did not answer within {seconds_max:g} s")
    if not takes_tasks(nursery):
        await trio.aclose_forcefully(stream)
        raise OSError(f"{url} is not connected to: its link is being restarted")
    return transport_of(stream, nursery, f"{host}:{port}")
