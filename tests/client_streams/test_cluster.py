"""Locks, elections and leases in a simulated cluster, in virtual time: crashes, partitions, and leases that end."""

# ruff: noqa: PT012  # the block is what is tested
from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import trio

import triode
import triode.testing

TTL = 5


async def test_a_holder_that_is_cut_off_loses_its_lock_before_another_gets_it(
    triode_cluster: triode.testing.Cluster,
) -> None:
    """It talks to one member, which is cut off from the others; they revoke the lease later."""
    cluster = triode_cluster
    await cluster.move_leader("m1")
    ended: dict[str, float] = {}
    tokens: list[int] = []
    async with AsyncExitStack() as stack:
        cut_off = await stack.enter_async_context(cluster.connect("m3"))
        other = await stack.enter_async_context(cluster.connect("m1"))
        holds = trio.Event()

        async def hold() -> None:
            try:
                async with cut_off.lock("name", ttl=TTL) as lock:
                    tokens.append(lock.token)
                    holds.set()
                    await trio.sleep_forever()
            except triode.LeaseLost:
                ended["holder"] = trio.current_time()

        async def wait() -> None:
            await holds.wait()
            async with other.lock("name", ttl=TTL) as lock:
                ended["waiter"] = trio.current_time()
                tokens.append(lock.token)

        with trio.fail_after(200):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(hold)
                nursery.start_soon(wait)
                await holds.wait()
                await cluster.advance_time(3 * TTL)
                assert not ended  # kept alive so far
                cut = trio.current_time()
                cluster.partition(["m3"])
    assert cut < ended["holder"] <= cut + TTL < ended["waiter"] + TTL
    assert ended["holder"] < ended["waiter"]
    assert tokens[0] < tokens[1]


async def test_a_lock_outlives_the_leader(triode_cluster: triode.testing.Cluster) -> None:
    cluster = triode_cluster
    async with cluster.connect() as client:
        async with client.lock("name", ttl=TTL) as lock:
            for _ in range(3):
                crashed = await cluster.crash(await cluster.leader())
                await cluster.leader()
                await cluster.advance_time(2 * TTL)
                await cluster.restart(crashed)
            assert not lock.lease.lost
            assert await client.txn().when(lock.held).then(triode.put("k", "v")).commit()
        assert await client.get(lock.key) is None


async def test_waiting_goes_on_when_the_leader_crashes(
    triode_cluster: triode.testing.Cluster,
) -> None:
    """Both a lock's waiter and a candidate sit on a watch while members crash under it."""
    cluster = triode_cluster
    order: list[str] = []
    async with cluster.connect() as client:

        async def wait(name: str) -> None:
            async with client.lock("name", ttl=60):
                order.append(f"{name} locks")
            async with client.election("boss").campaign(name, ttl=60):
                order.append(f"{name} leads")

        with trio.fail_after(600):
            async with trio.open_nursery() as nursery, client.lock("name", ttl=60):
                nursery.start_soon(wait, "anna")
                await cluster.advance_time(1)
                for _ in range(2):
                    crashed = await cluster.crash(await cluster.leader())
                    await cluster.leader()
                    await cluster.restart(crashed)
                    await cluster.advance_time(2)
                assert not order
    assert order == ["anna locks", "anna leads"]


async def test_a_lease_ends_with_its_cluster(triode_cluster: triode.testing.Cluster) -> None:
    cluster = triode_cluster
    async with cluster.connect() as client:
        with pytest.raises(triode.LeaseLost, match="lost: "):
            async with client.lease(TTL):
                begun = trio.current_time()
                for name in ("m1", "m2", "m3"):
                    await cluster.kill(name)
                await trio.sleep_forever()
        assert trio.current_time() - begun <= TTL


async def test_the_keys_of_a_holder_that_vanishes_go(
    triode_cluster: triode.testing.Cluster,
) -> None:
    cluster = triode_cluster
    async with cluster.connect() as client:
        election = client.election("boss")
        granted = await client.grant(TTL)
        key = f"boss/{granted.ID:x}"  # as of another program's campaign
        async with client.watch(key) as watch:
            await client.put(key, "vanishes", lease=granted.ID)
            begun = trio.current_time()
            async with election.campaign("next", ttl=TTL):
                assert TTL - 1 <= trio.current_time() - begun < 2 * TTL
            assert [(await anext(watch)).is_delete for _ in range(2)] == [False, True]
