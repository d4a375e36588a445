"""The log's snapshot records never go back: a start believes the last one."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import trio
import trio.testing

from triode.actors.running import running
from triode.actors.wal_writer import MarkSnapshot, NoLog, Save, Saved, SaveFailed, WalWriter
from triode.actors.world import RealClock, TcpNetwork, World
from triode.raft.simulated_disk import SimulatedDisk
from triode.raft.types import ConfState, Entry, HardState
from triode.raft.wal import WalSnapshot

VOTERS = ConfState(voters=(1, 2, 3))


class Record(NoLog):
    """Remembers the indexes of snapshot records."""

    def __init__(self) -> None:
        self.indexes: list[int] = []

    def save_snapshot(self, snapshot: WalSnapshot) -> None:
        self.indexes.append(snapshot.index)


def received(index: int) -> Save:
    entries: Sequence[Entry] = ()
    state = HardState(5, 2, index)
    return Save(state, entries, must_sync=True, snapshot=WalSnapshot(index, 4, VOTERS))


def mark(index: int) -> MarkSnapshot:
    return MarkSnapshot(WalSnapshot(index, 3, VOTERS), index)


async def test_a_received_snapshot_overtakes_one_of_its_own() -> None:
    """While the backend is being synced for the older one, the leader's arrives."""
    record = Record()
    told: list[Saved | SaveFailed] = []
    world = World(RealClock(), Random(1), SimulatedDisk(), TcpNetwork())
    writer = WalWriter(record, world, told.append, max_wals=0)
    async with running(writer):
        for message in (mark(30), received(80), mark(47), mark(80), mark(90)):
            writer.ref.tell(message)
            await trio.testing.wait_all_tasks_blocked()
    assert record.indexes == [30, 80, 90]
    assert len(told) == 1
