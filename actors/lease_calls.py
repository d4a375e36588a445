"""Keep-alive and time to live of leases, on any member: only the leader counts their time.

Other members ask it over the links, with etcd's requests `POST /leases` and `POST /leases/internal`. The leader
looks only when it has applied what is committed: a lease that has just been granted is known to it by then.

A renewal is a promise that must hold under the next leader as well. So it is given only after a quorum has confirmed,
after it was asked for, that this member leads (see `confirm_leadership`); many share a round. And a checkpoint that is in
force, or was proposed and may come into force, is cleared by way of the log before (see `Lessor.needs_clearing`). Who is
alone in a cluster renews at once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import attrs
import trio
from google.protobuf.message import DecodeError

from ..errors import EtcdError, LeaderChanged, NotPrimaryLessor, TimeoutDueToLeaderFail
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
from .leader_calls import applied, ask_leader, confirm_leadership
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
        """Renew it at once and return its TTL, if this member is alone and nothing has to be waited for."""
        return self._try(lease) if self._node.reads_locally else None

    def renew_soon(self, lease: int, done: Callable[[int | None], None]) -> bool:
        """Renew it when a quorum has confirmed that this member leads, and call `done` with its TTL.

        `done` is called with None when it takes more than that: then `renew` does it. Returns False, and does not call
        `done`, if this member does not lead. The calls of `done` come in the order of those of this.
        """
        if not self._lessor.primary:
            return False
        call = Call(_Unanswered(done), 0)
        try:
            self._node.read_index(call, lambda: done(self._try(lease)))
        except EtcdError:
            return False
        return True

    def _try(self, lease: int) -> int | None:
        """Renew it; None if this member does not lead, or if there is something to be done before."""
        lessor, now = self._lessor, self._now()
        if not lessor.primary or not lessor.exists(lease):
            return None
        if lessor.needs_clearing(lease) or lessor.over(lease, now):
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

        If a checkpoint is in force or may come into force, it is cleared by way of the log before the answer is
        given: the next leader would otherwise start from it and end the lease too early.

        Raises NotPrimaryLessor, or what a read and a proposal may fail with.
        """
        if not await confirm_leadership(self._node):
            raise NotPrimaryLessor
        while self._lessor.needs_clearing(lease):
            mark = self._lessor.clearing(lease)
            request = checkpoint_request([(lease, 0)])
            try:
                await self._node.proposer.ask(proposals.LEASE_CHECKPOINT, request)
            except (LeaderChanged, TimeoutDueToLeaderFail):  # the next leader is asked
                raise NotPrimaryLessor from None
            self._lessor.cleared(lease, mark)
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
        """What is known here, if this member is alone."""
        if not self._node.reads_locally or not self._lessor.exists(lease):
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

        As with `renew_here`, only a quorum can say how long it lives, or that there is no such lease.
        """
        if not await confirm_leadership(self._node):
            raise NotPrimaryLessor
        await applied(self._node)
        return self._look(lease, keys=keys)

    def _look(self, lease: int, *, keys: bool) -> TimeToLive:
        lessor = self._lessor
        seconds = lessor.time_to_live(lease, self._now())
        attached = tuple(lessor.keys(lease)) if keys else ()
        return TimeToLive(seconds, lessor.granted_ttl(lease), attached)

    def _now(self) -> float:
        return self._node.world.clock.now()


class _Unanswered:
    """Told when a round has not been confirmed; the confirmation itself comes another way."""

    __slots__ = ("_done",)

    def __init__(self, done: Callable[[int | None], None]) -> None:
        self._done = done

    def answer(self, tag: int, message: bytes) -> None:
        del tag, message

    def refuse(self, tag: int, error: EtcdError) -> None:
        del tag, error
        self._done(None)


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
