"""A cluster under a hostile schedule, drawn from one seed, and the promises that it must keep.

Messages are lost, doubled and reordered, links are cut, nodes crash and come back with what was
durable, storage work is done late, members are exchanged. After every step these must hold:

* election safety (Raft, 5.2): one leader per term at most;
* leader completeness (5.4): a new leader has every entry that was ever applied;
* state machine safety (5.4.3): all applications see the same entry at an index;
* reads: an index that was confirmed for a read is not behind what was applied before it was asked.

Then faults stop, and the members must come to agree.
"""

from __future__ import annotations

import random
from typing import Any

from triode.raft import (
    LOCAL_APPEND_THREAD,
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
    LogCompacted,
    MemoryStorage,
    Message,
    MessageType,
    ProposalDropped,
    RaftError,
    RawNode,
    Ready,
    Snapshot,
    SnapshotMetadata,
    StateType,
    StepPeerNotFound,
)
from triode.raft.codec import (
    decode_conf_change,
    decode_conf_change_v2,
    decode_message,
    encode_message,
)
from triode.raft.sizes import NO_LIMIT

NODES = 5


class Storage(MemoryStorage):
    """Durable; and a snapshot for a follower is made when it is asked for, of the latest state."""

    def __init__(self, member: Member) -> None:
        super().__init__()
        self.member = member

    def durable_snapshot(self) -> Snapshot:
        return super().snapshot()

    def snapshot(self) -> Snapshot:
        member = self.member
        meta = SnapshotMetadata(member.conf_state, member.applied, member.applied_term)
        return Snapshot(member.state, meta)


class Member:
    """A node with durable storage; everything else is lost in a crash."""

    def __init__(self, id: int, sim: Simulation) -> None:
        self.id = id
        self.sim = sim
        self.storage = Storage(self)
        self.up = True

    def start(self) -> None:
        sim = self.sim
        self.load(self.storage.durable_snapshot())
        self.append_work: list[Message] = []
        self.apply_work: list[Message] = []
        self.up = True
        self.node = RawNode(
            Config(
                id=self.id,
                storage=self.storage,
                random_below=sim.random.randrange,
                election_ticks=6,
                applied=self.applied,
                async_storage_writes=sim.is_async,
                message_bytes_max=sim.message_bytes_max,
                committed_bytes_max=sim.committed_bytes_max,
                inflight_messages_max=3,
                check_quorum=sim.careful,
                pre_vote=sim.careful,
            )
        )

    def load(self, snapshot: Snapshot) -> None:
        meta = snapshot.metadata
        self.state, self.conf_state = snapshot.data, meta.conf_state
        self.applied, self.applied_term = meta.index, meta.term

    @property
    def leads(self) -> bool:
        return self.up and self.node.raft.state is StateType.LEADER

    def apply(self, entry: Entry) -> None:
        assert entry.index == self.applied + 1
        known = self.sim.truth.setdefault(entry.index, entry)
        assert known == entry, f"node {self.id} applies {entry}, another has applied {known}"
        self.applied, self.applied_term = entry.index, entry.term
        self.state += entry.data
        if entry.type == EntryType.CONF_CHANGE:
            change = decode_conf_change(entry.data).as_v2()
            self.conf_state = self.node.apply_conf_change(change)
        elif entry.type == EntryType.CONF_CHANGE_V2:
            self.conf_state = self.node.apply_conf_change(decode_conf_change_v2(entry.data))

    def store(
        self, state: HardState | None, entries: list[Entry], snapshot: Snapshot | None
    ) -> None:
        if state is not None:
            self.storage.set_hard_state(state)
        if snapshot is not None:
            self.storage.apply_snapshot(snapshot)
            self.load(snapshot)
        self.storage.append(entries)

    def work(self) -> None:
        """Handle one Ready; with asynchronous writes, only hand the work to the threads."""
        if not self.node.has_ready():
            return
        ready = self.node.ready()
        self.sim.check_reads(self, ready)
        if not self.sim.is_async:
            self.store(ready.hard_state, ready.entries, ready.snapshot)
            for entry in ready.committed_entries:
                self.apply(entry)
            self.sim.network += ready.messages
            self.node.advance(ready)
            return
        for m in ready.messages:
            if m.type == MessageType.STORAGE_APPEND:
                self.append_work.append(m)
            elif m.type == MessageType.STORAGE_APPLY:
                self.apply_work.append(m)
            else:
                self.sim.network.append(m)

    def write(self) -> None:
        if self.append_work:
            m = self.append_work.pop(0)
            assert m.to == LOCAL_APPEND_THREAD
            state = HardState(m.term, m.vote, m.commit)
            self.store(state if state != HardState() else None, list(m.entries), m.snapshot)
            self._answer(m)

    def execute(self) -> None:
        if self.apply_work:
            m = self.apply_work.pop(0)
            for entry in m.entries:
                if entry.index > self.applied:  # else a snapshot was faster
                    self.apply(entry)
            self._answer(m)

    def _answer(self, m: Message) -> None:
        for response in m.responses:
            if response.to == self.id:
                self._step(response)
            else:
                self.sim.network.append(response)

    def _step(self, m: Message) -> None:
        try:
            self.node.step(m)
        except StepPeerNotFound:
            assert self.id not in self.node.raft.tracker.progress  # removed meanwhile

    def compact(self) -> None:
        at = self.applied
        durable_commit = self.storage.initial_state()[0].commit
        # With asynchronous writes the application may be ahead of the disk; it must not be when
        # it drops entries, or it would come back with a commit index before its log.
        if self.storage.durable_snapshot().metadata.index < at <= durable_commit:
            self.storage.create_snapshot(at, self.conf_state, self.state)
            keep = self.sim.random.randrange(3)
            if at - keep >= self.storage.first_index():
                self.storage.compact(at - keep)


class Simulation:
    """See the module. `run` takes steps; `settle` stops the faults."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.is_async = bool(seed & 1)
        self.careful = bool(seed & 2)
        self.message_bytes_max = self.random.choice([0, 60, NO_LIMIT])
        self.committed_bytes_max = self.random.choice([0, 1, 80])
        self.network: list[Message] = []
        self.cuts: set[frozenset[int]] = set()
        self.truth: dict[int, Entry] = {}
        self.leader_of: dict[int, int] = {}
        self.asked: dict[bytes, int] = {}
        self.proposals = 0
        self.reads = 0
        first = ConfState(voters=tuple(range(1, self.random.choice([1, 3, 5]) + 1)))
        self.members = {node: Member(node, self) for node in range(1, NODES + 1)}
        for node, member in self.members.items():
            if node in first.voters:
                member.storage.apply_snapshot(Snapshot(b"", SnapshotMetadata(first, 1, 1)))
            member.start()

    # --- Steps ----------------------------------------------------------------------------------

    def run(self, steps: int) -> None:
        """In each step some node moves on a little, some messages arrive, and something happens."""
        happenings = [
            (self.propose, 30),
            (self.read, 10),
            (self.change, 4),
            (self.crash, 4),
            (self.restart, 10),
            (self.cut, 3),
            (self.mend, 4),
            (self.compact, 6),
            (self.transfer, 4),
            (self.campaign, 2),
        ]
        names, weights = zip(*happenings, strict=True)
        for happening in self.random.choices(names, weights, k=steps):
            if self.random.random() < 0.4:
                happening()
            for member in self.members.values():
                if member.up:
                    self.move(member)
            for _ in range(self.random.randrange(6)):
                self.deliver()
            self.check_leaders()

    def move(self, member: Member) -> None:
        luck = self.random.random
        if luck() < 0.15:
            member.node.tick()
        if luck() < 0.6:
            member.work()
        if luck() < 0.5:
            member.write()
        if luck() < 0.5:
            member.execute()

    def one(self) -> Member | None:
        member = self.random.choice(list(self.members.values()))
        return member if member.up else None

    def leader(self) -> Member | None:
        leading = [member for member in self.members.values() if member.leads]
        return self.random.choice(leading) if leading else None

    def campaign(self) -> None:
        if member := self.one():
            member.node.campaign()

    def deliver(self, *, faults: bool = True) -> None:
        if not self.network:
            return
        place = self.random.randrange(len(self.network)) if faults else 0
        m = self.network[place]
        luck = self.random.random() if faults else 1
        if luck > 0.05:  # else it comes again
            del self.network[place]
        to = self.members[m.to]
        lost = 0.05 < luck < 0.1 or not to.up or frozenset((m.from_, m.to)) in self.cuts
        sender = self.members[m.from_]
        if m.type == MessageType.SNAP and sender.up:
            sender.node.report_snapshot(m.to, failed=lost)
        if lost:
            return
        try:
            to.node.step(decode_message(encode_message(m)))
        except RaftError:
            return

    def propose(self) -> None:
        member = self.one()
        if member is None:
            return
        batch = [b"<%d>" % (self.proposals + n) for n in range(self.random.randrange(1, 4))]
        self.proposals += len(batch)
        try:
            member.node.propose_batch(batch)
        except ProposalDropped:
            return

    def read(self) -> None:
        if member := self.one():
            self.reads += 1
            context = b"read %d" % self.reads
            self.asked[context] = max(self.truth, default=0)
            member.node.read_index(context)

    def change(self) -> None:
        """Exchange members, but for the leader: were it to go with the longest log, and the others
        did not know yet that the change is committed, none of them could win its vote."""
        leader = self.leader()
        if leader is None:
            return
        others = [node for node in self.members if node != leader.id]
        change: ConfChange | ConfChangeV2
        if self.random.random() < 0.5:
            kinds = [ConfChangeType.ADD_NODE]
            if len(leader.conf_state.voters) > 2:
                kinds += [ConfChangeType.REMOVE_NODE, ConfChangeType.ADD_LEARNER_NODE]
            change = ConfChange(self.random.choice(kinds), self.random.choice(others))
        elif leader.conf_state.voters_outgoing:
            change = ConfChangeV2()
        else:
            wanted = {leader.id, *self.random.sample(others, self.random.randrange(2, NODES))}
            steps = tuple(
                ConfChangeSingle(
                    ConfChangeType.ADD_NODE if node in wanted else ConfChangeType.REMOVE_NODE, node
                )
                for node in self.members
            )
            change = ConfChangeV2(self.random.choice(list(ConfChangeTransition)), steps)
        try:
            leader.node.propose_conf_change(change)
        except ProposalDropped:
            return

    def crash(self) -> None:
        if member := self.one():
            member.up = False

    def restart(self) -> None:
        member = self.random.choice(list(self.members.values()))
        if not member.up:
            member.start()

    def cut(self) -> None:
        one, other = self.random.sample(sorted(self.members), 2)
        self.cuts.add(frozenset((one, other)))

    def mend(self) -> None:
        if self.cuts:
            self.cuts.remove(self.random.choice(sorted(self.cuts, key=sorted)))

    def compact(self) -> None:
        if member := self.one():
            member.compact()

    def transfer(self) -> None:
        if member := self.one():
            member.node.transfer_leader(self.random.randrange(1, NODES + 1))

    # --- Promises -------------------------------------------------------------------------------

    def check_leaders(self) -> None:
        for member in self.members.values():
            if not member.leads:
                continue
            term = member.node.raft.term
            if term not in self.leader_of:
                self.check_complete(member)
            assert self.leader_of.setdefault(term, member.id) == member.id, "two leaders"

    def check_complete(self, leader: Member) -> None:
        log = leader.node.raft.log
        for index, entry in self.truth.items():
            try:
                assert log.term(index) == entry.term, f"leader {leader.id} lacks {entry}"
            except LogCompacted:
                continue

    def check_reads(self, member: Member, ready: Ready) -> None:
        for read in ready.read_states:
            asked_at = self.asked[read.context]
            assert read.index >= asked_at, f"node {member.id} reads at {read}, asked at {asked_at}"

    # --- The end --------------------------------------------------------------------------------

    def settle(self) -> None:
        """Stop the faults; the members must agree, and take one more proposal."""
        self.cuts.clear()
        for member in self.members.values():
            if not member.up:
                member.start()
        final = b"<final>"
        for _ in range(3000):
            self._round()
            leader = self.leader()
            if leader is None:
                continue
            config = leader.node.raft.tracker.config
            everyone: set[int] = set(config.voters.ids) | set(config.learners)
            if config.voters.joint and not config.auto_leave:
                self._try(leader.node.propose_conf_change, ConfChangeV2())
            # Who is no member any more would campaign for ever; its owner stops it.
            for member in self.members.values():
                if member.id not in everyone:
                    member.up = False
                elif not member.up:
                    member.start()
            states = {self.members[node].state for node in everyone}
            if len(states) == 1 and final in states.pop():
                return
            if final not in leader.state:
                self._try(leader.node.propose, final)
        raise AssertionError("the cluster does not settle")

    def _try(self, action: Any, *arguments: Any) -> None:
        try:
            action(*arguments)
        except ProposalDropped:
            return

    def _round(self) -> None:
        for member in self.members.values():
            if member.up:
                if self.random.random() < 0.3:
                    member.node.tick()
                member.work()
                member.write()
                member.execute()
        for _ in range(len(self.network)):
            self.deliver(faults=False)
        self.check_leaders()
