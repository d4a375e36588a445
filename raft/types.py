"""The records of Raft: log entries, hard state, snapshots, memberships and messages.

They carry the names and the numbers of etcd's raftpb, because they are written to its write-ahead
log and sent to its peers (`codec` has the bytes). All of them are values: nothing is changed once
it has been made, so they are shared freely between the log, the messages and the application.
`Entry` and `HardState` are named tuples, as one is made per proposal.

Where protobuf tells an absent byte string from an empty one, we do not: both are `b""`, and an
empty one is left out when written, as etcd does for the entries and messages that it makes.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

import attrs

__all__ = [
    "NO_NODE",
    "LOCAL_APPEND_THREAD",
    "LOCAL_APPLY_THREAD",
    "EntryType",
    "MessageType",
    "ConfChangeType",
    "ConfChangeTransition",
    "Entry",
    "HardState",
    "ConfState",
    "SnapshotMetadata",
    "Snapshot",
    "Message",
    "ConfChange",
    "ConfChangeSingle",
    "ConfChangeV2",
]

NO_NODE = 0
"""The node id that stands for none: no leader, no vote, no sender yet."""
LOCAL_APPEND_THREAD = (1 << 64) - 1
"""The address of the local log writer in messages of asynchronous storage writes."""
LOCAL_APPLY_THREAD = (1 << 64) - 2
"""The address of the local applier in messages of asynchronous storage writes."""


class EntryType(enum.IntEnum):
    """What an entry's data is: the application's, or an encoded membership change."""

    NORMAL = 0
    CONF_CHANGE = 1
    CONF_CHANGE_V2 = 2


class MessageType(enum.IntEnum):
    """raftpb.MessageType; `str()` gives etcd's name."""

    HUP = 0
    BEAT = 1
    PROP = 2
    APP = 3
    APP_RESP = 4
    VOTE = 5
    VOTE_RESP = 6
    SNAP = 7
    HEARTBEAT = 8
    HEARTBEAT_RESP = 9
    UNREACHABLE = 10
    SNAP_STATUS = 11
    CHECK_QUORUM = 12
    TRANSFER_LEADER = 13
    TIMEOUT_NOW = 14
    READ_INDEX = 15
    READ_INDEX_RESP = 16
    PRE_VOTE = 17
    PRE_VOTE_RESP = 18
    STORAGE_APPEND = 19
    STORAGE_APPEND_RESP = 20
    STORAGE_APPLY = 21
    STORAGE_APPLY_RESP = 22
    FORGET_LEADER = 23

    def __str__(self) -> str:
        return "Msg" + self.name.title().replace("_", "")


class ConfChangeType(enum.IntEnum):
    """One step of a membership change."""

    ADD_NODE = 0
    REMOVE_NODE = 1
    UPDATE_NODE = 2
    ADD_LEARNER_NODE = 3


class ConfChangeTransition(enum.IntEnum):
    """Whether a membership change goes through a joint configuration, and who leaves it."""

    AUTO = 0
    """One step if that is enough, else as `JOINT_IMPLICIT`."""
    JOINT_IMPLICIT = 1
    """Joint always; the leader leaves it by itself."""
    JOINT_EXPLICIT = 2
    """Joint always; the application leaves it by proposing an empty `ConfChangeV2`."""


class Entry(NamedTuple):
    """A log entry. `index` starts at 1; `data` of a new leader's first entry is empty."""

    term: int = 0
    index: int = 0  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    type: EntryType = EntryType.NORMAL
    data: bytes = b""


class HardState(NamedTuple):
    """What must be durable before a node answers (Raft, figure 2), and the commit index."""

    term: int = 0
    vote: int = NO_NODE
    commit: int = 0


@attrs.frozen
class ConfState:
    """A membership. `voters_outgoing` is not empty while the configuration is joint."""

    voters: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()
    voters_outgoing: tuple[int, ...] = ()
    learners_next: tuple[int, ...] = ()
    """Voters of the outgoing configuration that become learners once it is left."""
    auto_leave: bool = False
    """The leader leaves the joint configuration by itself."""

    def equivalent(self, other: ConfState) -> bool:
        """Whether both name the same members, in whatever order."""
        return _sorted(self) == _sorted(other)


def _sorted(state: ConfState) -> tuple[object, ...]:
    return (
        sorted(state.voters),
        sorted(state.learners),
        sorted(state.voters_outgoing),
        sorted(state.learners_next),
        state.auto_leave,
    )


@attrs.frozen
class SnapshotMetadata:
    """The membership, and the index and term of the last entry that a snapshot covers."""

    conf_state: ConfState = ConfState()
    index: int = 0
    term: int = 0


@attrs.frozen
class Snapshot:
    """The application's state at `metadata.index`, opaque to Raft."""

    data: bytes = b""
    metadata: SnapshotMetadata = SnapshotMetadata()

    @property
    def empty(self) -> bool:
        """No snapshot at all: index 0 is before the first entry."""
        return self.metadata.index == 0


@attrs.define
class Message:
    """A message between nodes, or to a local storage thread; the fields used depend on `type`.

    Not frozen only because frozen classes take three times as long to make.
    """

    type: MessageType
    to: int = NO_NODE
    from_: int = NO_NODE
    term: int = 0
    """0 marks a message that stays in its node, or a proposal or read that is passed on."""
    log_term: int = 0
    """APP: the term before `entries`. APP_RESP with `reject`: the term at `reject_hint`."""
    index: int = 0
    entries: tuple[Entry, ...] | list[Entry] = ()
    commit: int = 0
    vote: int = NO_NODE
    snapshot: Snapshot | None = None
    reject: bool = False
    reject_hint: int = 0
    context: bytes = b""
    responses: tuple[Message, ...] | list[Message] = ()
    """STORAGE_APPEND and STORAGE_APPLY: what the storage thread delivers once it is done."""


@attrs.frozen
class ConfChange:
    """A membership change of one step, the only kind etcd writes. `id` is etcd's request id."""

    type: ConfChangeType = ConfChangeType.ADD_NODE
    node_id: int = NO_NODE
    context: bytes = b""
    id: int = 0

    def as_v2(self) -> ConfChangeV2:
        return ConfChangeV2(
            changes=(ConfChangeSingle(self.type, self.node_id),), context=self.context
        )


@attrs.frozen
class ConfChangeSingle:
    """One step of a `ConfChangeV2`."""

    type: ConfChangeType = ConfChangeType.ADD_NODE
    node_id: int = NO_NODE


@attrs.frozen
class ConfChangeV2:
    """A membership change of any number of steps, made at once through joint consensus."""

    transition: ConfChangeTransition = ConfChangeTransition.AUTO
    changes: tuple[ConfChangeSingle, ...] = ()
    context: bytes = b""

    def as_v2(self) -> ConfChangeV2:
        return self

    @property
    def leaves_joint(self) -> bool:
        """The empty change, which leaves a joint configuration."""
        return self.transition == ConfChangeTransition.AUTO and not self.changes

    @property
    def enters_joint(self) -> bool:
        """More than one step, or asked for: it goes through a joint configuration."""
        return self.transition != ConfChangeTransition.AUTO or len(self.changes) > 1

    @property
    def auto_leave(self) -> bool:
        """The leader is to leave the joint configuration by itself."""
        return self.transition != ConfChangeTransition.JOINT_EXPLICIT
