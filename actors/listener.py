"""Listeners: sockets that accept connections for a node.

The sockets are bound before the node starts its actors, so that an address in use is told at once, and served
after the node can answer.
"""

from __future__ import annotations

import errno
import socket
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import trio

from ..errors import AddressInUse, ConfigError
from .log import Log
from .transport import SocketTransport

__all__ = ["Bound", "bind", "serve"]

BACKLOG_CONNECTIONS_MAX = 1024
ACCEPT_PAUSE_SECONDS = 0.1
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  # compared, not bound
EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}

log = Log("triode.serving")


class Bound:
    """One bound, listening socket and the URL that it was asked for with."""

    def __init__(self, sock: socket.socket, url: str) -> None:
        self.sock = sock
        self.url = url
        self._unix_path = sock.getsockname() if sock.family == socket.AF_UNIX else None

    @property
    def port(self) -> int:
        """The TCP port, which the system chose if the URL said 0; 0 for unix sockets."""
        return 0 if self._unix_path else int(self.sock.getsockname()[1])

    @property
    def reachable_url(self) -> str:
        """The URL for clients on this machine: with the port that was chosen, and a host that can be connected to."""
        if self._unix_path:
            return self.url
        parts = urlsplit(self.url)
        host = "localhost" if parts.hostname in EVERYWHERE else parts.netloc.rpartition(":")[0]
        return f"{parts.scheme}://{host}:{self.port}"

    def close(self) -> None:
        """Stop listening."""
        if self.sock.fileno() != -1:
            with suppress(RuntimeError):  # outside of a Trio run there is nobody to notify
                trio.lowlevel.notify_closing(self.sock)
        self.sock.close()
        if self._unix_path:
            with suppress(OSError):
                Path(self._unix_path).unlink()


def bind(urls: Sequence[str]) -> list[Bound]:
    """Bind every URL, all or none.

    Raises:
        AddressInUse: somebody else listens there.
        ConfigError: the URL is not one that can be listened on.
    """
    bound: list[Bound] = []
    try:
        for url in urls:
            bound.append(_bind(url))  # noqa: PERF401  # what is bound must be known when one fails
    except BaseException:
        for one in bound:
            one.close()
        raise
    return bound


def _bind(url: str) -> Bound:
    return _bind_unix(url) if url.startswith("unix:") else _bind_tcp(url)


def _bind_tcp(url: str) -> Bound:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme != "http" or not host or port is None:
        raise ConfigError(f"cannot listen on {url!r}: write it as http://IP:PORT")
    if host == "localhost":
        host = "127.0.0.1"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG_CONNECTIONS_MAX)
    except socket.gaierror:
        sock.close()
        raise ConfigError(f"cannot listen on {url!r}: the host must be an IP address") from None
    except OSError as error:
        sock.close()
        raise _bind_error(url, error) from error
    return Bound(sock, url)


def _bind_unix(url: str) -> Bound:
    path = url.removeprefix("unix://").removeprefix("unix:")
    with suppress(OSError):
        if stat.S_ISSOCK(Path(path).stat().st_mode) and not _answers(path):
            Path(path).unlink()  # left behind by a process that was killed
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.bind(path)
        sock.listen(BACKLOG_CONNECTIONS_MAX)
    except OSError as error:
        sock.close()
        raise _bind_error(url, error) from error
    return Bound(sock, url)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


def _bind_error(url: str, error: OSError) -> Exception:
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(
            f"listen {url}: address already in use; stop what listens there or choose another URL"
        )
    return ConfigError(f"cannot listen on {url!r}: {error.strerror}")


async def serve(bound: Bound, accept: Callable[[SocketTransport], None]) -> None:
    """Accept until the socket is closed; running out of descriptors pauses instead of ending it."""
    told = False
    while True:
        try:
            sock, _ = bound.sock.accept()
        except BlockingIOError:
            try:
                await trio.lowlevel.wait_readable(bound.sock)
            except trio.ClosedResourceError:
                return
            continue
        except OSError as error:
            if bound.sock.fileno() == -1:
                return
            if error.errno in EXHAUSTED:
                if not told:
                    log.warning("cannot accept connections", url=bound.url, error=error.strerror)
                told = True
                await trio.sleep(ACCEPT_PAUSE_SECONDS)
            else:  # the connection was gone before it was accepted
                await trio.lowlevel.checkpoint()
            continue
        told = False
        try:
            transport = SocketTransport(sock)
        except OSError:  # so it was here
            sock.close()
        else:
            accept(transport)
        await trio.lowlevel.checkpoint()
