"""A client of a simulated cluster, which loses its connection when its member does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message

from ..actors.call import NO_METADATA, Metadata
from ..actors.local_client import LocalClient, LocalStream

if TYPE_CHECKING:
    from .machine import Machine

__all__ = ["Client"]


class Client(LocalClient):
    """The calls of `LocalClient`, to the member that `pick` names at the time of the call.

    A call raises ConnectionLost when the member is down, or goes down before it answers: then nobody knows whether
    the request was carried out. Nothing is retried. To a paused member a call waits.
    """

    def __init__(self, pick: Callable[[], Machine]) -> None:
        self._pick = pick

    async def call(self, method: str, request: Message, *, metadata: Metadata = NO_METADATA) -> Any:
        async with self._pick().reachable() as node:
            return await node.local.call(method, request, metadata=metadata)

    @asynccontextmanager
    async def stream(self, method: str) -> AsyncIterator[LocalStream]:
        async with self._pick().reachable() as node, node.local.stream(method) as stream:
            yield stream
