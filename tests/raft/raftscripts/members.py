"""The nodes of a scripted cluster, with their storage, their application and what they log."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import attrs

from triode.raft import (
    Config,
    ConfState,
    Entry,
    EntryType,
    HardState,
    MemoryStorage,
    Message,
    RawNode,
    ReadOnlyOption,
    Snapshot,
    SnapshotMetadata,
)
from triode.raft.codec import decode_conf_change, decode_conf_change_v2
from triode.raft.sizes import NO_LIMIT

from .format import Directive, flag, number

__all__ = [
    "LEVELS",
    "NODE_OPTIONS",
    "HistoryStorage",
    "Member",
    "Output",
    "ScriptError",
    "append",
    "apply",
    "first_snapshot",
    "node_config",
]

LEVELS = ["DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"]
_READS = {"safe": ReadOnlyOption.SAFE, "lease-based": ReadOnlyOption.LEASE_BASED}
NODE_OPTIONS = frozenset(
    (
        "async-storage-writes",
        "checkquorum",
        "content",
        "disable-conf-change-validation",
        "index",
        "inflight",
        "learners",
        "max-committed-size-per-ready",
        "prevote",
        "read-only",
        "step-down-on-removal",
        "voters",
    )
)


class ScriptError(Exception):
    """What a command answers instead of doing its work; scripts may expect it."""


class Output:
    """Collects lines; log lines below `level` are left out, and with NONE everything."""

    def __init__(self) -> None:
        self.level = 0
        self.text = ""

    @property
    def quiet(self) -> bool:
        return self.level == len(LEVELS) - 1

    def write(self, text: str) -> None:
        if not self.quiet:
            self.text += text

    def _log(self, level: int, message: str) -> None:
        if self.level <= level:
            self.write(f"{LEVELS[level]} {message}\n")

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


def append(
    member: Member,
    state: HardState | None,
    entries: Sequence[Entry],
    snapshot: Snapshot | None,
) -> None:
    if state is not None:
        member.storage.set_hard_state(state)
    if snapshot is not None:
        if entries:
            raise ScriptError("can't apply snapshot and entries at the same time")
        member.storage.apply_snapshot(snapshot)
    else:
        member.storage.append(entries)


def apply(member: Member, entries: Sequence[Entry]) -> None:
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


def first_snapshot(d: Directive) -> Snapshot:
    """What new nodes begin with."""

    def ids(key: str) -> tuple[int, ...]:
        return tuple(number(value) for value in d.options.get(key, []))

    state = ConfState(voters=ids("voters"), learners=ids("learners"))
    meta = SnapshotMetadata(state, number(d.option("index", "0")))
    return Snapshot(d.option("content").encode(), meta)


def node_config(d: Directive, id: int, storage: HistoryStorage, out: Output) -> Config:
    read_only = d.option("read-only", "safe")
    if read_only not in _READS:
        raise ScriptError(f'invalid read-only option "{read_only}"')
    return Config(
        id=id,
        storage=storage,
        random_below=lambda _: 0,
        election_ticks=3,
        heartbeat_ticks=1,
        applied=number(d.option("index", "0")),
        async_storage_writes=flag(d, "async-storage-writes"),
        message_bytes_max=NO_LIMIT,
        committed_bytes_max=number(d.option("max-committed-size-per-ready", "0")),
        inflight_messages_max=number(d.option("inflight", str((1 << 31) - 1))),
        check_quorum=flag(d, "checkquorum"),
        pre_vote=flag(d, "prevote"),
        read_only_option=_READS[read_only],
        disable_conf_change_validation=flag(d, "disable-conf-change-validation"),
        step_down_on_removal=flag(d, "step-down-on-removal"),
        logger=out,
    )
