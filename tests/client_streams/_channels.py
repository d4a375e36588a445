"""Channels for tests: into a node of this program, into a simulated cluster, and one that breaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import attrs
import trio

from triode.actors.local_client import LocalClient, LocalStream
from triode.client.contract import Channel, ChannelStream, Metadata
from triode.client.errors import ConnectionLost
from triode.rpc.methods import Method


@attrs.define(eq=False)
class Stream:
    """A stream of `LocalClient`, by bytes."""

    local: LocalStream
    method: Method
    endpoint: str = "local"

    async def send(self, message: bytes) -> None:
        await self.local.send(self.method.request.FromString(message))

    async def half_close(self) -> None:
        await trio.lowlevel.checkpoint()
        self.local.half_close()

    async def receive(self) -> bytes | None:
        try:
            return bytes((await self.local.receive()).SerializeToString())
        except trio.EndOfChannel:
            return None


class LocalChannel:
    """To whatever a `LocalClient` reaches; the one of a simulated cluster goes from member to member."""

    endpoints = ("local",)

    def __init__(self, local: LocalClient) -> None:
        self.local = local

    async def unary(
        self,
        method: Method,
        request: bytes,
        *,
        metadata: Metadata | None = None,
        endpoint: str | None = None,
    ) -> bytes:
        message: Any = method.request.FromString(request)
        response = await self.local.call(method.path, message)
        return bytes(response.SerializeToString())

    @asynccontextmanager
    async def stream(
        self, method: Method, *, metadata: Metadata | None = None, endpoint: str | None = None
    ) -> AsyncIterator[ChannelStream]:
        async with self.local.stream(method.path) as stream:
            yield Stream(stream, method)


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
