"""The node's own client: typed calls to its services without a socket, for what is built on top of KV."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import trio

from ...errors import EtcdError
from ...rpc.pb.rpc_pb2 import WatchCreateRequest, WatchResponse
from ..call import Call, Waiter
from ..context import NodeContext

__all__ = ["LocalWatch", "unary", "watching"]

R = TypeVar("R")


async def unary(
    method: Callable[[bytes, Call], None], request: Any, response: type[R], node: NodeContext
) -> R:
    """Call a service's method and wait for the decoded response; raises its EtcdError."""
    waiter = Waiter()
    method(request.SerializeToString(), Call(waiter, 0))
    answer = await waiter.wait()
    node.flush()
    return response.FromString(answer)  # type: ignore[attr-defined, no-any-return]


class LocalWatch:
    """The responses of one watch, as decoded messages."""

    def __init__(self, node: NodeContext, request: WatchCreateRequest) -> None:
        self._news = trio.Event()
        self._taken: deque[bytes] = deque()
        self._stream = node.hub.open_stream(self._signal)
        self._stream.create(request)

    def _signal(self) -> None:
        self._news.set()

    async def response(self) -> WatchResponse:
        """The next response."""
        await trio.lowlevel.checkpoint()
        while not self._taken:
            self._news = trio.Event()
            self._taken.extend(self._stream.take())
            if not self._taken:
                await self._news.wait()
        return WatchResponse.FromString(self._taken.popleft())

    def close(self) -> None:
        """End the watch."""
        self._stream.close()


@asynccontextmanager
async def watching(node: NodeContext, request: WatchCreateRequest) -> AsyncIterator[LocalWatch]:
    """A watch that ends with the block."""
    watch = LocalWatch(node, request)
    try:
        yield watch
    finally:
        watch.close()


async def wait_deleted(node: NodeContext, key: bytes, revision: int) -> None:
    """Return when `key` has been deleted at or after `revision`."""
    request = WatchCreateRequest(key=key, start_revision=revision, filters=["NOPUT"])
    async with watching(node, request) as watch:
        while True:
            response = await watch.response()
            if response.events:
                return
            if response.canceled:
                raise EtcdError("watch closed before the key was deleted")
