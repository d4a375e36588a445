"""A cluster in one process: nodes with their storage and application, and a network that can be cut."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from triode.raft import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    Config,
    ConfState,
    Entry,
    EntryType,
    HardState,
    MemoryStorage,
    Message,
    MessageType,
    RawNode,
    ReadState,
    Snapshot,
    StateType,
    StepPeerNotFound,
)
from triode.raft.codec import decode_conf_change, decode_conf_change_v2

TICKS = {"election_ticks": 10, "heartbeat_ticks": 1}


class Storage(MemoryStorage):
    """The membership at a restart is that which the application applied last."""

    def __init__(self, peer: Peer) -> None:
        super().__init__()
        self.peer = peer

    def initial_state(self) -> tuple[HardState, ConfState]:
        return super().initial_state()[0], self.peer.conf_state


class Peer:
    """One node with its storage; `applied` is what its application has seen, in order."""

    def __init__(
        self, id: int, voters: Iterable[int], learners: Iterable[int] = (), **config: Any
    ) -> None:
        self.id = id
        self.config = {**TICKS, "random_below": random.Random(id).randrange, **config}
        self.storage = Storage(self)
        self.conf_state = ConfState(voters=tuple(voters), learners=tuple(learners))
        self.applied: list[Entry] = []
        self.applied_index = 0
        self.reads: list[ReadState] = []
        self.memberships: list[ConfState] = []  # as they were applied, in order
        self.start()

    def start(self) -> None:
        """Start, or start again with what the storage and the application have kept."""
        self.node = RawNode(
            Config(id=self.id, storage=self.storage, applied=self.applied_index, **self.config)
        )

    @property
    def raft(self) -> Any:
        return self.node.raft

    @property
    def data(self) -> list[bytes]:
        """The application's own entries that it has applied."""
        return [e.data for e in self.applied if e.type == EntryType.NORMAL and e.data]

    def log(self) -> list[tuple[int, int]]:
        """(term, index) of every entry that the node has, durable or not."""
        log = self.raft.log
        last = log.last_index()
        return [(e.term, e.index) for e in log.slice(log.first_index(), last + 1, 1 << 60)]

    def work(self) -> list[Message]:
        """Do what the node asks for, until it asks for nothing; the messages to send."""
        messages: list[Message] = []
        while self.node.has_ready():
            ready = self.node.ready()
            if ready.hard_state is not None:
                self.storage.set_hard_state(ready.hard_state)
            if ready.snapshot is not None:
                self.restore(ready.snapshot)
            self.storage.append(ready.entries)
            messages += ready.messages
            self.reads += ready.read_states
            for entry in ready.committed_entries:
                self.apply(entry)
            self.node.advance(ready)
        return messages

    def restore(self, snapshot: Snapshot) -> None:
        self.storage.apply_snapshot(snapshot)
        self.conf_state = snapshot.metadata.conf_state
        self.applied_index = snapshot.metadata.index

    def apply(self, entry: Entry) -> None:
        assert entry.index == self.applied_index + 1
        self.applied.append(entry)
        self.applied_index = entry.index
        if entry.type != EntryType.NORMAL:
            v1 = entry.type == EntryType.CONF_CHANGE
            decode = decode_conf_change if v1 else decode_conf_change_v2
            self.conf_state = self.node.apply_conf_change(decode(entry.data).as_v2())
            self.memberships.append(self.conf_state)

    def snapshot(self, index: int | None = None) -> None:
        """Make a snapshot of what is applied, and drop the log before it."""
        at = self.applied_index if index is None else index
        self.storage.create_snapshot(at, self.conf_state, b"state")
        self.storage.compact(at)


class Network:
    """Peers by id. Messages wait in `sent` until `run` carries them, as far as the network lets."""

    def __init__(self, *voters: int, learners: Iterable[int] = (), **config: Any) -> None:
        self.first_members = (voters, tuple(learners))
        everyone = [*voters, *learners]
        self.peers = {node: Peer(node, voters, learners, **config) for node in everyone}
        self.sent: list[Message] = []
        self.cuts: set[tuple[int, int]] = set()
        self.lose: Callable[[Message], bool] = lambda _: False

    def __getitem__(self, id: int) -> Peer:
        return self.peers[id]

    def isolate(self, id: int) -> None:
        for other in self.peers:
            if other != id:
                self.cuts |= {(id, other), (other, id)}

    def heal(self) -> None:
        self.cuts.clear()
        self.lose = lambda _: False

    def collect(self) -> list[Message]:
        """Let every node work; the messages that they have sent and that are under way."""
        for peer in self.peers.values():
            self.sent += peer.work()
        return self.sent

    def run(self) -> None:
        """Carry messages until nothing happens any more."""
        while self.collect():
            sent, self.sent = self.sent, []
            for m in sent:
                if (m.from_, m.to) in self.cuts or m.to not in self.peers or self.lose(m):
                    continue
                try:
                    self.peers[m.to].node.step(m)
                except StepPeerNotFound:
                    continue  # removed in the meantime

    def elect(self, id: int) -> Peer:
        """Make `id` campaign, and let the votes be counted."""
        peer = self.peers[id]
        peer.node.campaign()
        self.run()
        return peer

    def tick(self, times: int = 1, only: int | None = None) -> None:
        for _ in range(times):
            for peer in self.peers.values():
                if only in (None, peer.id):
                    peer.node.tick()
            self.run()

    def leaders(self) -> list[int]:
        return [node for node, peer in self.peers.items() if peer.raft.state is StateType.LEADER]

    def propose(self, id: int, *batch: bytes) -> None:
        self.peers[id].node.propose_batch(batch)
        self.run()

    def change(self, id: int, kind: ConfChangeType, node: int) -> None:
        """Propose a membership change of one step on `id`."""
        self.peers[id].node.propose_conf_change(ConfChange(kind, node))
        self.run()

    def add(self, id: int, **config: Any) -> Peer:
        """A new node that knows the first members; make it one by `change`."""
        self.peers[id] = Peer(id, *self.first_members, **config)
        return self.peers[id]


def kinds(messages: Iterable[Message]) -> list[tuple[MessageType, int]]:
    """(type, receiver) of messages."""
    return [(m.type, m.to) for m in messages]


def explicit(*steps: tuple[ConfChangeType, int]) -> ConfChangeV2:
    """A change through a joint configuration that stays until it is left."""
    changes = tuple(ConfChangeSingle(*step) for step in steps)
    return ConfChangeV2(ConfChangeTransition.JOINT_EXPLICIT, changes)


def led(*voters: int, **config: Any) -> Network:
    """A cluster that node 1 leads."""
    net = Network(*voters, **config)
    net.elect(1)
    assert net.leaders() == [1]
    return net
