"""A channel that breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import attrs

from triode.client.contract import Channel, ChannelStream, Metadata
from triode.client.errors import ConnectionLost
from triode.rpc.methods import Method


@attrs.define(eq=False)
class _Breaking:
    """A stream that is lost when its channel says so, at any message in either direction."""

    inner: ChannelStream
    breaks: Callable[[], bool]
    lost: bool = False

    @property
    def endpoint(self) -> str:
        return self.inner.endpoint

    def _look(self) -> None:
        self.lost = self.lost or self.breaks()
        if self.lost:
            raise ConnectionLost

    async def send(self, message: bytes) -> None:
        self._look()
        await self.inner.send(message)

    async def half_close(self) -> None:
        await self.inner.half_close()

    async def receive(self) -> bytes | None:
        self._look()
        message = await self.inner.receive()
        self._look()  # it is lost on its way
        return message


class BreakingChannel:
    """Any channel, whose streams break with a probability at each message; `hold` stops that."""

    def __init__(self, inner: Channel, seed: int, probability: float) -> None:
        self.inner = inner
        self.random = Random(seed)
        self.probability = probability
        self.broken = 0

    @property
    def endpoints(self) -> tuple[str, ...]:
        return self.inner.endpoints

    def _breaks(self) -> bool:
        broken = self.random.random() < self.probability
        self.broken += broken
        return broken

    async def unary(
        self,
        method: Method,
        request: bytes,
        *,
        metadata: Metadata | None = None,
        endpoint: str | None = None,
    ) -> bytes:
        return await self.inner.unary(method, request, metadata=metadata, endpoint=endpoint)

    @asynccontextmanager
    async def stream(
        self, method: Method, *, metadata: Metadata | None = None, endpoint: str | None = None
    ) -> AsyncIterator[ChannelStream]:
        if self._breaks():
            raise ConnectionLost
        async with self.inner.stream(method, metadata=metadata, endpoint=endpoint) as stream:
            yield _Breaking(stream, self._breaks)
