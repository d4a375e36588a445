"""Protobuf that is none, too deep or too large: a status for that call, and the log can be replayed."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from triode import Node
from triode.protowire import bytes_field, int_field
from triode.rpc.methods import METHODS
from triode.rpc.pb.rpc_pb2 import (
    DeleteRangeRequest,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    RequestOp,
    TxnRequest,
)

TXN = "/etcdserverpb.KV/Txn"
UNDECODABLE = (13, "grpc: error unmarshalling request")
MIB = 1 << 20


def nested(depth: int, innermost: bytes = b"") -> bytes:
    """A TxnRequest in a TxnRequest in ...: `depth` around the innermost."""
    message = innermost
    for _ in range(depth):
        message = bytes_field(2, bytes_field(4, message))
    return message


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff",
        b"\x0a",
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x0a\x05abc",
        b"\x07abcd",
        b"\x0f" * 50,
        b"\x0b" * 1000,
        b"\x80" * 20,
    ],
)
async def test_garbage(peers: ModuleType, node: Node, garbage: bytes) -> None:
    """What is no message is gRPC's INTERNAL, for every method that looks at its request."""
    async with peers.well_served(node):
        client = await peers.Client.connect(node.clients.ports[0])
        for path, method in METHODS.items():
            if method.unary and path in node.dispatcher.unary and method.request.DESCRIPTOR.fields:
                code, text, _ = await client.unary(path, garbage)
                assert (code, text) == UNDECODABLE or code in (0, 9, 12), (path, code, text)
            elif path in node.dispatcher.streams:
                stream_id = client.grpc.start_call(path)
                client.grpc.send_message(stream_id, garbage)
                client.grpc.half_close(stream_id)
                code, text = await client.status(stream_id)
                assert (code, text) == UNDECODABLE or "Snapshot" in path, (path, code, text)
        client.close()
    await peers.settled(node)


async def test_wrong_types_and_unknown_fields(peers: ModuleType, node: Node) -> None:
    """Fields that are not known, or not of their type, are skipped, as protobuf wants it."""
    async with peers.well_served(node):
        client = await peers.Client.connect(node.clients.ports[0])
        put = PutRequest(key=b"k", value=b"v").SerializeToString()
        strange = put + int_field(1, 7) + bytes_field(3, b"xyz") + bytes_field(1000, b"new")
        assert (await client.unary(peers.PUT, strange))[0] == 0
        _, _, answer = await client.unary(peers.RANGE, RangeRequest(key=b"k"))
        assert RangeResponse.FromString(answer).kvs[0].value == b"v"
        latin = bytes_field(2, "ü".encode("latin-1"))
        status = await client.unary("/etcdserverpb.Maintenance/Downgrade", latin)
        assert status[:2] == UNDECODABLE, "text that is not UTF-8"
        client.close()


@pytest.mark.parametrize(
    ("depth", "codes"),
    [(1, {0}), (30, {0}), (39, {0}), (40, {3}), (45, {3}), (49, {3, 13}), (60, {13}), (5000, {13})],
)
async def test_deep_nesting(peers: ModuleType, node: Node, depth: int, codes: set[int]) -> None:
    """What the log could not be read with again is refused at the door, whatever is innermost."""
    put = bytes_field(2, bytes_field(2, PutRequest(key=b"deep", value=b"x").SerializeToString()))
    async with peers.well_served(node):
        client = await peers.Client.connect(node.clients.ports[0])
        for innermost in (b"", put):
            code, text, _ = await client.unary(TXN, nested(depth, innermost))
            assert code in codes, (depth, text)
            assert code != 3 or text == "etcdserver: too many operations in txn request"
        client.close()


async def test_odd_requests_are_replayed(
    peers: ModuleType, launch_triode: Callable[..., Any]
) -> None:
    """What was accepted is in the log, and means the same when it is read from there after a kill."""
    settings = ("--backend-batch-interval", "1h", "--backend-batch-limit", "1000000")
    server = launch_triode(*settings)
    rng = random.Random(3)
    client = await peers.Client.connect(server.port)
    for depth in (0, 1, 20, 38, 39):
        op = RequestOp(request_put=PutRequest(key=b"d%d" % depth, value=b"x"))
        innermost = TxnRequest(success=[op]).SerializeToString()
        assert (await client.unary(TXN, nested(depth, innermost)))[0] == 0
    for number in range(50):
        put = PutRequest(key=rng.randbytes(3), value=rng.randbytes(number)).SerializeToString()
        strange = put + bytes_field(900 + number, b"new") + int_field(4, 2**63 + number)
        await client.unary(peers.PUT, strange)
        delete = DeleteRangeRequest(key=rng.randbytes(1), range_end=b"\1")
        await client.unary("/etcdserverpb.KV/DeleteRange", delete)
    everything = RangeRequest(key=b"\0", range_end=b"\0")
    before = RangeResponse.FromString((await client.unary(peers.RANGE, everything))[2])
    assert len(before.kvs) > 10
    client.close()
    server.kill()
    server = launch_triode(*settings, data_dir=server.data_dir)
    client = await peers.Client.connect(server.port)
    after = RangeResponse.FromString((await client.unary(peers.RANGE, everything))[2])
    assert after.kvs == before.kvs
    assert after.header.revision == before.header.revision
    client.close()


async def test_sizes(peers: ModuleType, node: Node) -> None:
    """max-request-bytes is etcd's refusal; what is larger than a gRPC message may be is gRPC's."""
    limit = node.config.max_request_bytes
    async with peers.well_served(node):
        client = await peers.Client.connect(node.clients.ports[0])
        code, text, answer = await client.unary(peers.PUT, PutRequest(key=b"k" * MIB))
        assert code == 0, text
        assert PutResponse.FromString(answer).header.revision
        put = PutRequest(key=b"k", value=bytes(limit))
        code, text, _ = await client.unary(peers.PUT, put)
        assert (code, text) == (3, "etcdserver: request is too large")
        put = PutRequest(key=b"k", value=bytes(limit + 512 * 1024))
        size = len(put.SerializeToString())
        code, text, _ = await client.unary(peers.PUT, put)
        limit += 512 * 1024
        assert (code, text) == (8, f"grpc: received message larger than max ({size} vs. {limit})")
        put = PutRequest(key=b"k", value=bytes(8 * MIB))
        size = len(put.SerializeToString())
        code, text, _ = await client.unary(peers.PUT, put)
        assert (code, text) == (8, f"grpc: received message larger than max ({size} vs. {limit})")
        client.close()


async def test_a_large_answer_arrives(peers: ModuleType, node: Node) -> None:
    """Answers have no bound of their own."""
    for number in range(12):
        await node.local.put(b"k%02d" % number, bytes(MIB))
    client = await peers.Client.connect(node.clients.ports[0])
    code, _, answer = await client.unary(peers.RANGE, RangeRequest(key=b"k", range_end=b"l"))
    assert code == 0
    assert len(RangeResponse.FromString(answer).kvs) == 12
    client.close()
