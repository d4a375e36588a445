from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triode.errors import DuplicateKey, InvalidSortOption, TooManyOps
from triode.mvcc.checks import TXN_DEPTH_MAX, check_range, check_txn
from triode.rpc.pb import raft_internal_pb2
from triode.rpc.pb import rpc_pb2 as pb

GET = pb.RequestOp(request_range=pb.RangeRequest(key=b"k"))


def nested(depth: int) -> pb.TxnRequest:
    request = pb.TxnRequest(success=[GET])
    for _ in range(depth - 1):
        request = pb.TxnRequest(success=[pb.RequestOp(request_txn=request)])
    return request


@pytest.mark.parametrize("field", ["success", "failure", "compare"])
def test_the_longest_list_counts(field: str) -> None:
    one = pb.Compare(key=b"k") if field == "compare" else GET
    lists: dict[str, Any] = {field: [one] * 128}
    request = pb.TxnRequest(**lists)
    check_txn(request)
    getattr(request, field).append(one)
    with pytest.raises(TooManyOps):
        check_txn(request)


def test_nested_txns_share_what_is_left() -> None:
    inner = pb.TxnRequest(success=[GET] * 4)
    request = pb.TxnRequest(success=[pb.RequestOp(request_txn=inner), GET])
    check_txn(request, 6)
    with pytest.raises(TooManyOps):
        check_txn(request, 5)


def test_what_passes_can_be_read_back_from_the_log() -> None:
    deepest = nested(TXN_DEPTH_MAX)
    check_txn(deepest)
    entry = raft_internal_pb2.InternalRaftRequest(txn=deepest).SerializeToString()
    assert raft_internal_pb2.InternalRaftRequest.FromString(entry).txn == deepest
    with pytest.raises(TooManyOps):
        check_txn(nested(TXN_DEPTH_MAX + 1))


@pytest.mark.parametrize("field", ["sort_order", "sort_target"])
@pytest.mark.parametrize("number", [-1, 7])
def test_unknown_sorts(field: str, number: int) -> None:
    sort: dict[str, Any] = {field: number}
    request = pb.RangeRequest(key=b"k", **sort)
    with pytest.raises(InvalidSortOption):
        check_range(request)


KEYS = st.sampled_from([b"a", b"b", b"c", b"d"])
ENDS = st.sampled_from([b"", b"b", b"c", b"e"])
WRITES = st.one_of(
    st.builds(lambda k: pb.RequestOp(request_put=pb.PutRequest(key=k)), KEYS),
    st.builds(
        lambda k, e: pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=k, range_end=e)),
        KEYS,
        ENDS,
    ),
)


@given(st.lists(WRITES, max_size=5))
def test_flat_overlaps_against_brute_force(ops: list[Any]) -> None:
    puts = [op.request_put.key for op in ops if op.HasField("request_put")]
    deletes = [op.request_delete_range for op in ops if op.HasField("request_delete_range")]
    overlap = len(puts) > len(set(puts)) or any(
        key == d.key if not d.range_end else d.key <= key < d.range_end
        for key in puts
        for d in deletes
    )
    request = pb.TxnRequest(failure=ops)
    if overlap:
        with pytest.raises(DuplicateKey):
            check_txn(request)
    else:
        check_txn(request)
