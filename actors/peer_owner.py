"""The node as its links see it (`peers.contract.PeerOwner`): glue between the links, raft and the state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from ..raft.types import Message, MessageType
from .departure import Departure
from .log import Log
from .member import Member
from .membership import Membership
from .peers.contract import PeerReply
from .raft_mail import SnapshotSent, Unreachable
from .raft_peer import RaftPeer
from .snapshot_exchange import IncomingImage, OutgoingImage, SnapshotExchange

__all__ = ["Owner"]

Answer = Callable[[str, str, bytes], Awaitable[PeerReply | None]]
log = Log("triode.peers")


class Owner:
    """See `peers.contract.PeerOwner`."""

    def __init__(
        self,
        raft: RaftPeer,
        membership: Membership,
        exchange: SnapshotExchange,
        departure: Departure,
        *,
        member_id: int,
        answer: Answer,
    ) -> None:
        self._raft = raft
        self._membership = membership
        self._exchange = exchange
        self._departure = departure
        self._answer = answer
        self.member_id = member_id
        self.cluster_id = membership.cluster_id

    def step(self, message: Message, *, more: bool = False) -> None:
        """See `PeerOwner`. Proposals of removed members are not taken, nor what is for somebody else."""
        if message.to != self.member_id:
            log.warning("refused a message for another member", to=f"{message.to:x}")
        elif message.from_ not in self._membership.removed:
            self._raft.step(message, more=more)

    def unreachable(self, member: int) -> None:
        """See `PeerOwner`."""
        self._raft.tell(Unreachable(member))

    def snapshot_sent(self, member: int, *, failed: bool) -> None:
        """See `PeerOwner`."""
        self._raft.tell(SnapshotSent(member, failed))

    def is_removed(self, member: int) -> bool:
        """See `PeerOwner`."""
        return member in self._membership.removed

    def told_removed(self) -> None:
        """See `PeerOwner`."""
        self._departure.told()

    def open_snapshot(self) -> OutgoingImage:
        """See `PeerOwner`."""
        return self._exchange.open()

    def receive_snapshot(self, message: Message) -> IncomingImage:
        """See `PeerOwner`."""
        assert message.type is MessageType.SNAP
        return self._exchange.receive(message)

    def members(self) -> Sequence[Member]:
        """See `PeerOwner`."""
        return self._membership.sorted()

    async def answer(self, verb: str, target: str, body: bytes) -> PeerReply | None:
        """See `PeerOwner`."""
        return await self._answer(verb, target, body)
