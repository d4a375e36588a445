"""Cluster: the members. A single node lists itself; membership changes need peers."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from ...errors import (
    MemberBadURLs,
    MemberNotEnoughStarted,
    MemberNotFound,
    MemberNotLearner,
    NotCapable,
    PeerURLExist,
)
from ...protowire import bytes_field, int_field
from ...rpc.pb.rpc_pb2 import (
    MemberAddRequest,
    MemberPromoteRequest,
    MemberRemoveRequest,
    MemberUpdateRequest,
)
from ..call import Call
from ..context import NodeContext
from ..membership import Member

__all__ = ["ClusterService"]


class ClusterService:
    """etcdserverpb.Cluster.

    A change that a cluster of one member would refuse is refused with etcd's words; one that it would carry
    out is answered with NotCapable, as there are no peers yet.
    """

    def __init__(self, node: NodeContext) -> None:
        self._node = node

    def member_list(self, message: bytes, call: Call) -> None:
        """MemberList: the header has no revision, as in etcd."""
        del message
        members = sorted(self._node.membership.members.values(), key=lambda member: member.id)
        header = bytes_field(1, self._node.header.message(0))
        call.answer(header + b"".join([bytes_field(2, encode_member(m)) for m in members]))

    def member_add(self, message: bytes, call: Call) -> None:
        """MemberAdd."""
        del call
        urls = MemberAddRequest.FromString(message).peerURLs
        if not urls or not all(_is_peer_url(url) for url in urls):
            raise MemberBadURLs
        self._refuse_taken(urls)
        raise NotCapable

    def member_remove(self, message: bytes, call: Call) -> None:
        """MemberRemove: the last member cannot be removed."""
        del call
        self._known(MemberRemoveRequest.FromString(message).ID)
        raise MemberNotEnoughStarted

    def member_update(self, message: bytes, call: Call) -> None:
        """MemberUpdate."""
        del call
        request = MemberUpdateRequest.FromString(message)
        mine = self._known(request.ID)
        self._refuse_taken(set(request.peerURLs) - set(mine.peer_urls))
        raise NotCapable

    def member_promote(self, message: bytes, call: Call) -> None:
        """MemberPromote: there is no learner."""
        del call
        self._known(MemberPromoteRequest.FromString(message).ID)
        raise MemberNotLearner

    def _known(self, member: int) -> Member:
        known = self._node.membership.members.get(member)
        if known is None:
            raise MemberNotFound
        return known

    def _refuse_taken(self, urls: Iterable[str]) -> None:
        taken = {
            url for member in self._node.membership.members.values() for url in member.peer_urls
        }
        if taken.intersection(urls):
            raise PeerURLExist


def _is_peer_url(text: str) -> bool:
    """Whether etcd takes it: a scheme that it knows, host and port, no path."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        return False
    if parts.scheme in ("unix", "unixs"):
        return True
    return parts.scheme in ("http", "https") and port is not None and not parts.path


def encode_member(member: Member) -> bytes:
    """etcdserverpb.Member."""
    return b"".join(
        [
            int_field(1, member.id),
            bytes_field(2, member.name.encode()) if member.name else b"",
            *[bytes_field(3, url.encode()) for url in member.peer_urls],
            *[bytes_field(4, url.encode()) for url in member.client_urls],
            int_field(5, int(member.is_learner)),
        ]
    )
