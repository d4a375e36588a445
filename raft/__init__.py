"""Consensus: the Raft state machine, and the formats of its log.

`RawNode` is the interface; see `docs/raft.md`. Shaped after etcd-io/raft, with which it shares its
messages and its log.
"""

from __future__ import annotations

from .bootstrap import Peer
from .config import Config, ReadOnlyOption
from .errors import (
    ConfChangeRefused,
    InvariantBroken,
    LogCompacted,
    LogUnavailable,
    ProposalDropped,
    RaftError,
    SnapshotOutOfDate,
    SnapshotTemporarilyUnavailable,
    StepLocalMessage,
    StepPeerNotFound,
)
from .logger import Logger, NullLogger
from .raw_node import RawNode
from .ready import Ready
from .state import ReadState, SoftState, StateType
from .status import BasicStatus, Status
from .storage import MemoryStorage, Storage
from .types import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    NO_NODE,
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
)

__all__ = [
    "RawNode",
    "Config",
    "ReadOnlyOption",
    "Peer",
    "Ready",
    "ReadState",
    "SoftState",
    "StateType",
    "Status",
    "BasicStatus",
    "Storage",
    "MemoryStorage",
    "Logger",
    "NullLogger",
    "NO_NODE",
    "LOCAL_APPEND_THREAD",
    "LOCAL_APPLY_THREAD",
    "ConfChange",
    "ConfChangeSingle",
    "ConfChangeTransition",
    "ConfChangeType",
    "ConfChangeV2",
    "ConfState",
    "Entry",
    "EntryType",
    "HardState",
    "Message",
    "MessageType",
    "Snapshot",
    "SnapshotMetadata",
    "RaftError",
    "ProposalDropped",
    "LogCompacted",
    "LogUnavailable",
    "SnapshotTemporarilyUnavailable",
    "SnapshotOutOfDate",
    "StepLocalMessage",
    "StepPeerNotFound",
    "ConfChangeRefused",
    "InvariantBroken",
]
