"""The lease reaper, and what a new leader makes of the leases it finds. In virtual time."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import MockClock

import triode.testing
from triode.rpc.pb import rpc_pb2 as pb

LEASE = 7


async def grant(m: Any, node: Any, ttl: int) -> None:
    request = pb.LeaseGrantRequest(ID=LEASE, TTL=ttl)
    await m.ask(node, "/etcdserverpb.Lease/LeaseGrant", request, pb.LeaseGrantResponse)


async def test_a_leader_that_is_cut_off_ends_nothing(m: Any, autojump_clock: MockClock) -> None:
    """It does not even propose it: others may have renewed the lease."""
    async with triode.testing.cluster(3, election_timeout=10.0, heartbeat_interval=1.0) as cluster:
        leader: Any = await cluster.leader()
        await grant(m, leader.node, 20)
        await trio.sleep(15)
        cluster.partition([leader])
        last = leader.node.peer.last_index
        await trio.sleep(8)
        assert leader.node.peer.is_leader, "it does not know that it is alone"
        assert leader.node.lessor.over(LEASE, leader.clock.now())
        assert leader.node.peer.last_index == last


async def test_a_new_leader_gives_more_than_a_term(m: Any, autojump_clock: MockClock) -> None:
    """By the time that its election may have taken, as etcd does."""
    async with triode.testing.cluster(3, election_timeout=5.0, heartbeat_interval=0.5) as cluster:
        leader: Any = await cluster.leader()
        await grant(m, leader.node, 100)
        await cluster.move_leader(next(o for o in cluster.machines.values() if o is not leader))
        new: Any = await cluster.leader()
        with trio.fail_after(5):
            while not new.node.leading.active:  # noqa: ASYNC110  # from outside
                await trio.sleep(0.01)
        assert 103 <= new.node.lessor.time_to_live(LEASE, new.clock.now()) <= 105
