"""v3lock: a lock is the first place in the queue of keys under the lock's name."""

from __future__ import annotations

import trio

from ...errors import EtcdError
from ...rpc.pb.rpc_pb2 import DeleteRangeRequest, RangeRequest, RequestOp, TxnRequest
from ...rpc.pb.v3lock_pb2 import LockRequest, LockResponse, UnlockRequest, UnlockResponse
from ..call import Call
from .concurrency import (
    TIDY_SECONDS_MAX,
    Queue,
    complete_unknown,
    created_at,
    first_request,
    put_op,
)

__all__ = ["LockService"]


class LockService:
    """v3lockpb.Lock."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def lock(self, message: bytes, call: Call) -> trio.CancelScope:
        """Lock: answered when the lock is held; gives the place up if the client goes before."""
        request = LockRequest.FromString(message)
        return complete_unknown(self._queue.node, call, lambda: self._lock(request))

    async def _lock(self, request: LockRequest) -> LockResponse:
        queue = self._queue
        lease = await queue.session(request.lease)
        prefix = request.name + b"/"
        key = prefix + b"%x" % (lease & (1 << 64) - 1)
        owner = RequestOp(request_range=first_request(prefix))
        mine = RequestOp(request_range=RangeRequest(key=key))
        entered = await queue.txn(
            TxnRequest(
                compare=[created_at(key, 0)],
                success=[put_op(key, b"", lease), owner],
                failure=[mine, owner],
            )
        )
        revision = entered.header.revision
        if not entered.succeeded:
            revision = entered.responses[0].response_range.kvs[0].create_revision
        first = entered.responses[1].response_range.kvs
        if first and first[0].create_revision == revision:
            return LockResponse(header=entered.header, key=key)
        try:
            await queue.wait_for_turn(prefix, revision)
        except BaseException:
            with trio.move_on_after(TIDY_SECONDS_MAX, shield=True):
                await queue.delete(key)
            raise
        held = await queue.range(RangeRequest(key=key))
        if not held.kvs:
            raise EtcdError("mutex: session is expired")
        return LockResponse(header=held.header, key=key)

    def unlock(self, message: bytes, call: Call) -> trio.CancelScope:
        """Unlock: deletes the key; a key that is not there is unlocked already."""
        request = UnlockRequest.FromString(message)
        return complete_unknown(self._queue.node, call, lambda: self._unlock(request))

    async def _unlock(self, request: UnlockRequest) -> UnlockResponse:
        op = RequestOp(request_delete_range=DeleteRangeRequest(key=request.key))
        done = await self._queue.txn(TxnRequest(success=[op]))
        return UnlockResponse(header=done.header)
