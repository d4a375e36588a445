"""A lock for many readers or one writer, in the order in which they came. The keys are those of etcd's recipes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..rpc.pb.rpc_pb2 import RangeResponse
from .errors import LeaseLost
from .keys import KeyLike, as_bytes, prefix
from .lease import Lease
from .lock import Lock
from .recipe_ops import (
    RecipeClient,
    create_numbered,
    forget,
    held_lease,
    insist,
    see_held,
    wait_deleted,
    wait_while_held,
)

__all__ = ["RWLock"]


class RWLock:
    """A lock of two kinds. Made by `client.rwlock`. What is said of locks and leases holds here, too."""

    def __init__(self, client: RecipeClient, name: KeyLike, *, ttl: float = 60) -> None:
        self._client = client
        self._start = as_bytes(name) + b"/"
        self._ttl = ttl

    @asynccontextmanager
    async def read(self, *, lease: Lease | None = None) -> AsyncIterator[Lock]:
        """Hold it together with other readers, when no writer that came before is left."""
        async with self._hold(b"read", self._start + b"write", lease) as lock:
            yield lock

    @asynccontextmanager
    async def write(self, *, lease: Lease | None = None) -> AsyncIterator[Lock]:
        """Hold it alone, when nobody that came before is left."""
        async with self._hold(b"write", self._start, lease) as lock:
            yield lock

    @asynccontextmanager
    async def _hold(self, kind: bytes, before: bytes, lease: Lease | None) -> AsyncIterator[Lock]:
        client = self._client
        async with held_lease(client, lease, self._ttl) as session:
            own, revision = await create_numbered(client, self._start + kind, b"", lease=session.id)
            try:
                await self._wait(before, own, revision)
                if not await see_held(client, own, revision, session):
                    raise LeaseLost(session.id, f"the key of the lock is gone: {own!r}")
                yield Lock(own, revision, session)
            finally:
                if lease is not None and not session.lost:
                    await forget(client, own, session.id, revision)

    async def _wait(self, before: bytes, own: bytes, revision: int) -> None:
        """Wait until no key is left that is in the way and older than ours, or ours is gone."""
        while True:
            found: RangeResponse = await insist(
                self._client.range,
                prefix(before),
                sort_by="mod_revision",
                descending=True,
                limit=1,
                max_mod_revision=revision - 1,
            )
            if not found.kvs:
                return
            last, now = found.kvs[0].key, found.header.revision
            client = self._client
            if not await wait_while_held(client, own, revision, wait_deleted, client, last, now):
                return
