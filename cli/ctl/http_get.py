"""One page of a member's HTTP/1 side: `/metrics`, and what else is served beside gRPC."""

from __future__ import annotations

import ssl
from typing import Final
from urllib.parse import urlsplit

import h11
import trio

from ...errors import TriodeError

__all__ = ["PageError", "fetch"]

PAGE_BYTES_MAX: Final = 64 * 1024 * 1024
READ_BYTES: Final = 64 * 1024


class PageError(TriodeError):
    """A page could not be had; the text says why."""


async def fetch(endpoint: str, path: str, *, tls: ssl.SSLContext | None, seconds: float) -> bytes:
    """GET a page.

    Args:
        endpoint: `host:port` or a URL; what it says behind the port does not count. Unix sockets: `unix:PATH`.
        path: beginning with a slash.
        tls: for an endpoint with `https`, or of one that names no scheme.
        seconds: for everything, from the name's look-up to the last byte.

    Raises:
        PageError: not reached, not in time, too large, or another status than 200.
    """
    try:
        with trio.fail_after(seconds):
            async with await _connect(endpoint, tls) as stream:
                return await _get(stream, urlsplit(_url(endpoint, tls)).netloc, path)
    except trio.TooSlowError:
        raise PageError(f"{endpoint}{path}: no answer within {seconds:g}s") from None
    except (OSError, trio.BrokenResourceError, ssl.SSLError, h11.ProtocolError) as error:
        raise PageError(f"{endpoint}{path}: {error or type(error).__name__}") from error


def _url(endpoint: str, tls: ssl.SSLContext | None) -> str:
    if "://" in endpoint:
        return endpoint
    return ("https" if tls else "http") + "://" + endpoint


async def _connect(endpoint: str, tls: ssl.SSLContext | None) -> trio.abc.Stream:
    if endpoint.startswith(("unix:", "unixs:")):
        stream: trio.abc.Stream = await trio.open_unix_socket(
            endpoint.partition(":")[2].removeprefix("//")
        )
        return stream
    parts = urlsplit(_url(endpoint, tls))
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise PageError(f"{endpoint}: {error}") from error
    host = parts.hostname or "127.0.0.1"
    tcp = await trio.open_tcp_stream(host, port)
    if parts.scheme != "https":
        return tcp
    context = tls or ssl.create_default_context()
    return trio.SSLStream(tcp, context, server_hostname=host, https_compatible=True)


async def _get(stream: trio.abc.Stream, host: str, path: str) -> bytes:
    connection = h11.Connection(h11.CLIENT)
    request = h11.Request(
        method="GET", target=path, headers=[("Host", host), ("Connection", "close")]
    )
    await stream.send_all(
        (connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b"")
    )
    status, body = 0, bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(READ_BYTES))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > PAGE_BYTES_MAX:
                raise PageError(f"{path}: more than {PAGE_BYTES_MAX} bytes")
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            break
    if status != 200:
        raise PageError(f"{path}: HTTP status {status}")
    return bytes(body)
