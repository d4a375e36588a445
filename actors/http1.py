"""HTTP/1.1 on the client port: the JSON gateway, the health pages, metrics and the version.

h11 keeps the protocol; the pages and the JSON are pure (`rpc.gateway`, `rpc.pages`). What is here is the
conversation: one request after the other, bodies within a bound, streaming answers in chunks as they come,
and an end to clients that begin a request and do not finish it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from math import inf
from typing import TYPE_CHECKING, Any

import h11
import trio

from ..errors import Code, DeadlineExceeded, EtcdError, Stopped
from ..rpc import gateway
from ..rpc.gateway_access import CallOptions, call_options
from ..rpc.http_reply import HttpReply, error_page, not_found
from ..rpc.methods import Method
from ..rpc.redirects import redirect
from .access import Access
from .call import Call, Outlet, Stream, Waiter
from .dispatch import Dispatcher
from .failures import refusal_of
from .outbox import Outbox
from .pages import Pages
from .transport import Transport

if TYPE_CHECKING:
    from .ui.endpoints import Ui

__all__ = ["Http1Connection", "Http1Settings"]

HEADER_BYTES_MAX = 64 * 1024
FAREWELL_SECONDS_MAX = 1.0  # for the client to close first
HEADER_SECONDS_MAX = 30.0  # from the first byte of a request to the end of its header
BODY_SECONDS_MAX = 60.0
AHEAD_BYTES_MAX = 64 * 1024  # of further requests, while one is being answered
SKIPPED_BYTES_MAX = 256 * 1024  # of a body whose request has been answered already
CLIENT_CLOSED = 499
BODY_REFUSED = "request body is too large, or takes too long"
JSON_OVERHEAD = 2  # base64 and names: a JSON body may be larger than the message in it


class Http1Settings:
    """What all HTTP/1.1 connections of a node share."""

    def __init__(
        self,
        pages: Pages,
        dispatcher: Dispatcher,
        outbox: Outbox,
        *,
        gateway_enabled: bool,
        message_bytes_max: int,
        access: Access | None = None,
        ui: Callable[[], Ui] | None = None,
    ) -> None:
        self.access = access or Access()
        self.pages = pages
        self.ui = ui
        self.dispatcher = dispatcher
        self.outbox = outbox
        self.gateway_enabled = gateway_enabled
        self.body_bytes_max = message_bytes_max * JSON_OVERHEAD


class Http1Connection:
    """Serves one HTTP/1.1 connection."""

    def __init__(self, transport: Transport, settings: Http1Settings) -> None:
        self._transport = transport
        self._settings = settings
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_BYTES_MAX)
        self._busy = False
        self._stopping = False
        self._scope = trio.CancelScope()  # all of it: for when the client is gone
        self._waiting = trio.CancelScope()  # for the client, when it is owed nothing
        self._end: Callable[[EtcdError], None] | None = None  # ends what may take for ever
        self._for_browsers: list[tuple[str, str]] = []

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""
        return not self._busy

    def shut_down(self) -> None:
        """Answer what has been read, then close; what may take for ever ends now and says so."""
        self._stopping = True
        self._waiting.cancel()
        if self._end is not None:
            self._end(Stopped())

    async def run(self, first_bytes: bytes) -> None:
        """Serve until either side ends the connection."""
        self._h11.receive_data(first_bytes)
        with self._scope:
            while True:
                try:
                    request = await self._next_request()
                    if request is None:
                        return
                    self._busy = True
                    await self._answer(request)
                except h11.RemoteProtocolError as error:
                    await self._refuse(error.error_status_hint, str(error))
                    return
                except h11.LocalProtocolError:
                    return
                except Exception as error:  # noqa: BLE001  # one connection fails, not the node
                    await self._refuse(500, refusal_of(error).message)
                    return
                finally:
                    self._busy = False
                    self._end = None
                if not await self._can_go_on():
                    break
            await self._take_leave()

    async def _can_go_on(self) -> bool:
        """Whether another request may follow the one that has been answered."""
        if self._h11.our_state is not h11.DONE:  # the answer said that it is the last
            return False
        if self._h11.their_state is h11.SEND_BODY:
            await self._skip_body()
        if self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True

    # --- bytes ----------------------------------------------------------------------------------

    async def _next_event(self) -> Any:
        while True:
            event = self._h11.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._h11.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._h11.receive_data(await self._transport.receive())

    async def _next_request(self) -> h11.Request | None:
        """The next request's header; None at the end. Waiting between requests has no limit.

        When the node stops, requests that have been read already are still answered: the client cannot
        know that they were not.
        """
        data, ended = self._h11.trailing_data
        if not data:
            if ended or self._stopping:
                return None
            with trio.CancelScope() as self._waiting:
                data = await self._transport.receive()
            self._h11.receive_data(data)
        with trio.move_on_after(HEADER_SECONDS_MAX) as self._waiting:
            if self._stopping:
                self._waiting.cancel()
            event = await self._next_event()
            return event if isinstance(event, h11.Request) else None
        return None

    async def _send(self, *events: Any) -> None:
        data = b"".join([self._h11.send(event) or b"" for event in events])
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._transport.write_nowait(rest) :]
            except OSError:  # the client is gone: whatever works for it ends
                self._scope.cancel()
                break
            if rest:
                await self._transport.wait_writable()
        await trio.lowlevel.checkpoint()

    async def _body_part(self) -> bytes | None:
        """The next part of the body; None at its end."""
        event = await self._next_event()
        return bytes(event.data) if isinstance(event, h11.Data) else None

    async def _whole_body(self) -> bytes | None:
        """The body, or None if it is larger than it may be or does not come."""
        parts = bytearray()
        with trio.move_on_after(BODY_SECONDS_MAX):
            while (part := await self._body_part()) is not None:
                parts += part
                if len(parts) > self._settings.body_bytes_max:
                    return None
            return bytes(parts)
        return None

    async def _skip_body(self) -> None:
        """Read what is left of a request that has been answered: the next one comes behind it."""
        left = SKIPPED_BYTES_MAX
        with (
            trio.move_on_after(BODY_SECONDS_MAX) as self._waiting,
            suppress(h11.RemoteProtocolError),
        ):
            if self._stopping:
                self._waiting.cancel()
            while left > 0 and (part := await self._body_part()) is not None:
                left -= len(part)

    # --- answers --------------------------------------------------------------------------------

    async def _answer(self, request: h11.Request) -> None:
        verb = request.method.decode("ascii")
        target = request.target.decode("latin-1")
        fields = list(request.headers)
        access = self._settings.access
        self._for_browsers = access.headers(fields)
        host = next((value for name, value in fields if name == b"host"), b"")
        at_once = access.answer(verb, host.decode("latin-1"))
        if at_once is not None:
            await self._whole_body()
            await self._reply(at_once, verb)
            return
        moved = redirect(verb, target)
        if moved is not None:
            await self._whole_body()
            await self._reply(moved, verb)
            return
        page = await self._settings.pages.answer(verb, target, fields)
        if page is not None:
            await self._whole_body()
            await self._reply(page, verb)
            return
        found = self._find(verb, target, fields, host)
        if isinstance(found, Method):
            try:
                options = call_options(fields)
            except EtcdError as error:
                await self._whole_body()
                await self._reply(gateway.encode_error(error.status, error.message), verb)
                return
            await self._call(found, options)
            return
        await self._whole_body()
        await self._reply(found or not_found(), verb)

    def _find(
        self, verb: str, target: str, fields: list[tuple[bytes, bytes]], host: bytes
    ) -> Method | HttpReply | None:
        """An RPC, of the gateway or of the page at `/ui`, or what is answered instead."""
        settings = self._settings
        if settings.ui is not None and target.startswith("/ui"):
            found = settings.ui().answer(verb, target, fields, host.decode("latin-1"))
            if found is not None:
                self._for_browsers = []  # for its own origin only, whatever `cors` allows
                return found
        return gateway.route(verb, target) if settings.gateway_enabled else None

    async def _reply(self, reply: HttpReply, verb: str = "POST") -> None:
        length = ("Content-Length", str(len(reply.body)))
        headers = [*reply.headers, *self._for_browsers, length]
        if self._stopping or self._h11.their_state in (h11.SEND_BODY, h11.ERROR):
            headers.append(("Connection", "close"))
        head = h11.Response(status_code=reply.status, headers=headers, reason=_reason(reply.status))
        body = b"" if verb == "HEAD" else reply.body
        await self._send(head, h11.Data(data=body), h11.EndOfMessage())

    async def _refuse(self, status: int, text: str) -> None:
        """Answer what cannot be served, as far as there is somebody to answer; the connection ends."""
        self._stopping = True
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            with suppress(h11.LocalProtocolError):
                await self._reply(error_page(status, text))
                await self._take_leave()

    async def _take_leave(self) -> None:
        """Let the client read the last reply before what it still sends resets the connection."""
        self._transport.end_writing()
        with trio.move_on_after(FAREWELL_SECONDS_MAX):
            while await self._transport.receive():
                pass

    async def _call(self, method: Method, options: CallOptions) -> None:
        if method.unary:
            await self._unary(method, options)
        elif method.client_streaming:
            await self._stream(method, options, self._feed_stream)
        else:
            await self._stream(method, options, self._feed_one)

    async def _unary(self, method: Method, options: CallOptions) -> None:
        body = await self._whole_body()
        if body is None:
            await self._reply(gateway.encode_error(Code.INVALID_ARGUMENT, BODY_REFUSED))
            return
        try:
            request = gateway.decode_request(method.request, body)
            message = await self._ask(method, request.SerializeToString(), options)
            reply = gateway.encode_reply(method.response, message)
        except EtcdError as error:
            reply = gateway.encode_error(error.status, error.message)
        await self._reply(reply)

    async def _ask(self, method: Method, message: bytes, options: CallOptions) -> bytes:
        waiter = Waiter()
        dispatcher, outbox = self._settings.dispatcher, self._settings.outbox
        scope = dispatcher.call(method.path, message, Call(waiter, 0, options.metadata))
        outbox.flush()
        timeout = inf if options.timeout_ns is None else options.timeout_ns / 1e9
        try:
            with trio.move_on_after(timeout):
                if scope is None:
                    return await waiter.wait()
                return await self._wait_for_both(waiter)
        finally:
            if scope is not None:
                scope.cancel()
        raise DeadlineExceeded

    async def _wait_for_both(self, waiter: Waiter) -> bytes:
        """Wait for what may take long (a lock), but no longer than the client or the node does."""
        refusals: list[EtcdError] = []
        async with trio.open_nursery() as nursery:

            def end(error: EtcdError) -> None:
                refusals.append(error)
                nursery.cancel_scope.cancel()

            self._end = end
            if self._stopping:
                end(Stopped())
            nursery.start_soon(self._listen)
            with suppress(EtcdError):
                await waiter.wait()
            refusals.clear()
            nursery.cancel_scope.cancel()
        self._end = None
        if refusals:
            raise refusals[0]
        return await waiter.wait()

    async def _listen(self) -> None:
        """While an answer is made: keep what the client sends for later, and notice that it leaves.

        A client that has sent much ahead is not read any more, so that its leaving is noticed by writing only.
        """
        while len(self._h11.trailing_data[0]) < AHEAD_BYTES_MAX:
            data = await self._transport.receive()
            self._h11.receive_data(data)
            if not data:
                if self._end is not None:
                    self._end(EtcdError("context canceled", code=Code.CANCELED))
                return

    # --- streams --------------------------------------------------------------------------------

    async def _stream(
        self,
        method: Method,
        options: CallOptions,
        feed: Callable[[Method, Stream, _Lines], Awaitable[None]],
    ) -> None:
        lines = _Lines(method)
        stream: Stream | None = None
        if self._stopping:
            lines.finish(Stopped())
        else:
            stream = self._settings.dispatcher.open(method.path, lines, options.metadata)
        if stream is None:
            await self._whole_body()
            await self._send_lines(lines, None)
            return
        opened = stream

        def end(error: EtcdError) -> None:
            opened.cancelled()
            lines.finish(error)

        self._end = end
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._feed, feed, method, stream, lines)
            try:
                await self._send_lines(lines, stream)
            finally:
                stream.cancelled()
                nursery.cancel_scope.cancel()

    async def _send_lines(self, lines: _Lines, stream: Stream | None) -> None:
        """Send items as they come; the first thing decides about the status."""
        first = await lines.wait()
        if not first and lines.error is not None:
            await self._reply(gateway.encode_stream_error(lines.error.status, lines.error.message))
            return
        headers = [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")]
        headers += self._for_browsers
        if self._stopping:
            headers.append(("Connection", "close"))
        await self._send(h11.Response(status_code=200, headers=headers, reason=_reason(200)))
        items = first
        while True:
            for item in items:
                await self._send(h11.Data(data=item))
            if stream is not None and not lines.finished:
                stream.writable()
            if lines.finished and not lines.waiting:
                break
            items = await lines.wait()
        if lines.error is not None:
            last = gateway.encode_stream_error(lines.error.status, lines.error.message)
            await self._send(h11.Data(data=last.body))
        await self._send(h11.EndOfMessage())

    async def _feed(
        self,
        feed: Callable[[Method, Stream, _Lines], Awaitable[None]],
        method: Method,
        stream: Stream,
        lines: _Lines,
    ) -> None:
        """Give the stream what the client says in its request; what is wrong with that ends it."""
        try:
            await feed(method, stream, lines)
        except EtcdError as error:
            lines.finish(error)
        except h11.RemoteProtocolError as error:
            text = f"Failed to decode request: {error}"
            lines.finish(EtcdError(text, code=Code.INVALID_ARGUMENT))
        except Exception as error:  # noqa: BLE001  # one stream fails, not the connection
            lines.finish(refusal_of(error, method.path))
        else:
            await self._listen()

    async def _feed_one(self, method: Method, stream: Stream, lines: _Lines) -> None:
        body = await self._whole_body()
        if body is None:
            raise EtcdError(BODY_REFUSED, code=Code.INVALID_ARGUMENT)
        request = gateway.decode_request(method.request, body)
        if not lines.finished:
            stream.message(request.SerializeToString())
            stream.half_closed()

    async def _feed_stream(self, method: Method, stream: Stream, lines: _Lines) -> None:
        """One object per message, as they arrive. Whether the end of the body ends the answers, the service knows."""
        requests = gateway.RequestStream(method.request)
        while (part := await self._body_part()) is not None:
            for request in requests.feed(part):
                if lines.finished:
                    return
                stream.message(request.SerializeToString())
            self._settings.outbox.flush()
        requests.finish()
        if not lines.finished:
            stream.half_closed()


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Client Closed Request" if status == CLIENT_CLOSED else b""


class _Lines(Outlet):
    """The outlet of a gateway stream: lines of JSON that wait to be sent."""

    def __init__(self, method: Method) -> None:
        self._method = method
        self.waiting: deque[bytes] = deque()
        self._bytes = 0
        self._news = trio.Event()
        self.finished = False
        self.error: EtcdError | None = None

    def send(self, message: bytes) -> None:
        if not self.finished:
            line = gateway.encode_item(self._method.response, message)
            self.waiting.append(line)
            self._bytes += len(line)
            self._news.set()

    def backlog(self) -> int:
        return self._bytes

    def finish(self, error: EtcdError | None = None) -> None:
        if not self.finished:
            self.finished = True
            self.error = error
            self._news.set()

    async def wait(self) -> list[bytes]:
        """What there is to send, waiting for something; empty at the end."""
        if not self.waiting and not self.finished:
            self._news = trio.Event()
            await self._news.wait()
        items, self._bytes = list(self.waiting), 0
        self.waiting.clear()
        return items
