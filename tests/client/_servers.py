"""A server that does what a test tells it to: gRPC over real sockets, misbehaviour included."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from triode.rpc.grpc.events import CallStarted, Cancelled, Ended, Request
from triode.rpc.grpc.server import GrpcServer
from triode.rpc.h2.limits import Limits
from triode.rpc.methods import UNARY_PATHS
from triode.rpc.pb.rpc_pb2 import PutResponse, RangeResponse


@attrs.define(eq=False)
class Peer:
    """One connection of a client, as the server sees it."""

    server: Scripted
    stream: trio.SocketStream
    session: GrpcServer
    requests: list[Request] = attrs.Factory(list)
    cancelled: list[int] = attrs.Factory(list)
    streams: list[int] = attrs.Factory(list)
    deaf: bool = False
    received_bytes: int = 0
    sending: trio.Lock = attrs.Factory(trio.Lock)
    closed: trio.Event = attrs.Factory(trio.Event)

    def flush(self) -> None:
        """Send what the session has to say."""
        self.server.nursery.start_soon(self._send)

    async def _send(self) -> None:
        try:
            async with self.sending:
                await self.stream.send_all(self.session.data_to_send())
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    def answer(self, request: Request, message: Any = None) -> None:
        """Answer with a message, or with an empty one of the right type."""
        if message is None:
            message = PutResponse() if request.head.path.endswith("Put") else RangeResponse()
        self.session.respond(request.stream_id, message.SerializeToString())
        self.flush()

    def fail(self, request: Request, code: int, text: str) -> None:
        self.session.fail(request.stream_id, code, text)
        self.flush()

    async def drop(self) -> None:
        """Close the connection without a word."""
        await trio.aclose_forcefully(self.stream)

    async def run(self) -> None:
        self.flush()
        try:
            while data := await self.stream.receive_some(65536):
                await self.server.reading.wait()
                self.received_bytes += len(data)
                self.server.news()
                if self.deaf:
                    continue
                for event in self.session.receive(data):
                    self._take(event)
                if self.session.pending_bytes:
                    self.flush()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.closed.set()
            self.server.news()

    def _take(self, event: Any) -> None:
        if isinstance(event, Request):
            self.requests.append(event)
            self.server.handler(self, event)
        elif isinstance(event, CallStarted):
            self.streams.append(event.stream_id)
        elif isinstance(event, Cancelled):
            self.cancelled.append(event.stream_id)
        elif isinstance(event, Ended):
            self.server.faults.append(event.text)
        self.server.news()


Handler = Callable[[Peer, Request], None]


@attrs.define(eq=False)
class Scripted:
    """A listening server; `handler` decides what becomes of each request."""

    nursery: trio.Nursery
    handler: Handler
    limits: Limits
    port: int = 0
    peers: list[Peer] = attrs.Factory(list)
    faults: list[str] = attrs.Factory(list)
    reading: trio.Event = attrs.Factory(trio.Event)  # until it is set, clients get no more credit
    _changed: trio.Event = attrs.Factory(trio.Event)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[Request]:
        return [request for peer in self.peers for request in peer.requests]

    def news(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for something that the clients do."""
        with trio.fail_after(10):
            while not condition():
                await self._changed.wait()

    async def serve(self, stream: trio.SocketStream) -> None:
        session = GrpcServer(is_unary=UNARY_PATHS, limits=self.limits)
        peer = Peer(self, stream, session)
        self.peers.append(peer)
        self.news()
        await peer.run()


def answers(peer: Peer, request: Request) -> None:
    """The handler of a server without tricks."""
    peer.answer(request)


@asynccontextmanager
async def scripted(handler: Handler = answers, **limits: int) -> AsyncIterator[Scripted]:
    """A server for the length of the block."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server = Scripted(nursery, handler, Limits(**limits))
        server.reading.set()
        server.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, server.serve, listeners)
        yield server
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def raw(serve: Callable[[trio.SocketStream], Any]) -> AsyncIterator[str]:
    """A server that speaks no gRPC at all; yields its address."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()
