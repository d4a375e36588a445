"""What a node is told at its start; etcd-io/raft's name for a field is given where it differs."""

from __future__ import annotations

import enum
from collections.abc import Callable

import attrs

from ..errors import ConfigError
from .logger import Logger, NullLogger
from .sizes import NO_LIMIT
from .storage import Storage
from .types import LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD, NO_NODE

__all__ = ["Config", "ReadOnlyOption"]


class ReadOnlyOption(enum.Enum):
    """How a leader makes sure that it still leads before it lets a read through."""

    SAFE = 0
    """It asks a quorum by a round of heartbeats. What etcd uses."""
    LEASE_BASED = 1
    """It trusts its clock: a quorum was heard of in the election timeout. Needs `check_quorum`."""


@attrs.frozen
class Config:
    """The configuration of a `RawNode`. Raises ConfigError when it cannot work."""

    id: int
    """This node, not 0."""
    storage: Storage
    random_below: Callable[[int], int]
    """Uniform random integers in [0, n), to spread elections."""
    election_ticks: int = 10
    """A follower campaigns after [n, 2n) ticks without a leader (ElectionTick)."""
    heartbeat_ticks: int = 1
    """A leader sends a heartbeat every n ticks (HeartbeatTick)."""
    applied: int = 0
    """The index that the application has applied before, at a restart."""
    async_storage_writes: bool = False
    """Storage work comes as messages to local threads; their answers replace `advance`."""
    message_bytes_max: int = 1 << 20
    """Entries in one append message; 0 for one entry in each (MaxSizePerMsg)."""
    committed_bytes_max: int = 0
    """Entries handed out, not yet applied; 0 for `message_bytes_max` (MaxCommittedSizePerReady)."""
    uncommitted_bytes_max: int = 0
    """Payload that a leader has not yet applied; 0 for no limit (MaxUncommittedEntriesSize)."""
    inflight_messages_max: int = 512
    """Appends under way to one follower (MaxInflightMsgs)."""
    inflight_bytes_max: int = 0
    """Payload under way to one follower; 0 for no limit (MaxInflightBytes)."""
    check_quorum: bool = False
    """A leader that has not heard of a quorum for an election timeout steps down; a node that hears
    of a leader ignores campaigns."""
    pre_vote: bool = False
    """Ask whether an election could be won before starting one (dissertation, 9.6)."""
    read_only_option: ReadOnlyOption = ReadOnlyOption.SAFE
    disable_proposal_forwarding: bool = False
    disable_conf_change_validation: bool = False
    """Let every membership change into the log, whatever the present configuration is."""
    step_down_on_removal: bool = False
    """A leader that removes itself becomes a follower at once."""
    logger: Logger = attrs.field(factory=NullLogger)

    def __attrs_post_init__(self) -> None:
        for wrong, message in (
            (self.id == NO_NODE, "cannot use none as id"),
            (
                self.id in (LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD),
                "cannot use local target as id",
            ),
            (self.heartbeat_ticks <= 0, "heartbeat tick must be greater than 0"),
            (
                self.election_ticks <= self.heartbeat_ticks,
                "election tick must be greater than heartbeat tick",
            ),
            (self.inflight_messages_max <= 0, "max inflight messages must be greater than 0"),
            (
                0 < self.inflight_bytes_max < self.message_bytes_max,
                "max inflight bytes must be >= max message size",
            ),
            (
                self.read_only_option is ReadOnlyOption.LEASE_BASED and not self.check_quorum,
                "CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased",
            ),
        ):
            if wrong:
                raise ConfigError(message)

    @property
    def applying_bytes_max(self) -> int:
        """`committed_bytes_max` or what stands for it."""
        return self.committed_bytes_max or self.message_bytes_max or NO_LIMIT
