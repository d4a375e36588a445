"""Barriers: programs that wait for each other. The keys are those of etcd's recipes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..rpc.pb.kv_pb2 import KeyValue
from .errors import TooManyClients, WatchCompacted
from .keys import KeyLike, as_bytes, prefix
from .lease import Lease
from .recipe_ops import (
    RecipeClient,
    create,
    create_numbered,
    delete_created,
    first_event,
    forget,
    held_lease,
    insist,
    wait_deleted,
)

__all__ = ["Barrier", "DoubleBarrier"]


class Barrier:
    """While somebody holds it, everybody waits at it. Made by `client.barrier`."""

    def __init__(self, client: RecipeClient, name: KeyLike) -> None:
        self._client = client
        self.key = as_bytes(name)

    async def hold(self) -> None:
        """Close it. It stays closed even if this program ends. Raises KeyExists if it is closed."""
        await create(self._client, self.key)

    async def release(self) -> None:
        """Open it: all who wait go on."""
        found = await insist(self._client.get, self.key)
        if (
            found is not None
        ):  # by its revision: a late repetition must not open it when it was closed again
            await delete_created(self._client, self.key, found.create_revision)

    async def wait(self) -> None:
        """Wait until it is open; if it is, go on at once."""
        found = await insist(self._client.range, self.key)
        if found.kvs:
            await wait_deleted(self._client, self.key, found.header.revision)


class DoubleBarrier:
    """Lets a number of programs begin together, and end together."""

    def __init__(self, client: RecipeClient, name: KeyLike, count: int) -> None:
        self._client = client
        self._waiters = as_bytes(name) + b"/waiters"
        self._ready = as_bytes(name) + b"/ready"
        self._count = count

    @asynccontextmanager
    async def block(self, ttl: float, lease: Lease | None) -> AsyncIterator[None]:
        """See `client.double_barrier`."""
        async with held_lease(self._client, lease, ttl) as session:
            if len(await self._entered()) >= self._count:
                raise TooManyClients
            own, revision = await create_numbered(
                self._client, self._waiters, b"", lease=session.id
            )
            try:
                await self._enter(own, revision)
                yield
                await self._leave(own)
            finally:
                if lease is not None and not session.lost:
                    await forget(self._client, own, session.id, revision)

    async def _entered(self) -> list[KeyValue]:
        found = await insist(self._client.range, prefix(self._waiters), sort_by="create_revision")
        return list(found.kvs)

    async def _enter(self, own: bytes, revision: int) -> None:
        entered = await self._entered()
        if len(entered) >= self._count:
            last = entered[self._count - 1]
            if last.key == own:
                await insist(self._client.put, self._ready)
                return
            if revision > last.create_revision:
                raise TooManyClients
        try:
            await first_event(self._client, self._ready, revision, put=True)
        except WatchCompacted:  # it was a while ago
            if await insist(self._client.get, self._ready) is None:
                await self._enter(own, revision)

    async def _leave(self, own: bytes) -> None:
        """The oldest waits for the newest, again and again; each other one goes, and waits for the oldest."""
        client = self._client
        while entered := await self._entered():
            oldest, newest = entered[0], entered[-1]
            if oldest.key == own:
                if len(entered) == 1:
                    await insist(client.delete, self._ready)
                    await insist(client.delete, own)
                    return
                await wait_deleted(client, newest.key, newest.mod_revision)
            else:
                await insist(client.delete, own)
                await wait_deleted(client, oldest.key, oldest.mod_revision)
