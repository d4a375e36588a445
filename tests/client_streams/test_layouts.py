"""Where recipes keep what they need: exactly where etcd's Go client looks for it, and its servers' own services."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import pytest
import trio

import triode
from triode.errors import EtcdError
from triode.rpc.pb.v3election_pb2 import CampaignRequest, LeaderRequest, ResignRequest
from triode.rpc.pb.v3lock_pb2 import LockRequest, UnlockRequest


async def keys(client: triode.Client) -> list[str]:
    found = await client.range(triode.ALL_KEYS)
    return [kv.key.decode() for kv in found.kvs]


async def expect(client: triode.Client, *patterns: str) -> None:
    """All keys that there are, in order, each by a pattern."""
    found = await keys(client)
    assert len(found) == len(patterns), found
    for key, pattern in zip(found, patterns, strict=True):
        assert re.fullmatch(pattern, key), (key, pattern)


async def test_locks_and_elections(client: triode.Client) -> None:
    async with client.lock("name") as lock:
        await expect(client, f"name/{lock.lease.id:x}")
        found = await client.get(lock.key)
        assert found is not None and found.value == b"" and found.lease == lock.lease.id
        assert found.create_revision == lock.token
    async with client.election("boss").campaign("me") as leadership:
        await expect(client, f"boss/{leadership.lease_id:x}")
    async with client.rwlock("rw").read(), client.rwlock("rw").read():
        await expect(client, r"rw/read/\d{19}", r"rw/read/\d{19}")
    async with client.rwlock("rw").write():
        await expect(client, r"rw/write/\d{19}")
    await expect(client)


async def test_queues(client: triode.Client) -> None:
    await client.queue("q").enqueue("1")
    await expect(client, r"q/\d{19}")
    await client.queue("q").dequeue()
    queue = client.priority_queue("p")
    for priority in (7, 7, 65535):
        await queue.enqueue("x", priority)
    await expect(
        client,
        "__p/00007",
        "__p/65535",
        "p/00007/0000000000000000",
        "p/00007/0000000000000001",
        "p/65535/0000000000000000",
    )


async def test_barriers(client: triode.Client) -> None:
    barrier = client.barrier("gate")
    await barrier.hold()
    await expect(client, "gate")
    await barrier.release()

    looked = trio.Event()

    async def first() -> None:
        async with client.double_barrier("db", 2):
            await expect(client, "db/ready", r"db/waiters/\d{19}", r"db/waiters/\d{19}")
            looked.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            while await client.count(triode.prefix("db")) < 1:  # noqa: ASYNC110  # it has no event
                await trio.sleep(0.005)
            await expect(client, r"db/waiters/\d{19}")
            async with client.double_barrier("db", 2):
                await looked.wait()


async def waits(call: Callable[[], Awaitable[object]]) -> bool:
    """Whether a call has not ended after a moment."""
    with trio.move_on_after(0.1) as scope:
        await call()
    return scope.cancelled_caught


async def test_the_lock_service_of_servers(client: triode.Client) -> None:
    """Programs that call `v3lockpb.Lock`, as those by the JSON gateway do, and ours wait for each other."""
    async with client.lease(60) as lease:
        theirs = LockRequest(name=b"name", lease=lease.id)
        async with client.lock("name"):
            assert await waits(lambda: client.call("Lock/Lock", theirs))
        held = await client.call("Lock/Lock", theirs)
        with pytest.raises(triode.Locked):
            async with client.lock("name", wait=False):
                raise AssertionError
        await client.call("Lock/Unlock", UnlockRequest(key=held.key))
        async with client.lock("name", wait=False):
            pass


async def test_the_election_service_of_servers(client: triode.Client) -> None:
    election = client.election("boss")
    async with client.lease(60) as lease:
        theirs = CampaignRequest(name=b"boss", lease=lease.id, value=b"theirs")
        async with election.campaign("ours") as ours:
            leader = await client.call("Election/Leader", LeaderRequest(name=b"boss"))
            assert (leader.kv.key, leader.kv.value) == (ours.key, b"ours")
            assert await waits(lambda: client.call("Election/Campaign", theirs))
        with trio.fail_after(20):
            elected = await client.call("Election/Campaign", theirs)
        assert (await election.leader()).value == b"theirs"
        await client.call("Election/Resign", ResignRequest(leader=elected.leader))
        with pytest.raises(EtcdError, match="no leader"):
            await election.leader()
