"""Cluster: who the members are, and the changes of that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from ...errors import EtcdError, MemberBadURLs
from ...protowire import bytes_field, int_field
from ...raft.types import ConfChange
from ...rpc.pb.rpc_pb2 import (
    MemberAddRequest,
    MemberListRequest,
    MemberPromoteRequest,
    MemberRemoveRequest,
    MemberUpdateRequest,
)
from .. import membership_changes as changes
from .. import reconfiguration as strict
from ..call import Call
from ..context import NodeContext
from ..log import Log
from ..member import Member, member_id
from ..promotion import promote

__all__ = ["ClusterService", "encode_member"]

log = Log("triode.membership")


class ClusterService:
    """etcdserverpb.Cluster. The headers have no revision, as in etcd."""

    def __init__(self, node: NodeContext) -> None:
        self._node = node

    def member_list(self, message: bytes, call: Call) -> None:
        """MemberList: linearizable if the request says so, as clients do."""
        node = self._node
        if not MemberListRequest.FromString(message).linearizable or node.reads_locally:
            call.answer(self._header() + self._members(2))
        else:
            node.read_index(call, lambda: call.answer(self._header() + self._members(2)))

    def member_add(self, message: bytes, call: Call) -> None:
        """MemberAdd, as a voter or as a learner."""
        request, node = MemberAddRequest.FromString(message), self._node
        urls = _peer_urls(request.peerURLs)
        identity = member_id(urls, "", int(node.world.clock.wall()))
        member = Member(identity, urls, is_learner=request.isLearner)
        if node.config.strict_reconfig_check:
            strict.check_add(member, node.membership.voters(), self._connected)
        if member.is_learner:
            members = node.membership.members
            changes.check_learners(members, node.config.max_learners, more=1)
        self._change(
            changes.add(member),
            call,
            lambda: bytes_field(2, encode_member(member)) + self._members(3),
        )

    def member_remove(self, message: bytes, call: Call) -> None:
        """MemberRemove."""
        member, node = MemberRemoveRequest.FromString(message).ID, self._node
        if node.config.strict_reconfig_check and not node.membership.is_learner(member):
            strict.check_remove(member, node.membership.voters(), self._connected)
        self._change(changes.remove(member), call, lambda: self._members(2))

    def member_update(self, message: bytes, call: Call) -> None:
        """MemberUpdate: its peer URLs."""
        request = MemberUpdateRequest.FromString(message)
        change = changes.update(request.ID, tuple(request.peerURLs))
        self._change(change, call, lambda: self._members(2))

    def member_promote(self, message: bytes, call: Call) -> None:
        """MemberPromote: the leader decides, as it knows how far the learner has come."""
        member = MemberPromoteRequest.FromString(message).ID

        async def work() -> bytes:
            members = await promote(self._node, member)
            return self._header() + b"".join([bytes_field(2, encode_member(m)) for m in members])

        self._node.complete(call, work)

    def _change(self, change: ConfChange, call: Call, answer: Callable[[], bytes]) -> None:
        self._node.propose_change(change, Call(_Applied(self, change, call, answer), 0))

    def _connected(self, member: int, seconds: float) -> bool:
        node = self._node
        if member == node.member_id:
            return True
        since = node.peers.active_since(member)
        return since is not None and since <= node.world.clock.now() - seconds

    def _header(self) -> bytes:
        return bytes_field(1, self._node.header.message(0))

    def _members(self, number: int) -> bytes:
        members = self._node.membership.sorted()
        return b"".join([bytes_field(number, encode_member(member)) for member in members])


class _Applied:
    """Answers a call with the members as they are when its change has been applied."""

    def __init__(
        self, service: ClusterService, change: ConfChange, call: Call, answer: Callable[[], bytes]
    ) -> None:
        self._service = service
        self._change = change
        self._call = call
        self._answer = answer

    def answer(self, tag: int, message: bytes) -> None:
        del tag, message
        log.info(
            "applied a configuration change through raft",
            raft_conf_change=self._change.type.name,
            raft_conf_change_node_id=f"{self._change.node_id:x}",
        )
        self._call.answer(self._service._header() + self._answer())

    def refuse(self, tag: int, error: EtcdError) -> None:
        del tag
        self._call.refuse(error)


def _peer_urls(urls: Iterable[str]) -> tuple[str, ...]:
    """Sorted, as etcd keeps them; raises MemberBadURLs."""
    stripped = sorted(url.strip() for url in urls)
    if not stripped or not all(_is_peer_url(url) for url in stripped):
        raise MemberBadURLs
    return tuple(stripped)


def _is_peer_url(text: str) -> bool:
    """Whether etcd takes it: a scheme that it knows, host and port, no path."""
    try:
        parts = urlsplit(text)
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
