"""Lease: grants and revocations go through the log; the rest is the leader's memory (see `lease_calls`)."""

from __future__ import annotations

from collections import deque
from functools import partial

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


class _Renewal:
    """A keep-alive that waits: for its round, for a task, or for those before it."""

    __slots__ = ("header", "lease", "ttl")

    def __init__(self, header: bytes, lease: int) -> None:
        self.header = header
        self.lease = lease
        self.ttl: int | None = None


class KeepAliveStream:
    """One LeaseKeepAlive call: a response per request, in their order; TTL 0 for a lease that is not there.

    Who is alone renews at once. A leader of others renews when a quorum has confirmed that it leads, as many as there are
    in one round. What takes more (another member leads, a checkpoint is to be cleared) is left to a task, one after the
    other, and those behind wait for it.
    """

    def __init__(self, node: NodeContext, calls: LeaseCalls, out: Outlet) -> None:
        self._node = node
        self._calls = calls
        self._out = out
        self._waiting: deque[_Renewal] = deque()
        self._slow: deque[_Renewal] = deque()
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
        if not self._waiting:
            ttl = self._calls.renew_now(lease)
            if ttl is not None:
                self._answer(header, lease, ttl)
                return
        renewal = _Renewal(header, lease)
        self._waiting.append(renewal)
        if not self._calls.renew_soon(lease, partial(self._renewed, renewal)):
            self._ask_for(renewal)

    def _renewed(self, renewal: _Renewal, ttl: int | None) -> None:
        """A round has been confirmed, or has not."""
        if self._finished:
            return
        if ttl is None:
            self._ask_for(renewal)
            return
        renewal.ttl = ttl
        self._answer_waiting()

    def _ask_for(self, renewal: _Renewal) -> None:
        self._slow.append(renewal)
        if self._asking is None:
            self._asking = trio.CancelScope()
            try:
                self._node.spawn(self._ask)
            except EtcdError as error:  # the node stops
                self._fail(error)

    async def _ask(self) -> None:
        assert self._asking is not None
        with self._asking:
            try:
                while self._slow:
                    renewal = self._slow.popleft()
                    renewal.ttl = await self._calls.renew(renewal.lease)
                    self._answer_waiting()
                    self._node.flush()
            except Exception as error:  # noqa: BLE001  # one stream fails, not the node
                self._fail(self._node.refusal_of(error))
            self._node.flush()
        self._asking = None

    def _answer_waiting(self) -> None:
        """Answer those that are renewed, as far as nobody before them waits; the last one ends a half-closed call."""
        waiting = self._waiting
        while waiting and (ttl := waiting[0].ttl) is not None:
            renewal = waiting.popleft()
            self._answer(renewal.header, renewal.lease, ttl)
        if self._half_closed and not waiting:
            self._finish()

    def _fail(self, error: EtcdError) -> None:
        self._waiting.clear()
        self._slow.clear()
        self._finish(error)

    def _finish(self, error: EtcdError | None = None) -> None:
        if not self._finished:
            self._finished = True
            self._out.finish(error)

    def _answer(self, header: bytes, lease: int, ttl: int) -> None:
        self._out.send(header + int_field(2, lease) + int_field(3, ttl))

    def half_closed(self) -> None:
        """The client is done; we are, when all is answered."""
        self._half_closed = True
        if not self._waiting:
            self._finish()

    def cancelled(self) -> None:
        """Nobody waits any more."""
        self._finished = True
        self._waiting.clear()
        self._slow.clear()
        if self._asking is not None:
            self._asking.cancel()

    def writable(self) -> None:
        """Answers are as many as requests: there is nothing to resume."""
