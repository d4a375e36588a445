"""A member that takes over a snapshot goes on taking part: it acknowledges, and answers heartbeats."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio
import trio.testing

import triode.testing
from triode.testing import Machine

INSTALL_SECONDS = 20.0


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
