"""Keep-alive and time to live of leases, on any member: only the leader counts their time.

Other members ask it over the links, with etcd's requests `POST /leases` and `POST /leases/internal`. The leader
looks only when it has applied what is committed: a lease that has just been granted is known to it by then.
"""

from __future__ import annotations

from contextlib import suppress

import attrs
import trio
from google.protobuf.message import DecodeError

from ..errors import EtcdError, NotPrimaryLessor
from ..rpc.pb.lease_pb2 import LeaseInternalRequest, LeaseInternalResponse
from ..rpc.pb.rpc_pb2 import (
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseRevokeRequest,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
)
from . import proposals
from .call import Call, Waiter
from .context import NodeContext
from .leader_calls import applied, ask_leader, up_to_date
from .peers.contract import PeerReply
from .reaper import checkpoint_request

__all__ = ["INTERNAL", "LEASES", "LeaseCalls", "TimeToLive", "time_to_live_response"]

LEASES = "/leases"
INTERNAL = "/leases/internal"


@attrs.frozen
class TimeToLive:
    """Seconds that are left (-1: the lease is unknown) and that were granted; the keys if they were asked for."""

    seconds: int = -1
    granted: int = 0
    keys: tuple[bytes, ...] = ()


class LeaseCalls:
    """Of one member, for its clients and for its peers."""

    def __init__(self, node: NodeContext) -> None:
        self._node = node
        self._lessor = node.lessor

    # --- keep-alive -----------------------------------------------------------------------------

    def renew_now(self, lease: int) -> int | None:
        """Renew it at once and return its TTL, if this member leads and nothing has to be waited for."""
        lessor, now = self._lessor, self._now()
        if not lessor.primary or not self._node.leadership.certain:
            return None
        if not lessor.exists(lease) or lessor.needs_clearing(lease) or lessor.over(lease, now):
            return None
        return lessor.keep_alive(lease, now)

    async def renew(self, lease: int) -> int:
        """Renew it wherever the leader is; its TTL, 0 if there is no such lease."""

        async def here() -> int | None:
            try:
                return await self.renew_here(lease)
            except NotPrimaryLessor:
                return None

        def read(reply: PeerReply) -> int | None:
            return _read_renewal(reply, lease)

        body = LeaseKeepAliveRequest(ID=lease).SerializeToString()
        return await ask_leader(self._node, here, "POST", LEASES, body, read)

    async def renew_here(self, lease: int) -> int:
        """Renew it on this member, the leader; 0 if there is no such lease.

        If a checkpoint is in force, it is cleared by way of the log before the answer is given: the next
        leader would otherwise start from it and end the lease too early.

        Raises NotPrimaryLessor, or what a read and a proposal may fail with.
        """
        if not await self._node.leadership.ensure():
            raise NotPrimaryLessor
        if not self._lessor.exists(lease):
            # An isolated leader may not have heard of the grant: only a quorum can say that there is none.
            await up_to_date(self._node)
        if self._lessor.needs_clearing(lease):
            request = checkpoint_request([(lease, 0)])
            await self._node.proposer.ask(proposals.LEASE_CHECKPOINT, request)
        if self._lessor.over(lease, self._now()):
            await self._end(lease)
        return self._lessor.keep_alive(lease, self._now())

    async def _end(self, lease: int) -> None:
        """Return when its revocation is applied: until then the next leader could renew it, so it is not over.

        Raises NotPrimaryLessor when that is not to be had from this leader. Source: etcd's Lessor.Renew, which
        waits for the same.
        """
        node = self._node
        waiter = Waiter()
        async with trio.open_nursery() as nursery:

            async def until_another_leads() -> None:
                await node.raft.wait_leader_change()
                nursery.cancel_scope.cancel()

            nursery.start_soon(until_another_leads)
            with suppress(EtcdError):  # not found: the reaper's proposal was quicker
                node.proposer.propose_as_leader(
                    node.raft.term,
                    Call(waiter, 0),
                    proposals.LEASE_REVOKE,
                    LeaseRevokeRequest(ID=lease),
                )
                await waiter.wait()
            nursery.cancel_scope.cancel()
        if self._lessor.exists(lease):
            raise NotPrimaryLessor

    # --- time to live ---------------------------------------------------------------------------

    def time_to_live_now(self, lease: int, *, keys: bool) -> TimeToLive | None:
        """What is known here, if this member leads and has applied all that it knows to be committed."""
        node = self._node
        if not self._lessor.primary or not node.leadership.certain:
            return None
        if node.applied_index() < node.raft.commit_index or not self._lessor.exists(lease):
            return None
        return self._look(lease, keys=keys)

    async def time_to_live(self, lease: int, *, keys: bool) -> TimeToLive:
        """What the leader knows."""

        async def here() -> TimeToLive | None:
            try:
                return await self.time_to_live_here(lease, keys=keys)
            except NotPrimaryLessor:
                return None

        def read(reply: PeerReply) -> TimeToLive | None:
            return _read_time_to_live(reply, lease)

        request = LeaseTimeToLiveRequest(ID=lease, keys=keys)
        body = LeaseInternalRequest(LeaseTimeToLiveRequest=request).SerializeToString()
        return await ask_leader(self._node, here, "POST", INTERNAL, body, read)

    async def time_to_live_here(self, lease: int, *, keys: bool) -> TimeToLive:
        """What this member knows, as the leader; raises NotPrimaryLessor, TimeoutWaitAppliedIndex, or what a read may.

        As with `renew_here`, only a quorum can say that there is no such lease.
        """
        if not await self._node.leadership.ensure():
            raise NotPrimaryLessor
        await applied(self._node)
        if not self._lessor.exists(lease):
            await up_to_date(self._node)
        return self._look(lease, keys=keys)

    def _look(self, lease: int, *, keys: bool) -> TimeToLive:
        lessor = self._lessor
        seconds = lessor.time_to_live(lease, self._now())
        attached = tuple(lessor.keys(lease)) if keys else ()
        return TimeToLive(seconds, lessor.granted_ttl(lease), attached)

    def _now(self) -> float:
        return self._node.world.clock.now()


def _read_renewal(reply: PeerReply, lease: int) -> int | None:
    """The TTL; None to ask again."""
    if reply.status == 404:
        return 0
    if reply.status != 200:
        return None
    try:
        response = LeaseKeepAliveResponse.FromString(reply.body)
    except DecodeError:
        return None
    return response.TTL if lease == response.ID else None


def _read_time_to_live(reply: PeerReply, lease: int) -> TimeToLive | None:
    if reply.status == 404:
        return TimeToLive()
    if reply.status != 200:
        return None
    try:
        response = LeaseInternalResponse.FromString(reply.body).LeaseTimeToLiveResponse
    except DecodeError:
        return None
    if lease != response.ID:
        return None
    return TimeToLive(response.TTL, response.grantedTTL, tuple(response.keys))


def time_to_live_response(lease: int, found: TimeToLive) -> LeaseTimeToLiveResponse:
    """Etcd's message, without a header."""
    return LeaseTimeToLiveResponse(
        ID=lease, TTL=found.seconds, grantedTTL=found.granted, keys=found.keys
    )
