"""Locks and elections: an ordered queue of keys under a prefix, each alive as long as its lease.

A waiter puts the key `<name>/<lease in hex>` and is served when every key of the prefix with a lower
create revision is gone. It watches only the newest of those (so that a release wakes one waiter, not
all), and looks again when that one is deleted. Source: etcd's client/v3/concurrency.

etcd's servers for locks and elections lose the status code of what happens inside: every error is sent as
Unknown with its usual text. Clients compare the text, so that is kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from ...errors import Code, DeadlineExceeded, EtcdError, RequestCanceled
from ...rpc.pb.kv_pb2 import Event, KeyValue
from ...rpc.pb.rpc_pb2 import (
    Compare,
    DeleteRangeRequest,
    LeaseGrantRequest,
    LeaseGrantResponse,
    PutRequest,
    RangeRequest,
    RangeResponse,
    RequestOp,
    TxnRequest,
    TxnResponse,
    WatchCreateRequest,
)
from ..call import Call
from ..context import NodeContext
from ..failures import refusal_of
from .kv import KVService
from .lease import LeaseService
from .local import unary, wait_deleted, watching

__all__ = ["TIDY_SECONDS_MAX", "Queue", "complete_unknown", "prefix_end"]

SESSION_TTL_SECONDS = 60
TIDY_SECONDS_MAX = 2.0
"""How long a place in a queue is being given up: when the node ends by an error, nobody answers any more."""


def prefix_end(prefix: bytes) -> bytes:
    """The end of the range of keys that start with `prefix`; one zero byte if there is none."""
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes((trimmed[-1] + 1,)) if trimmed else b"\0"


class Queue:
    """KV as the services for locks and elections use it, in this process."""

    def __init__(self, node: NodeContext, kv: KVService, lease: LeaseService) -> None:
        self.node = node
        self._kv = kv
        self._lease = lease

    async def session(self, lease: int) -> int:
        """The lease to hold keys with: the given one, or a new one that nobody keeps alive."""
        if lease:
            return lease
        request = LeaseGrantRequest(TTL=SESSION_TTL_SECONDS)
        granted = await unary(self._lease.grant, request, LeaseGrantResponse, self.node)
        return granted.ID

    async def txn(self, request: TxnRequest) -> TxnResponse:
        """Run a transaction."""
        return await unary(self._kv.txn, request, TxnResponse, self.node)

    async def range(self, request: RangeRequest) -> RangeResponse:
        """Read."""
        return await unary(self._kv.range, request, RangeResponse, self.node)

    async def first(self, prefix: bytes) -> RangeResponse:
        """The key of the prefix that was created first: the owner."""
        return await self.range(first_request(prefix))

    async def wait_for_turn(self, prefix: bytes, revision: int) -> RangeResponse:
        """Return when no key of the prefix is older than `revision`; the last, empty, look."""
        while True:
            older = await self.range(
                RangeRequest(
                    key=prefix,
                    range_end=prefix_end(prefix),
                    limit=1,
                    sort_order=RangeRequest.DESCEND,
                    sort_target=RangeRequest.CREATE,
                    max_create_revision=revision - 1,
                )
            )
            if not older.kvs:
                return older
            await wait_deleted(self.node, older.kvs[0].key, older.header.revision)

    async def delete(self, key: bytes) -> TxnResponse:
        """Delete one key."""
        op = RequestOp(request_delete_range=DeleteRangeRequest(key=key))
        return await self.txn(TxnRequest(success=[op]))

    async def wait_for_put(self, prefix: bytes, revision: int) -> KeyValue:
        """The first key put under the prefix at or after `revision`."""
        request = WatchCreateRequest(
            key=prefix,
            range_end=prefix_end(prefix),
            start_revision=revision,
            filters=[WatchCreateRequest.NODELETE],
        )
        async with watching(self.node, request) as watch:
            while True:
                response = await watch.response()
                for event in response.events:
                    if event.type == Event.PUT:
                        return event.kv
                if response.canceled:
                    raise EtcdError("watch closed before a leader was elected")


def first_request(prefix: bytes) -> RangeRequest:
    """Reads the key of the prefix with the lowest create revision."""
    return RangeRequest(
        key=prefix,
        range_end=prefix_end(prefix),
        limit=1,
        sort_order=RangeRequest.ASCEND,
        sort_target=RangeRequest.CREATE,
    )


def created_at(key: bytes, revision: int) -> Compare:
    """Whether the key's create revision is `revision`; 0 for "is not there"."""
    return Compare(key=key, target=Compare.CREATE, result=Compare.EQUAL, create_revision=revision)


def put_op(key: bytes, value: bytes, lease: int) -> RequestOp:
    """A put as part of a transaction."""
    return RequestOp(request_put=PutRequest(key=key, value=value, lease=lease))


def complete_unknown(
    node: NodeContext, call: Call, work: Callable[[], Awaitable[Any]]
) -> trio.CancelScope:
    """Run `work` in a task of the node and answer with its message; errors get the code Unknown.

    The scope that is returned ends the work when the client is gone.
    """
    scope = trio.CancelScope()

    async def run() -> None:
        with scope:
            try:
                response = await work()
            except EtcdError as error:
                call.refuse(EtcdError(error.message, code=Code.UNKNOWN))
            except Exception as error:  # noqa: BLE001  # one call fails, not the node
                call.refuse(refusal_of(error))
            else:
                call.answer(response.SerializeToString())
        if scope.cancelled_caught:
            late = trio.current_time() >= scope.deadline
            call.refuse(DeadlineExceeded() if late else RequestCanceled())
        node.flush()

    node.spawn(run)
    return scope
