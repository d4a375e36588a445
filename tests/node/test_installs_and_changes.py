"""Raft does not take a membership change for applied while a snapshot before it is being installed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import trio.testing

from triode.actors.applier import Apply, Install, ServeReads
from triode.actors.proposals import RequestIds
from triode.actors.raft_peer import RaftPeer
from triode.actors.running import running
from triode.actors.world import RealClock, TcpNetwork, World
from triode.raft.codec import encode_conf_change
from triode.raft.config import Config
from triode.raft.raw_node import RawNode
from triode.raft.simulated_disk import SimulatedDisk
from triode.raft.storage import MemoryStorage
from triode.raft.types import (
    ConfChange,
    ConfChangeType,
    ConfState,
    Entry,
    EntryType,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
)

OWN, LEADER, TERM = 1, 2, 5
VOTERS = ConfState(voters=(OWN, LEADER, 3))
ADDS_FOUR = encode_conf_change(ConfChange(ConfChangeType.ADD_NODE, 4, b"", 7))


class Member:
    """A raft peer whose log is durable at once, and whose applier never gets done by itself."""

    def __init__(self) -> None:
        storage = MemoryStorage()
        storage.apply_snapshot(Snapshot(b"", SnapshotMetadata(VOTERS, 3, 1)))
        world = World(RealClock(), Random(1), SimulatedDisk(), TcpNetwork())
        self.node = RawNode(Config(id=OWN, storage=storage, random_below=lambda _: 0, applied=3))
        self.peer = RaftPeer(
            self.node,
            storage,
            world,
            applied_index=lambda: 3,
            request_ids=RequestIds(OWN, 0),
            request_seconds_max=5.0,
        )
        self.installs: list[Callable[[], None]] = []
        self.peer.save = lambda _save: True
        self.peer.apply = self._apply

    def _apply(self, work: Apply | ServeReads | Install) -> None:
        if isinstance(work, Install):
            self.installs.append(work.done)

    def snapshot(self, index: int) -> None:
        snapshot = Snapshot(b"", SnapshotMetadata(VOTERS, index, TERM))
        self._step(MessageType.SNAP, snapshot=snapshot)

    def change(self, index: int) -> None:
        entry = Entry(TERM, index, EntryType.CONF_CHANGE, ADDS_FOUR)
        before = index - 1
        self._step(MessageType.APP, index=before, log_term=TERM, entries=[entry], commit=index)

    def _step(self, kind: MessageType, **fields: Any) -> None:
        self.peer.step(Message(kind, to=OWN, from_=LEADER, term=TERM, **fields))

    @property
    def raft_applied(self) -> int:
        return self.node.raft.log.applied


async def test_a_change_behind_two_installs_waits_for_both() -> None:
    member = Member()
    async with running(member.peer):
        member.snapshot(10)
        member.snapshot(20)
        member.change(21)
        assert len(member.installs) == 2
        assert member.raft_applied == 20
        member.installs[0]()
        await trio.testing.wait_all_tasks_blocked()
        assert member.raft_applied == 20, "the second snapshot is still being installed"
        member.installs[1]()
        await trio.testing.wait_all_tasks_blocked()
        assert member.raft_applied == 21
