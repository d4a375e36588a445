"""What a member's files say of it: who it is, where it stands, with whom."""

from __future__ import annotations

import json
from typing import Any

import attrs

from ...actors.member import Member as ClusterMember
from ...backends.contract import View
from ...errors import CorruptData, StorageError
from ...mvcc.alarm import NAMES, Alarm
from ...mvcc.restore import FINISHED_COMPACT, SCHEDULED_COMPACT
from ...mvcc.revision import (
    FIRST_REVISION,
    MAIN_MAX,
    MAIN_SHIFT,
    NEVER_COMPACTED,
    main_key,
    packed_from_disk,
)
from ...raft.types import ConfState, HardState
from ...raft.wal import Metadata, WalSnapshot
from ...raft.wal.survey import Survey
from .storage_version import detect

__all__ = [
    "DatabaseFacts",
    "LogFacts",
    "conf_state_of",
    "database_facts",
    "latest_revision",
    "log_facts",
]


@attrs.frozen
class LogFacts:
    """What the log says."""

    member_id: int
    cluster_id: int
    hard_state: HardState
    snapshot: WalSnapshot
    last_index: int


@attrs.frozen
class DatabaseFacts:
    """What the database says; `members` and `removed` by ID."""

    consistent_index: int
    term: int
    revision: int
    compact_revision: int
    storage_version: str
    cluster_version: str
    members: dict[int, ClusterMember]
    removed: set[int]
    alarms: list[str]
    auth_enabled: bool


def log_facts(found: Survey) -> LogFacts | None:
    """None if the log is so damaged that no start would read it."""
    replay = found.replay
    if replay is None or replay.metadata is None:
        return None
    identity = Metadata.decode(replay.metadata)
    last = replay.snapshot.index + len(replay.entries)
    return LogFacts(identity.node_id, identity.cluster_id, replay.hard_state, replay.snapshot, last)


def database_facts(view: View) -> DatabaseFacts:
    """Raises CorruptData when a row is not what it must be."""
    members = {}
    for key, value in view.scan("members"):
        member = _member(key, value)
        members[member.id] = member
    removed = set()
    for key, _ in view.scan("members_removed"):
        removed.add(_hex(key, "members_removed"))
    try:
        version = str(detect(view))
    except StorageError:
        version = ""
    finished, scheduled = (_mark(view, name) for name in (FINISHED_COMPACT, SCHEDULED_COMPACT))
    compacted = max(finished, scheduled)
    alarms = [Alarm.decode(key) for key, _ in view.scan("alarm")]
    return DatabaseFacts(
        consistent_index=_number(view, b"consistent_index"),
        term=_number(view, b"term"),
        revision=max(latest_revision(view), compacted, FIRST_REVISION),
        compact_revision=compacted,
        storage_version=version,
        cluster_version=(view.get("cluster", b"clusterVersion") or b"").decode("utf-8", "replace"),
        members=members,
        removed=removed,
        alarms=[f"{NAMES.get(a.kind, str(a.kind))} of {a.member_id:x}" for a in alarms],
        auth_enabled=view.get("auth", b"authEnabled") == b"\1",
    )


def _number(view: View, name: bytes) -> int:
    return int.from_bytes(view.get("meta", name) or b"", "big")


def _mark(view: View, name: bytes) -> int:
    mark = view.get("meta", name)
    return NEVER_COMPACTED if mark is None else packed_from_disk(mark) >> MAIN_SHIFT


def _hex(key: bytes, bucket: str) -> int:
    try:
        return int(key, 16)
    except ValueError as error:
        raise CorruptData(f"bucket {bucket}: {key!r} is no member's ID") from error


def _member(key: bytes, value: bytes) -> ClusterMember:
    identity = _hex(key, "members")
    try:
        member = ClusterMember.from_json(value)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptData(
            f"bucket members: {identity:x} is no member's record: {value!r}"
        ) from error
    if member.id != identity:
        raise CorruptData(f"bucket members: {identity:x} has the record of {member.id:x}")
    return member


def latest_revision(view: View) -> int:
    """The newest revision that has a row, 0 if there is none; found by halving, without reading them all."""
    low, high = 0, MAIN_MAX
    while low < high:
        middle = (low + high + 1) // 2
        if view.range("key", main_key(middle), None, 1):
            low = middle
        else:
            high = middle - 1
    return low


def conf_state_of(view: View) -> ConfState | None:
    """What the database says of raft's configuration; None if it says nothing. Raises CorruptData."""
    value = view.get("meta", b"confState")
    if value is None:
        return None
    try:
        record: dict[str, Any] = json.loads(value)
        return ConfState(
            voters=tuple(map(int, record.get("voters") or ())),
            learners=tuple(map(int, record.get("learners") or ())),
            voters_outgoing=tuple(map(int, record.get("voters_outgoing") or ())),
            learners_next=tuple(map(int, record.get("learners_next") or ())),
            auto_leave=bool(record.get("auto_leave")),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise CorruptData(f"bucket meta: confState is not one: {value!r}") from error
