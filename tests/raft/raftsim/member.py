"""A member of a simulated cluster: a `RawNode`, its disk and its application."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING

from triode.raft import (
    Config,
    ConfState,
    Entry,
    EntryType,
    HardState,
    LogCompacted,
    LogUnavailable,
    MemoryStorage,
    Message,
    MessageType,
    RaftError,
    RawNode,
    Ready,
    Snapshot,
    SnapshotMetadata,
    StateType,
    StepPeerNotFound,
)
from triode.raft.codec import decode_conf_change, decode_conf_change_v2
from triode.raft.ready import early_count
from triode.raft.sizes import NO_LIMIT

from .disk import Disk

if TYPE_CHECKING:
    from .simulation import Simulation

__all__ = ["Member", "Mode"]


class Mode(enum.Enum):
    """How a member does what a Ready asks for."""

    SYNC = "sync"
    """Write, sync, send and apply at once."""
    EARLY = "early"
    """Messages that promise nothing leave at once; the sync takes time, and all else waits."""
    ASYNC = "async"
    """Two storage threads, each with its queue."""


class _Storage:
    """What raft reads: the log from the disk, the membership and snapshots of the application."""

    def __init__(self, member: Member) -> None:
        view = member.disk.view
        self._member = member
        self._hard_state = view.initial_state()[0]
        self.entries = view.entries
        self.term = view.term
        self.first_index = view.first_index
        self.last_index = view.last_index

    def initial_state(self) -> tuple[HardState, ConfState]:
        return self._hard_state, self._member.conf_state

    def snapshot(self) -> Snapshot:
        return self._member.image()


class Member:
    """Everything but its disk is lost in a crash, the application's state as well as raft's."""

    def __init__(self, id: int, sim: Simulation) -> None:
        self.id = id
        self.sim = sim
        self.disk = Disk()
        self.up = False
        self.life = 0

    # --- Life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start with what the disk holds: the application at its last snapshot, then the log."""
        sim = self.sim
        self._load(self.disk.view.snapshot())
        self.append_work: list[tuple[Message, list[Message]]] = []
        self.apply_work: list[Message] = []
        self.saving: Ready | None = None
        self.life += 1
        self.up = True
        config = Config(
            id=self.id,
            storage=_Storage(self),
            random_below=sim.random.randrange,
            election_ticks=6,
            applied=self.applied,
            async_storage_writes=sim.mode is Mode.ASYNC,
            **sim.settings,
        )
        self.node = RawNode(config)
        raft = self.node.raft
        become_leader = raft.become_leader

        def lead() -> None:
            become_leader()
            sim.leads(self)

        raft.become_leader = lead  # type: ignore[method-assign]

    def crash(self) -> None:
        """Lose what is not durable; of the unsynced writes a first part may have got through."""
        self.up = False
        self.disk.crash(self.sim.random.randrange(self.disk.unsynced + 1))

    def _load(self, snapshot: Snapshot) -> None:
        meta = snapshot.metadata
        self.digest = int.from_bytes(snapshot.data, "big")
        self.conf_state = meta.conf_state
        self.applied, self.applied_term = meta.index, meta.term

    def image(self) -> Snapshot:
        """A snapshot of the application as it is."""
        meta = SnapshotMetadata(self.conf_state, self.applied, self.applied_term)
        return Snapshot(self.digest.to_bytes(4, "big"), meta)

    @property
    def leads(self) -> bool:
        return self.up and self.node.raft.state is StateType.LEADER

    def term_at(self, index: int) -> int:
        """The term in its log at `index`, 0 when there is no such entry; compacted ones count."""
        log = self.node.raft.log
        try:
            return log.term(index)
        except LogCompacted:
            return self.sim.complete.term if index == self.sim.complete.index else 0
        except LogUnavailable:
            return 0

    # --- A Ready --------------------------------------------------------------------------------

    def work(self) -> None:
        """Move on by one piece of work: a Ready, or the end of its save."""
        node, mode = self.node, self.sim.mode
        if self.saving is not None:
            ready, self.saving = self.saving, None
            self._saved(ready, ready.messages[ready.early :])
            return
        if not node.has_ready():
            return
        ready = node.ready()
        self.sim.looks_at(self, ready)
        if mode is Mode.ASYNC:
            self._hand_out(ready.messages)
            return
        self.store(ready.hard_state, ready.entries, ready.snapshot)
        if mode is Mode.EARLY:
            self.sim.network += ready.messages[: ready.early]
            self.saving = ready
            return
        self._saved(ready, ready.messages)

    def _saved(self, ready: Ready, messages: Sequence[Message]) -> None:
        if ready.must_sync or ready.snapshot is not None:
            self.sync()
        if ready.snapshot is not None:
            self.restore(ready.snapshot)
        self.sim.network += messages
        self.apply(ready.committed_entries)
        self.node.advance(ready)

    def store(
        self, state: HardState | None, entries: Sequence[Entry], snapshot: Snapshot | None
    ) -> None:
        """Write what a Ready carries."""
        write = self.disk.write
        if snapshot is not None:
            # One record: a snapshot beyond the commit index beside it is none (so the WAL says).
            write(_install, snapshot, state)
        if entries:
            write(MemoryStorage.append, entries)
        if state is not None and snapshot is None:
            write(MemoryStorage.set_hard_state, state)

    def sync(self) -> None:
        """Wait for the disk."""
        self.disk.sync()

    # --- Storage threads ------------------------------------------------------------------------

    def _hand_out(self, messages: list[Message]) -> None:
        late = early_count(messages)  # requests for votes wait for the write of their Ready
        for place, m in enumerate(messages):
            if m.type == MessageType.STORAGE_APPEND:
                held = [m for m in messages[late:] if m.type == MessageType.VOTE]
                self.append_work.append((m, held))
            elif m.type == MessageType.STORAGE_APPLY:
                self.apply_work.append(m)
            elif place < late or m.type != MessageType.VOTE:
                self.sim.network.append(m)

    def write_one(self) -> None:
        """The log writer does its next piece of work."""
        if not self.append_work:
            return
        m, held = self.append_work.pop(0)
        state = HardState(m.term, m.vote, m.commit)
        self.store(state if state != HardState() else None, m.entries, m.snapshot)
        self.sync()
        if m.snapshot is not None and m.snapshot.metadata.index > self.applied:
            self.restore(m.snapshot)
        self.sim.network += held
        self._answer(m.responses)

    def apply_one(self) -> None:
        """The applier does its next piece of work."""
        if not self.apply_work:
            return
        m = self.apply_work.pop(0)
        # A snapshot may have been faster.
        self.apply([entry for entry in m.entries if entry.index > self.applied])
        self._answer(m.responses)

    def _answer(self, responses: Sequence[Message]) -> None:
        for response in responses:
            if response.to != self.id:
                self.sim.network.append(response)
                continue
            try:
                self.node.step(response)
            except StepPeerNotFound:
                continue  # its own answer, after it was removed

    # --- The application ------------------------------------------------------------------------

    def apply(self, entries: Sequence[Entry]) -> None:
        """Apply entries in order."""
        for entry in entries:
            self.apply_entry(entry)

    def apply_entry(self, entry: Entry) -> None:
        self.digest = self.sim.machine.applies(self.id, entry, self.digest)
        self.applied, self.applied_term = entry.index, entry.term
        if entry.type == EntryType.NORMAL:
            return
        v1 = entry.type == EntryType.CONF_CHANGE
        decode = decode_conf_change if v1 else decode_conf_change_v2
        self.conf_state = self.node.apply_conf_change(decode(entry.data).as_v2())

    def restore(self, snapshot: Snapshot) -> None:
        """Take over the application's state from a leader."""
        self._load(snapshot)
        self.sim.machine.restores(self.id, self.applied, self.digest)
        # It has taken the place of the whole log: what follows came with it.
        view, first = self.disk.view, self.applied + 1
        tail = view.entries(first, max(first, view.last_index() + 1), NO_LIMIT)
        self.sim.matching.appends(self.id, self.applied_term, tail)

    def compact(self, keep: int) -> None:
        """Make a snapshot of what is applied, and drop all but the last `keep` entries before it.

        Only up to a commit index that is durable, or it would come back with a commit index before
        its log.
        """
        at, disk = self.applied, self.disk
        durable = disk.durable
        if not durable.snapshot().metadata.index < at <= durable.initial_state()[0].commit:
            return
        if at > disk.view.last_index() or disk.unsynced:
            return
        disk.write(MemoryStorage.create_snapshot, at, self.conf_state, self.image().data)
        if at - keep >= disk.view.first_index():
            disk.write(MemoryStorage.compact, at - keep)
        disk.sync()

    def step(self, m: Message) -> None:
        """Take a message from the network."""
        try:
            self.node.step(m)
        except RaftError:
            return


def _install(storage: MemoryStorage, snapshot: Snapshot, state: HardState) -> None:
    storage.apply_snapshot(snapshot)
    storage.set_hard_state(state)
