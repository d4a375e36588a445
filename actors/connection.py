"""One client connection that speaks HTTP/2: bytes in, calls out, answers back.

The connection is where a call is admitted and the limits of the wire are kept. It owns no task per call.
Answers are put straight into its codec by whoever has them, and leave in one write at the end of that turn;
`Outgoing` keeps what does not leave. A client that asks faster than it reads has its further calls set aside
(`_parked`) until it has caught up, while its frames are still read, because its flow control credit is among
them, and it gets none for more requests when these are many; on a client whose socket is full, nothing is read at all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from ..errors import Code, DeadlineExceeded, EtcdError, Stopped
from ..rpc.grpc.events import (
    CallStarted,
    Cancelled,
    HalfClosed,
    HttpRequest,
    Message,
    Request,
    ServerEvent,
    Writable,
)
from ..rpc.grpc.keepalive import KeepaliveEnforcer
from ..rpc.grpc.server import GrpcServer
from ..rpc.h2.limits import Limits
from ..rpc.methods import SERVER_STREAM_PATHS, UNARY_PATHS
from .call import Call, Stream
from .dispatch import Dispatcher
from .failures import refusal_of
from .log import Log
from .outbox import Outbox
from .outgoing import CROWDED_BYTES, TURN_BYTES_MAX, Outgoing
from .traffic import MethodCounter
from .transport import Transport
from .world import Clock

if TYPE_CHECKING:
    from .http2_pages import Http2Pages
    from .http2_streams import Http2Stream, JsonLines

__all__ = ["GrpcConnection", "GrpcSettings"]

PARKED_BYTES_MAX = 16 * 1024 * 1024  # requests set aside; beyond it, no credit for more
PARKED_AT_ONCE = 64  # requests taken up again before others have their turn
FAREWELL_SECONDS_MAX = 2.0  # for the client to take the last words, and to close

log = Log("triode.serving")


class GrpcSettings:
    """What all gRPC connections of a node share."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        outbox: Outbox,
        clock: Clock,
        pages: Callable[[], Http2Pages],
        *,
        message_bytes_max: int,
        concurrent_streams_max: int,
        ping_interval_seconds_min: float,
        keepalive_interval_seconds: float = 0.0,
        keepalive_timeout_seconds: float = 0.0,
    ) -> None:
        self.dispatcher = dispatcher
        self.outbox = outbox
        self.clock = clock
        self.pages = pages
        self.message_bytes_max = message_bytes_max
        self.limits = Limits(concurrent_streams_max=concurrent_streams_max)
        self.ping_interval_seconds_min = ping_interval_seconds_min
        self.keepalive_interval_seconds = keepalive_interval_seconds
        self.keepalive_timeout_seconds = keepalive_timeout_seconds
        """Both zero or more; zero in either: the server sends no pings."""


class GrpcConnection:
    """Drives a `GrpcServer` over a transport. It is the `Sink` of its unary calls."""

    def __init__(self, transport: Transport, settings: GrpcSettings) -> None:
        self._transport = transport
        self._dispatcher = settings.dispatcher
        self._pages = settings.pages
        self._grpc = GrpcServer(
            is_unary=UNARY_PATHS,
            server_streams=SERVER_STREAM_PATHS,
            limits=settings.limits,
            message_bytes_max=settings.message_bytes_max,
            clock=settings.clock.now,
            keepalive=KeepaliveEnforcer(settings.ping_interval_seconds_min),
            http=True,
        )
        self._settings = settings
        self._heard = False
        self._traffic = settings.dispatcher.traffic
        self._reading = trio.CancelScope()
        self.out = Outgoing(
            self._grpc,
            transport,
            settings.outbox,
            self._traffic,
            on_room=self._writable,
            on_closed=self._reading.cancel,
        )
        self._streams: dict[int, Stream] = {}
        self._lines: dict[int, JsonLines] = {}
        self._counters: dict[int, MethodCounter] = {}
        self._scopes: dict[int, trio.CancelScope] = {}
        self._crowded = False
        self._parked: OrderedDict[int, Request] = OrderedDict()
        self._parked_bytes = 0
        self._nursery: trio.Nursery

    # --- the sink -------------------------------------------------------------------------------

    def answer(self, tag: int, message: bytes) -> None:
        """Answer the call on stream `tag`."""
        try:
            self._grpc.respond(tag, message)
        except Exception as error:  # noqa: BLE001  # the applier calls this: it must go on
            self.broken(error)
            return
        if self._scopes:
            self._scopes.pop(tag, None)
        self.out.added(len(message))

    def refuse(self, tag: int, error: EtcdError) -> None:
        """Fail the call on stream `tag`."""
        self._grpc.fail(tag, error.status, error.message)
        self._scopes.pop(tag, None)
        self.out.touch()

    # --- reading --------------------------------------------------------------------------------

    async def run(self, first_bytes: bytes) -> None:
        """Serve until the client or the node ends the connection."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self.out.run)
            nursery.start_soon(self._keep_alive)
            try:
                with self._reading:
                    await self._read(first_bytes)
                self._end_calls()
                if self._grpc.closed:
                    await self._take_leave()
            finally:
                self._end_calls()
                self.out.lose()
                nursery.cancel_scope.cancel()

    async def _read(self, data: bytes) -> None:
        grpc, out, traffic = self._grpc, self.out, self._traffic
        while data and not out.gone:
            traffic.received_bytes += len(data)
            self._heard = True
            for event in grpc.receive(data):
                if type(event) is Request:
                    if self._crowded:
                        self._park(event)
                    else:
                        self._request(event)
                        if out.queued_bytes > TURN_BYTES_MAX:
                            self._make_room()
                else:
                    self._event(event)
            self._make_room()
            if grpc.closed:
                return
            if out.unsent is not None:
                await out.wait_socket_below(CROWDED_BYTES)
            data = await self._transport.receive()

    async def _keep_alive(self) -> None:
        """Ping a client that has been silent, and give up one that stays so: its machine may be gone."""
        interval = self._settings.keepalive_interval_seconds
        timeout = self._settings.keepalive_timeout_seconds
        while interval and timeout:
            self._heard = False
            await trio.sleep(interval)
            if self._heard:
                continue
            self._grpc.connection.ping()
            self.out.flush()
            taken = self.out.rests_taken
            await trio.sleep(timeout)
            if not self._heard and self.out.rests_taken == taken:
                log.info("a client does not answer pings", peer=self._transport.peer)
                self.out.lose()
                return

    async def _take_leave(self) -> None:
        """The last words are GOAWAY: give the client the time to read them.

        What it still sends is read and dropped, as the kernel would answer it by a reset, which may destroy what
        is on its way to the client.
        """
        with trio.move_on_after(FAREWELL_SECONDS_MAX):
            self.out.flush()
            await self.out.wait_below(0)
            self._transport.end_writing()
            while await self._transport.receive():
                pass

    def _request(self, event: Request) -> None:
        stream_id, head, message = event
        scope = self._dispatcher.call(head.path, message, Call(self, stream_id, head.metadata))
        if scope is not None:
            if head.timeout_ns is not None:
                scope.deadline = trio.current_time() + head.timeout_ns / 1e9
            self._scopes[stream_id] = scope

    def _event(self, event: ServerEvent) -> None:
        if type(event) is Message:
            self._message(event)
        elif type(event) is CallStarted:
            self._started(event)
        elif type(event) is HalfClosed:
            self._half_closed(event.stream_id)
        elif type(event) is Cancelled:
            self._cancelled(event.stream_id, event.code)
        elif type(event) is Writable:
            self._writable(event.stream_id)
        elif type(event) is HttpRequest:
            scope = self._scopes[event.stream_id] = trio.CancelScope()
            self._nursery.start_soon(self._page, event, scope)

    # --- calls set aside ------------------------------------------------------------------------

    def _make_room(self) -> None:
        """Write what was answered in this turn, and see whether the client takes it."""
        out = self.out
        out.flush()
        if not self._crowded and out.waiting_bytes > CROWDED_BYTES and not self._grpc.closed:
            self._crowded = True
            self._nursery.start_soon(self._unpark)

    def _park(self, event: Request) -> None:
        self._parked[event.stream_id] = event
        self._parked_bytes += len(event.message)
        if self._parked_bytes > PARKED_BYTES_MAX:
            self._grpc.withhold()

    async def _unpark(self) -> None:
        """Take up the calls that were set aside, in order, as the client reads its answers."""
        out, parked = self.out, self._parked
        while True:
            await out.wait_below(CROWDED_BYTES // 2)
            for _ in range(PARKED_AT_ONCE):
                if not parked or out.waiting_bytes > CROWDED_BYTES:
                    break
                _, event = parked.popitem(last=False)
                self._parked_bytes -= len(event.message)
                self._request(event)
            if self._parked_bytes <= PARKED_BYTES_MAX:
                self._grpc.grant()
            out.flush()
            if out.gone or not parked:
                self._crowded = False
                return
            await trio.lowlevel.checkpoint()

    # --- pages ----------------------------------------------------------------------------------

    async def _page(self, event: HttpRequest, scope: trio.CancelScope) -> None:
        """Answer a request that is not gRPC."""
        from .http2_streams import Http2Stream

        with scope:
            reply = await self._pages().answer(event.head, event.body)
            if isinstance(reply, Http2Stream):
                self._scopes.pop(event.stream_id, None)
                self._open_lines(event.stream_id, reply)
                return
            self._grpc.respond_http(event.stream_id, reply.status, reply.fields, reply.body)
            self._scopes.pop(event.stream_id, None)
            self.out.added(len(reply.body))
            self.out.flush()

    def _open_lines(self, stream_id: int, wanted: Http2Stream) -> None:
        """A stream of the JSON gateway."""
        from .http2_streams import JsonLines

        path = wanted.method.path
        counter = self._counters[stream_id] = self._traffic.counter(path)
        lines = self._lines[stream_id] = JsonLines(self, self._grpc, stream_id, wanted, counter)
        stream = self._dispatcher.open(path, lines, wanted.metadata, counts=True)
        if stream is not None:
            self._streams[stream_id] = stream
            for request in wanted.requests:
                self._message(Message(stream_id, request))
            self._half_closed(stream_id)
        self.out.flush()

    # --- streaming calls ------------------------------------------------------------------------

    def _started(self, event: CallStarted) -> None:
        stream_id, head = event
        counter = self._traffic.counter(head.path)
        self._counters[stream_id] = counter
        outlet = _StreamOutlet(self, self._grpc, stream_id, counter)
        try:
            stream = self._dispatcher.open(head.path, outlet, head.metadata, counts=True)
        except Exception as error:  # noqa: BLE001
            self.finished(stream_id, refusal_of(error, head.path))
            return
        if stream is not None:
            self._streams[stream_id] = stream
            if head.timeout_ns is not None:
                scope = self._scopes[stream_id] = trio.CancelScope()
                self._nursery.start_soon(self._end_late, stream_id, head.timeout_ns / 1e9, scope)

    async def _end_late(self, stream_id: int, seconds: float, scope: trio.CancelScope) -> None:
        """End a stream whose time is over; a client that keeps time itself comes first."""
        with scope:
            await trio.sleep(seconds)
            self._failed(stream_id, DeadlineExceeded())
            self.out.flush()

    def _message(self, event: Message) -> None:
        stream_id, data = event
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        self._counters[stream_id].received += 1
        try:
            stream.message(data)
        except Exception as error:  # noqa: BLE001
            self._failed(stream_id, error)

    def _half_closed(self, stream_id: int) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            try:
                stream.half_closed()
            except Exception as error:  # noqa: BLE001
                self._failed(stream_id, error)

    def _writable(self, stream_id: int) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            try:
                stream.writable()
            except Exception as error:  # noqa: BLE001
                self._failed(stream_id, error)

    def _failed(self, stream_id: int, error: Exception) -> None:
        """A stream ends with an error that its service has not dealt with."""
        stream = self._streams.get(stream_id)
        self.finished(stream_id, refusal_of(error))
        if stream is not None:
            _cancel(stream)

    def _cancelled(self, stream_id: int, code: int) -> None:
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            self._counters.pop(stream_id).ended[code] += 1
            self._lines.pop(stream_id, None)
            self.out.forget(stream_id)
            _cancel(stream)
        scope = self._scopes.pop(stream_id, None)
        if scope is not None:
            scope.cancel()
        if self._parked and (parked := self._parked.pop(stream_id, None)) is not None:
            self._parked_bytes -= len(parked.message)

    def finished(self, stream_id: int, error: EtcdError | None) -> None:
        """A stream ends with a status."""
        self._streams.pop(stream_id, None)
        scope = self._scopes.pop(stream_id, None)
        if scope is not None:
            scope.cancel()
        counter = self._counters.pop(stream_id, None)
        if counter is None:
            return
        self.out.forget(stream_id)
        if error is None:
            counter.ok += 1
        else:
            counter.ended[error.status] += 1
        lines = self._lines.pop(stream_id, None)
        if lines is not None:
            lines.end(error)
        elif error is None:
            self._grpc.finish(stream_id)
        else:
            self._grpc.finish(stream_id, error.status, error.message)
        self.out.touch()

    # --- ending ---------------------------------------------------------------------------------

    def shut_down(self) -> None:
        """End gracefully: no new calls, streams are told, unary calls may finish."""
        for stream_id, stream in list(self._streams.items()):
            _cancel(stream)
            self.finished(stream_id, Stopped())
        for stream_id in list(self._parked):
            self.refuse(stream_id, Stopped())
        self._parked.clear()
        self._grpc.shutdown()
        self.out.flush()

    @property
    def idle(self) -> bool:
        """Whether nothing is waited for on this connection."""
        return self.out.gone or (self._grpc.idle and self.out.unsent is None)

    def _end_calls(self) -> None:
        """The client is gone: whatever works for it ends."""
        while self._streams:
            stream_id, stream = self._streams.popitem()
            counter = self._counters.pop(stream_id, None)
            if counter is not None:
                counter.ended[Code.CANCELED] += 1
            _cancel(stream)
        for scope in list(self._scopes.values()):
            scope.cancel()
        self._scopes.clear()
        self._parked.clear()

    def broken(self, error: Exception) -> None:
        """The codec failed in a way that was not foreseen: it cannot be trusted any more."""
        log.failure("a connection failed", error, peer=self._transport.peer)
        self.out.lose()


def _cancel(stream: Stream) -> None:
    try:
        stream.cancelled()
    except Exception as error:  # noqa: BLE001  # the other streams of the connection must be told too
        log.failure("ending a stream failed", error)


class _StreamOutlet:
    """The `Outlet` of one gRPC stream."""

    __slots__ = ("_connection", "_counter", "_grpc", "_out", "_stream_id")

    def __init__(
        self,
        connection: GrpcConnection,
        grpc: GrpcServer,
        stream_id: int,
        counter: MethodCounter,
    ) -> None:
        self._counter = counter
        self._connection = connection
        self._out = connection.out
        self._grpc = grpc
        self._stream_id = stream_id

    def send(self, message: bytes) -> None:
        self._counter.sent += 1
        try:
            self._grpc.send_message(self._stream_id, message)
        except Exception as error:  # noqa: BLE001  # the applier calls this: it must go on
            self._connection.broken(error)
            return
        self._out.added(len(message))

    def backlog(self) -> int:
        return self._out.backlog(self._stream_id)

    def finish(self, error: EtcdError | None = None) -> None:
        self._connection.finished(self._stream_id, error)
