"""Testing code that holds a lock against a crash of the leader and the end of a lease, without sleeping.

Run with pytest; the fixture `triode_cluster` is a cluster of three members in virtual time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

import triode.testing
from triode.errors import EtcdError
from triode.rpc.pb.rpc_pb2 import (
    Compare,
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    PutRequest,
    RequestOp,
    TxnRequest,
)

TTL_SECONDS = 5

# --- the code under test --------------------------------------------------------------------------


async def acquire(client: triode.testing.Client, lock: bytes, owner: bytes) -> int | None:
    """Take the lock; the lease that holds it, or None if somebody else has it."""
    lease = (await client.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=TTL_SECONDS))).ID
    free = Compare(key=lock, target=Compare.CREATE, result=Compare.EQUAL, create_revision=0)
    take = RequestOp(request_put=PutRequest(key=lock, value=owner, lease=lease))
    taken = await client.txn(TxnRequest(compare=[free], success=[take]))
    return lease if taken.succeeded else None


@asynccontextmanager
async def kept_alive(client: triode.testing.Client, lease: int) -> AsyncIterator[None]:
    """Renew the lease in the block, through whichever member answers."""

    async def renew() -> None:
        while True:
            try:
                with trio.move_on_after(1):
                    async with client.stream("Lease/LeaseKeepAlive") as stream:
                        await stream.send(LeaseKeepAliveRequest(ID=lease))
                        await stream.receive()
            except (EtcdError, trio.EndOfChannel):
                pass  # that member is gone: another one next time
            await trio.sleep(0.5)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(renew)
        yield
        nursery.cancel_scope.cancel()


# --- the tests ------------------------------------------------------------------------------------


async def test_the_lock_outlives_the_leader(triode_cluster: triode.testing.Cluster) -> None:
    client = triode_cluster.client()
    lease = await acquire(client, b"lock", b"anna")
    assert lease is not None
    async with kept_alive(client, lease):
        await triode_cluster.crash(await triode_cluster.leader())
        await triode_cluster.leader()  # another one
        await triode_cluster.advance_time(10 * TTL_SECONDS)
        assert await acquire(client, b"lock", b"bert") is None


async def test_the_lock_of_a_dead_owner_is_free(triode_cluster: triode.testing.Cluster) -> None:
    client = triode_cluster.client()
    lease = await acquire(client, b"lock", b"anna")
    assert lease is not None
    async with kept_alive(client, lease):
        await triode_cluster.advance_time(3 * TTL_SECONDS)
        assert await acquire(client, b"lock", b"bert") is None
    # from here on nobody renews it
    await triode_cluster.advance_time(TTL_SECONDS + 2)
    assert await acquire(client, b"lock", b"bert") is not None


if __name__ == "__main__":

    async def main() -> None:
        for test in (test_the_lock_outlives_the_leader, test_the_lock_of_a_dead_owner_is_free):
            async with triode.testing.cluster(members=3) as cluster:
                await test(cluster)
                print(test.__name__)

    triode.testing.run(main)
