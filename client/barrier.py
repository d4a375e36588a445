"""Barriers: programs that wait for each other. The keys are those of etcd's recipes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial

import attrs

from ..errors import EtcdError
from ..rpc.pb.kv_pb2 import KeyValue
from .compares import key as compared
from .errors import LeaseLost, TooManyClients, WatchCompacted
from .keys import KeyLike, as_bytes
from .layout import of_waiters
from .lease import Lease
from .ops import delete, get, nested, put
from .recipe_ops import (
    RecipeClient,
    at_last,
    committed,
    create,
    create_numbered,
    delete_created,
    first_event,
    held_lease,
    insist,
    see_held,
    wait_deleted,
    wait_while_held,
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


@attrs.frozen
class _Look:
    """What there is of a double barrier, at one revision.

    Attributes:
        waiters: the keys of those who wait or are inside, the oldest first.
        ready: the revision at which it was last said that enough are there; 0: it is not said.
        revision: of the store.
    """

    waiters: list[KeyValue]
    ready: int
    revision: int


class DoubleBarrier:
    """Lets a number of programs begin together, and end together.

    It is used in rounds. The key `ready` begins one, and is deleted by the last who leaves. It may outlive its round,
    when the last one vanishes; so who waits believes only in what was put after its own key. Of the others it counts
    those of its own round: who was there before `ready` was put is of an older one, who came after it of a later one.
    """

    def __init__(self, client: RecipeClient, name: KeyLike, count: int) -> None:
        self._client = client
        self._layout = of_waiters(name)
        self._waiters = as_bytes(name) + b"/waiters"
        self._ready = as_bytes(name) + b"/ready"
        self._count = count

    @asynccontextmanager
    async def block(self, ttl: float, lease: Lease | None) -> AsyncIterator[None]:
        """See `client.double_barrier`."""
        async with held_lease(self._client, lease, ttl) as session:
            found = await insist(self._client.range, self._layout.keys, keys_only=True)
            if sum(one.key in self._layout for one in found.kvs) >= self._count:
                raise TooManyClients
            own, revision = await create_numbered(
                self._client, self._waiters, b"", lease=session.id
            )
            left = False
            try:
                ready = await self._enter(own, revision, session)
                yield
                await self._leave(own, revision, ready)
                left = True
            finally:
                if not left and not session.lost:
                    # A lease of its own takes the key along, but not what the last one has to delete.
                    with suppress(EtcdError) if lease is None else nullcontext():
                        await at_last(self._go, own, revision)

    async def _look(self) -> _Look:
        waiters = get(self._layout.keys, sort_by="create_revision")
        result = await committed(self._client.txn().then(waiters, get(self._ready)))
        ready = result[1].kvs
        return _Look(
            [one for one in result[0].kvs if one.key in self._layout],
            ready[0].mod_revision if ready else 0,
            result.revision,
        )

    async def _enter(self, own: bytes, revision: int, session: Lease) -> int:
        """Wait until enough are there. Returns the revision of `ready`."""
        while True:
            look = await self._look()
            if look.ready > revision:
                return look.ready
            there = any(one.create_revision == revision for one in look.waiters)
            if not there and not await see_held(self._client, own, revision, session):
                raise LeaseLost(session.id, f"the key of the double barrier is gone: {own!r}")
            present = [one for one in look.waiters if one.create_revision > look.ready]
            if len(present) >= self._count:
                last = present[self._count - 1]
                if last.create_revision == revision:
                    await self._begin(own, revision)
                    continue
                if revision > last.create_revision:
                    raise TooManyClients
            wait = partial(first_event, self._client, self._ready, look.revision + 1, put=True)
            with suppress(WatchCompacted):
                await wait_while_held(self._client, own, revision, wait)

    async def _begin(self, own: bytes, revision: int) -> None:
        """Let everybody in, once: a late repetition finds that our key is gone, or that it was done."""
        await committed(
            self._client.txn()
            .when(
                compared(own).create_revision == revision,
                compared(self._ready).mod_revision < revision,
            )
            .then(put(self._ready))
        )

    async def _leave(self, own: bytes, revision: int, ready: int) -> None:
        """The oldest waits for the newest, again and again; each other one goes, and waits for the oldest."""
        while True:
            look = await self._look()
            present = [one for one in look.waiters if one.create_revision < ready]
            if not present:
                return
            oldest, newest = present[0], present[-1]
            if oldest.create_revision == revision:
                if newest is oldest:
                    await self._go(own, revision)
                    return
                await wait_deleted(self._client, newest.key, look.revision)
            else:
                await self._go(own, revision)
                await wait_deleted(self._client, oldest.key, look.revision)

    async def _go(self, own: bytes, revision: int) -> None:
        """Delete our key, and if nobody else is left, `ready`, too."""
        ours = compared(own).create_revision == revision
        alone = compared(self._layout.keys).create_revision == revision
        await committed(
            self._client.txn()
            .when(alone)
            .then(delete(own), delete(self._ready))
            .otherwise(nested(when=[ours], then=[delete(own)]))
        )
