"""Puts a load on a cluster and takes it away again."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import trio

from ....client.client import Client
from ....client.keys import prefix
from ....errors import EtcdError
from ....rpc.pb.rpc_pb2 import (
    CompactionRequest,
    DefragmentRequest,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
)
from ...common.exits import INVALID_INPUT, Failure
from ...common.goquote import as_text, quote
from ..context import Context
from ..failures import error_text
from .pace import Pace
from .results import Results

__all__ = [
    "CLEANUP_SECONDS",
    "clean",
    "clients_for",
    "defragment",
    "paced",
    "refuse_if_used",
    "so_many",
    "write",
]

CONNECTIONS_MAX: Final = 16
CLEANUP_SECONDS: Final = 30.0
FINISH_SECONDS: Final = 5.0  # for the puts under way when the load is interrupted
RANDOM_BYTES: Final = 10  # of each key; the rest is zero

OnDone = Callable[[], None]


@asynccontextmanager
async def clients_for(ctx: Context, count: int) -> AsyncIterator[list[Client]]:
    """Clients for so many requests at once. Each has a connection of its own; requests share them."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(ctx.client())
            for _ in range(min(count, CONNECTIONS_MAX))
        ]


async def refuse_if_used(ctx: Context, client: Client, start: bytes) -> None:
    """Raises Failure if there are keys with the prefix: they would be deleted at the end."""
    keys = prefix(start)
    request = RangeRequest(key=keys.key, range_end=keys.range_end, limit=1, keys_only=True)
    found = await ctx.call(client, "KV/Range", request)
    if found.kvs:
        text = f"prefix {quote(start)} has keys. Delete with 'triodectl del --prefix {as_text(start)}' first"
        raise Failure(text, INVALID_INPUT)


async def write(
    clients: Sequence[Client],
    requests: AsyncIterator[PutRequest],
    at_once: int,
    on_done: OnDone = lambda: None,
) -> tuple[Results, float]:
    """Put everything that comes, so many at once; returns the results and how many seconds it took.

    Who is cancelled waits for the puts under way: one that were given up could still be carried out, after
    the keys have been deleted.
    """
    results = Results()
    send, receive = trio.open_memory_channel[PutRequest](0)
    puts = trio.CancelScope(shield=True)

    async def work(client: Client) -> None:
        async for request in receive:
            begun = trio.current_time()
            try:
                await client.call("KV/Put", request)
            except EtcdError as error:
                results.fail(error_text(error))
            else:
                results.add(trio.current_time() - begun)
            on_done()

    async def work_all() -> None:
        with puts:
            async with trio.open_nursery() as nursery:
                for number in range(at_once):
                    nursery.start_soon(work, clients[number % len(clients)])

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work_all)
        try:
            async with send:
                async for request in requests:
                    await send.send(request)
        except trio.Cancelled:
            puts.deadline = trio.current_time() + FINISH_SECONDS
            raise
    return results, trio.current_time() - start


async def paced(
    start: bytes, key_bytes: int, value_bytes: int, per_second: float, seconds: float
) -> AsyncIterator[PutRequest]:
    """Puts at a rate, for a time."""
    end = trio.current_time() + seconds
    pace = Pace(per_second, trio.current_time())
    while (now := trio.current_time()) < end:
        for _ in range(pace.take(now)):
            yield one_put(start, key_bytes, value_bytes)
        await trio.sleep(min(pace.wait_seconds(), max(0.0, end - now)))


async def so_many(
    start: bytes, key_bytes: int, value_bytes: int, count: int
) -> AsyncIterator[PutRequest]:
    """A number of puts, as fast as they are taken."""
    for _ in range(count):
        yield one_put(start, key_bytes, value_bytes)


def one_put(start: bytes, key_bytes: int, value_bytes: int) -> PutRequest:
    """A put of a random key."""
    key = start + random.randbytes(RANDOM_BYTES).ljust(key_bytes, b"\0")
    return PutRequest(key=key, value=bytes(value_bytes))


# --- taking it away -----------------------------------------------------------------------------


async def clean(ctx: Context, client: Client, start: bytes, *, compact: bool) -> bool:
    """Delete what was put; then forget that it was there, if asked to. Returns whether the keys are gone."""
    keys = prefix(start)
    request = DeleteRangeRequest(key=keys.key, range_end=keys.range_end)
    try:
        with ctx.deadline(CLEANUP_SECONDS):
            answer = await client.call("KV/DeleteRange", request)
    except (EtcdError, Failure) as error:
        text = error.text if isinstance(error, Failure) else error_text(error)
        ctx.out.line(f"FAIL: Cleanup failed during key deletion: ERROR({text})")
        return False
    if compact:
        await _compact(ctx, client, answer.header.revision)
    return True


async def _compact(ctx: Context, client: Client, revision: int) -> None:
    ctx.out.line(f"Compacting with revision {revision}")
    ctx.out.flush()
    with ctx.deadline(CLEANUP_SECONDS):
        await client.call("KV/Compact", CompactionRequest(revision=revision, physical=True))
    ctx.out.line(f"Compacted with revision {revision}")


async def defragment(ctx: Context, client: Client) -> None:
    """Give back the space, on each endpoint."""
    for endpoint in client.channel.endpoints:
        ctx.out.line(f"Defragmenting {quote(endpoint)}")
        ctx.out.flush()
        with ctx.deadline(CLEANUP_SECONDS):
            await client.call("Maintenance/Defragment", DefragmentRequest(), endpoint=endpoint)
        ctx.out.line(f"Defragmented {quote(endpoint)}")
