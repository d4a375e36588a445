"""One HTTP/1.1 GET to a URL of a member that there are no links to, by a node that is not a member yet."""

from __future__ import annotations

from urllib.parse import urlsplit

import h11
import trio

from .peers.contract import PeerReply
from .world import Network

__all__ = ["fetch"]

HEADER_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 4 * 1024 * 1024
CHUNK_BYTES = 64 * 1024


async def fetch(network: Network, url: str, target: str, *, seconds_max: float) -> PeerReply:
    """`GET target`; redirects are not followed. Raises OSError for whatever goes wrong."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.port is None:
        raise OSError(f"cannot ask {url!r}: only http://HOST:PORT is supported")
    reply: PeerReply | None = None
    with trio.move_on_after(seconds_max):
        stream = await network.connect(parts.hostname, parts.port)
        async with stream:
            try:
                reply = await _exchange(stream, parts.netloc, target)
            except (trio.BrokenResourceError, h11.RemoteProtocolError) as error:
                raise OSError(f"{url} did not answer as HTTP: {error}") from error
    if reply is None:
        raise TimeoutError(f"{url} did not answer within {seconds_max:g} s")
    return reply


async def _exchange(stream: trio.abc.Stream, host: str, target: str) -> PeerReply:
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEADER_BYTES_MAX)
    headers = [("Host", host), ("Connection", "close")]
    data = http.send(h11.Request(method="GET", target=target, headers=headers))
    await stream.send_all((data or b"") + (http.send(h11.EndOfMessage()) or b""))
    status, fields, body = 0, {}, bytearray()
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(bytes(await stream.receive_some(CHUNK_BYTES)))
        elif isinstance(event, h11.Response):
            status = event.status_code
            fields = {name.decode(): value.decode("latin-1") for name, value in event.headers}
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_BYTES_MAX:
                raise OSError(f"an answer of more than {BODY_BYTES_MAX} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return PeerReply(status, fields, bytes(body))
        elif not isinstance(event, h11.InformationalResponse):
            raise OSError("the connection was closed before the answer was whole")
