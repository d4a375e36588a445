"""A lock for many readers or one writer, in the order in which they came. The keys are those of etcd's recipes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from .errors import LeaseLost
from .keys import KeyLike, as_bytes
from .layout import Layout, of_readers_and_writers, of_writers
from .lease import Lease
from .lock import Lock
from .recipe_ops import (
    RecipeClient,
    create_numbered,
    first_pairs,
    forget,
    held_lease,
    see_held,
    wait_deleted,
    wait_while_held,
)

__all__ = ["RWLock"]


class RWLock:
    """A lock of two kinds. Made by `client.rwlock`. What is said of locks and leases holds here, too."""

    def __init__(self, client: RecipeClient, name: KeyLike, *, ttl: float = 60) -> None:
        self._client = client
        self._name = as_bytes(name)
        self._ttl = ttl

    @asynccontextmanager
    async def read(self, *, lease: Lease | None = None) -> AsyncIterator[Lock]:
        """Hold it together with other readers, when no writer that came before is left."""
        async with self._hold(b"read", of_writers(self._name), lease) as lock:
            yield lock

    @asynccontextmanager
    async def write(self, *, lease: Lease | None = None) -> AsyncIterator[Lock]:
        """Hold it alone, when nobody that came before is left."""
        async with self._hold(b"write", of_readers_and_writers(self._name), lease) as lock:
            yield lock

    @asynccontextmanager
    async def _hold(self, kind: bytes, before: Layout, lease: Lease | None) -> AsyncIterator[Lock]:
        client = self._client
        async with held_lease(client, lease, self._ttl) as session:
            own, revision = await create_numbered(
                client, self._name + b"/" + kind, b"", lease=session.id
            )
            try:
                await self._wait(before, own, revision)
                if not await see_held(client, own, revision, session):
                    raise LeaseLost(session.id, f"the key of the lock is gone: {own!r}")
                yield Lock(own, revision, session)
            finally:
                if lease is not None and not session.lost:
                    await forget(client, own, session.id, revision)

    async def _wait(self, before: Layout, own: bytes, revision: int) -> None:
        """Wait until no key is left that is in the way and older than ours, or ours is gone."""
        while True:
            found, now = await first_pairs(
                self._client,
                before,
                1,
                sort_by="mod_revision",
                descending=True,
                max_mod_revision=revision - 1,
            )
            if not found:
                return
            last = found[0].key
            client = self._client
            if not await wait_while_held(client, own, revision, wait_deleted, client, last, now):
                return
