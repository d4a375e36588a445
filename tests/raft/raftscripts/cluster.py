"""A cluster that is driven step by step by an interaction script, and writes down what it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import attrs

from triode.errors import ConfigError
from triode.raft import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    ConfChange,
    ConfChangeTransition,
    ConfChangeV2,
    HardState,
    Message,
    MessageType,
    RaftError,
    RawNode,
    Snapshot,
)
from triode.raft.describe import describe_entries, describe_message, describe_ready
from triode.raft.sizes import NO_LIMIT

from .format import BadScript, Directive, conf_changes, number, parse_bool, parse_uint
from .members import (
    LEVELS,
    NODE_OPTIONS,
    HistoryStorage,
    Member,
    Output,
    ScriptError,
    append,
    apply,
    first_snapshot,
    node_config,
)

__all__ = ["COMMANDS", "Cluster"]

_THREADS = (LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD)
_MESSAGE_TYPES = {str(kind): kind for kind in MessageType}
_TRANSITIONS = {
    "auto": ConfChangeTransition.AUTO,
    "implicit": ConfChangeTransition.JOINT_IMPLICIT,
    "explicit": ConfChangeTransition.JOINT_EXPLICIT,
}
_ROUNDS_MAX = 10_000
"""A script whose cluster goes on for longer than this will never come to rest."""
_R = TypeVar("_R")


class Cluster:
    """Call it with directives. It raises BadScript for what is wrong in the script itself."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.messages: list[Message] = []
        self.out = Output()

    def __call__(self, d: Directive) -> str:
        self.out.text = ""
        try:
            if d.name not in COMMANDS:
                raise ScriptError("unknown command")
            COMMANDS[d.name](self, d)
        except ConfigError as error:
            raise BadScript(f"nodes cannot be made so: {error}") from error
        except (ScriptError, RaftError) as error:
            if self.out.quiet:
                return str(error)
            self.out.write(str(error))
        return self.out.text or "ok"

    def _member(self, d: Directive) -> Member:
        """The node that the first word names."""
        if not d.words:
            raise BadScript("no node id is given")
        return self._at(d.words[0])

    def _members(self, d: Directive) -> list[Member]:
        """The nodes that the words name."""
        return [self._at(word) for word in d.words]

    def _at(self, word: str) -> Member:
        if not 1 <= number(word) <= len(self.members):
            raise BadScript(f"there is no node {word}")
        return self.members[number(word) - 1]

    # --- Commands -------------------------------------------------------------------------------

    def breakpoint(self, d: Directive) -> None:
        """A place for a debugger to stop at."""

    def log_level(self, d: Directive) -> None:
        self._set_level(d.args[0][0] if d.args else "")

    def _set_level(self, name: str) -> None:
        if name.upper() not in LEVELS:
            raise ScriptError(f"log levels must be either of [{' '.join(LEVELS)}]")
        self.out.level = LEVELS.index(name.upper())

    def add_nodes(self, d: Directive) -> None:
        if not d.words:
            raise BadScript("the number of nodes is missing")
        for key in d.options:
            if key not in NODE_OPTIONS:
                raise BadScript(f"unknown option {key}")
        snapshot = first_snapshot(d)
        bootstrap = snapshot != Snapshot()
        if bootstrap:
            meta = snapshot.metadata
            if meta.index <= 1:
                raise ScriptError("index must be specified as > 1 due to bootstrap")
            snapshot = attrs.evolve(snapshot, metadata=attrs.evolve(meta, term=1))
        for _ in range(number(d.words[0])):
            storage = HistoryStorage()
            if bootstrap:
                storage.apply_snapshot(snapshot)
            storage.history.append(snapshot)
            config = node_config(d, len(self.members) + 1, storage, self.out)
            self.members.append(Member(RawNode(config), config, storage))

    def campaign(self, d: Directive) -> None:
        self._member(d).node.campaign()

    def compact(self, d: Directive) -> None:
        member = self._member(d)
        if len(d.words) < 2:
            raise BadScript("the index is missing")
        index = _go(parse_uint, d.words[1])
        if index > member.storage.last_index():
            raise BadScript(f"the log ends at {member.storage.last_index()}")
        member.storage.compact(index)
        self.raft_log(d)

    def forget_leader(self, d: Directive) -> None:
        self._member(d).node.forget_leader()

    def propose(self, d: Directive) -> None:
        member = self._member(d)
        if len(d.args) != 2 or len(d.words) != 2:
            raise BadScript("expected exactly one word to propose")
        member.node.propose(d.words[1].encode())

    def propose_conf_change(self, d: Directive) -> None:
        member = self._member(d)
        v1, transition = False, ConfChangeTransition.AUTO
        for key, values in d.args:
            for value in values:
                if key == "v1":
                    v1 = _go(parse_bool, value)
                elif key != "transition":
                    raise ScriptError(f"unknown command {key}")
                elif value not in _TRANSITIONS:
                    raise ScriptError(f"unknown transition {value}")
                else:
                    transition = _TRANSITIONS[value]
        steps = tuple(_go(conf_changes, d.input))
        if not v1:
            member.node.propose_conf_change(ConfChangeV2(transition, steps))
        elif len(steps) > 1 or transition != ConfChangeTransition.AUTO:
            raise ScriptError("v1 conf change can only have one operation and no transition")
        elif not steps:
            raise BadScript("v1 conf change needs an operation")
        else:
            member.node.propose_conf_change(ConfChange(steps[0].type, steps[0].node_id))

    def raft_log(self, d: Directive) -> None:
        storage = self._member(d).storage
        first, last = storage.first_index(), storage.last_index()
        if last < first:
            self.out.write(f"log is empty: first index={first}, last index={last}")
        else:
            self.out.write(describe_entries(storage.entries(first, last + 1, NO_LIMIT)))

    def raft_state(self, _: Directive) -> None:
        for member in self.members:
            status = member.node.status()
            voter = "(Voter)" if status.id in status.config.voters.ids else "(Non-Voter)"
            lead, state = status.soft_state
            term = status.hard_state.term
            self.out.write(f"{status.id}: {state} {voter} Term:{term} Lead:{lead}\n")

    def report_unreachable(self, d: Directive) -> None:
        if len(d.words) != 2:
            raise ScriptError(
                "must specify exactly two node indexes: node on which to report, and reported node"
            )
        member, other = self._members(d)
        member.node.report_unreachable(other.config.id)

    def send_snapshot(self, d: Directive) -> None:
        if len(d.words) != 2:
            raise BadScript("expected the ids of the sender and of the receiver")
        member, to = self._at(d.words[0]), number(d.words[1])
        message = Message(
            MessageType.SNAP,
            to=to,
            from_=member.config.id,
            term=member.node.basic_status().hard_state.term,
            snapshot=member.storage.snapshot(),
        )
        self.messages.append(message)
        self.out.write(describe_message(message))

    def set_randomized_election_timeout(self, d: Directive) -> None:
        timeout = number(d.option("timeout", "none"))
        if timeout == 0:
            raise BadScript("timeout must not be 0")
        self._member(d).node.raft.randomized_election_timeout = timeout

    def status(self, d: Directive) -> None:
        for node, progress in self._member(d).node.status().progress.items():
            self.out.write(f"{node}: {progress}\n")

    def tick_election(self, d: Directive) -> None:
        member = self._member(d)
        for _ in range(member.config.election_ticks):
            member.node.tick()

    def tick_heartbeat(self, d: Directive) -> None:
        member = self._member(d)
        for _ in range(member.config.heartbeat_ticks):
            member.node.tick()

    def transfer_leadership(self, d: Directive) -> None:
        to = self._at(d.option("to", "none"))
        self._at(d.option("from", "none")).node.transfer_leader(to.config.id)

    # --- Messages -------------------------------------------------------------------------------

    def deliver_msgs(self, d: Directive) -> None:
        kind: MessageType | None = None
        receivers: dict[int, bool] = {}  # whether to drop, in the order given
        for key, values in d.args:
            if not values:
                receivers[number(key)] = False
            for value in values:
                if key == "type":
                    if value not in _MESSAGE_TYPES:
                        raise BadScript(f"unknown message type {value}")
                    kind = _MESSAGE_TYPES[value]
                elif key != "drop":
                    raise BadScript(f"unknown option {key}")
                elif receivers.setdefault(number(value), True) is False:
                    raise BadScript(f"can't both deliver and drop msgs to {value}")
        count = 0
        for to, drop in receivers.items():
            count += self._deliver(to, kind, drop=drop)
        if count == 0:
            self.out.write("no messages\n")

    def _deliver(self, to: int, kind: MessageType | None = None, *, drop: bool = False) -> int:
        taken: list[Message] = []
        left: list[Message] = []
        for m in self.messages:
            local = m.from_ == m.to or m.from_ in _THREADS or m.to in _THREADS
            fits = m.to == to and not (drop and local) and kind in (None, m.type)
            (taken if fits else left).append(m)
        self.messages = left
        for m in taken:
            self.out.write(("dropped: " if drop else "") + describe_message(m) + "\n")
            if not drop:
                receiver = self._at(str(to))
                try:
                    receiver.node.step(m)
                except RaftError as error:
                    self.out.write(f"{error}\n")
        return len(taken)

    # --- Ready and the threads ------------------------------------------------------------------

    def _each(self, d: Directive, title: str, action: Callable[[Member], None]) -> None:
        members = self._members(d)
        for member in members:
            if len(members) == 1:
                action(member)
            else:
                self._titled(member, title, action)

    def process_ready(self, d: Directive) -> None:
        self._each(d, "handling Ready", self._process_ready)

    def process_append_thread(self, d: Directive) -> None:
        self._each(d, "processing append thread", self._process_append)

    def process_apply_thread(self, d: Directive) -> None:
        self._each(d, "processing apply thread", self._process_apply)

    def _process_ready(self, member: Member) -> None:
        ready = member.node.ready()
        self.out.write(describe_ready(ready))
        if not member.config.async_storage_writes:
            append(member, ready.hard_state, ready.entries, ready.snapshot)
            apply(member, ready.committed_entries)
        for m in ready.messages:
            if m.type == MessageType.STORAGE_APPEND:
                member.append_work.append(m)
            elif m.type == MessageType.STORAGE_APPLY:
                member.apply_work.append(m)
            else:
                self.messages.append(m)
        if not member.config.async_storage_writes:
            member.node.advance(ready)

    def _process_append(self, member: Member) -> None:
        m = self._begin_work(member.append_work, "no append work to perform")
        if m is not None:
            state = HardState(m.term, m.vote, m.commit)
            append(member, state if state != HardState() else None, m.entries, m.snapshot)
            self._end_work(m)

    def _process_apply(self, member: Member) -> None:
        m = self._begin_work(member.apply_work, "no apply work to perform")
        if m is not None:
            apply(member, m.entries)
            self._end_work(m)

    def _begin_work(self, work: list[Message], nothing: str) -> Message | None:
        if not work:
            self.out.write(nothing)
            return None
        m = work.pop(0)
        bare = attrs.evolve(m, responses=())
        self.out.write(f"Processing:\n{describe_message(bare)}\n")
        return m

    def _end_work(self, m: Message) -> None:
        self.out.write("Responses:\n")
        for response in m.responses:
            self.out.write(describe_message(response) + "\n")
        self.messages += m.responses

    def stabilize(self, d: Directive) -> None:
        level = self.out.level
        chosen = self._members(d) if d.words else self.members
        try:
            for name in d.options.get("log-level", ()):
                self._set_level(name)
            for _ in range(_ROUNDS_MAX):
                if not self._stabilize_once(chosen):
                    return
            raise BadScript(f"the cluster is not stable after {_ROUNDS_MAX} rounds")
        finally:
            self.out.level = level

    def _stabilize_once(self, members: list[Member]) -> bool:
        busy = False
        for member in members:
            if member.node.has_ready():
                busy = True
                self._titled(member, "handling Ready", self._process_ready)
        for member in members:
            if any(m.to == member.config.id for m in self.messages):
                busy = True
                self._titled(member, "receiving messages", lambda one: self._deliver(one.config.id))
        for title, work, action in (
            ("processing append thread", "append_work", self._process_append),
            ("processing apply thread", "apply_work", self._process_apply),
        ):
            for member in members:
                if getattr(member, work):
                    busy = True
                    self.out.write(f"> {member.config.id} {title}\n")
                    while getattr(member, work):
                        with self.out.indented():
                            action(member)
        return busy

    def _titled(self, member: Member, title: str, action: Callable[[Member], object]) -> None:
        self.out.write(f"> {member.config.id} {title}\n")
        with self.out.indented():
            action(member)


def _go(read: Callable[[str], _R], text: str) -> _R:
    """Read what Go reads; its error text is the command's answer."""
    try:
        return read(text)
    except ValueError as error:
        raise ScriptError(str(error)) from error


COMMANDS: dict[str, Callable[[Cluster, Directive], None]] = {
    "_breakpoint": Cluster.breakpoint,
    "add-nodes": Cluster.add_nodes,
    "campaign": Cluster.campaign,
    "compact": Cluster.compact,
    "deliver-msgs": Cluster.deliver_msgs,
    "forget-leader": Cluster.forget_leader,
    "log-level": Cluster.log_level,
    "process-append-thread": Cluster.process_append_thread,
    "process-apply-thread": Cluster.process_apply_thread,
    "process-ready": Cluster.process_ready,
    "propose": Cluster.propose,
    "propose-conf-change": Cluster.propose_conf_change,
    "raft-log": Cluster.raft_log,
    "raft-state": Cluster.raft_state,
    "report-unreachable": Cluster.report_unreachable,
    "send-snapshot": Cluster.send_snapshot,
    "set-randomized-election-timeout": Cluster.set_randomized_election_timeout,
    "stabilize": Cluster.stabilize,
    "status": Cluster.status,
    "tick-election": Cluster.tick_election,
    "tick-heartbeat": Cluster.tick_heartbeat,
    "transfer-leadership": Cluster.transfer_leadership,
}
