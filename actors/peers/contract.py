"""What a node and the links to its peers promise each other.

The node (`PeerOwner`) knows raft, the members and the state; the links (`Peers`) know addresses and bytes.
Both sides are called synchronously on the loop's thread and never wait. The real links speak etcd's HTTP/1.1
protocol (`links`); the simulated ones hand messages over in memory, late, twice, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import attrs

from ...raft.types import Message, Snapshot
from ..membership import Member

__all__ = [
    "IncomingSnapshot",
    "OutgoingSnapshot",
    "PeerOwner",
    "PeerReply",
    "Peers",
]


class OutgoingSnapshot(Protocol):
    """The whole state of the sender, frozen, as a bbolt image.

    The log may go on, and be cut, while it is sent. `close` it in any case.
    """

    snapshot: Snapshot
    """Its place in the log and the membership there; goes into the message instead of raft's own."""

    async def size(self) -> int:
        """The bytes of the image; to be awaited once, before `chunks`. It may take a pass over the data."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """The image in pieces of at most some 64 KiB; computed as they are asked for."""
        ...

    def close(self) -> None: ...


class IncomingSnapshot(Protocol):
    """A state on its way in. Either `finish` or `abandon` ends it; both may raise StorageError."""

    def write(self, data: bytes) -> None:
        """The next piece of the image."""
        ...

    async def finish(self) -> None:
        """Everything is here: check it, make it durable, and hand the message to raft."""
        ...

    def abandon(self) -> None:
        """The rest will not come."""
        ...


@attrs.frozen
class PeerReply:
    """The answer to an HTTP request of one member to another."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class PeerOwner(Protocol):
    """The node, as its links see it."""

    @property
    def member_id(self) -> int: ...

    @property
    def cluster_id(self) -> int: ...

    def step(self, message: Message, *, more: bool = False) -> None:
        """A raft message for this node; one that cannot be taken now is dropped, as raft allows.

        It is acted on before this returns, unless there is `more` to come at once.
        """
        ...

    def unreachable(self, member: int) -> None:
        """The last message to `member` could not be sent."""
        ...

    def snapshot_sent(self, member: int, *, failed: bool) -> None:
        """What became of the snapshot to `member`."""
        ...

    def is_removed(self, member: int) -> bool:
        """Whether `member` was removed from the cluster; it is answered 410."""
        ...

    def told_removed(self) -> None:
        """A peer answered 410: the cluster has removed this member."""
        ...

    def open_snapshot(self) -> OutgoingSnapshot:
        """The state as it is applied now."""
        ...

    def receive_snapshot(self, message: Message) -> IncomingSnapshot:
        """Make room for the state that comes with a SNAP message; raises StorageError."""
        ...

    def members(self) -> Sequence[Member]:
        """The members as this one knows them."""
        ...

    async def answer(self, verb: str, target: str, body: bytes) -> PeerReply | None:
        """Answer a request that is not of raft's; None for a path that there is not.

        The paths: `/members`, `/members/promote/N`, `/members/hashkv`, `/leases`, `/leases/internal`,
        `/downgrade/enabled`, `/version`.
        """
        ...


class Peers(Protocol):
    """The links to the other members. All of it may be called before the links' actor runs."""

    def send(self, messages: Sequence[Message]) -> None:
        """Send in this order to each receiver; what cannot be queued is dropped and told as unreachable.

        For a SNAP the links ask the owner for the state (`open_snapshot`), and tell what became of it.
        Unknown receivers are ignored.
        """
        ...

    def add(self, member: int, peer_urls: Sequence[str]) -> None:
        """Begin to talk to a member; a known one gets new URLs."""
        ...

    def remove(self, member: int) -> None:
        """Cut the links to a member, in both directions."""
        ...

    def active_since(self, member: int) -> float | None:
        """Since when (the world's clock, seconds) the member has been reachable; None if it is not."""
        ...

    def rearm(self) -> None:
        """The node has been paused or partitioned: dial again without waiting for the back-off."""
        ...

    async def ask(
        self, member: int, verb: str, target: str, body: bytes = b"", *, seconds_max: float = 5.0
    ) -> PeerReply:
        """An HTTP request to a member, at any of its URLs; raises OSError when none answers in time."""
        ...
