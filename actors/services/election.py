"""v3election: the leader is the first place in the queue of keys under the election's name."""

from __future__ import annotations

import trio

from ...errors import (
    ElectionLeaderMissing,
    ElectionNoLeader,
    ElectionNotLeader,
    EtcdError,
)
from ...rpc.pb.kv_pb2 import Event
from ...rpc.pb.rpc_pb2 import (
    DeleteRangeRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
    WatchCreateRequest,
)
from ...rpc.pb.v3election_pb2 import (
    CampaignRequest,
    CampaignResponse,
    LeaderKey,
    LeaderRequest,
    LeaderResponse,
    ProclaimRequest,
    ProclaimResponse,
    ResignRequest,
    ResignResponse,
)
from ..call import Call, Outlet
from .concurrency import TIDY_SECONDS_MAX, Queue, complete_unknown, created_at, put_op
from .local import watching
from .task_stream import Sender, TaskStream

__all__ = ["ElectionService"]


class ElectionService:
    """v3electionpb.Election."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def campaign(self, message: bytes, call: Call) -> trio.CancelScope:
        """Campaign: answered when elected; resigns if the client goes before."""
        request = CampaignRequest.FromString(message)
        return complete_unknown(self._queue.node, call, lambda: self._campaign(request))

    async def _campaign(self, request: CampaignRequest) -> CampaignResponse:
        queue = self._queue
        lease = await queue.session(request.lease)
        prefix = request.name + b"/"
        key = prefix + b"%x" % (lease & (1 << 64) - 1)
        entered = await queue.txn(
            TxnRequest(
                compare=[created_at(key, 0)],
                success=[put_op(key, request.value, lease)],
                failure=[RequestOp(request_range=RangeRequest(key=key))],
            )
        )
        leader = LeaderKey(name=request.name, key=key, rev=entered.header.revision, lease=lease)
        if not entered.succeeded:
            standing = entered.responses[0].response_range.kvs[0]
            leader.rev = standing.create_revision
            if standing.value != request.value:
                await self._proclaim(leader, request.value)
        try:
            await queue.wait_for_turn(prefix, leader.rev)
        except trio.Cancelled:
            with trio.move_on_after(TIDY_SECONDS_MAX, shield=True):
                await self._resign(leader)
            raise
        return CampaignResponse(header=entered.header, leader=leader)

    def proclaim(self, message: bytes, call: Call) -> trio.CancelScope:
        """Proclaim: a new value of the present leader."""
        request = ProclaimRequest.FromString(message)
        if not request.HasField("leader"):
            raise ElectionLeaderMissing
        return complete_unknown(
            self._queue.node, call, lambda: self._proclaim(request.leader, request.value)
        )

    async def _proclaim(self, leader: LeaderKey, value: bytes) -> ProclaimResponse:
        done = await self._queue.txn(
            TxnRequest(
                compare=[created_at(leader.key, leader.rev)],
                success=[put_op(leader.key, value, leader.lease)],
            )
        )
        if not done.succeeded:
            raise ElectionNotLeader
        return ProclaimResponse(header=done.header)

    def resign(self, message: bytes, call: Call) -> trio.CancelScope:
        """Resign: nothing happens to whoever leads by now."""
        request = ResignRequest.FromString(message)
        if not request.HasField("leader"):
            raise ElectionLeaderMissing
        return complete_unknown(self._queue.node, call, lambda: self._resign(request.leader))

    async def _resign(self, leader: LeaderKey) -> ResignResponse:
        done = await self._queue.txn(
            TxnRequest(
                compare=[created_at(leader.key, leader.rev)],
                success=[RequestOp(request_delete_range=DeleteRangeRequest(key=leader.key))],
            )
        )
        return ResignResponse(header=done.header)

    def leader(self, message: bytes, call: Call) -> trio.CancelScope:
        """Leader: who leads now."""
        request = LeaderRequest.FromString(message)
        return complete_unknown(self._queue.node, call, lambda: self._leader(request))

    async def _leader(self, request: LeaderRequest) -> LeaderResponse:
        found = await self._queue.first(request.name + b"/")
        if not found.kvs:
            raise ElectionNoLeader
        return LeaderResponse(header=found.header, kv=found.kvs[0])

    def observe(self, out: Outlet) -> TaskStream:
        """Observe: every leader and every value that it proclaims, from now on."""
        return TaskStream(self._queue.node, out, self._observe)

    async def _observe(self, message: bytes, sender: Sender) -> None:
        prefix = LeaderRequest.FromString(message).name + b"/"
        while True:
            found = await self._queue.first(prefix)
            response = LeaderResponse(header=found.header)
            if found.kvs:
                response.kv.CopyFrom(found.kvs[0])
            else:
                kv = await self._queue.wait_for_put(prefix, found.header.revision)
                response.kv.CopyFrom(kv)
                response.header.revision = kv.mod_revision
            await sender.send(response.SerializeToString())
            self._queue.node.flush()
            await self._follow(response.kv.key, response.header.revision + 1, sender)

    async def _follow(self, key: bytes, revision: int, sender: Sender) -> None:
        """Send each new value of the leader's key, until it is deleted."""
        request = WatchCreateRequest(key=key, start_revision=revision)
        async with watching(self._queue.node, request) as watch:
            while True:
                response = await watch.response()
                if response.canceled:
                    raise EtcdError("watch closed")
                for event in response.events:
                    if event.type == Event.DELETE:
                        return
                    answer = LeaderResponse(header=response.header, kv=event.kv)
                    await sender.send(answer.SerializeToString())
                    self._queue.node.flush()
