"""Calls to a node from the program that embeds it: the same services, without a socket.

Requests and responses are the messages of `triode.rpc.pb`. Nothing is copied to a socket and no HTTP/2 is
spoken; limits, checks and errors are those that a remote client meets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from google.protobuf.message import Message

from ..errors import EtcdError
from ..rpc.methods import METHODS, Method
from ..rpc.pb.rpc_pb2 import (
    DeleteRangeRequest,
    DeleteRangeResponse,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    TxnRequest,
    TxnResponse,
    WatchCreateRequest,
    WatchRequest,
    WatchResponse,
)
from .call import NO_METADATA, Call, Metadata, Stream, Waiter
from .dispatch import Dispatcher
from .failures import refusal_of
from .outbox import Outbox

__all__ = ["LocalClient", "LocalStream"]

_BY_NAME = {f"{m.service.rpartition('.')[2]}/{m.name}": m for m in METHODS.values()}


class LocalClient:
    """A client of the node in the same program; as many tasks as you like may use it."""

    def __init__(self, dispatcher: Dispatcher, outbox: Outbox) -> None:
        self._dispatcher = dispatcher
        self._outbox = outbox

    async def call(self, method: str, request: Message, *, metadata: Metadata = NO_METADATA) -> Any:
        """Make a unary call and return its decoded response.

        Args:
            method: "KV/Put", or in full "/etcdserverpb.KV/Put".
            request: a message of the method's request type.
            metadata: as gRPC metadata.

        Raises:
            EtcdError: what the server answered.
            LookupError: there is no such unary method.
        """
        found = _find(method)
        if not found.unary:
            raise LookupError(f"{found.path} is a streaming method: use `stream`")
        waiter = Waiter()
        message = request.SerializeToString()
        scope = self._dispatcher.call(found.path, message, Call(waiter, 0, metadata))
        self._outbox.flush()
        try:
            return found.response.FromString(await waiter.wait())
        finally:
            if scope is not None:
                scope.cancel()

    @asynccontextmanager
    async def stream(self, method: str) -> AsyncIterator[LocalStream]:
        """A streaming call that ends with the block."""
        found = _find(method)
        stream = LocalStream(found, self._outbox)
        opened = self._dispatcher.open(found.path, stream.responses)
        stream.attach(opened)
        try:
            yield stream
        finally:
            if opened is not None and not stream.finished:
                opened.cancelled()

    # --- the calls that most programs need --------------------------------------------------------

    async def put(self, key: bytes, value: bytes, *, lease: int = 0) -> PutResponse:
        """Set a key."""
        request = PutRequest(key=key, value=value, lease=lease)
        response: PutResponse = await self.call("KV/Put", request)
        return response

    async def get(self, key: bytes, range_end: bytes = b"", **options: Any) -> RangeResponse:
        """Read a key, or the keys of [key, range_end); `options` are RangeRequest's fields."""
        request = RangeRequest(key=key, range_end=range_end, **options)
        response: RangeResponse = await self.call("KV/Range", request)
        return response

    async def delete(self, key: bytes, range_end: bytes = b"") -> DeleteRangeResponse:
        """Delete a key, or the keys of [key, range_end)."""
        request = DeleteRangeRequest(key=key, range_end=range_end)
        response: DeleteRangeResponse = await self.call("KV/DeleteRange", request)
        return response

    async def txn(self, request: TxnRequest) -> TxnResponse:
        """Run a transaction."""
        response: TxnResponse = await self.call("KV/Txn", request)
        return response

    @asynccontextmanager
    async def watch(
        self, key: bytes, range_end: bytes = b"", **options: Any
    ) -> AsyncIterator[AsyncIterator[WatchResponse]]:
        """Watch a key or a range; yields the responses after the one that says "created".

        `options` are WatchCreateRequest's fields. The iterator ends when the server cancels the watch; the
        last response says why.
        """
        create = WatchCreateRequest(key=key, range_end=range_end, **options)
        async with self.stream("Watch/Watch") as stream:
            await stream.send(WatchRequest(create_request=create))
            created = await stream.receive()
            yield _WatchResponses(stream, created)


class _WatchResponses:
    """Responses up to the one that cancels. No generator: one may leave a loop over it half-way."""

    def __init__(self, stream: LocalStream, created: WatchResponse) -> None:
        self._stream = stream
        self._refused = created if created.canceled else None
        self._cancelled = False

    def __aiter__(self) -> _WatchResponses:
        return self

    async def __anext__(self) -> WatchResponse:
        if self._cancelled:
            raise StopAsyncIteration
        response: WatchResponse
        if self._refused is not None:
            response = self._refused
        else:
            response = await anext(self._stream)
        self._cancelled = response.canceled
        return response


class _Responses:
    """The outlet of a local stream: encoded responses that wait to be received."""

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.bytes = 0
        self.news = trio.Event()
        self.finished = False
        self.error: EtcdError | None = None

    def send(self, message: bytes) -> None:
        self.waiting.append(message)
        self.bytes += len(message)
        self.news.set()

    def backlog(self) -> int:
        return self.bytes

    def finish(self, error: EtcdError | None = None) -> None:
        self.finished = True
        self.error = error
        self.news.set()


class LocalStream:
    """Both halves of a streaming call. `async for` yields responses until the server ends the call."""

    def __init__(self, method: Method, outbox: Outbox) -> None:
        self._method = method
        self._outbox = outbox
        self._stream: Stream | None = None
        self.responses = _Responses()

    def attach(self, stream: Stream | None) -> None:
        """Connect the service's half."""
        self._stream = stream

    @property
    def finished(self) -> bool:
        """Whether the server has ended the call; responses may still wait to be received."""
        return self.responses.finished

    async def send(self, message: Message) -> None:
        """Send a message to the service; without effect when the call has ended."""
        await trio.lowlevel.checkpoint()
        if self._stream is None or self.finished:
            return
        try:
            self._stream.message(message.SerializeToString())
        except Exception as error:  # noqa: BLE001  # it ends the call, as for a remote client
            self.responses.finish(refusal_of(error))
            self._stream.cancelled()
        self._outbox.flush()

    def half_close(self) -> None:
        """Say that no more messages will be sent."""
        if self._stream is not None and not self.finished:
            self._stream.half_closed()

    async def receive(self) -> Any:
        """The next response, decoded.

        Raises:
            EtcdError: the call ended with an error.
            trio.EndOfChannel: the call ended.
        """
        await trio.lowlevel.checkpoint()
        responses = self.responses
        while not responses.waiting:
            if responses.error is not None:
                raise responses.error
            if responses.finished:
                raise trio.EndOfChannel
            responses.news = trio.Event()
            await responses.news.wait()
        message = responses.waiting.popleft()
        responses.bytes -= len(message)
        if not responses.waiting and self._stream is not None and not responses.finished:
            self._stream.writable()
        return self._method.response.FromString(message)

    def __aiter__(self) -> LocalStream:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None


def _find(method: str) -> Method:
    found = METHODS.get(method) or _BY_NAME.get(method)
    if found is None:
        raise LookupError(f"there is no method {method!r}")
    return found
