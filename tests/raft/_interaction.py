"""A cluster that is driven step by step by an interaction script, and writes down what it does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import attrs

from triode.raft import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
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
    RaftError,
    RawNode,
    ReadOnlyOption,
    Snapshot,
    SnapshotMetadata,
)
from triode.raft.codec import decode_conf_change, decode_conf_change_v2
from triode.raft.describe import describe_entries, describe_message, describe_ready
from triode.raft.sizes import NO_LIMIT

_LEVELS = ["DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"]
_THREADS = (LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD)
_KINDS = {
    "v": ConfChangeType.ADD_NODE,
    "l": ConfChangeType.ADD_LEARNER_NODE,
    "r": ConfChangeType.REMOVE_NODE,
    "u": ConfChangeType.UPDATE_NODE,
}
_MESSAGE_TYPES = {str(kind): kind for kind in MessageType}


class Directive(Protocol):
    """A command, as `_scripts` reads it."""

    name: str
    words: list[str]
    options: dict[str, list[str]]
    input: str

    def option(self, key: str, default: str = "") -> str: ...


class Output:
    """Collects lines; log lines below `level` are left out, and with NONE everything."""

    def __init__(self) -> None:
        self.level = 0
        self.text = ""

    @property
    def quiet(self) -> bool:
        return self.level == len(_LEVELS) - 1

    def write(self, text: str) -> None:
        if not self.quiet:
            self.text += text

    def _log(self, level: int, message: str) -> None:
        if self.level <= level:
            self.write(f"{_LEVELS[level]} {message}\n")

    def debug(self, message: str) -> None:
        self._log(0, message)

    def info(self, message: str) -> None:
        self._log(1, message)

    def warning(self, message: str) -> None:
        self._log(2, message)

    def error(self, message: str) -> None:
        self._log(3, message)

    @contextlib.contextmanager
    def indented(self) -> Iterator[None]:
        before, self.text = self.text, ""
        try:
            yield
        finally:
            inner = "".join(f"  {line}\n" for line in self.text.splitlines())
            self.text = before + inner


class HistoryStorage(MemoryStorage):
    """Gives the application's latest state as snapshot, whatever was compacted."""

    def __init__(self) -> None:
        super().__init__()
        self.history: list[Snapshot] = []

    def snapshot(self) -> Snapshot:
        return self.history[-1] if self.history else super().snapshot()


@attrs.define
class Member:
    node: RawNode
    config: Config
    storage: HistoryStorage
    append_work: list[Message] = attrs.field(factory=list)
    apply_work: list[Message] = attrs.field(factory=list)


class ScriptError(Exception):
    """What a command answers instead of doing its work."""


class Cluster:
    """Call it with directives."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.messages: list[Message] = []
        self.out = Output()

    def __call__(self, d: Directive) -> str:
        self.out.text = ""
        command = getattr(self, d.name.replace("-", "_"))
        try:
            command(d)
        except (ScriptError, RaftError) as error:
            if self.out.quiet:
                return str(error)
            self.out.write(str(error))
        return self.out.text or "ok"

    def _member(self, d: Directive) -> Member:
        return self.members[int(d.words[0]) - 1]

    # --- Commands -------------------------------------------------------------------------------

    def log_level(self, d: Directive) -> None:
        self._set_level(d.words[0])

    def _set_level(self, name: str) -> None:
        self.out.level = _LEVELS.index(name.upper())

    def add_nodes(self, d: Directive) -> None:
        def flag(key: str) -> bool:
            return d.option(key) == "true"

        def ids(key: str) -> tuple[int, ...]:
            return tuple(int(value) for value in d.options.get(key, []))

        index = int(d.option("index", "0"))
        conf_state = ConfState(voters=ids("voters"), learners=ids("learners"))
        snapshot = Snapshot(d.option("content").encode(), SnapshotMetadata(conf_state, index))
        bootstrap = snapshot != Snapshot()
        if bootstrap:
            if index <= 1:
                raise ScriptError("index must be specified as > 1 due to bootstrap")
            snapshot = Snapshot(snapshot.data, SnapshotMetadata(conf_state, index, 1))
        for _ in range(int(d.words[0])):
            storage = HistoryStorage()
            if bootstrap:
                storage.apply_snapshot(snapshot)
            storage.history.append(snapshot)
            config = Config(
                id=len(self.members) + 1,
                storage=storage,
                random_below=lambda _: 0,
                election_ticks=3,
                heartbeat_ticks=1,
                applied=index,
                async_storage_writes=flag("async-storage-writes"),
                message_bytes_max=NO_LIMIT,
                committed_bytes_max=int(d.option("max-committed-size-per-ready", "0")),
                inflight_messages_max=int(d.option("inflight", str(1 << 31))),
                check_quorum=flag("checkquorum"),
                pre_vote=flag("prevote"),
                read_only_option=(
                    ReadOnlyOption.LEASE_BASED
                    if d.option("read-only") == "lease-based"
                    else ReadOnlyOption.SAFE
                ),
                disable_conf_change_validation=flag("disable-conf-change-validation"),
                step_down_on_removal=flag("step-down-on-removal"),
                logger=self.out,
            )
            self.members.append(Member(RawNode(config), config, storage))

    def campaign(self, d: Directive) -> None:
        self._member(d).node.campaign()

    def compact(self, d: Directive) -> None:
        self._member(d).storage.compact(int(d.words[1]))
        self.raft_log(d)

    def forget_leader(self, d: Directive) -> None:
        self._member(d).node.forget_leader()

    def propose(self, d: Directive) -> None:
        self._member(d).node.propose(d.words[1].encode())

    def propose_conf_change(self, d: Directive) -> None:
        changes = [_step(word) for word in d.input.split()]
        kind = d.option("transition", "auto")
        if d.option("v1") == "true":
            if len(changes) > 1 or kind != "auto":
                raise ScriptError("v1 conf change can only have one operation and no transition")
            self._member(d).node.propose_conf_change(ConfChange(*changes[0]))
        else:
            transition = {
                "auto": ConfChangeTransition.AUTO,
                "implicit": ConfChangeTransition.JOINT_IMPLICIT,
                "explicit": ConfChangeTransition.JOINT_EXPLICIT,
            }[kind]
            change = ConfChangeV2(transition, tuple(ConfChangeSingle(*step) for step in changes))
            self._member(d).node.propose_conf_change(change)

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
        self._member(d).node.report_unreachable(int(d.words[1]))

    def send_snapshot(self, d: Directive) -> None:
        member = self._member(d)
        message = Message(
            MessageType.SNAP,
            to=int(d.words[1]),
            from_=int(d.words[0]),
            term=member.node.basic_status().hard_state.term,
            snapshot=member.storage.snapshot(),
        )
        self.messages.append(message)
        self.out.write(describe_message(message))

    def set_randomized_election_timeout(self, d: Directive) -> None:
        self._member(d).node.raft.randomized_election_timeout = int(d.option("timeout"))

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
        self.members[int(d.option("from")) - 1].node.transfer_leader(int(d.option("to")))

    # --- Messages -------------------------------------------------------------------------------

    def deliver_msgs(self, d: Directive) -> None:
        kind = _MESSAGE_TYPES.get(d.option("type"))
        count = 0
        for word in d.words:
            count += self._deliver(int(word), kind)
        for word in d.options.get("drop", []):
            count += self._deliver(int(word), kind, drop=True)
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
                try:
                    self.members[to - 1].node.step(m)
                except RaftError as error:
                    self.out.write(f"{error}\n")
        return len(taken)

    # --- Ready and the threads ------------------------------------------------------------------

    def _each(self, d: Directive, title: str, action: Callable[[Member], None]) -> None:
        for word in d.words:
            member = self.members[int(word) - 1]
            if len(d.words) == 1:
                action(member)
                continue
            self.out.write(f"> {word} {title}\n")
            with self.out.indented():
                action(member)

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
            _append(member, ready.hard_state, ready.entries, ready.snapshot)
            _apply(member, ready.committed_entries)
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
            _append(member, state if state != HardState() else None, m.entries, m.snapshot)
            self._end_work(m)

    def _process_apply(self, member: Member) -> None:
        m = self._begin_work(member.apply_work, "no apply work to perform")
        if m is not None:
            _apply(member, m.entries)
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
        if "log-level" in d.options:
            self._set_level(d.option("log-level"))
        try:
            chosen = [self.members[int(word) - 1] for word in d.words] or self.members
            while self._stabilize_once(chosen):
                pass
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


def _step(word: str) -> tuple[ConfChangeType, int]:
    return _KINDS[word[0]], int(word[1:])


def _append(
    member: Member,
    state: HardState | None,
    entries: Sequence[Entry],
    snapshot: Snapshot | None,
) -> None:
    if state is not None:
        member.storage.set_hard_state(state)
    if snapshot is not None:
        assert not entries
        member.storage.apply_snapshot(snapshot)
    else:
        member.storage.append(entries)


def _apply(member: Member, entries: Sequence[Entry]) -> None:
    """The state machine joins up what it is told."""
    history = member.storage.history
    for entry in entries:
        last = history[-1]
        conf_state, update = last.metadata.conf_state, entry.data
        if entry.type != EntryType.NORMAL:
            v1 = entry.type == EntryType.CONF_CHANGE
            decode = decode_conf_change if v1 else decode_conf_change_v2
            change = decode(entry.data).as_v2()
            conf_state, update = member.node.apply_conf_change(change), change.context
        meta = SnapshotMetadata(conf_state, entry.index, entry.term)
        history.append(Snapshot(last.data + update, meta))
