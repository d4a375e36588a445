"""Cluster: the members. A single node lists itself; membership changes need peers."""

from __future__ import annotations

from ...errors import NotCapable
from ...protowire import bytes_field, int_field
from ..call import Call
from ..context import NodeContext
from ..membership import Member

__all__ = ["ClusterService"]


class ClusterService:
    """etcdserverpb.Cluster."""

    def __init__(self, node: NodeContext) -> None:
        self._node = node

    def member_list(self, message: bytes, call: Call) -> None:
        """MemberList: the header has no revision, as in etcd."""
        del message
        members = sorted(self._node.membership.members.values(), key=lambda member: member.id)
        header = bytes_field(1, self._node.header.message(0))
        call.answer(header + b"".join([bytes_field(2, encode_member(m)) for m in members]))

    def change(self, message: bytes, call: Call) -> None:
        """MemberAdd, MemberRemove, MemberUpdate and MemberPromote need a node that has peers."""
        del message, call
        raise NotCapable


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
