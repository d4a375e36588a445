"""What the recipes share: calls that insist on an answer, leases to hang keys on, and waiting for a key to go.

The layouts of keys are those of etcd's clientv3/concurrency and of its recipes, so that programs in Go and in Python
wait for each other.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

import trio

from ..errors import Code, EtcdError, RequestTimeout, TriodeError
from ..rpc.pb.kv_pb2 import KeyValue
from ..rpc.pb.rpc_pb2 import RangeResponse
from .compares import key as compared
from .errors import KeyExists, LeaseLost, WatchCompacted
from .keys import KeysLike
from .kv import KVCalls
from .layout import Layout
from .lease import Lease
from .lease_calls import LeaseCalls
from .ops import delete, put
from .txn import Txn, TxnCalls, TxnResult
from .watch_calls import WatchCalls
from .watch_events import Event

__all__ = [
    "RecipeClient",
    "at_last",
    "committed",
    "create",
    "create_numbered",
    "delete_created",
    "first_event",
    "first_pairs",
    "forget",
    "held_lease",
    "insist",
    "own_key",
    "see_held",
    "wait_deleted",
    "wait_predecessors",
    "wait_while_held",
]

RETRY_SECONDS: Final = 0.1
RELEASE_SECONDS_MAX: Final = 5.0
LOOK_FACTOR: Final = 8  # so many times more are read when none of the keys was the recipe's

T = TypeVar("T")


class RecipeClient(KVCalls, TxnCalls, WatchCalls, LeaseCalls):
    """What the recipes need of a client."""


# --- calls ----------------------------------------------------------------------------------------


async def insist(call: Callable[..., Awaitable[T]], *arguments: Any, **options: Any) -> T:
    """Make a call that does no harm if it is carried out twice, again and again until there is an answer."""
    while True:
        try:
            return await call(*arguments, **options)
        except EtcdError as error:
            if error.status is not Code.UNAVAILABLE:
                raise
        await trio.sleep(RETRY_SECONDS)


async def at_last(call: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    """Make a call at the end of a block, even while the caller is being cancelled.

    Raises:
        EtcdError: it could not be done within `RELEASE_SECONDS_MAX`: the block's keys stay as long as their lease.
    """
    with trio.move_on_after(RELEASE_SECONDS_MAX, shield=True) as scope:
        await call(*arguments)
    if scope.cancelled_caught:
        raise RequestTimeout


async def forget(client: RecipeClient, key: bytes, lease: int, created: int | None) -> None:
    """Delete a key of one's own, even while the caller is being cancelled.

    It is deleted by its revision: a request that was slow and was repeated may arrive when the same program has made
    a key of the same name again.

    Args:
        client: what to ask.
        key: which one.
        lease: what it hangs on.
        created: the revision that created it; None: that is not known, nor whether it was created at all.

    Raises:
        EtcdError: as of `at_last`.
    """
    if created is not None:
        await at_last(delete_created, client, key, created)
    else:
        await at_last(_delete_unknown, client, key, lease)


async def _delete_unknown(client: RecipeClient, key: bytes, lease: int) -> None:
    found = await insist(client.get, key)
    if found is not None and found.lease == lease:
        await delete_created(client, key, found.create_revision)


async def delete_created(client: RecipeClient, key: bytes, created: int) -> None:
    """Delete the key that was created by that revision; a later one of the same name stays."""
    same = compared(key).create_revision == created
    await committed(client.txn().when(same).then(delete(key)))


async def create(client: RecipeClient, key: bytes, value: bytes = b"", *, lease: int = 0) -> int:
    """Make a key that is not there yet; returns the revision. Raises KeyExists."""
    txn = client.txn().when(compared(key).version == 0).then(put(key, value, lease=lease))
    result = await txn.commit()
    if not result:
        raise KeyExists(f"there is a key {key!r} already")
    return result.revision


async def create_numbered(
    client: RecipeClient, start: bytes, value: bytes, *, lease: int = 0
) -> tuple[bytes, int]:
    """Make a key `start/<number>` that nobody else has; returns it and its revision.

    The number is the date in nanoseconds, by which etcd's recipes avoid to ask for it. When it is cancelled or
    fails, a key with a lease is deleted: it may have been made, and others would wait for it as long as the lease lives.
    """
    while True:
        key = b"%s/%d" % (start, date_nanoseconds())
        try:
            return key, await create(client, key, value, lease=lease)
        except KeyExists:
            continue
        except BaseException:
            if lease:
                with suppress(EtcdError):  # then it stays as long as its lease
                    await forget(client, key, lease, None)
            raise


# --- leases ---------------------------------------------------------------------------------------


@asynccontextmanager
async def held_lease(client: RecipeClient, lease: Lease | None, ttl: float) -> AsyncIterator[Lease]:
    """The lease that a recipe's keys hang on: the caller's, or one of its own."""
    if lease is not None:
        yield lease
    else:
        async with client.lease(ttl) as own:
            yield own


def own_key(start: bytes, lease: Lease) -> bytes:
    """The key of a lease's owner, in the queue of a lock or an election."""
    return b"%s%x" % (start, lease.id)


# --- waiting --------------------------------------------------------------------------------------


async def first_pairs(
    client: RecipeClient, layout: Layout, limit: int, **options: Any
) -> tuple[list[KeyValue], int]:
    """Up to `limit` of a recipe's pairs, at least one if there is any; and the revision at which we looked.

    Args:
        client: what to ask.
        layout: which keys are the recipe's: others among them may fill what is read at first.
        limit: read so many at first.
        options: of `client.range`, as the order.
    """
    while True:
        found: RangeResponse = await insist(client.range, layout.keys, limit=limit, **options)
        own = [pair for pair in found.kvs if pair.key in layout]
        if own or not found.more:
            return own, found.header.revision
        limit *= LOOK_FACTOR


async def first_event(
    client: RecipeClient, keys: KeysLike | Layout, start_revision: int, *, put: bool | None = None
) -> Event:
    """Wait for the first put (or deletion, or either) of one of the keys. Raises WatchCompacted."""
    layout = keys if isinstance(keys, Layout) else None
    async with client.watch(
        keys.keys if isinstance(keys, Layout) else keys,
        start_revision=start_revision,
        puts=put is not False,
        deletes=put is not True,
    ) as watch:
        while True:
            event = await anext(watch)
            if layout is None or event.key in layout:
                return event


async def wait_deleted(client: RecipeClient, key: bytes, revision: int) -> None:
    """Wait until a key is gone that was there at that revision."""
    while True:
        try:
            await first_event(client, key, revision + 1, put=False)
        except WatchCompacted:
            found = await insist(client.range, key)
            if not found.kvs or found.kvs[0].create_revision > revision:
                return
            revision = found.header.revision
        else:
            return


async def wait_while_held(
    client: RecipeClient,
    own: bytes,
    created: int,
    wait: Callable[..., Awaitable[object]],
    *arguments: Any,
) -> bool:
    """Wait for something as long as one's own key is there. Returns whether it has come; if not, the key is gone.

    Whoever waits for others cannot see by them that its own lease was revoked. The next renewal would tell, but with a
    long TTL that is late.
    """
    failures: list[TriodeError] = []
    come = False

    async def run(
        scope: trio.CancelScope, wait: Callable[..., Awaitable[object]], *arguments: Any
    ) -> None:
        try:
            await wait(*arguments)
        except TriodeError as error:  # not as a group: callers know each by its class
            failures.append(error)
        scope.cancel()

    async def wait_here() -> None:
        nonlocal come
        await wait(*arguments)
        come = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, nursery.cancel_scope, wait_deleted, client, own, created)
        await run(nursery.cancel_scope, wait_here)
    if failures:
        raise failures[0]
    return come


async def see_held(client: RecipeClient, own: bytes, created: int, session: Lease) -> bool:
    """Whether one's own key is still there. Raises LeaseLost if its lease is gone, too, and ends the lease's block."""
    found = await insist(client.get, own)
    if found is not None and found.create_revision == created:
        return True
    answer = await insist(client.time_to_live, session.id)
    if answer.TTL < 0:
        session.lose("the server does not know it any more")
        raise LeaseLost(session.id, session.why)
    return False


async def wait_predecessors(client: RecipeClient, layout: Layout, own: bytes, created: int) -> None:
    """Wait until no key of the recipe is left that is older than one's own, or that one is gone.

    Each waits for the one before it only, so that the end of one wakes one.
    """
    while True:
        found, revision = await first_pairs(
            client,
            layout,
            1,
            sort_by="create_revision",
            descending=True,
            max_create_revision=created - 1,
        )
        if not found:
            return
        before = found[0].key
        if not await wait_while_held(client, own, created, wait_deleted, client, before, revision):
            return


def date_nanoseconds() -> int:
    """The date; a function, so that tests may stop it."""
    return time.time_ns()


def committed(txn: Txn) -> Awaitable[TxnResult]:
    """Commit a transaction that does no harm if it is carried out twice."""
    return insist(txn.commit)
