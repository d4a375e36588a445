"""What other members ask by HTTP, besides raft's messages: bodies and codes are etcd's, to the byte.

Source: etcd's etcdhttp/peer.go, leasehttp, and the handlers of hashes and downgrades.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Final

import trio
from google.protobuf.message import DecodeError

from ..errors import (
    EtcdError,
    LearnerNotReady,
    MemberNotFound,
    MemberNotLearner,
    TimeoutWaitAppliedIndex,
)
from ..rpc import pages
from ..rpc.http_reply import HttpReply, error_page, method_not_allowed
from ..rpc.pb.lease_pb2 import LeaseInternalRequest, LeaseInternalResponse
from ..rpc.pb.rpc_pb2 import LeaseKeepAliveRequest, LeaseKeepAliveResponse
from ..version import SERVER_VERSION
from .context import NodeContext
from .leader_calls import up_to_date
from .lease_calls import INTERNAL, LEASES, LeaseCalls, time_to_live_response
from .log import Log
from .member import go_json
from .peers.contract import PeerReply
from .promotion import NOT_FOUND, NOT_LEARNER, PROMOTE, promote_here
from .services.maintenance import MaintenanceService

__all__ = ["DOWNGRADE_ENABLED", "HASHKV", "MEMBERS", "VERSION", "PeerRequests"]

MEMBERS: Final = "/members"
HASHKV: Final = "/members/hashkv"
DOWNGRADE_ENABLED: Final = "/downgrade/enabled"
VERSION: Final = "/version"
LEASE_NOT_FOUND: Final = "lease not found"
NOT_APPLIED: Final = "waiting for node to catch up its applied index has timed out"
log = Log("triode.peers")

Answer = Callable[[str, bytes], Awaitable[HttpReply]]


class PeerRequests:
    """Answers them from one node."""

    def __init__(self, node: NodeContext, maintenance: MaintenanceService) -> None:
        self._node = node
        self._maintenance = maintenance
        self._leases = LeaseCalls(node)
        self._paths: dict[str, tuple[str, Answer]] = {
            MEMBERS: ("GET", self._members),
            HASHKV: ("GET", self._hash_kv),
            LEASES: ("POST", self._renew),
            INTERNAL: ("POST", self._time_to_live),
            DOWNGRADE_ENABLED: ("GET", self._downgrade_enabled),
        }

    async def answer(self, verb: str, target: str, body: bytes) -> PeerReply | None:
        """The reply, or None for a path that there is not."""
        await trio.lowlevel.checkpoint()
        path = target.partition("?")[0]
        if path == VERSION:
            reply = pages.version(
                verb,
                server=SERVER_VERSION,
                cluster=self._node.membership.version,
                storage=self._node.membership.storage_version,
            )
        else:
            allowed, answer = self._paths.get(path, ("", self._members))
            if path.startswith(PROMOTE):
                allowed, answer = "POST", self._promote
            if not allowed:
                return None
            reply = method_not_allowed(allowed) if verb != allowed else await answer(path, body)
        return PeerReply(reply.status, dict(reply.headers), reply.body)

    # --- members --------------------------------------------------------------------------------

    async def _members(self, path: str, body: bytes) -> HttpReply:
        del path, body
        return self._member_list()

    def _member_list(self) -> HttpReply:
        return _json([member.record() for member in self._node.membership.sorted()], b"\n")

    async def _promote(self, path: str, body: bytes) -> HttpReply:
        """Only here: a member that does not lead (any more) says so, and is not asked again."""
        del body
        number = path.removeprefix(PROMOTE)
        if not (number.isascii() and number.isdigit() and int(number) < 1 << 64):
            return error_page(404, f"member {number} not found in cluster")
        try:
            await promote_here(self._node, int(number))
        except EtcdError as error:
            log.warning("failed to promote a member", member_id=number, error=error.message)
            return _promotion_refused(error)
        return self._member_list()

    # --- hashes ---------------------------------------------------------------------------------

    async def _hash_kv(self, path: str, body: bytes) -> HttpReply:
        del path
        try:
            revision = _revision_of(body)
        except (ValueError, TypeError, AttributeError):
            return error_page(400, "error unmarshalling request")
        try:
            found, present = await self._maintenance.find_hash_kv(revision)
        except EtcdError as error:
            return error_page(400, error.message.removeprefix("etcdserver: "))
        fields = {
            "hash": found.hash,
            "compact_revision": found.compact_revision,
            "hash_revision": found.hash_revision,
        }
        given = {name: value for name, value in fields.items() if value}
        return _json({"header": {"revision": present}, **given})

    # --- leases ---------------------------------------------------------------------------------

    async def _renew(self, path: str, body: bytes) -> HttpReply:
        del path
        try:
            lease = LeaseKeepAliveRequest.FromString(body).ID
        except DecodeError:
            return error_page(400, "error unmarshalling request")
        try:
            ttl = await self._leases.renew_here(lease)
        except TimeoutWaitAppliedIndex:
            return error_page(408, NOT_APPLIED)
        except EtcdError as error:
            return error_page(400, error.message)
        if not ttl:
            return error_page(404, LEASE_NOT_FOUND)
        return _protobuf(LeaseKeepAliveResponse(ID=lease, TTL=ttl).SerializeToString())

    async def _time_to_live(self, path: str, body: bytes) -> HttpReply:
        del path
        try:
            request = LeaseInternalRequest.FromString(body).LeaseTimeToLiveRequest
        except DecodeError:
            return error_page(400, "error unmarshalling request")
        try:
            found = await self._leases.time_to_live_here(request.ID, keys=request.keys)
        except TimeoutWaitAppliedIndex:
            return error_page(408, NOT_APPLIED)
        except EtcdError as error:
            return error_page(500, error.message)
        if found.seconds < 0:
            return error_page(404, LEASE_NOT_FOUND)
        response = time_to_live_response(request.ID, found)
        response.header.SetInParent()
        answer = LeaseInternalResponse(LeaseTimeToLiveResponse=response)
        return _protobuf(answer.SerializeToString())

    # --- versions -------------------------------------------------------------------------------

    async def _downgrade_enabled(self, path: str, body: bytes) -> HttpReply:
        """Linearizable, so that one answer is enough for the one who asks."""
        del path, body
        try:
            await up_to_date(self._node)
        except EtcdError as error:
            return error_page(500, f"failed linearized read: {error.message}")
        enabled, _ = self._node.membership.downgrade
        return HttpReply(200, [("Content-Type", "text/plain")], b"true" if enabled else b"false")


def _promotion_refused(error: EtcdError) -> HttpReply:
    if isinstance(error, MemberNotFound):
        return error_page(404, NOT_FOUND)
    if isinstance(error, MemberNotLearner):
        return error_page(412, NOT_LEARNER)
    if isinstance(error, LearnerNotReady):
        return error_page(412, error.message)
    return _json({"message": "Internal Server Error"}, status=500)


def _revision_of(body: bytes) -> int:
    """Of etcd's `{"revision":5}`; nothing means 0."""
    revision = json.loads(body).get("revision", 0)
    if not isinstance(revision, int) or isinstance(revision, bool):
        raise TypeError("a revision is a number")
    return revision


def _json(value: object, tail: bytes = b"", *, status: int = 200) -> HttpReply:
    return HttpReply(status, [("Content-Type", "application/json")], go_json(value) + tail)


def _protobuf(data: bytes) -> HttpReply:
    return HttpReply(200, [("Content-Type", "application/protobuf")], data)
