"""A member that takes over a snapshot goes on taking part: it acknowledges, and answers heartbeats."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import trio
import trio.testing

import triode.testing
from triode.rpc.pb.rpc_pb2 import CompactionRequest, LeaseGrantRequest
from triode.testing import Machine

INSTALL_SECONDS = 20.0


async def until(condition: Callable[[], object], seconds_max: float) -> None:
    """Return when it holds; TooSlowError when it does not in time."""
    with trio.fail_after(seconds_max):
        while not condition():  # noqa: ASYNC110  # it looks from outside
            await trio.sleep(0.1)


async def lagging(cluster: triode.testing.Cluster, slow: Machine) -> trio.Event:
    """Bring `slow` back, in need of a snapshot that takes long to install; the event says that it does."""
    installs = trio.Event()
    quick = slow._in_thread

    async def in_thread(work: Callable[[], Any]) -> Any:
        if "_install" in getattr(work, "__qualname__", ""):
            installs.set()
            await trio.sleep(INSTALL_SECONDS)
        done: Awaitable[Any] = quick(work)
        return await done

    slow._in_thread = in_thread  # type: ignore[method-assign]
    cluster.start(slow)
    return installs


async def test_a_quorum_with_one_that_installs(autojump_clock: trio.testing.MockClock) -> None:
    """Its log is complete and durable, whatever its state is: writes need not wait for that."""
    async with triode.testing.cluster(snapshot_count=5, snapshot_catchup_entries=1) as cluster:
        leader = await cluster.leader()
        slow, other = (one for one in cluster.machines.values() if one is not leader)
        await cluster.crash(slow)
        client = cluster.client(leader)
        for number in range(40):
            await client.put(b"%d" % number, b"")
        installs = await lagging(cluster, slow)
        with trio.fail_after(INSTALL_SECONDS):
            await installs.wait()
        await cluster.crash(other)
        with trio.fail_after(INSTALL_SECONDS / 2):
            for number in range(10):
                await client.put(b"meanwhile/%d" % number, b"")
                await trio.sleep(0.5)
        assert leader.node is not None
        assert leader.node.peer.is_leader
        await trio.sleep(2 * INSTALL_SECONDS)
        found = await cluster.client(slow).get(b"\0", b"\0")
        assert found.count == 50


class Lagging:
    """A cluster of three in which one member needs snapshots, and installs them when it is told to."""

    def __init__(self, cluster: triode.testing.Cluster, leader: Machine) -> None:
        self.cluster = cluster
        self.leader = leader
        self.slow, self.other = (m for m in cluster.machines.values() if m is not leader)
        self.client = cluster.client(leader)
        self.begun = 0
        self.go_on = trio.Event()
        self._written = 0
        self._changed = trio.Event()
        assert self.slow.node is not None
        applier, world = self.slow.node.applier, self.slow.node.world

        async def in_thread(work: Callable[[], Any]) -> Any:
            self.begun += 1
            self._changed.set()
            self._changed = trio.Event()
            await self.go_on.wait()
            return await world.in_thread(work)

        applier._world = attrs.evolve(world, in_thread=in_thread)

    async def write(self, count: int, **fields: Any) -> None:
        for _ in range(count):
            self._written += 1
            await self.client.put(b"k%d" % (self._written % 7), b"%d" % self._written, **fields)

    async def installs(self, number: int = 1) -> None:
        """Return when the `number`th install has begun."""
        with trio.fail_after(120):
            while self.begun < number:
                await self._changed.wait()

    async def leave_behind(self) -> None:
        """Cut it off until it needs a snapshot; the leader keeps the log for half a minute for the last one."""
        self.cluster.partition([self.slow])
        await trio.sleep(32)
        await self.write(40)
        self.cluster.heal()

    async def agree(self) -> None:
        """Return when all members have applied the same, and hold the same rows; TooSlowError after a minute."""
        with trio.fail_after(60):
            while True:
                states = {_state(machine) for machine in self.cluster.machines.values()}
                if len(states) == 1 and None not in states:
                    return
                await trio.sleep(0.1)


def _state(machine: Machine) -> tuple[int, int, int, int] | None:
    """What a member has applied; None while it installs."""
    node = machine.node
    assert node is not None, machine.failure
    if node.opened.backend.away:
        return None
    rows = len(node.opened.backend.range("key", b"", None))
    return node.applier.applied_index, node.store.revision, node.store.compact_revision, rows


SETTINGS: dict[str, Any] = {"snapshot_count": 5, "snapshot_catchup_entries": 1}


async def test_a_second_snapshot_during_an_install(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """What follows the second one waits for it, as what follows the first one does."""
    async with triode.testing.cluster(seed=3, **SETTINGS) as cluster:
        lagging = Lagging(cluster, await cluster.leader())
        await lagging.leave_behind()
        await lagging.installs()
        await lagging.leave_behind()
        node = lagging.slow.node
        assert node is not None
        await until(lambda: node.peer._installing == 2, 60)
        await lagging.write(5)
        await trio.sleep(1.0)
        lagging.go_on.set()
        await lagging.agree()
        assert lagging.begun == 2
        assert lagging.slow.failure is None


async def test_who_is_elected_during_an_install_counts_the_time_of_leases(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The leader is gone, and only the one that installs has its log: it leads, and ends leases once it can."""
    async with triode.testing.cluster(seed=1, **SETTINGS) as cluster:
        lagging = Lagging(cluster, await cluster.leader())
        cluster.partition([lagging.slow])
        await trio.sleep(32)
        await lagging.client.call("Lease/LeaseGrant", LeaseGrantRequest(ID=78, TTL=5))
        await lagging.write(40, lease=78)
        cluster.heal()
        await lagging.installs()
        cluster.partition([lagging.other], [lagging.slow, lagging.leader])
        await lagging.write(3, lease=78)  # the other one lacks these, so it cannot lead
        await cluster.crash(lagging.leader)
        cluster.heal()
        assert await cluster.leader() is lagging.slow
        node = lagging.slow.node
        assert node is not None
        await trio.sleep(10)
        assert not node.leading.active, "its state is not its own"
        lagging.go_on.set()
        client = cluster.client(lagging.slow)
        with trio.fail_after(30):
            while (await client.get(b"k", b"l")).count:  # noqa: ASYNC110  # it looks from outside
                await trio.sleep(0.5)
        assert node.peer.is_leader
        assert node.lessor.primary


async def test_who_has_led_during_an_install_ends_no_leases_after_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It was elected and has lost its office again before the state was ready."""
    async with triode.testing.cluster(seed=1, **SETTINGS) as cluster:
        lagging = Lagging(cluster, await cluster.leader())
        await lagging.leave_behind()
        await lagging.installs()
        await cluster.move_leader(lagging.slow)
        await cluster.move_leader(lagging.leader)
        lagging.go_on.set()
        await lagging.agree()
        primaries = [m for m in cluster.machines.values() if m.node and m.node.lessor.primary]
        assert primaries == [lagging.leader]


async def test_a_compaction_that_a_snapshot_brings_is_swept(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The leader is in the middle of it when it sends its state."""
    settings = {**SETTINGS, "compaction_batch_limit": 5, "compaction_sleep_interval": 2.0}
    async with triode.testing.cluster(seed=3, **settings) as cluster:
        lagging = Lagging(cluster, await cluster.leader())
        lagging.go_on.set()
        cluster.partition([lagging.slow])
        await trio.sleep(32)
        await lagging.write(100)
        await lagging.client.call("KV/Compact", CompactionRequest(revision=100))
        cluster.heal()
        await lagging.write(10)
        await lagging.installs()
        node = lagging.slow.node
        assert node is not None
        sender = lagging.leader.node
        assert sender is not None
        await until(lambda: node.store.compact_revision == 100 and not node.store.sweeping, 120)
        await until(lambda: not sender.store.sweeping, 120)
        await lagging.agree()


async def test_nobody_sweeps_while_a_snapshot_is_installed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The compactor waits to be woken: without a pause between slices it would look again and again."""
    settings = {**SETTINGS, "compaction_batch_limit": 5, "compaction_sleep_interval": 34.0}
    async with triode.testing.cluster(seed=3, **settings) as cluster:
        lagging = Lagging(cluster, await cluster.leader())
        node = lagging.slow.node
        assert node is not None
        await lagging.write(100)
        await lagging.client.call("KV/Compact", CompactionRequest(revision=90))
        await trio.sleep(1)
        swept = trio.Event()
        node.compactor.after_sweep(swept.set)
        await lagging.leave_behind()
        await lagging.installs()
        node.compactor._pause_seconds = 0.0
        await trio.sleep(40)
        assert not swept.is_set()
        lagging.go_on.set()
        with trio.fail_after(60):
            await swept.wait()
        assert not node.store.sweeping
