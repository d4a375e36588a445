"""Lease: grants and revocations go through the log, the rest is the leader's memory."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import Code, EtcdError, LeaseTTLTooLarge
from ...mvcc.lease import TTL_SECONDS_MAX
from ...protowire import bytes_field, int_field
from ...rpc.pb.rpc_pb2 import (
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    LeaseRevokeRequest,
    LeaseTimeToLiveRequest,
)
from .. import proposals
from ..call import Call, Outlet
from ..context import NodeContext
from ..reaper import checkpoint_request

__all__ = ["KeepAliveStream", "LeaseService"]

ID_MAX = (1 << 63) - 1
OUTLET_BYTES_MAX = 1024 * 1024


class LeaseService:
    """etcdserverpb.Lease."""

    def __init__(self, node: NodeContext) -> None:
        self._node = node
        self._lessor = node.lessor

    def grant(self, message: bytes, call: Call) -> None:
        """LeaseGrant: ID 0 asks for a random one."""
        request = LeaseGrantRequest.FromString(message)
        self._node.quota.check_grant()
        if request.TTL > TTL_SECONDS_MAX:
            raise LeaseTTLTooLarge
        if request.ID == 0:
            request.ID = self._unused_id()
            message = request.SerializeToString()
        self._node.proposer.propose(call, proposals.LEASE_GRANT, request, message)

    def _unused_id(self) -> int:
        while True:
            lease_id = self._node.world.random.randint(1, ID_MAX)
            if not self._lessor.exists(lease_id):
                return lease_id

    def revoke(self, message: bytes, call: Call) -> None:
        """LeaseRevoke."""
        request = LeaseRevokeRequest.FromString(message)
        self._node.proposer.propose(call, proposals.LEASE_REVOKE, request, message)

    def time_to_live(self, message: bytes, call: Call) -> None:
        """LeaseTimeToLive: an unknown lease has TTL -1, which is not an error."""
        request = LeaseTimeToLiveRequest.FromString(message)
        now = self._node.world.clock.now()
        remaining = self._lessor.time_to_live(request.ID, now)
        granted = self._lessor.granted_ttl(request.ID)
        answer = self._header() + int_field(2, request.ID)
        answer += int_field(3, remaining) + int_field(4, granted)
        if request.keys:
            answer += b"".join([bytes_field(5, key) for key in self._lessor.keys(request.ID)])
        call.answer(answer)

    def leases(self, message: bytes, call: Call) -> None:
        """LeaseLeases: a local list, not linearizable."""
        del message
        listed = [bytes_field(2, int_field(1, lease)) for lease in self._lessor.leases()]
        call.answer(self._header() + b"".join(listed))

    def keep_alive(self, out: Outlet) -> KeepAliveStream:
        """LeaseKeepAlive."""
        return KeepAliveStream(self._node, out)

    def _header(self) -> bytes:
        return self._node.header.framed(self._node.store.revision)


class KeepAliveStream:
    """One LeaseKeepAlive call: a response per request, TTL 0 for a lease that is not there."""

    def __init__(self, node: NodeContext, out: Outlet) -> None:
        self._node = node
        self._out = out

    def message(self, data: bytes) -> None:
        """Renew one lease.

        If a checkpoint is in force, it is cleared by way of the log before the answer is given: the next
        leader would otherwise start from it and end the lease too early.
        """
        if self._out.backlog() > OUTLET_BYTES_MAX:
            raise EtcdError(
                "etcdserver: too many keep-alives without reading their answers",
                code=Code.RESOURCE_EXHAUSTED,
            )
        request = LeaseKeepAliveRequest.FromString(data)
        if not self._node.lessor.needs_clearing(request.ID):
            self._renew(request)
            return
        clear = checkpoint_request([(request.ID, 0)])
        call = Call(_Then(lambda: self._renew(request), self._out.finish), 0)
        message = clear.SerializeToString()
        self._node.proposer.propose(call, proposals.LEASE_CHECKPOINT, clear, message)

    def _renew(self, request: LeaseKeepAliveRequest) -> None:
        ttl = self._node.lessor.keep_alive(request.ID, self._node.world.clock.now())
        header = self._node.header.framed(self._node.store.revision)
        self._out.send(header + int_field(2, request.ID) + int_field(3, ttl))

    def half_closed(self) -> None:
        """The client is done, and so are we."""
        self._out.finish()

    def cancelled(self) -> None:
        """Nothing is held."""

    def writable(self) -> None:
        """Answers are as many as requests: there is nothing to resume."""


class _Then:
    """A sink that goes on when its call is done, and ends the stream when it failed."""

    def __init__(self, done: Callable[[], None], failed: Callable[[EtcdError], None]) -> None:
        self._done = done
        self._failed = failed

    def answer(self, tag: int, message: bytes) -> None:
        del tag, message
        self._done()

    def refuse(self, tag: int, error: EtcdError) -> None:
        del tag
        self._failed(error)
