"""A member that is nothing but raft in memory: enough for a real etcd to have a second one."""

from __future__ import annotations

from random import Random
from typing import Any

import trio

from triode.actors.membership import Member
from triode.raft import RawNode
from triode.raft.bootstrap import Peer
from triode.raft.codec import decode_conf_change
from triode.raft.config import Config
from triode.raft.errors import InvariantBroken, RaftError
from triode.raft.storage import MemoryStorage
from triode.raft.types import Entry, EntryType, Message

TICK_SECONDS = 0.1


class RaftMember:
    """Runs raft behind an owner and its links; `applied` has what was committed."""

    def __init__(self, owner: Any, peers: Any, members: list[Member], election_ticks: int) -> None:
        self.owner = owner
        self.peers = peers
        self.applied: list[Entry] = []
        self.received: list[Message] = []
        self._election_ticks = election_ticks
        self.begin()
        self.node.bootstrap([Peer(m.id, m.to_json()) for m in members])
        owner.on_step = self.step

    def begin(self, *, check_quorum: bool = True) -> None:
        """As a member that has never run. Without `check_quorum` it votes even if it hears of a leader."""
        self.storage = MemoryStorage()
        self.node = RawNode(
            Config(
                id=self.owner.member_id,
                storage=self.storage,
                random_below=Random(1).randrange,
                election_ticks=self._election_ticks,
                check_quorum=check_quorum,
                pre_vote=True,
            )
        )

    def step(self, message: Message, *, more: bool = False) -> None:
        self.received.append(message)
        try:
            self.node.step(message)
        except (RaftError, InvariantBroken):  # the latter when a leader counts on what was lost
            return
        self.work()

    def propose(self, data: bytes) -> None:
        self.node.propose(data)
        self.work()

    def work(self) -> None:
        """Do what raft asks for."""
        node = self.node
        while node.has_ready():
            ready = node.ready()
            if ready.snapshot is not None:
                self.storage.apply_snapshot(ready.snapshot)
            self.storage.append(ready.entries)
            if ready.hard_state is not None:
                self.storage.set_hard_state(ready.hard_state)
            for entry in ready.committed_entries:
                if entry.type is EntryType.CONF_CHANGE:
                    node.apply_conf_change(decode_conf_change(entry.data))
                self.applied.append(entry)
            self.peers.send(ready.messages)
            node.advance()

    async def tick(self) -> None:
        """Raft's clock, for ever."""
        self.work()
        while True:
            await trio.sleep(TICK_SECONDS)
            self.node.tick()
            self.work()
