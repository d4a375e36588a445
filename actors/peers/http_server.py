"""The conversation of a connection from another member: h11 over a transport, one request after the other.

Heads and bodies are bounded in bytes and in time, and whoever begins a request must go on with it.
"""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

import h11
import trio

from ...rpc.http_reply import HttpReply, error_page
from ...rpc.peer_heads import headers_of
from ..transport import Transport
from .client import write_all

__all__ = ["HttpServer", "Request", "TooLarge"]

HEADER_BYTES_MAX: Final = 64 * 1024
HEAD_SECONDS_MAX: Final = 30.0
"""From the end of a reply to the end of the next request's head."""
BODY_SECONDS_MAX: Final = 60.0
"""For all of a body that is read as a whole."""
FAREWELL_SECONDS_MAX: Final = 1.0


class TooLarge(Exception):
    """A body beyond its limit."""


class Request:
    """The head of a request; header names are in lower case."""

    def __init__(self, event: h11.Request) -> None:
        self.verb = event.method.decode("ascii")
        self.target = event.target.decode("latin-1")
        self.path = self.target.partition("?")[0]
        self.headers = headers_of(event.headers)


class HttpServer:
    """One connection as a server.

    Args:
        read_seconds_max: how long a body may pause.
        write_seconds_max: how long a reply may wait to be taken.
    """

    def __init__(
        self, transport: Transport, read_seconds_max: float, write_seconds_max: float
    ) -> None:
        self.transport = transport
        self._read_seconds_max = read_seconds_max
        self._write_seconds_max = write_seconds_max
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_BYTES_MAX)

    # --- in ---------------------------------------------------------------------------------------

    async def next_request(self) -> Request | None:
        """The next head; None at the end, or when it does not come. Raises what `body_part` raises."""
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
        if self._h11.our_state is not h11.IDLE:
            return None
        with trio.move_on_after(HEAD_SECONDS_MAX):
            event = await self._next_event(HEAD_SECONDS_MAX)
            return Request(event) if isinstance(event, h11.Request) else None
        return None

    async def body_part(self) -> bytes | None:
        """The next part of the body; None at its end. Raises OSError and h11.RemoteProtocolError."""
        event = await self._next_event(self._read_seconds_max)
        return bytes(event.data) if isinstance(event, h11.Data) else None

    async def body(self, request: Request, bytes_max: int) -> bytes:
        """All of the body; also raises TooLarge, before it has come if its length is said."""
        announced = request.headers.get("content-length", "0")
        if len(announced) > 18 or int(announced) > bytes_max:  # h11 has seen that it is a number
            raise TooLarge
        parts: list[bytes] = []
        size = 0
        with trio.move_on_after(BODY_SECONDS_MAX):
            while (part := await self.body_part()) is not None:
                parts.append(part)
                size += len(part)
                if size > bytes_max:
                    raise TooLarge
            return b"".join(parts)
        raise TimeoutError("the body takes too long")

    async def _next_event(self, seconds_max: float) -> Any:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            if self._h11.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            with trio.move_on_after(seconds_max) as waiting:
                self._h11.receive_data(await self.transport.receive())
            if waiting.cancelled_caught:
                raise TimeoutError("the peer does not go on")
        return event

    # --- out --------------------------------------------------------------------------------------

    async def reply(self, reply: HttpReply, verb: str) -> None:
        """A whole reply; the connection ends with it if the request's body was not read."""
        headers = list(reply.headers)
        if reply.status != HTTPStatus.NO_CONTENT:
            headers.append(("Content-Length", str(len(reply.body))))
        self._skip_body()
        if self._h11.their_state is h11.SEND_BODY:
            headers.append(("Connection", "close"))
        head = h11.Response(status_code=reply.status, headers=headers, reason=_reason(reply.status))
        body = b"" if verb == "HEAD" else reply.body
        await self._send(head, h11.Data(data=body), h11.EndOfMessage())

    async def begin_stream(self, headers: list[tuple[str, str]]) -> None:
        """The head of a reply whose body is written to the transport by somebody else, in chunks."""
        chunked = [*headers, ("Transfer-Encoding", "chunked")]
        await self._send(h11.Response(status_code=200, headers=chunked, reason=b"OK"))

    async def refuse(self, error: h11.RemoteProtocolError) -> None:
        """Answer what was not HTTP, as far as there is somebody to answer."""
        with suppress(h11.LocalProtocolError, h11.RemoteProtocolError, OSError):
            await self.reply(error_page(error.error_status_hint, "Bad Request"), "GET")
            await self.take_leave()

    async def take_leave(self) -> None:
        """Let the peer read the last reply before what it still sends resets the connection."""
        self.transport.end_writing()
        with trio.move_on_after(FAREWELL_SECONDS_MAX):
            while await self.transport.receive():
                pass

    def _skip_body(self) -> None:
        """Pass over what has come of a body that nobody wanted; no more is awaited."""
        while self._h11.their_state is h11.SEND_BODY:
            if self._h11.next_event() in (h11.NEED_DATA, h11.PAUSED):
                return

    async def _send(self, *events: Any) -> None:
        data = b"".join([self._h11.send(event) or b"" for event in events])
        await write_all(self.transport, data, self._write_seconds_max)


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
