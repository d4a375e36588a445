"""What all links of a node share: the owner, the world, the limits, and how to judge an incoming message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from ...config import Config
from ...raft.types import Message, MessageType
from ...rpc.peer_heads import Identity
from ...version import SERVER_VERSION
from ..log import Log
from ..world import World
from .codec import EntriesMemo
from .contract import PeerOwner
from .status import PeerTraffic

__all__ = ["Home", "Refused"]

log = Log("triode.peers")

TIMEOUT_SECONDS_MIN: Final = 5.0
"""Of `raft-read-timeout` and `raft-write-timeout`; less counts as this, as in etcd."""
DIAL_SECONDS_BASE: Final = 1.0
"""The election timeout is added: as in etcd, so that connecting takes no longer than an election."""

T = MessageType
_LOCAL: Final = frozenset(
    {
        T.HUP,
        T.BEAT,
        T.UNREACHABLE,
        T.SNAP_STATUS,
        T.CHECK_QUORUM,
        T.STORAGE_APPEND,
        T.STORAGE_APPEND_RESP,
        T.STORAGE_APPLY,
        T.STORAGE_APPLY_RESP,
        T.FORGET_LEADER,
    }
)


class Refused(Exception):
    """A message that must not go to raft; the text is etcd's where it has one."""


@attrs.define(eq=False)
class Home:
    """The part of a node that its links know.

    Attributes:
        snapshots_in_flight: those that are being sent, to all members.
        counted: the members whose traffic is counted by themselves; all others are 0.
    """

    owner: PeerOwner
    world: World
    config: Config
    traffic: PeerTraffic = attrs.Factory(PeerTraffic)
    memo: EntriesMemo = attrs.Factory(EntriesMemo)
    version: str = SERVER_VERSION
    read_seconds_max: float = attrs.field()
    """A stream on which nothing comes for so long is dead; link heartbeats come three times as often."""
    write_seconds_max: float = attrs.field()
    """So is one that takes nothing for so long."""
    snapshots_in_flight: int = 0
    counted: set[int] = attrs.Factory(set)
    _told_removed: bool = False

    @read_seconds_max.default
    def _read_seconds_max(self) -> float:
        return max(self.config.raft_read_timeout, TIMEOUT_SECONDS_MIN)

    @write_seconds_max.default
    def _write_seconds_max(self) -> float:
        return max(self.config.raft_write_timeout, TIMEOUT_SECONDS_MIN)

    @property
    def peer_urls(self) -> Sequence[str]:
        """The addresses of this member, as the cluster knows them."""
        mine = self.owner.member_id
        for member in self.owner.members():
            if member.id == mine:
                return member.peer_urls
        return self.config.initial_advertise_peer_urls

    @property
    def identity(self) -> Identity:
        """Who sends."""
        owner = self.owner
        return Identity(owner.member_id, owner.cluster_id, self.version, self.peer_urls)

    @property
    def dial_seconds_max(self) -> float:
        return DIAL_SECONDS_BASE + self.config.election_timeout

    def label(self, member: int) -> int:
        """Under which ID to count: anybody can write any ID into a message, and counts are kept."""
        return member if member in self.counted else 0

    def told_removed(self, member: int) -> None:
        """A peer says that this member is no longer in the cluster."""
        if not self._told_removed:
            self._told_removed = True
            log.warning("removed from the cluster, as a peer says", peer_id=f"{member:x}")
            self.owner.told_removed()

    def check(self, message: Message, *, with_state: bool = False) -> None:
        """Judge a message before raft gets it; raises Refused. Only a snapshot comes with a state."""
        owner = self.owner
        if owner.is_removed(message.from_):
            raise Refused("cannot process message from removed member")
        if message.to != owner.member_id:
            raise Refused("cannot process message to mismatch member")
        if message.type in _LOCAL or message.responses or not message.from_:
            raise Refused(f"{message.type} is not for the network")
        if message.type is T.SNAP and not with_state:
            raise Refused("a snapshot without its data")

    def step_all(self, member: int, messages: Sequence[Message]) -> None:
        """Hand over what came on a stream from `member`; what must not be taken is dropped."""
        taken = [message for message in messages if self._may_be_taken(member, message)]
        for message in taken[:-1]:
            self.owner.step(message, more=True)
        if taken:
            self.owner.step(taken[-1])

    def _may_be_taken(self, member: int, message: Message) -> bool:
        try:
            self.check(message)
        except Refused as refusal:
            self.traffic.received_failures[member] += 1
            log.warning(
                "dropped Raft message",
                message_type=str(message.type),
                peer_id=f"{member:x}",
                error=str(refusal),
            )
            return False
        return True
