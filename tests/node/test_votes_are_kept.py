"""A member that has voted has voted, whatever happens to its machine."""

from __future__ import annotations

from pathlib import Path

import trio
import trio.testing

import triode.testing
from triode.raft import HardState
from triode.raft.wal import WAL


async def test_a_vote_outlives_a_loss_of_power(autojump_clock: trio.testing.MockClock) -> None:
    async with triode.testing.cluster(3, seed=4) as cluster:
        await cluster.client().put(b"k", b"")
        leader = await cluster.leader()
        assert leader.node is not None
        term, elected = leader.node.peer.term, cluster.member_id(leader)
        voters = [
            machine
            for machine in cluster.machines.values()
            if machine.node is not None and machine.node.peer._node.raft.vote == elected
        ]
        assert len(voters) >= 2
        cluster.partition(*cluster.machines)  # so that nobody hears of a newer term
        for machine in voters:
            await cluster.crash(machine)
            state = read_state(machine)
            assert (state.term, state.vote) == (term, elected)


def read_state(machine: triode.testing.Machine) -> HardState:

    with machine.looking() as disk:
        wal = WAL.open(disk, Path(f"/{machine.name}/member/wal"), segment_bytes=8192)
        contents = wal.read_all()
        wal.close()
    return contents.hard_state
