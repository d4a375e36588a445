"""What is not HTTP/2, or too much of it: a defined end for that connection, and for no other."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import trio

from triode import Node
from triode.rpc.h2 import PREFACE, ErrorCode
from triode.rpc.pb.rpc_pb2 import (
    LeaseKeepAliveRequest,
    PutRequest,
    RangeRequest,
    TxnRequest,
    WatchCreateRequest,
    WatchRequest,
)

WATCH = "/etcdserverpb.Watch/Watch"
KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"


async def test_random_bytes(peers: ModuleType, node: Node) -> None:
    """Whatever comes is answered by the end of the connection."""
    rng = random.Random(1)
    async with peers.well_served(node):
        for number in range(30):
            raw = await peers.Raw.connect(node.clients.ports[0])
            start = PREFACE if number % 2 else b""
            await raw.say(start + rng.randbytes(rng.choice([30, 3000, 100_000])))
            with trio.move_on_after(0.2):
                await raw.hear_all()
            raw.close()
    await peers.settled(node)


def conversation(peers: ModuleType, rng: random.Random) -> bytes:
    """A valid conversation of unary calls and streams."""
    out = [peers.opening()]
    for stream_id in range(1, 2 * rng.randint(3, 12), 2):
        kind = rng.randrange(5)
        if kind == 0:
            put = PutRequest(key=b"k", value=rng.randbytes(rng.choice([0, 10, 20000])))
            out.append(peers.call(stream_id, peers.PUT, put.SerializeToString()))
        elif kind == 1:
            get = RangeRequest(key=b"\0", range_end=b"\0").SerializeToString()
            out.append(peers.call(stream_id, peers.RANGE, get))
        elif kind == 2:
            txn = TxnRequest().SerializeToString()
            out.append(peers.call(stream_id, "/etcdserverpb.KV/Txn", txn))
        else:
            path = WATCH if kind == 3 else KEEP_ALIVE
            message = (
                WatchRequest(create_request=WatchCreateRequest(key=b"k"))
                if kind == 3
                else LeaseKeepAliveRequest(ID=5)
            )
            head = peers.head_of(path)
            out.append(peers.frame(peers.HEADERS, peers.END_HEADERS, stream_id, head))
            body = peers.framed(message.SerializeToString())
            out.append(peers.frame(peers.DATA, rng.randrange(2), stream_id, body))
        if rng.random() < 0.3:
            out.append(peers.frame(peers.RST, 0, rng.randrange(1, stream_id + 1, 2), bytes(4)))
        if rng.random() < 0.2:
            out.append(peers.frame(peers.PING, 0, 0, bytes(8)))
    return b"".join(out)


def mutate(rng: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(PREFACE) if len(out) > len(PREFACE) else 0, len(out))
        kind = rng.randrange(4)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del out[at : at + rng.randint(1, 30)]
        elif kind == 2:
            out[at:at] = rng.randbytes(rng.randint(1, 30))
        else:
            out[at:at] = out[at : at + rng.randint(1, 80)]
        if not out:
            break
    return bytes(out)


async def converse(peers: ModuleType, node: Node, seed: int) -> None:
    rng = random.Random(seed)
    raw = await peers.Raw.connect(node.clients.ports[0])
    await raw.say(mutate(rng, conversation(peers, rng)))
    with trio.move_on_after(0.01):
        await raw.hear_all()
    if rng.random() < 0.5:
        peers.reset(raw.sock)
    else:
        raw.close()


async def test_mutated_conversations(peers: ModuleType, node: Node) -> None:
    """Valid conversations with bytes flipped, lost, doubled and put in."""
    async with peers.well_served(node):
        for seed in range(150):
            await converse(peers, node, seed)
    await peers.settled(node)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_many_mutated_conversations(peers: ModuleType, node: Node) -> None:
    """`pytest -m long tests/serving`: ten thousand others."""
    async with peers.well_served(node):
        for seed in range(1000, 11000):
            await converse(peers, node, seed)
    await peers.settled(node)


def _floods(peers: ModuleType) -> dict[str, tuple[bytes, ErrorCode]]:
    calm = ErrorCode.ENHANCE_YOUR_CALM
    watch = peers.head_of(WATCH)
    opened = peers.frame(peers.HEADERS, peers.END_HEADERS, 1, watch)
    begun = peers.frame(peers.HEADERS, 0, 1, watch)
    reset_pairs = b"".join(
        [
            peers.frame(peers.HEADERS, peers.END_HEADERS, n, watch)
            + peers.frame(peers.RST, 0, n, bytes(4))
            for n in range(1, 30001, 2)
        ]
    )
    return {
        "pings": (peers.frame(peers.PING, 0, 0, bytes(8)) * 20000, calm),
        "settings": (peers.settings(window=70000) * 20000, calm),
        "resets": (reset_pairs, calm),
        "empty data": (opened + peers.frame(peers.DATA, 0, 1) * 20000, calm),
        "priorities": (peers.frame(2, 0, 3, b"\0\0\0\1\5") * 20000, calm),
        "unknown frames": (peers.frame(99, 0, 0, b"x") * 20000, calm),
        "continuations": (
            begun + peers.frame(peers.CONTINUATION, 0, 1, b"\0\1a\1b" * 900) * 900,
            calm,
        ),
        "empty continuations": (begun + peers.frame(peers.CONTINUATION, 0, 1) * 20000, calm),
        "huge frame": (opened + b"\xff\xff\xff\0\0\0\0\0\1", ErrorCode.FRAME_SIZE_ERROR),
        "window overflow": (
            peers.frame(peers.WINDOW, 0, 0, b"\x7f\xff\xff\xff") * 2,
            ErrorCode.FLOW_CONTROL_ERROR,
        ),
        "bad hpack": (
            peers.frame(peers.HEADERS, peers.END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff\xff"),
            ErrorCode.COMPRESSION_ERROR,
        ),
        "even stream": (
            peers.frame(peers.HEADERS, peers.END_HEADERS, 2, watch),
            ErrorCode.PROTOCOL_ERROR,
        ),
        "no settings": (b"", ErrorCode.PROTOCOL_ERROR),
    }


FLOODS = (
    "pings settings resets priorities continuations|empty data|unknown frames|empty continuations|"
    "huge frame|window overflow|bad hpack|even stream|no settings"
)


@pytest.mark.parametrize(
    "name", [n for part in FLOODS.split("|") for n in (part.split() if "pings" in part else [part])]
)
async def test_floods(peers: ModuleType, node: Node, name: str) -> None:
    """Each ends in a GOAWAY that says what was wrong, and the client can read it."""
    flood, code = _floods(peers)[name]
    async with peers.well_served(node):
        raw = await peers.Raw.connect(node.clients.ports[0])
        start = peers.opening()
        if name == "no settings":
            start = PREFACE + peers.frame(peers.PING, 0, 0, bytes(8))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raw.say, start + flood)
            await raw.hear_all()
            nursery.cancel_scope.cancel()
        assert peers.goaway_code(raw.read) == code
        raw.close()
    await peers.settled(node)


async def test_hpack_bombs(peers: ModuleType, node: Node) -> None:
    """Blocks that unfold to 48 MB cost their streams, not memory, and the connection goes on."""
    # 4 KB into the table, then as many references to it as fit into a frame
    bomb = b"\x40\x01x\x7f\xa1\x1e" + b"v" * 4000 + b"\xbe" * 12000
    async with peers.well_served(node):
        raw = await peers.Raw.connect(node.clients.ports[0])
        bombs = [peers.frame(peers.HEADERS, peers.END_HEADERS, n, bomb) for n in range(1, 41, 2)]
        put = PutRequest(key=b"a").SerializeToString()
        await raw.say(peers.opening() + b"".join(bombs) + peers.call(41, peers.PUT, put))
        with trio.fail_after(peers.ANSWER_SECONDS_MAX):
            while not any(f[1:3] == (5, 41) for f in peers.frames(raw.read)):
                assert await raw.hear()
        resets = [f[3] for f in peers.frames(raw.read) if f[0] == peers.RST]
        assert resets == [ErrorCode.ENHANCE_YOUR_CALM.to_bytes(4, "big")] * 20
        assert peers.frames(raw.read)[-1][3].endswith(b"\x010"), "grpc-status is 0"
        raw.close()


async def test_huge_messages_are_refused_while_they_come(peers: ModuleType, node: Node) -> None:
    """A gRPC message of 4 GiB is refused by its prefix; many incomplete ones by their sum."""
    async with peers.well_served(node):
        client = await peers.Client.connect(node.clients.ports[0])
        stream_id = client.grpc.start_call(WATCH)
        client.grpc.connection.send_data(stream_id, b"\0\xff\xff\xff\xff" + bytes(1000))
        code, text = await client.status(stream_id)
        assert (code, text) == (
            8,
            "grpc: received message larger than max (4294967295 vs. 2097152)",
        )
        client.close()


async def test_incomplete_messages_are_bounded(peers: ModuleType, node: Node) -> None:
    """Sixty streams that each hold back the end of a message of 2 MB do not make 120 MB."""
    async with peers.well_served(node):
        client = await peers.Client.connect(node.clients.ports[0])
        piece = b"\0" + (2_000_000).to_bytes(4, "big") + bytes(1_900_000)
        refused: set[tuple[int, str]] = set()
        for _ in range(60):
            stream_id = client.grpc.start_call(WATCH)
            client.grpc.connection.send_data(stream_id, piece)
            while client.grpc.backlog_bytes(stream_id):
                assert await client.pump()
            if stream_id in client.ended:
                refused.add(client.ended[stream_id])
        refused |= set(client.ended.values())
        assert refused == {(8, "grpc: too many incomplete requests")}
        client.close()
    await peers.settled(node)


async def test_large_requests_take_turns(peers: ModuleType, node: Node) -> None:
    """Eighty puts, of 110 MB in all, a piece of each in turn: none is refused, and they are never held all at once."""
    async with peers.well_served(node):
        client = await peers.Client.connect(node.clients.ports[0])
        largest = PutRequest(key=b"large", value=bytes(1_400_000)).SerializeToString()
        calls = [client.grpc.call(peers.PUT, largest) for _ in range(80)]
        assert {await client.status(call) for call in calls} == {(0, "")}
        client.close()
    await peers.settled(node)


async def test_requests_that_stop_half_way(peers: ModuleType, node: Node) -> None:
    """They hold up large requests of their own connection until they are given up; nobody else."""
    async with peers.well_served(node):
        client = await peers.Client.connect(node.clients.ports[0])
        largest = PutRequest(key=b"large", value=bytes(1_400_000)).SerializeToString()
        lazy = [client.grpc.start_call(peers.PUT) for _ in range(20)]
        for call in lazy:
            client.grpc.send_message(call, largest[:-1])
        waits = client.grpc.call(peers.PUT, largest)
        assert (await client.unary(peers.PUT, PutRequest(key=b"small")))[0] == 0
        for call in lazy:
            client.grpc.cancel(call)
        assert await client.status(waits) == (0, "")
        client.close()
    await peers.settled(node)


async def test_half_open_connections(peers: ModuleType, run_node: Callable[..., Any]) -> None:
    """Clients that connect and say nothing, or half a word, keep nobody from being served."""
    async with run_node() as node, peers.well_served(node):
        raws = [await peers.Raw.connect(node.clients.ports[0]) for _ in range(300)]
        for number, raw in enumerate(raws):
            await raw.say((b"", b"P", PREFACE[:10], PREFACE, peers.opening()[:30])[number % 5])
        client = await peers.Client.connect(node.clients.ports[0])
        assert (await client.unary(peers.PUT, PutRequest(key=b"a")))[0] == 0
        for raw in [*raws, client]:
            raw.close()
        await peers.settled(node, 1)
