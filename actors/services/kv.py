"""KV: ranges are answered on the spot where that is linearizable, writes are proposed.

With a single voter no read needs a round trip: whatever was acknowledged to anybody has been applied here,
and no other member can acknowledge anything.
"""

from __future__ import annotations

from collections.abc import Callable

from ...errors import EtcdError
from ...mvcc.checks import check_delete, check_put, check_range, check_txn
from ...mvcc.ranges import RangeResult
from ...mvcc.txn import is_read_only, is_serializable
from ...rpc.pb.rpc_pb2 import (
    CompactionRequest,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    TxnRequest,
)
from .. import proposals
from ..answers import range_response, txn_response
from ..call import Call, Sink
from ..context import NodeContext

__all__ = ["KVService"]


class KVService:
    """etcdserverpb.KV."""

    def __init__(self, node: NodeContext) -> None:
        self._node = node
        self._store = node.store
        self._header = node.header
        self._propose = node.proposer.propose
        self._quota = node.quota
        self._ops_max = node.config.max_txn_ops
        self.read: Callable[[RangeRequest], RangeResult] = node.store.range

    def range(self, message: bytes, call: Call) -> None:
        """Range: serializable ones and those of a single voter at once, others by ReadIndex."""
        request = RangeRequest.FromString(message)
        check_range(request)
        if request.serializable or self._node.reads_locally:
            self._range(request, call)
        else:
            self._node.read_index(call, lambda: self._range(request, call))

    def _range(self, request: RangeRequest, call: Call) -> None:
        result = self.read(request)
        call.answer(range_response(self._header.framed(result.revision), result))

    def put(self, message: bytes, call: Call) -> None:
        """Put."""
        request = PutRequest.FromString(message)
        self._quota.check_put(request)
        check_put(request)
        self._propose(call, proposals.PUT, request, message)

    def delete_range(self, message: bytes, call: Call) -> None:
        """DeleteRange: allowed without space, as it makes some."""
        request = DeleteRangeRequest.FromString(message)
        check_delete(request)
        self._propose(call, proposals.DELETE_RANGE, request, message)

    def txn(self, message: bytes, call: Call) -> None:
        """Txn: one that only reads is a read, unless it holds a nested txn."""
        request = TxnRequest.FromString(message)
        self._quota.check_txn(request, len(message))
        check_txn(request, self._ops_max)
        if not is_read_only(request):
            self._propose(call, proposals.TXN, request, message)
        elif self._node.reads_locally or is_serializable(request):
            self._read_txn(request, call)
        else:
            self._node.read_index(call, lambda: self._read_txn(request, call))

    def _read_txn(self, request: TxnRequest, call: Call) -> None:
        result = self._store.txn(request)
        call.answer(txn_response(self._header.framed(result.revision), result))

    def compact(self, message: bytes, call: Call) -> None:
        """Compact: answered when applied, or with `physical` when the sweep is done and committed."""
        request = CompactionRequest.FromString(message)
        if request.physical:
            call.sink = _AfterSweep(call.sink, self._node.after_sweep)
        self._propose(call, proposals.COMPACTION, request, message)


class _AfterSweep:
    """Holds an answer back until the compaction's sweep is on disk."""

    def __init__(self, sink: Sink, after_sweep: Callable[[Callable[[], None]], None]) -> None:
        self._sink = sink
        self._after_sweep = after_sweep

    def answer(self, tag: int, message: bytes) -> None:
        self._after_sweep(lambda: self._sink.answer(tag, message))

    def refuse(self, tag: int, error: EtcdError) -> None:
        self._sink.refuse(tag, error)
