"""An endpoint that speaks gRPC over TCP, to any server that speaks etcd's API.

It has no background task: whoever waits for an answer reads the socket. So a connection serves one call at a time;
idle ones are kept for the next calls, and each stream has one of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from ...errors import Code, EtcdError
from ...rpc.grpc.client import Finished, GrpcClient, Message
from ...rpc.methods import METHODS, Method

__all__ = ["SocketEndpoint"]

READ_BYTES_MAX = 65_536
_BY_NAME = {f"{m.service.rpartition('.')[2]}/{m.name}": m for m in METHODS.values()}


class SocketEndpoint:
    """A server at an address; as many tasks as you like may use it.

    Calls raise what the server answers as EtcdError; with UNAVAILABLE if the connection is refused or lost.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._idle: list[_Connection] = []

    async def call(self, method: str, request: Any, /) -> Any:
        """A unary call. A connection on which one failed or was cancelled is not used again."""
        found = _BY_NAME[method]
        connection = self._idle.pop() if self._idle else await self._connect()
        try:
            answer = await connection.unary(found, request.SerializeToString())
        except BaseException as error:
            if isinstance(error, EtcdError) and error.status is not Code.UNAVAILABLE:
                self._idle.append(connection)
            else:
                connection.close()
            raise
        self._idle.append(connection)
        return answer

    @asynccontextmanager
    async def stream(self, method: str, /) -> AsyncIterator[_SocketStream]:
        """A streaming call that ends with the block."""
        connection = await self._connect()
        try:
            yield _SocketStream(connection, _BY_NAME[method])
        finally:
            connection.close()

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    async def _connect(self) -> _Connection:
        try:
            stream = await trio.open_tcp_stream(self._host, self._port)
        except OSError as error:
            raise EtcdError(f"cannot connect: {error}", code=Code.UNAVAILABLE) from error
        return _Connection(stream, f"{self._host}:{self._port}")


class _Connection:
    def __init__(self, stream: trio.SocketStream, authority: str) -> None:
        self._stream = stream
        self.grpc = GrpcClient(authority=authority)
        self.messages: deque[bytes] = deque()
        self.end: Finished | None = None

    async def unary(self, method: Method, message: bytes) -> Any:
        if not self.grpc.can_start:
            raise EtcdError("the server is going away", code=Code.UNAVAILABLE)
        self.messages.clear()
        self.end = None
        self.grpc.call(method.path, message)
        while not self.ended:
            await self.exchange()
        self.check()
        return method.response.FromString(self.messages.popleft())

    @property
    def ended(self) -> bool:
        """Whether the call is over."""
        return self.end is not None

    def check(self) -> None:
        """Raise what the call ended with."""
        end = self.end
        if end is not None and end.code != Code.OK:
            raise EtcdError(end.text, code=Code(end.code))

    async def exchange(self) -> None:
        """Send what is to be sent, and take in what comes; cancelled, nothing that came is lost."""
        await self.flush()
        try:
            data = await self._stream.receive_some(READ_BYTES_MAX)
        except trio.BrokenResourceError:
            data = b""
        for event in self.grpc.receive(bytes(data)) if data else self.grpc.lost("connection lost"):
            if isinstance(event, Message):
                self.messages.append(event.data)
            elif isinstance(event, Finished):
                self.end = event
        if not data and self.end is None:
            raise EtcdError("connection lost", code=Code.UNAVAILABLE)

    async def flush(self) -> None:
        """Send what waits to be sent. A connection that is cancelled here is of no use any more."""
        data = self.grpc.data_to_send()
        if not data:
            return
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError as error:
            raise EtcdError("connection lost", code=Code.UNAVAILABLE) from error

    def close(self) -> None:
        self._stream.socket.close()


class _SocketStream:
    """See `client.Stream`."""

    def __init__(self, connection: _Connection, method: Method) -> None:
        self._connection = connection
        self._method = method
        self._id = connection.grpc.start_call(method.path)

    async def send(self, message: Any, /) -> None:
        self._connection.grpc.send_message(self._id, message.SerializeToString())
        await self._connection.flush()

    async def receive(self) -> Any:
        """The next message; raises EtcdError, or EndOfChannel at the end."""
        connection = self._connection
        while not connection.messages:
            connection.check()
            if connection.end is not None:
                raise trio.EndOfChannel
            await connection.exchange()
        return self._method.response.FromString(connection.messages.popleft())
