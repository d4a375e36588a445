"""The short way past the quota: a bound that no transaction exceeds."""

from __future__ import annotations

from triode.actors.quota import TXN_COST_PER_BYTE_MAX
from triode.mvcc.quota import txn_cost
from triode.rpc.pb.rpc_pb2 import PutRequest, RequestOp, TxnRequest


def nested(txn: TxnRequest, levels: int) -> TxnRequest:
    for _ in range(levels):
        txn = TxnRequest(success=[RequestOp(request_txn=txn)])
    return txn


def test_no_txn_costs_more_than_its_bytes_allow() -> None:
    """Even the smallest puts, many or one, nested or not, in either branch."""
    for count in (1, 2, 128):
        puts = [RequestOp(request_put=PutRequest(key=b"k"))] * count
        for txn in (TxnRequest(success=puts), TxnRequest(failure=puts)):
            for levels in (0, 1, 5):
                request = nested(txn, levels)
                bound = len(request.SerializeToString()) * TXN_COST_PER_BYTE_MAX
                assert count * 257 == txn_cost(request) <= bound
