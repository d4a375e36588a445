"""A cluster under a hostile schedule, drawn from one seed.

Messages are lost, doubled, delayed and reordered, links are cut in one direction or both, nodes
crash and lose what they had not synced, members come and go one by one and jointly, leadership is
transferred, logs are compacted and snapshots sent. The checkers watch every step. Then the faults
stop, and the members must come to agree.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Callable
from itertools import accumulate
from typing import Any

from triode.raft import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    MemoryStorage,
    Message,
    MessageType,
    ProposalDropped,
    Ready,
    Snapshot,
    SnapshotMetadata,
)
from triode.raft.codec import decode_message, encode_message
from triode.raft.describe import describe_message
from triode.raft.sizes import NO_LIMIT

from .checkers.election_safety import ElectionSafety
from .checkers.leader_completeness import LeaderCompleteness
from .checkers.linearizable_reads import LinearizableReads
from .checkers.log_matching import LogMatching
from .checkers.state_machine_safety import StateMachineSafety
from .checkers.violation import Violation
from .member import Member, Mode

__all__ = ["STEPS", "Simulation", "run_seed"]

STEPS = 800
"""How long the faults last, unless said otherwise: a step moves one node, and a few messages."""
_MESSAGES_MAX = 400
"""What the network holds; the oldest are lost beyond that."""


class Simulation:
    """See the module. `run` takes steps; `settle` stops the faults."""

    member_class: type[Member] = Member

    def __init__(self, seed: int, trace: Callable[[str], object] | None = None) -> None:
        self.random = rng = random.Random(seed)
        self.trace = trace
        self.mode = rng.choice(list(Mode))
        careful = rng.random() < 0.5
        self.settings: dict[str, Any] = {
            "message_bytes_max": rng.choice([0, 60, NO_LIMIT]),
            "committed_bytes_max": rng.choice([0, 1, 80]),
            "inflight_messages_max": rng.choice([1, 3, 64]),
            "check_quorum": careful,
            "pre_vote": careful if rng.random() < 0.8 else not careful,
            "step_down_on_removal": rng.random() < 0.5,
        }
        # A storm: few voters, one election after the other, and entries that spread one by one.
        self.storm = rng.random() < 0.4
        if self.storm:
            self.settings |= {"message_bytes_max": 0, "check_quorum": False, "pre_vote": False}
        self.over_the_wire = rng.random() < 0.1  # messages as bytes: slow, and the same
        self.hostility = rng.choice([0.2, 0.5, 0.8])  # how often something happens
        self.pace = rng.choice([0.2, 0.4, 0.6])  # how often the moving node's clock ticks
        self.network: list[Message] = []
        self.cuts: set[tuple[int, int]] = set()
        self.elections = ElectionSafety()
        self.matching = LogMatching()
        self.complete = LeaderCompleteness()
        self.machine = StateMachineSafety()
        self.reads = LinearizableReads()
        self.proposals = 0
        self.steps = 0
        nodes = 3 if self.storm else rng.choice([3, 3, 4, 5])
        voters = 3 if self.storm else rng.choice([1, 3, 3, nodes])
        first = ConfState(voters=tuple(range(1, voters + 1)))
        self.members = {node: self.member_class(node, self) for node in range(1, nodes + 1)}
        for node, member in self.members.items():
            if node in first.voters:
                snapshot = Snapshot(bytes(4), SnapshotMetadata(first, 1, 1))
                member.disk.write(MemoryStorage.apply_snapshot, snapshot)
                member.disk.sync()
            member.start()
        self._all = list(self.members.values())

    def _note(self, text: str) -> None:
        if self.trace is not None:
            self.trace(f"{self.steps:5d} {text}")

    # --- Steps ----------------------------------------------------------------------------------

    def run(self, steps: int = STEPS) -> None:
        """In each step some messages arrive, a node moves on a little, and something may happen."""
        rng = self.random
        luck, members = rng.random, self._all
        # No two seeds are hostile in the same way: each favours some happenings over others.
        happenings = [
            (getattr(self, name), weight * (self.storm or rng.choice(_FAVOURS)))
            for name, weight in (_STORM if self.storm else _HAPPENINGS)
        ]
        bounds = list(accumulate(weight for _, weight in happenings))
        for _ in range(steps):
            self.steps += 1
            for _ in range(int(luck() * 8)):
                self.deliver()
            member = members[int(luck() * len(members))]
            if member.up:
                self.move(member)
            if luck() < self.hostility:
                happenings[bisect(bounds, luck() * bounds[-1])][0]()

    def move(self, member: Member) -> None:
        luck = self.random.random
        if luck() < self.pace:
            member.node.tick()
        member.work()
        if self.mode is Mode.ASYNC:
            if luck() < 0.7:
                member.write_one()
            if luck() < 0.7:
                member.apply_one()

    def deliver(self) -> None:
        """One message arrives, is lost, or arrives and comes again."""
        network, luck = self.network, self.random.random
        if not network:
            return
        # Mostly one of the oldest; now and then any.
        span = len(network) if luck() < 0.1 else min(len(network), 4)
        place = int(luck() * span)
        m = network[place]
        fate = luck()
        if fate > 0.04 or m.type == MessageType.PROP:
            del network[place]  # else it comes again
        while len(network) > _MESSAGES_MAX:
            self._report(network.pop(0), failed=True)
        to = self.members[m.to]
        lost = 0.04 < fate < 0.08 or not to.up or (m.from_, m.to) in self.cuts
        self._note(("lost: " if lost else "") + describe_message(m) if self.trace else "")
        self._report(m, failed=lost)
        if lost and fate < 0.06 and (sender := self.members[m.from_]).up:
            sender.node.report_unreachable(m.to)
        if not lost:
            to.step(decode_message(encode_message(m)) if self.over_the_wire else m)

    def _report(self, m: Message, *, failed: bool) -> None:
        """A sender hears what has come of a snapshot, or it would wait for ever."""
        sender = self.members[m.from_]
        if m.type == MessageType.SNAP and sender.up:
            sender.node.report_snapshot(m.to, failed=failed)

    # --- What happens ---------------------------------------------------------------------------

    def one(self) -> Member | None:
        member = self.random.choice(self._all)
        return member if member.up else None

    def leader(self) -> Member | None:
        leading = [member for member in self._all if member.leads]
        return self.random.choice(leading) if leading else None

    def campaign(self) -> None:
        if member := self.one():
            self._note(f"{member.id} campaigns")
            member.node.campaign()

    def propose(self) -> None:
        member = self.leader() if self.random.random() < 0.7 else self.one()
        if member is None:
            return
        batch = [b"<%d>" % (self.proposals + n) for n in range(self.random.randrange(1, 4))]
        self.proposals += len(batch)
        self._note(f"{member.id} proposes {len(batch)}")
        self._try(member.node.propose_batch, batch)

    def read(self) -> None:
        if member := self.one():
            context = b"%d" % len(self.reads.floors)
            self.reads.asks(context, self.machine.last)
            self._note(f"{member.id} reads at {self.machine.last} or later")
            member.node.read_index(context)

    def change(self) -> None:
        """Exchange members, but for the leader: were it to go with the longest log, and the others
        did not know yet that the change is committed, none of them could win its vote."""
        leader = self.leader()
        if leader is None:
            return
        others = [node for node in self.members if node != leader.id]
        rng = self.random
        change: ConfChange | ConfChangeV2
        if rng.random() < 0.5:
            kinds = [ConfChangeType.ADD_NODE]
            if len(leader.conf_state.voters) > 2:
                kinds += [ConfChangeType.REMOVE_NODE, ConfChangeType.ADD_LEARNER_NODE]
            change = ConfChange(rng.choice(kinds), rng.choice(others))
        elif leader.conf_state.voters_outgoing:
            change = ConfChangeV2()
        else:
            wanted = {leader.id, *rng.sample(others, rng.randrange(1, len(others) + 1))}
            other = rng.choice([ConfChangeType.REMOVE_NODE, ConfChangeType.ADD_LEARNER_NODE])
            steps = tuple(
                ConfChangeSingle(ConfChangeType.ADD_NODE if node in wanted else other, node)
                for node in self.members
            )
            change = ConfChangeV2(rng.choice(list(ConfChangeTransition)), steps)
        self._note(f"{leader.id} proposes {change}")
        self._try(leader.node.propose_conf_change, change)

    def crash(self) -> None:
        if member := self.one():
            self._note(f"{member.id} crashes, with {member.disk.unsynced} unsynced writes")
            member.crash()

    def bounce(self) -> None:
        """A crash, and a start at once: messages of the last life are still under way."""
        if member := self.one():
            self._note(f"{member.id} crashes, with {member.disk.unsynced} unsynced writes")
            member.crash()
            member.start()
            self._note(f"{member.id} starts: {member.node.raft.hard_state}")

    def depose(self) -> None:
        """The leader is cut off, and another campaigns."""
        leader, other = self.leader(), self.one()
        if leader is None or other is None or leader is other:
            return
        self._isolate(leader.id)
        self._note(f"{leader.id} is cut off, {other.id} campaigns")
        other.node.campaign()

    def restart(self) -> None:
        for member in self._all:
            if not member.up and self.random.random() < 0.5:
                member.start()
                self._note(f"{member.id} starts: {member.node.raft.hard_state}")

    def cut(self) -> None:
        """Cut a link, one way or both; or all links of one node."""
        rng = self.random
        one, other = rng.sample(sorted(self.members), 2)
        kind = rng.random()
        if kind < 0.3:
            self._isolate(one)
        else:
            self.cuts.add((one, other))
            if kind < 0.7:
                self.cuts.add((other, one))
        self._note(f"cut: {sorted(self.cuts)}")

    def _isolate(self, node: int) -> None:
        self.cuts |= {(node, other) for other in self.members}
        self.cuts |= {(other, node) for other in self.members}

    def mend(self) -> None:
        if self.cuts:
            self._note("all links mended")
            self.cuts.clear()

    def compact(self) -> None:
        if member := self.one():
            self._note(f"{member.id} compacts")
            member.compact(self.random.randrange(3))

    def transfer(self) -> None:
        if member := self.one():
            to = self.random.randrange(1, len(self._all) + 1)
            self._note(f"{member.id} transfers to {to}")
            member.node.transfer_leader(to)

    def forget(self) -> None:
        if member := self.one():
            self._note(f"{member.id} forgets its leader")
            member.node.forget_leader()

    def _try(self, action: Callable[..., object], *arguments: object) -> None:
        try:
            action(*arguments)
        except ProposalDropped:
            return

    # --- What the checkers see ------------------------------------------------------------------

    def leads(self, member: Member) -> None:
        term = member.node.raft.term
        self._note(f"{member.id} leads term {term}")
        self.elections.leads(member.id, member.life, term)
        self.complete.leads(member.id, member.term_at(self.complete.index))

    def looks_at(self, member: Member, ready: Ready) -> None:
        """Before a Ready is handled."""
        if ready.entries:
            previous = member.term_at(ready.entries[0].index - 1)
            self.matching.appends(member.id, previous, ready.entries)
        if ready.hard_state is not None and (commit := ready.hard_state.commit):
            self.complete.commits(member.id, commit, member.term_at(commit))
        for index, context in ready.read_states:
            self.reads.answers(member.id, context, index)

    # --- The end --------------------------------------------------------------------------------

    def settle(self) -> None:
        """Stop the faults; the members must agree, and take one more proposal. Raises Violation."""
        self._note("the faults end")
        self.cuts.clear()
        for member in self._all:
            if not member.up:
                member.start()
        target = term = 0  # the place of the last proposal, and by whom it was made
        # With windows of one message of one entry, each takes some rounds.
        for _ in range(2000 + 4 * self.proposals):
            self._round()
            leader = max((m for m in self._all if m.leads), key=_term, default=None)
            if leader is None or any(m.up and _term(m) > _term(leader) for m in self._all):
                continue
            config = leader.node.raft.tracker.config
            everyone = config.voters.ids | config.learners
            if config.voters.joint and not config.auto_leave:
                self._try(leader.node.propose_conf_change, ConfChangeV2())
            # Who is no member any more would campaign for ever; its owner stops it.
            for member in self._all:
                if member.id not in everyone:
                    member.up = False
                elif not member.up:
                    member.start()
            if term != leader.node.raft.term:
                term = leader.node.raft.term
                self._try(leader.node.propose, b"<final>")
                target = leader.node.raft.log.last_index()
            members = [self.members[node] for node in everyone]
            if len({(m.applied, m.digest) for m in members}) == 1 and leader.applied >= target:
                return
        raise Violation("the cluster does not settle")

    def _round(self) -> None:
        self.steps += 1
        for member in self._all:
            if member.up:
                if self.random.random() < 0.3:
                    member.node.tick()
                for _ in range(2):
                    member.work()
                if self.mode is Mode.ASYNC:
                    member.write_one()
                    member.apply_one()
        arrived, self.network = self.network, []
        for m in arrived:
            to = self.members[m.to]
            self._report(m, failed=not to.up)
            if to.up:
                to.step(m)


_HAPPENINGS = [
    ("propose", 36),
    ("read", 10),
    ("change", 5),
    ("crash", 5),
    ("bounce", 6),
    ("restart", 14),
    ("cut", 4),
    ("depose", 6),
    ("mend", 10),
    ("compact", 6),
    ("transfer", 4),
    ("campaign", 14),
    ("forget", 1),
]
_STORM = [
    ("propose", 20),
    ("read", 8),
    ("crash", 4),
    ("bounce", 16),
    ("restart", 12),
    ("depose", 12),
    ("cut", 2),
    ("mend", 16),
    ("campaign", 30),
    ("compact", 1),
    ("change", 1),
]
_FAVOURS = (0.2, 1, 1, 4)


def _term(member: Member) -> int:
    return member.node.raft.term


def run_seed(
    seed: int,
    steps: int = STEPS,
    trace: Callable[[str], object] | None = None,
    kind: type[Simulation] = Simulation,
) -> Simulation:
    """One whole simulation. Raises Violation, or whatever the library raises."""
    sim = kind(seed, trace)
    sim.run(steps)
    sim.settle()
    return sim
