"""A lock: whoever has the oldest key below its name holds it, and every key hangs on its owner's lease.

A lock that hangs on a lease cannot promise mutual exclusion by itself. A holder that is stopped for longer than its
TTL (a long pause of the machine, a slow disk, a suspended laptop) goes on writing for a moment after another one has
got the lock. What can be promised is this: `token` grows from holder to holder, so a resource that refuses lower tokens
than it has seen is safe; and writes to etcd itself are safe in a transaction with `lock.held`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs

from ..rpc.pb.kv_pb2 import KeyValue
from .compares import Condition, key
from .errors import LeaseLost, Locked
from .keys import KeyLike
from .layout import Layout, of_leases
from .lease import Lease
from .ops import get, put
from .recipe_ops import (
    RecipeClient,
    committed,
    first_pairs,
    forget,
    held_lease,
    own_key,
    see_held,
    wait_predecessors,
)

__all__ = ["Lock", "locked"]


@attrs.frozen(eq=False)
class Lock:
    """A lock that is held.

    Attributes:
        key: the key that holds it.
        token: the fencing token: the revision at which the key was created. It grows from holder to holder.
        lease: what it hangs on.
    """

    key: bytes
    token: int
    lease: Lease

    @property
    def held(self) -> Condition:
        """For `client.txn().when(lock.held)`: true as long as the lock is held, by the servers' judgement."""
        return key(self.key).create_revision == self.token


@asynccontextmanager
async def locked(
    client: RecipeClient, name: KeyLike, *, ttl: float, lease: Lease | None, wait: bool
) -> AsyncIterator[Lock]:
    """Hold the lock for a block. See `client.lock`."""
    async with held_lease(client, lease, ttl) as session:
        layout = of_leases(name)
        own = own_key(layout.start, session)
        token: int | None = None
        try:
            token, owner = await _enter(client, layout, own, session)
            if owner is not None and owner.create_revision != token:
                if not wait and await _is_taken(client, layout, owner, token):
                    raise Locked
                await wait_predecessors(client, layout, own, token)
                if not await see_held(client, own, token, session):
                    raise LeaseLost(session.id, f"the key of the lock is gone: {own!r}")
            yield Lock(own, token, session)
        finally:
            if lease is not None and not session.lost:  # a lease of its own takes its key along
                await forget(client, own, session.id, token)


async def _enter(
    client: RecipeClient, layout: Layout, own: bytes, session: Lease
) -> tuple[int, KeyValue | None]:
    """Stand in the queue. Returns the token, and who is first."""
    first = get(layout.keys, sort_by="create_revision", limit=1)
    result = await committed(
        client.txn()
        .when(key(own).create_revision == 0)
        .then(put(own, b"", lease=session.id), first)
        .otherwise(get(own), first)  # this lease holds the lock, or an answer was lost
    )
    owners = result[1].kvs
    token = result.revision if result else result[0].kvs[0].create_revision
    return token, owners[0] if owners else None


async def _is_taken(client: RecipeClient, layout: Layout, owner: KeyValue, token: int) -> bool:
    """Whether somebody is before us, if the oldest key of those that begin alike is not ours."""
    if owner.key in layout:
        return True
    older = {"sort_by": "create_revision", "max_create_revision": token - 1}
    found, _ = await first_pairs(client, layout, 1, **older)
    return bool(found)
