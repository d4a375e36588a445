"""Calls that take one message, from clients that send none, several, or a part of one: told as by etcd."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import trio

from triode import Node
from triode.rpc.pb.rpc_pb2 import PutRequest, SnapshotRequest
from triode.rpc.pb.v3election_pb2 import LeaderRequest

SNAPSHOT = "/etcdserverpb.Maintenance/Snapshot"
OBSERVE = "/v3electionpb.Election/Observe"
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"
KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"
WATCH = "/etcdserverpb.Watch/Watch"
MIB = 1 << 20
EOF = {b"grpc-status": b"2", b"grpc-message": b"EOF"}
CUT = {b"grpc-status": b"2", b"grpc-message": b"unexpected EOF"}
CUT_IN_STREAM = {b"grpc-status": b"13", b"grpc-message": b"unexpected EOF"}


def put(value: bytes) -> bytes:
    return PutRequest(key=b"k", value=value).SerializeToString()


class Asker:
    """Sends bodies as they are."""

    def __init__(self, peers: ModuleType, raw: Any) -> None:
        self.peers = peers
        self.raw = raw
        self.stream_id = -1

    async def begin(self, path: str, *bodies: bytes, end: bool = True) -> None:
        """A call; without bodies it ends with its head."""
        peers = self.peers
        self.stream_id += 2
        ending = 0 if bodies or not end else peers.END_STREAM
        head = peers.head_of(path)
        out = [peers.frame(peers.HEADERS, peers.END_HEADERS | ending, self.stream_id, head)]
        for body in bodies:
            ending = peers.END_STREAM if end and body is bodies[-1] else 0
            out.append(peers.frame(peers.DATA, ending, self.stream_id, body))
        await self.raw.say(b"".join(out))

    async def status(self) -> dict[bytes, bytes]:
        """How the call ended."""
        with trio.fail_after(self.peers.ANSWER_SECONDS_MAX):
            while not (ended := self.peers.fields_of(self.raw.read, self.stream_id)):
                assert await self.raw.hear()
        return {name: ended[name] for name in ended if name.startswith(b"grpc-")}


@pytest.fixture
async def asker(peers: ModuleType, node: Node) -> Asker:
    raw = await peers.Raw.connect(node.clients.ports[0])
    await raw.say(peers.opening())
    return Asker(peers, raw)


@pytest.mark.parametrize(
    "behind",
    [
        lambda framed: framed(put(b"second")),
        lambda framed: framed(put(b"second")) * 3,
        lambda framed: b"\0\0",
        lambda framed: framed(put(b"second"))[:-1],
        lambda framed: b"\x01" + framed(b"compressed")[1:],
        lambda framed: b"\x09\0\0\0\0",
        lambda framed: b"\0\x10\0\0\0too large",
    ],
)
async def test_a_unary_call_is_its_first_message(
    peers: ModuleType, node: Node, asker: Asker, behind: Callable[[Any], bytes]
) -> None:
    """What follows it is not looked at."""
    first = peers.framed(put(b"first"))
    await asker.begin(peers.PUT, first + behind(peers.framed))
    assert await asker.status() == {b"grpc-status": b"0"}
    await asker.begin(peers.PUT, first, behind(peers.framed))
    assert await asker.status() == {b"grpc-status": b"0"}
    response = await node.local.get(b"k")
    assert (response.kvs[0].value, response.kvs[0].version) == (b"first", 2)


async def test_a_large_message_and_another(peers: ModuleType, node: Node) -> None:
    """The first is answered also when both together are more than is taken; the connection goes on."""
    client = await peers.Client.connect(node.clients.ports[0])
    # as a stream, which the client's codec sends without asking what kind of a method it is
    stream_id = client.grpc.start_call(peers.PUT)
    for letter in (b"1", b"2", b"3"):
        client.grpc.send_message(stream_id, put(letter * MIB))
    client.grpc.half_close(stream_id)
    assert await client.status(stream_id) == (0, "")
    assert (await node.local.get(b"k")).kvs[0].value == b"1" * MIB
    await peers.check_served(client, 1)
    client.close()
    await peers.settled(node)


@pytest.mark.parametrize(
    ("bodies", "told"),
    [
        ((), EOF),
        ((b"",), EOF),
        ((b"\0\0\0",), CUT),
        ((b"\0\0\0\0\x09abc",), CUT),
    ],
)
async def test_a_unary_call_without_a_message(
    peers: ModuleType, asker: Asker, bodies: tuple[bytes, ...], told: dict[bytes, bytes]
) -> None:
    await asker.begin(peers.PUT, *bodies)
    assert await asker.status() == told


@pytest.mark.parametrize("path", [SNAPSHOT, OBSERVE, HEALTH_WATCH])
@pytest.mark.parametrize(
    ("bodies", "told"), [((), EOF), ((b"",), EOF), ((b"\0\0\0",), CUT_IN_STREAM)]
)
async def test_a_server_stream_without_a_message(
    peers: ModuleType,
    node: Node,
    asker: Asker,
    path: str,
    bodies: tuple[bytes, ...],
    told: dict[bytes, bytes],
) -> None:
    """It ends, and is not kept for a request that cannot come any more."""
    await asker.begin(path, *bodies)
    assert await asker.status() == told
    await peers.settled(node, 1)


@pytest.mark.parametrize("behind", [b"\0\0\0\0\0", b"\0\0", b"\x09\0\0\0\0", b"\0\x10\0\0\0a"])
async def test_a_server_stream_is_its_first_message(
    peers: ModuleType, node: Node, asker: Asker, behind: bytes
) -> None:
    """What follows it is not looked at."""
    await asker.begin(SNAPSHOT, peers.framed(SnapshotRequest().SerializeToString()) + behind)
    assert await asker.status() == {b"grpc-status": b"0"}
    await asker.begin(HEALTH_WATCH, peers.framed(b"") + behind, behind)
    observed = peers.framed(LeaderRequest(name=b"e").SerializeToString())
    await asker.begin(OBSERVE, observed, behind)
    await asker.begin(peers.PUT, peers.framed(put(b"afterwards")))
    assert await asker.status() == {b"grpc-status": b"0"}
    for stream_id in (3, 5):
        assert not peers.fields_of(asker.raw.read, stream_id), "they go on"


@pytest.mark.parametrize("path", [WATCH, KEEP_ALIVE])
async def test_a_stream_whose_last_message_is_cut(asker: Asker, path: str) -> None:
    await asker.begin(path, b"\0\0\0\0\x09abc")
    assert await asker.status() == CUT_IN_STREAM
