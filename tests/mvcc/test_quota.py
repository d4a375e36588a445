from __future__ import annotations

from triode.mvcc.quota import LEASE_COST, QUOTA_BYTES, Quota, put_cost, txn_cost
from triode.rpc.pb import rpc_pb2 as pb

PUT = pb.PutRequest(key=b"key", value=b"value")
OP = pb.RequestOp(request_put=PUT)
DELETE = pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=b"key"))


def test_costs_are_etcds() -> None:
    assert put_cost(PUT) == 256 + 3 + 5
    assert txn_cost(pb.TxnRequest(success=[OP], failure=[OP, OP])) == 2 * 264
    assert txn_cost(pb.TxnRequest(success=[DELETE])) == 0
    inner = pb.RequestOp(request_txn=pb.TxnRequest(success=[OP, OP]))
    assert txn_cost(pb.TxnRequest(success=[OP, inner])) == 3 * 264, "nested puts count"
    assert LEASE_COST == 64


def test_what_reaches_the_limit_does_not_fit() -> None:
    quota = Quota(1000, lambda: 900)
    assert quota.available(99)
    assert not quota.available(100)
    assert quota.remaining == 100


def test_free_requests_pass_a_full_store() -> None:
    assert Quota(1000, lambda: 5000).available(0)


def test_the_default_and_no_limit() -> None:
    assert Quota(0, lambda: 0).limit_bytes == QUOTA_BYTES
    assert Quota(-1, lambda: 1 << 60).available(1 << 60)
    assert Quota(-1, lambda: 1 << 60).remaining == 1
