"""One page of a member's HTTP/1 side: `/metrics`, and what else is served beside gRPC."""

from __future__ import annotations

from typing import Final

import h11
import trio

from ...client.endpoints import Endpoint, parse_endpoint
from ...client.errors import EndpointError
from ...client.tls import TLS
from ...errors import TriodeError

__all__ = ["PageError", "fetch"]

PAGE_BYTES_MAX: Final = 64 * 1024 * 1024
READ_BYTES: Final = 64 * 1024


class PageError(TriodeError):
    """A page could not be had; the text says why."""


async def fetch(endpoint: str, path: str, *, tls: TLS | None, seconds: float) -> bytes:
    """GET a page.

    Args:
        endpoint: as clients take it: `host:port`, a URL, or `unix:PATH`.
        path: beginning with a slash.
        tls: for an endpoint with `https`, or one that names no scheme; None: plain, or the system's trust.
        seconds: for everything, from the name's look-up to the last byte.

    Raises:
        PageError: not reached, not in time, too large, or another status than 200.
    """
    try:
        where = parse_endpoint(endpoint)
        with trio.fail_after(seconds):
            async with await _connect(where, tls) as stream:
                return await _get(stream, where.authority, path)
    except trio.TooSlowError:
        raise PageError(f"{endpoint}{path}: no answer within {seconds:g}s") from None
    except (OSError, trio.BrokenResourceError, h11.ProtocolError, EndpointError) as error:
        raise PageError(f"{endpoint}{path}: {str(error) or type(error).__name__}") from error


async def _connect(where: Endpoint, tls: TLS | None) -> trio.abc.Stream:
    stream: trio.abc.Stream
    if where.path:
        stream = await trio.open_unix_socket(where.path)
    else:
        stream = await trio.open_tcp_stream(where.host, where.port)
    if where.tls is False or (where.tls is None and tls is None):
        return stream
    trust = tls or TLS()
    context = trust.context()
    context.set_alpn_protocols(["http/1.1"])
    name = trust.server_name or where.server_name
    return trio.SSLStream(stream, context, server_hostname=name, https_compatible=True)


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
            connection.receive_data(bytes(await stream.receive_some(READ_BYTES)))
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
