"""Lease: grants and revocations go through the log; the rest is the leader's memory (see `lease_calls`)."""

from __future__ import annotations

from collections import deque

import trio

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
from ..lease_calls import LeaseCalls, time_to_live_response

__all__ = ["KeepAliveStream", "LeaseService"]

ID_MAX = (1 << 63) - 1
OUTLET_BYTES_MAX = 1024 * 1024
KEEP_ALIVES_WAITING_MAX = 10_000


class LeaseService:
    """etcdserverpb.Lease."""

    def __init__(self, node: NodeContext) -> None:
        self._node = node
        self._lessor = node.lessor
        self.calls = LeaseCalls(node)

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
        """LeaseTimeToLive: an unknown lease has TTL -1, which is not an error. The leader knows it."""
        request = LeaseTimeToLiveRequest.FromString(message)
        lease, keys = request.ID, request.keys
        found = self.calls.time_to_live_now(lease, keys=keys)
        if found is not None:
            call.answer(self._header() + time_to_live_response(lease, found).SerializeToString())
            return

        async def work() -> bytes:
            answer = await self.calls.time_to_live(lease, keys=keys)
            return self._header() + time_to_live_response(lease, answer).SerializeToString()

        self._node.complete(call, work)

    def leases(self, message: bytes, call: Call) -> None:
        """LeaseLeases: a local list, not linearizable."""
        del message
        listed = [bytes_field(2, int_field(1, lease)) for lease in self._lessor.leases()]
        call.answer(self._header() + b"".join(listed))

    def keep_alive(self, out: Outlet) -> KeepAliveStream:
        """LeaseKeepAlive."""
        return KeepAliveStream(self._node, self.calls, out)

    def _header(self) -> bytes:
        return self._node.header.framed(self._node.store.revision)


class KeepAliveStream:
    """One LeaseKeepAlive call: a response per request, in their order; TTL 0 for a lease that is not there.

    Most can be answered at once. One that cannot (another member leads, a checkpoint is to be cleared) makes those
    behind it wait, and a task asks for one after the other.
    """

    def __init__(self, node: NodeContext, calls: LeaseCalls, out: Outlet) -> None:
        self._node = node
        self._calls = calls
        self._out = out
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._asking: trio.CancelScope | None = None
        self._half_closed = False
        self._finished = False

    def message(self, data: bytes) -> None:
        """Renew one lease."""
        if self._finished:
            return
        full = len(self._waiting) >= KEEP_ALIVES_WAITING_MAX
        if full or self._out.backlog() > OUTLET_BYTES_MAX:
            raise EtcdError(
                "etcdserver: too many keep-alives without reading their answers",
                code=Code.RESOURCE_EXHAUSTED,
            )
        lease = LeaseKeepAliveRequest.FromString(data).ID
        # made before the renewal: a revision from after it could be one at which the lease has been revoked
        header = self._node.header.framed(self._node.store.revision)
        if self._asking is None:
            ttl = self._calls.renew_now(lease)
            if ttl is not None:
                self._answer(header, lease, ttl)
                return
        self._waiting.append((header, lease))
        if self._asking is None:
            self._node.spawn(self._ask)
            self._asking = trio.CancelScope()

    async def _ask(self) -> None:
        assert self._asking is not None
        with self._asking:
            try:
                while self._waiting:
                    header, lease = self._waiting.popleft()
                    self._answer(header, lease, await self._calls.renew(lease))
                    self._node.flush()
                if self._half_closed:
                    self._finish()
            except Exception as error:  # noqa: BLE001  # one stream fails, not the node
                self._waiting.clear()
                self._finish(self._node.refusal_of(error))
            self._node.flush()
        self._asking = None

    def _finish(self, error: EtcdError | None = None) -> None:
        if not self._finished:
            self._finished = True
            self._out.finish(error)

    def _answer(self, header: bytes, lease: int, ttl: int) -> None:
        self._out.send(header + int_field(2, lease) + int_field(3, ttl))

    def half_closed(self) -> None:
        """The client is done; we are, when all is answered."""
        self._half_closed = True
        if self._asking is None:
            self._finish()

    def cancelled(self) -> None:
        """Nobody waits any more."""
        self._finished = True
        self._waiting.clear()
        if self._asking is not None:
            self._asking.cancel()

    def writable(self) -> None:
        """Answers are as many as requests: there is nothing to resume."""
