"""One client connection: bytes in, calls out, answers back.

The connection is where a call is admitted: it decides which protocol is spoken, keeps the limits of the
wire, and will be the place where TLS and permissions are enforced. It owns no task per call. Answers are put
straight into its codec's outbox by whoever has them, and leave in one write at the end of that turn
(`Outbox.flush`); only what the kernel does not take at once is left to the writer task.
"""

from __future__ import annotations

import trio
from google.protobuf.message import DecodeError

from ..errors import Code, EtcdError, Stopped
from ..rpc.grpc.events import (
    CallStarted,
    Cancelled,
    Ended,
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
from ..rpc.methods import UNARY_PATHS
from .call import Call, Stream
from .dispatch import Dispatcher, undecodable
from .outbox import Outbox
from .traffic import MethodCounter
from .transport import Transport
from .world import Clock

__all__ = ["GrpcConnection", "GrpcSettings"]

UNSENT_BYTES_MAX = 16 * 1024 * 1024  # beyond it nothing more is read from this client


class GrpcSettings:
    """What all gRPC connections of a node share."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        outbox: Outbox,
        clock: Clock,
        *,
        message_bytes_max: int,
        concurrent_streams_max: int,
        ping_interval_seconds_min: float,
    ) -> None:
        self.dispatcher = dispatcher
        self.outbox = outbox
        self.clock = clock
        self.message_bytes_max = message_bytes_max
        self.limits = Limits(concurrent_streams_max=concurrent_streams_max)
        self.ping_interval_seconds_min = ping_interval_seconds_min


class GrpcConnection:
    """Drives a `GrpcServer` over a transport. It is the `Sink` of its unary calls."""

    def __init__(self, transport: Transport, settings: GrpcSettings) -> None:
        self._transport = transport
        self._outbox = settings.outbox
        self._dispatcher = settings.dispatcher
        self._grpc = GrpcServer(
            is_unary=UNARY_PATHS,
            limits=settings.limits,
            message_bytes_max=settings.message_bytes_max,
            clock=settings.clock.now,
            keepalive=KeepaliveEnforcer(settings.ping_interval_seconds_min),
        )
        self._streams: dict[int, Stream] = {}
        self._counters: dict[int, MethodCounter] = {}
        self._traffic = settings.dispatcher.traffic
        self._scopes: dict[int, trio.CancelScope] = {}
        self._unsent: memoryview | None = None
        self._writer_wanted = trio.Event()
        self._drained = trio.Event()
        self._gone = False
        self.dirty = False

    # --- the sink -------------------------------------------------------------------------------

    def answer(self, tag: int, message: bytes) -> None:
        """Answer the call on stream `tag`."""
        self._grpc.respond(tag, message)
        if self._scopes:
            self._scopes.pop(tag, None)
        if not self.dirty:
            self.dirty = True
            self._outbox.add(self)

    def refuse(self, tag: int, error: EtcdError) -> None:
        """Fail the call on stream `tag`."""
        self._grpc.fail(tag, error.status, error.message)
        self._scopes.pop(tag, None)
        self.touch()

    def touch(self) -> None:
        """There is something to send at the end of this turn."""
        if not self.dirty:
            self.dirty = True
            self._outbox.add(self)

    # --- reading --------------------------------------------------------------------------------

    async def run(self, first_bytes: bytes) -> None:
        """Serve until the client or the node ends the connection."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write)
            try:
                await self._read(first_bytes)
            finally:
                self._close()
                nursery.cancel_scope.cancel()

    async def _read(self, data: bytes) -> None:
        grpc = self._grpc
        while data:
            self._traffic.received_bytes += len(data)
            for event in grpc.receive(data):
                if type(event) is Request:
                    self._request(event)
                else:
                    self._event(event)
            self.flush()
            if grpc.closed or self._gone:
                await self._drain()
                return
            if self._unsent is not None and len(self._unsent) > UNSENT_BYTES_MAX:
                await self._drain()
            data = await self._transport.receive()

    def _request(self, event: Request) -> None:
        stream_id, head, message = event
        scope = self._dispatcher.call(head.path, message, Call(self, stream_id, head.metadata))
        if scope is not None:
            self._scopes[stream_id] = scope

    def _event(self, event: ServerEvent) -> None:
        if type(event) is Message:
            self._message(event)
        elif type(event) is CallStarted:
            path = event.head.path
            counter = self._traffic.counter(path)
            outlet = _StreamOutlet(self, self._grpc, event.stream_id, counter)
            self._counters[event.stream_id] = counter
            stream = self._dispatcher.open(path, outlet)
            if stream is not None:
                self._streams[event.stream_id] = stream
        elif type(event) is HalfClosed:
            stream = self._streams.get(event.stream_id)
            if stream is not None:
                stream.half_closed()
        elif type(event) is Cancelled:
            self._cancelled(event.stream_id)
        elif type(event) is Writable:
            stream = self._streams.get(event.stream_id)
            if stream is not None:
                stream.writable()
        elif type(event) is HttpRequest:
            self._grpc.fail(event.stream_id, 12, "not a gRPC request")
        elif type(event) is Ended:
            self._gone = True

    def _message(self, event: Message) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return
        self._counters[event.stream_id].received += 1
        try:
            stream.message(event.data)
        except EtcdError as error:
            self.finished(event.stream_id, error)
            stream.cancelled()
        except DecodeError:
            self.finished(event.stream_id, undecodable())
            stream.cancelled()

    def _cancelled(self, stream_id: int) -> None:
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            self._counters.pop(stream_id).ended[Code.CANCELED] += 1
            stream.cancelled()
        scope = self._scopes.pop(stream_id, None)
        if scope is not None:
            scope.cancel()

    def finished(self, stream_id: int, error: EtcdError | None) -> None:
        """A stream ends with a status."""
        self._streams.pop(stream_id, None)
        counter = self._counters.pop(stream_id, None)
        if counter is None:
            return
        if error is None:
            counter.ok += 1
            self._grpc.finish(stream_id)
        else:
            counter.ended[error.status] += 1
            self._grpc.finish(stream_id, error.status, error.message)
        self.touch()

    # --- writing --------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what there is, as far as the kernel takes it now."""
        self.dirty = False
        if self._unsent is not None or self._gone:
            return
        data = self._grpc.data_to_send()
        if not data:
            return
        self._traffic.sent_bytes += len(data)
        try:
            sent = self._transport.write_nowait(data)
        except OSError:
            self._lost()
            return
        if sent < len(data):
            self._unsent = memoryview(data)[sent:]
            self._writer_wanted.set()

    async def _write(self) -> None:
        """Write what did not fit, whenever there is room again."""
        while True:
            await self._writer_wanted.wait()
            self._writer_wanted = trio.Event()
            while self._unsent is not None and not self._gone:
                await self._transport.wait_writable()
                self._write_some()
            self._drained.set()

    def _write_some(self) -> None:
        assert self._unsent is not None
        try:
            sent = self._transport.write_nowait(self._unsent)
        except OSError:
            self._lost()
            return
        rest = self._unsent[sent:]
        self._unsent = rest if len(rest) else None
        if self._unsent is None:
            self.flush()

    async def _drain(self) -> None:
        """Wait until what is unsent has left, or the connection is gone."""
        while self._unsent is not None and not self._gone:
            self._drained = trio.Event()
            await self._drained.wait()

    def _lost(self) -> None:
        self._gone = True
        self._unsent = None
        self._drained.set()
        self._transport.close()

    # --- ending ---------------------------------------------------------------------------------

    def shut_down(self) -> None:
        """End gracefully: no new calls, streams are told, unary calls may finish."""
        for stream_id, stream in list(self._streams.items()):
            stream.cancelled()
            self.finished(stream_id, Stopped())
        self._grpc.shutdown()
        self.flush()

    @property
    def idle(self) -> bool:
        """Whether nothing is waited for on this connection."""
        return self._gone or (self._grpc.idle and self._unsent is None)

    def _close(self) -> None:
        self._gone = True
        for stream in self._streams.values():
            stream.cancelled()
        self._streams.clear()
        for scope in self._scopes.values():
            scope.cancel()
        self._scopes.clear()
        self._drained.set()
        self._transport.close()


class _StreamOutlet:
    """The `Outlet` of one gRPC stream."""

    __slots__ = ("_connection", "_counter", "_grpc", "_stream_id")

    def __init__(
        self,
        connection: GrpcConnection,
        grpc: GrpcServer,
        stream_id: int,
        counter: MethodCounter,
    ) -> None:
        self._counter = counter
        self._connection = connection
        self._grpc = grpc
        self._stream_id = stream_id

    def send(self, message: bytes) -> None:
        self._counter.sent += 1
        self._grpc.send_message(self._stream_id, message)
        self._connection.touch()

    def backlog(self) -> int:
        unsent = self._connection._unsent
        waiting = 0 if unsent is None else len(unsent)
        return self._grpc.backlog_bytes(self._stream_id) + waiting

    def finish(self, error: EtcdError | None = None) -> None:
        self._connection.finished(self._stream_id, error)
