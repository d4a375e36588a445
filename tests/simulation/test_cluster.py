"""Clusters for tests: what a user of `triode.testing` can do to them, and what they then do."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
import trio.testing

import triode.testing
from triode.errors import EtcdError, RequestTimeout
from triode.testing import Cluster, ConnectionLost, SimulationError


async def test_a_cluster_answers(triode_cluster: Cluster) -> None:
    await triode_cluster.client().put(b"key", b"value")
    for machine in triode_cluster.machines:
        found = await triode_cluster.client(machine).get(b"key")
        assert [kv.value for kv in found.kvs] == [b"value"]


async def test_a_crashed_leader_is_replaced_and_comes_back(triode_cluster: Cluster) -> None:
    client = triode_cluster.client()
    await client.put(b"key", b"1")
    old = await triode_cluster.crash(await triode_cluster.leader())
    new = await triode_cluster.leader()
    assert new is not old
    await client.put(b"key", b"2")
    await triode_cluster.restart(old)
    found = await triode_cluster.client(old).get(b"key")
    assert [kv.value for kv in found.kvs] == [b"2"]


async def test_all_machines_lose_power_and_nothing_else(triode_cluster: Cluster) -> None:
    for number in range(20):
        await triode_cluster.client().put(b"%d" % number, b"value")
    for machine in triode_cluster.machines.values():
        await triode_cluster.crash(machine)
    for machine in triode_cluster.machines.values():
        triode_cluster.start(machine)
    await triode_cluster.leader()
    found = await triode_cluster.client().get(b"\0", b"\0")
    assert found.count == 20


async def test_a_minority_does_not_write_and_a_majority_does(triode_cluster: Cluster) -> None:
    leader = await triode_cluster.leader()
    triode_cluster.partition([leader])
    with pytest.raises(EtcdError):
        await triode_cluster.client(leader).put(b"key", b"lost")
    other = await triode_cluster.leader()
    assert other is not leader
    await triode_cluster.client(other).put(b"key", b"kept")
    triode_cluster.heal()
    await triode_cluster.advance_time(3)
    found = await triode_cluster.client(leader).get(b"key")
    assert [kv.value for kv in found.kvs] == [b"kept"]


async def test_a_one_way_partition(triode_cluster: Cluster) -> None:
    """A leader whose messages do not arrive is replaced, though it hears everybody."""
    leader = await triode_cluster.leader()
    others = [m for m in triode_cluster.machines.values() if m is not leader]
    triode_cluster.partition_one_way([leader], others)
    await triode_cluster.advance_time(5)
    assert await triode_cluster.leader() is not leader


async def test_a_paused_member_goes_on_where_it_was(triode_cluster: Cluster) -> None:
    leader = triode_cluster.pause(await triode_cluster.leader())
    other = await triode_cluster.leader()
    assert other is not leader
    assert leader.node is not None
    assert leader.node.peer.is_leader, "it knows of nothing yet"
    await triode_cluster.client(other).put(b"key", b"new")
    triode_cluster.resume(leader)
    found = await triode_cluster.client(leader).get(b"key")
    assert [kv.value for kv in found.kvs] == [b"new"]


async def test_a_call_to_a_member_that_goes_down_is_lost(triode_cluster: Cluster) -> None:
    leader = await triode_cluster.leader()
    triode_cluster.partition([leader])
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            with pytest.raises(ConnectionLost):
                await triode_cluster.client(leader).put(b"key", b"value")

        await triode_cluster.advance_time(0.01)
        await triode_cluster.kill(leader)
    with pytest.raises(ConnectionLost):
        await triode_cluster.client(leader).get(b"key")


async def test_grow_hand_over_and_shrink(triode_cluster: Cluster) -> None:
    await triode_cluster.advance_time(6)  # before that the members do not call each other healthy
    learner = await triode_cluster.add_member(learner=True)
    await learner.wait_ready()
    await triode_cluster.promote(learner)
    await triode_cluster.move_leader(learner)
    await triode_cluster.advance_time(1)
    assert await triode_cluster.leader() is learner
    await triode_cluster.advance_time(6)
    gone = await triode_cluster.remove_member("m1")
    await gone.wait_down()
    await triode_cluster.advance_time(3)
    await triode_cluster.client().put(b"key", b"value")


@pytest.mark.triode_cluster(
    members=2, strict_reconfig_check=False, heartbeat_interval=0.03, election_timeout=0.3
)
async def test_a_leader_that_was_removed_reads_nothing_old(triode_cluster: Cluster) -> None:
    """Of two members: after its removal it sees a single one, but that is not itself."""
    leader = await triode_cluster.leader()
    (other,) = (m for m in triode_cluster.machines.values() if m is not leader)
    await triode_cluster.client(other).put(b"key", b"old")
    await triode_cluster.remove_member(leader)
    triode_cluster.partition_one_way(other, leader)  # so that it is not told that it may go
    while await triode_cluster.leader() is not other:
        await triode_cluster.advance_time(0.02)
    await triode_cluster.client(other).put(b"key", b"new")
    assert leader.node is not None, "it goes when the other one says so"
    with trio.move_on_after(0.5), suppress(EtcdError):
        found = await triode_cluster.client(leader).get(b"key")
        assert [kv.value for kv in found.kvs] == [b"new"]


@pytest.mark.triode_cluster(members=1, election_timeout=0.5)
async def test_the_marker_says_what_cluster(triode_cluster: Cluster) -> None:
    assert list(triode_cluster.machines) == ["m1"]
    assert triode_cluster.machines["m1"].node.config.election_timeout == 0.5  # type: ignore[union-attr]


async def test_mistakes_are_told(triode_cluster: Cluster) -> None:
    with pytest.raises(SimulationError, match="there is no machine 'm9': m1, m2, m3"):
        await triode_cluster.crash("m9")
    with pytest.raises(SimulationError, match="m1 runs already"):
        triode_cluster.start(1)
    with pytest.raises(SimulationError, match="before its disks are wiped"):
        triode_cluster.machine("m1").wipe()


async def test_real_time_cannot_be_advanced() -> None:
    """But a cluster runs in it."""
    async with triode.testing.cluster(
        members=3, heartbeat_interval=0.02, election_timeout=0.2
    ) as cluster:
        await cluster.client().put(b"key", b"value")
        with pytest.raises(SimulationError, match="autojump_clock"):
            await cluster.advance_time(1)


async def test_a_clock_that_is_set_by_hand(mock_clock: trio.testing.MockClock) -> None:
    """Without autojump: `advance_time` lets everybody act at each step."""
    clusters: list[Cluster] = []

    async def use() -> None:
        async with triode.testing.cluster(members=3) as cluster:
            clusters.append(cluster)
            cluster.partition(1, 2, 3)
            with pytest.raises(RequestTimeout):
                await cluster.client().put(b"key", b"value")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(use)
        for _ in range(3000):
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(0.01)
    assert clusters


async def test_real_links_over_the_loopback() -> None:
    """Real time, real sockets: a crash, a partition and a client's URL."""
    async with triode.testing.cluster(members=3, real_network=True) as cluster:
        leader = await cluster.leader()
        assert leader.node is not None
        assert leader.node.client_urls[0].startswith("http://127.0.0.1:")
        await cluster.client().put(b"key", b"1")
        await cluster.crash(leader)
        second = await cluster.leader()
        assert second is not leader
        await cluster.restart(leader)
        cluster.partition([second])
        while (third := await cluster.leader()) is second:  # noqa: ASYNC110  # time is real here
            await trio.sleep(0.02)
        await cluster.client(third).put(b"key", b"2")
        cluster.heal()
        found = await cluster.client(third).get(b"key")
        assert [kv.value for kv in found.kvs] == [b"2"]
        with pytest.raises(SimulationError, match="both directions"):
            cluster.partition_one_way(1, 2)
