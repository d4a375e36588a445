"""One random history, sent to the real etcd and to Triode; every answer must be equal.

`Api` is a foreign client (grpcio) with our message classes; `History` makes requests from a seed. What must
differ between servers (IDs of cluster and member, raft terms, times) is taken out by `normal`.
"""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from triode.rpc.methods import METHODS
from triode.rpc.pb import kv_pb2, rpc_pb2

KEYS = [
    b"a",
    b"aa",
    b"ab",
    b"b",
    b"b\x00",
    b"c",
    b"ca",
    b"d",
    b"z",
    b"\xff",
    b"\xff\xff",
    b"long" * 60,
]
ENDS = [b"", b"", b"\0", b"b", b"c", b"d", b"zz", b"\xff\xff"]
LEASES = [101, 102, 103, 104]
CALL_SECONDS_MAX = 60
QUIET_SECONDS = 0.5


class Api:
    """Calls to one server; an answer is (status code's name, text, response or None)."""

    def __init__(self, address: str) -> None:
        options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.insecure_channel(address, options)
        self._calls: dict[str, Any] = {}

    def call(self, path: str, request: Any) -> tuple[str, str, Any]:
        method = METHODS[path]
        if path not in self._calls:
            self._calls[path] = self.channel.unary_unary(
                path, lambda m: m.SerializeToString(), method.response.FromString
            )
        try:
            return "OK", "", self._calls[path](request, timeout=CALL_SECONDS_MAX)
        except grpc.RpcError as error:
            return error.code().name, error.details(), None

    def watch(self, requests: list[Any]) -> list[Any]:
        """Open a watch stream and read until all are created and the server has been quiet.

        Quiet, because 3.5.1 answers a progress request ahead of events that are still to come.
        """
        method = METHODS["/etcdserverpb.Watch/Watch"]
        outgoing: queue.Queue[Any] = queue.Queue()
        incoming: queue.Queue[Any] = queue.Queue()
        for request in requests:
            outgoing.put(rpc_pb2.WatchRequest(create_request=request))
        stream = self.channel.stream_stream(
            method.path, lambda m: m.SerializeToString(), method.response.FromString
        )
        responses = stream(iter(outgoing.get, None), timeout=CALL_SECONDS_MAX)
        reader = threading.Thread(target=_collect, args=(responses, incoming), daemon=True)
        reader.start()
        told: list[Any] = []
        created = 0
        while True:
            try:
                told.append(incoming.get(timeout=QUIET_SECONDS if created == len(requests) else 30))
            except queue.Empty:
                break
            created += told[-1].created
        outgoing.put(None)
        responses.cancel()
        reader.join()
        return told

    def close(self) -> None:
        self.channel.close()


def _collect(responses: Any, incoming: queue.Queue[Any]) -> None:
    try:
        for response in responses:
            incoming.put(response)
    except grpc.RpcError:
        return  # cancelled by the one who read enough


def normal(message: Any) -> Any:
    """Without what must differ: IDs, terms, times, the order of sets, and what 3.5 does not have."""
    if message is None:
        return None
    out = type(message)()
    out.CopyFrom(message)
    if hasattr(out, "header") and out.HasField("header"):
        out.header.cluster_id = out.header.member_id = out.header.raft_term = 0
    if isinstance(out, rpc_pb2.HashKVResponse):
        out.hash_revision = 0
    if isinstance(out, rpc_pb2.LeaseTimeToLiveResponse):
        out.TTL = min(out.TTL, 0)
        keys = sorted(out.keys)
        del out.keys[:]
        out.keys.extend(keys)
    if isinstance(out, rpc_pb2.LeaseLeasesResponse):
        leases = sorted(lease.ID for lease in out.leases)
        del out.leases[:]
        out.leases.extend(rpc_pb2.LeaseStatus(ID=lease) for lease in leases)
    return out


def in_order_of_ties(request: Any, response: Any) -> Any:
    """Equal elements of a sorted range in key order: etcd's sort leaves them in any order."""
    if isinstance(response, rpc_pb2.RangeResponse) and request.sort_target:
        name = ("key", "version", "create_revision", "mod_revision", "value")[request.sort_target]
        order = [getattr(kv, name) for kv in response.kvs]
        assert order == sorted(order, reverse=request.sort_order == rpc_pb2.RangeRequest.DESCEND)
        kvs = sorted(response.kvs, key=lambda kv: (getattr(kv, name), kv.key))
        del response.kvs[:]
        response.kvs.extend(kvs)
    return response


class History:
    """Requests from a seed; it follows the revision so that most of them make sense."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.revision = 1
        self.compacted = 0

    def requests(self, count: int) -> Iterator[tuple[str, Any]]:
        kinds: list[tuple[int, Callable[[], tuple[str, Any]]]] = [
            (30, lambda: ("/etcdserverpb.KV/Put", self.put())),
            (8, lambda: ("/etcdserverpb.KV/DeleteRange", self.delete())),
            (15, lambda: ("/etcdserverpb.KV/Txn", self.txn(2))),
            (30, lambda: ("/etcdserverpb.KV/Range", self.range())),
            (3, lambda: ("/etcdserverpb.KV/Compact", self.compact())),
            (4, self.grant),
            (2, self.revoke),
            (3, self.time_to_live),
            (1, lambda: ("/etcdserverpb.Lease/LeaseLeases", rpc_pb2.LeaseLeasesRequest())),
            (4, self.hash_kv),
        ]
        weights = [weight for weight, _ in kinds]
        for _ in range(count):
            yield self.random.choices(kinds, weights)[0][1]()

    def saw(self, response: Any) -> None:
        if response is not None:
            self.revision = max(self.revision, response.header.revision)

    def key(self) -> bytes:
        return self.random.choice(KEYS) if self.random.random() > 0.01 else b""

    def end(self) -> bytes:
        return self.random.choice(ENDS)

    def past(self) -> int:
        """A revision: mostly of the past, at times of the future, of the compacted or none."""
        chance = self.random.random()
        if chance < 0.5:
            return 0
        if chance < 0.9:
            return self.random.randint(max(1, self.compacted), self.revision)
        return self.random.randint(1, self.revision + 2)

    def put(self, *, alone: bool = True) -> Any:
        """Within a txn (not `alone`) nothing is ignored: etcd panics when the txn deleted the key before."""
        chance = self.random.random
        request = rpc_pb2.PutRequest(
            key=self.key(), value=self.random.randbytes(self.random.choice([0, 1, 20, 200]))
        )
        if chance() < 0.2:
            request.lease = self.random.choice([*LEASES, 999])
        if chance() < 0.3:
            request.prev_kv = True
        if alone and chance() < 0.1:
            request.ignore_value = True
            if chance() < 0.8:
                request.value = b""
        if alone and chance() < 0.1:
            request.ignore_lease = True
            if chance() < 0.8:
                request.lease = 0
        return request

    def delete(self) -> Any:
        return rpc_pb2.DeleteRangeRequest(
            key=self.key(), range_end=self.end(), prev_kv=self.random.random() < 0.5
        )

    def range(self, *, ties: bool = True) -> Any:
        """Without `ties`, only in orders in which no two keys are equal."""
        chance = self.random.random
        request: Any = rpc_pb2.RangeRequest(
            key=self.key(), range_end=self.end(), revision=self.past()
        )
        if chance() < 0.3:
            request.limit = self.random.randint(-1, 6)
        if chance() < 0.4:
            request.sort_order = self.random.randint(0, 2)
            request.sort_target = self.random.randint(0, 4) if ties else 0
            if request.sort_target:
                request.limit = 0
        if chance() < 0.1:
            request.keys_only = True
        if chance() < 0.1:
            request.count_only = True
        if chance() < 0.1:
            request.serializable = True
        for field in ("min_mod", "max_mod", "min_create", "max_create"):
            if chance() < 0.1:
                setattr(request, f"{field}_revision", self.random.randint(0, self.revision))
        return request

    def compare(self) -> Any:
        target = self.random.randint(0, 4)
        request = rpc_pb2.Compare(
            result=self.random.randint(0, 3), target=target, key=self.random.choice(KEYS)
        )
        number = self.random.choice([0, 1, 2, self.revision, self.revision // 2])
        if target == 3:
            request.value = self.random.choice([b"", b"x", b"\x80"])
        else:
            name = ("version", "create_revision", "mod_revision", "", "lease")[target]
            setattr(request, name, self.random.choice(LEASES) if target == 4 else number)
        if self.random.random() < 0.2:
            request.range_end = self.end()
        return request

    def op(self, depth: int) -> Any:
        kind = self.random.randint(0, 9)
        if kind < 4:
            return rpc_pb2.RequestOp(request_put=self.put(alone=False))
        if kind < 7:
            return rpc_pb2.RequestOp(request_range=self.range(ties=False))
        if kind < 9 or not depth:
            return rpc_pb2.RequestOp(request_delete_range=self.delete())
        return rpc_pb2.RequestOp(request_txn=self.txn(depth - 1))

    def txn(self, depth: int) -> Any:
        count = self.random.randint
        return rpc_pb2.TxnRequest(
            compare=[self.compare() for _ in range(count(0, 2))],
            success=[self.op(depth) for _ in range(count(0, 3))],
            failure=[self.op(depth) for _ in range(count(0, 3))],
        )

    def compact(self) -> Any:
        if self.random.random() < 0.7:
            revision = self.random.randint(self.compacted, max(self.compacted, self.revision - 5))
        else:
            revision = self.random.randint(0, self.revision + 2)
        if revision <= self.revision:
            self.compacted = max(self.compacted, revision)
        return rpc_pb2.CompactionRequest(revision=revision, physical=True)

    def grant(self) -> tuple[str, Any]:
        ttl = self.random.choice([1000, 5000, 10_000_000_000])
        request = rpc_pb2.LeaseGrantRequest(ID=self.random.choice(LEASES), TTL=ttl)
        return "/etcdserverpb.Lease/LeaseGrant", request

    def revoke(self) -> tuple[str, Any]:
        request = rpc_pb2.LeaseRevokeRequest(ID=self.random.choice(LEASES))
        return "/etcdserverpb.Lease/LeaseRevoke", request

    def time_to_live(self) -> tuple[str, Any]:
        request = rpc_pb2.LeaseTimeToLiveRequest(ID=self.random.choice(LEASES), keys=True)
        return "/etcdserverpb.Lease/LeaseTimeToLive", request

    def hash_kv(self) -> tuple[str, Any]:
        revision = self.random.choice([0, 0, self.past()])
        if revision == self.compacted:
            revision = 0  # 3.5.1 does not hash at the compact revision; 3.6 does, and so do we
        return "/etcdserverpb.Maintenance/HashKV", rpc_pb2.HashKVRequest(revision=revision)

    def watches(self) -> list[Any]:
        """Watches over what is left of the past, with every option.

        None from the compact revision itself: 3.5.1 does not show a delete there, later ones and we do.
        """
        first = max(1, self.compacted - 2)
        requests = [
            rpc_pb2.WatchCreateRequest(
                key=b"\0", range_end=b"\0", start_revision=self.compacted + 1, prev_kv=True
            )
        ]
        for _ in range(12):
            request: Any = rpc_pb2.WatchCreateRequest(
                key=self.random.choice(KEYS),
                range_end=self.end(),
                start_revision=self.random.randint(first, self.revision),
                prev_kv=self.random.random() < 0.5,
            )
            if request.start_revision == self.compacted:
                request.start_revision += 1
            if self.random.random() < 0.3:
                request.filters.append(self.random.randint(0, 1))
            requests.append(request)
        return requests


def events_by_watch(responses: list[Any]) -> dict[int, list[Any]]:
    """What each watch was told: its events in order, and how it ended."""
    told: dict[int, list[Any]] = {}
    for response in responses:
        heard = told.setdefault(response.watch_id, [])
        if response.created:
            heard.append(("created", response.canceled, response.cancel_reason))
        if response.canceled and not response.created:
            heard.append(("canceled", response.compact_revision, response.cancel_reason))
        heard.extend(
            (
                kv_pb2.Event.EventType.Name(event.type),
                event.kv.SerializeToString(),
                event.prev_kv.SerializeToString(),
            )
            for event in response.events
        )
    return told


@pytest.fixture
def differential() -> Any:
    """The parts of a differential run, for test modules, which cannot import this one."""
    return Parts


class Parts:
    Api = Api
    History = History
    normal = staticmethod(normal)
    in_order_of_ties = staticmethod(in_order_of_ties)
    events_by_watch = staticmethod(events_by_watch)
