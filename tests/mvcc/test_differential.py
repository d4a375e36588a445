"""The same random history is given to real etcd and to the store: every answer and HashKV agree."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from triode.rpc.pb import rpc_pb2 as pb

pytestmark = pytest.mark.etcd

KEYS = [b"a", b"a\x00", b"b", b"ba", b"bb", b"c", b"\x00", b"\xff", b"key/1", b"key/2"]
ENDS = [b"", b"", b"\x00", b"b", b"bb", b"c", b"key0", b"\xff\xff", b"a"]
VALUES = [b"", b"1", b"2", b"value", b"x" * 300]
LEASES = [11, 12, 13]
METHODS: dict[type, tuple[str, Any]] = {
    pb.RangeRequest: ("KV/Range", pb.RangeResponse),
    pb.PutRequest: ("KV/Put", pb.PutResponse),
    pb.DeleteRangeRequest: ("KV/DeleteRange", pb.DeleteRangeResponse),
    pb.TxnRequest: ("KV/Txn", pb.TxnResponse),
    pb.CompactionRequest: ("KV/Compact", pb.CompactionResponse),
    pb.LeaseGrantRequest: ("Lease/LeaseGrant", pb.LeaseGrantResponse),
    pb.LeaseRevokeRequest: ("Lease/LeaseRevoke", pb.LeaseRevokeResponse),
    pb.HashKVRequest: ("Maintenance/HashKV", pb.HashKVResponse),
}


class Etcd:
    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel

    def call(self, request: Any) -> Any:
        path, answer = METHODS[type(request)]
        method = self.channel.unary_unary(
            f"/etcdserverpb.{path}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        try:
            return method(request, timeout=20)
        except grpc.RpcError as error:
            return (error.code().name, error.details())


@pytest.fixture
def etcd(launch_etcd: Callable[..., Any]) -> Iterator[Etcd]:
    with grpc.insecure_channel(launch_etcd("--unsafe-no-fsync").address) as channel:
        yield Etcd(channel)


class Histories:
    """Random requests; `revision` is the store's, to aim at."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.revision = 1

    def some_revision(self) -> int:
        pick = self.random
        return pick.choice([0, 0, 0, pick.randint(-2, self.revision + 1), self.revision])

    def range(self) -> pb.RangeRequest:
        pick = self.random
        request = pb.RangeRequest(
            key=pick.choice(KEYS),
            range_end=pick.choice(ENDS),
            limit=pick.choice([0, 0, 1, 2, 5, -1]),
            revision=self.some_revision(),
            sort_order=pick.randrange(3),
            sort_target=pick.choice([0, 0, 3]),  # the others have ties, which etcd orders at random
            keys_only=pick.random() < 0.2,
            count_only=pick.random() < 0.2,
        )
        if pick.random() < 0.3:
            field = pick.choice(["min_mod", "max_mod", "min_create", "max_create"])
            setattr(request, f"{field}_revision", pick.randint(-1, self.revision))
        return request

    def put(self) -> pb.PutRequest:
        pick = self.random
        ignore_value, ignore_lease = pick.random() < 0.15, pick.random() < 0.15
        return pb.PutRequest(
            key=pick.choice(KEYS),
            value=b"" if ignore_value and pick.random() < 0.9 else pick.choice(VALUES),
            lease=0 if ignore_lease and pick.random() < 0.9 else pick.choice([0, 0, *LEASES]),
            prev_kv=pick.random() < 0.3,
            ignore_value=ignore_value,
            ignore_lease=ignore_lease,
        )

    def delete(self, *, in_txn: bool = False) -> pb.DeleteRangeRequest:
        pick = self.random
        ends = [end for end in ENDS if end != b"\x00"] if in_txn else [*ENDS, b"", b"", b""]
        return pb.DeleteRangeRequest(
            key=pick.choice(KEYS), range_end=pick.choice(ends), prev_kv=pick.random() < 0.5
        )

    def compare(self) -> pb.Compare:
        pick = self.random
        compare = pb.Compare(
            result=pick.randrange(4),
            target=pick.randrange(5),
            key=pick.choice(KEYS),
            range_end=pick.choice([b"", b"", *ENDS]),
        )
        field = pick.choice(["version", "create_revision", "mod_revision", "lease", "value"])
        if field == "value":
            compare.value = pick.choice(VALUES)
        else:
            setattr(compare, field, pick.choice([0, 1, 2, self.revision, *LEASES]))
        return compare

    def op(self, depth: int) -> pb.RequestOp:
        kind = self.random.choice(["range", "put", "put", "delete", "txn"])
        if kind == "range":
            return pb.RequestOp(request_range=self.range())
        if kind == "put":
            return pb.RequestOp(request_put=self.put())
        if kind == "delete" or depth == 0:
            return pb.RequestOp(request_delete_range=self.delete(in_txn=True))
        return pb.RequestOp(request_txn=self.txn(depth - 1))

    def txn(self, depth: int = 2) -> pb.TxnRequest:
        pick = self.random
        return pb.TxnRequest(
            compare=[self.compare() for _ in range(pick.randrange(3))],
            success=[self.op(depth) for _ in range(pick.randrange(4))],
            failure=[self.op(depth) for _ in range(pick.randrange(4))],
        )

    def next(self) -> Any:
        pick = self.random
        roll = pick.random()
        if roll < 0.35:
            return self.put()
        if roll < 0.45:
            return self.delete()
        if roll < 0.70:
            return self.txn()
        if roll < 0.90:
            return self.range()
        if roll < 0.93:
            return pb.LeaseGrantRequest(ID=pick.choice(LEASES), TTL=8000)
        if roll < 0.95:
            return pb.LeaseRevokeRequest(ID=pick.choice(LEASES))
        if roll < 0.97:
            low = max(0, self.revision - 20)
            return pb.CompactionRequest(revision=pick.randint(low, self.revision + 1))
        return pb.HashKVRequest(revision=pick.choice([0, self.revision, self.revision + 1]))


def plain(answer: Any) -> Any:
    """An answer without what differs between clusters, and without what 3.5 does not send."""
    if not isinstance(answer, tuple):
        for field in ("cluster_id", "member_id", "raft_term"):
            answer.header.ClearField(field)
        if isinstance(answer, pb.HashKVResponse):
            answer.hash_revision = 0
    return answer


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_history_is_answered_and_hashed_as_by_etcd(
    etcd: Etcd, make_api: Callable[..., Any], seed: int
) -> None:
    api = make_api()
    histories = Histories(seed)
    for number in range(1500):
        request = histories.next()
        if isinstance(request, pb.HashKVRequest) and request.revision == api.store.compact_revision:
            continue  # 3.5 refuses to hash the compact revision itself, 3.6 does not
        ours = plain(api.call(request))
        if isinstance(request, pb.CompactionRequest):
            request.physical = True  # etcd's hash wavers while it sweeps; ours must not
        theirs = plain(etcd.call(request))
        if histories.random.random() < 0.1:
            api.store.compaction_slice(histories.random.randint(1, 30))
        if isinstance(request, pb.TxnRequest) and isinstance(ours, tuple):
            # 3.5 and 3.6 look for faults in another order, so they may name different ones.
            assert isinstance(theirs, tuple), f"request {number}: {request}"
        else:
            assert ours == theirs, f"request {number}: {request}"
        histories.revision = api.store.revision
        compacted = isinstance(request, pb.CompactionRequest) and not isinstance(ours, tuple)
        if compacted and request.revision < api.store.revision:
            # Before our sweep has begun; at the compact revision itself 3.5 refuses.
            check = pb.HashKVRequest(revision=request.revision + 1)
            assert plain(api.call(check)) == plain(etcd.call(check)), f"hash after {request}"
    while not api.store.compaction_slice(10):
        pass
    final = pb.HashKVRequest()
    assert plain(api.call(final)) == plain(etcd.call(final))
