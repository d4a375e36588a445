"""Many calls of the dear sort at once: each is answered or refused, and others are served meanwhile."""

from __future__ import annotations

from types import ModuleType

import pytest
import trio

from triode import Node
from triode.rpc.pb.rpc_pb2 import (
    PutRequest,
    RangeRequest,
    RequestOp,
    SnapshotRequest,
    TxnRequest,
)

MIB = 1 << 20
MAINTENANCE = "/etcdserverpb.Maintenance/"


@pytest.mark.parametrize(
    ("name", "count"),
    [("Hash", 400), ("HashKV", 400), ("Defragment", 3000), ("Status", 5000), ("Alarm", 5000)],
)
async def test_maintenance_in_bulk(peers: ModuleType, node: Node, name: str, count: int) -> None:
    """Nothing but OK and "too many requests", and no views or threads are left."""
    for number in range(200):
        await node.local.put(b"k%d" % number, bytes(1000))
    async with peers.well_served(node):
        client = await peers.Client.connect(node.clients.ports[0])
        asked = [client.grpc.call(MAINTENANCE + name, b"") for _ in range(count)]
        ended = {await client.status(stream_id) for stream_id in asked}
        assert (0, "") in ended
        assert ended <= {(0, ""), (2, "etcdserver: too many requests")}
        client.close()
    await peers.settled(node)


async def test_snapshots_in_bulk(peers: ModuleType, node: Node) -> None:
    """Those beyond the bound are refused; those that are not read end with their client."""
    await node.local.put(b"k", bytes(2 * MIB - 600_000))
    path = MAINTENANCE + "Snapshot"
    message = peers.framed(SnapshotRequest().SerializeToString())
    head = peers.head_of(path)
    calls = [
        peers.frame(peers.HEADERS, peers.END_HEADERS, n, head)
        + peers.frame(peers.DATA, peers.END_STREAM, n, message)
        for n in range(1, 401, 2)
    ]
    async with peers.well_served(node):
        raw = await peers.Raw.connect(node.clients.ports[0])
        await raw.say(peers.opening(window=0) + b"".join(calls))
        told: list[bytes] = []  # in no fixed order: each call is a task of its own
        with trio.fail_after(peers.ANSWER_SECONDS_MAX):
            while len(told) < 136:
                assert await raw.hear()
                fields = [peers.fields_of(raw.read, n) for n in range(1, 401, 2)]
                told = [one[b"grpc-message"] for one in fields if b"grpc-message" in one]
        assert set(told) == {b"etcdserver: too many requests"}
        raw.close()
    await peers.settled(node)


async def test_transactions_that_read_much(peers: ModuleType, node: Node) -> None:
    """Answers are made when the entries are applied, and not read: that client is cut off in time."""
    for number in range(8):
        await node.local.put(b"big/%d" % number, bytes(MIB // 4))
    ops = [
        RequestOp(request_put=PutRequest(key=b"small")),
        RequestOp(request_range=RangeRequest(key=b"big/", range_end=b"big0")),
    ]
    txn = TxnRequest(success=ops).SerializeToString()
    calls = [peers.call(2 * n + 1, "/etcdserverpb.KV/Txn", txn) for n in range(400)]
    async with peers.well_served(node):
        raw = await peers.Raw.connect(node.clients.ports[0])
        await raw.say(peers.opening() + b"".join(calls))
        assert await raw.hear_all()
        assert peers.goaway_code(raw.read) == 11, "ENHANCE_YOUR_CALM"
        raw.close()
    await peers.settled(node)
