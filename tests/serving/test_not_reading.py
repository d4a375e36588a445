"""Clients that ask and do not read: what waits for them is bounded, and they go on when they read again."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import trio

from triode import Node
from triode.actors import connection as connections
from triode.rpc.h2 import Limits
from triode.rpc.pb.rpc_pb2 import (
    PutRequest,
    RangeRequest,
    RangeResponse,
    SnapshotRequest,
    WatchCreateRequest,
    WatchRequest,
)

MIB = 1 << 20
WATCH = "/etcdserverpb.Watch/Watch"
HUGE_WINDOW = (1 << 31) - 1


async def fill(node: Node, keys: int, value_bytes: int) -> None:
    for number in range(keys):
        await node.local.put(b"big/%04d" % number, bytes(value_bytes))


def held_bytes(node: Node) -> int:
    """What the connections of a node hold for their clients."""
    total = 0
    for connection in node.clients.children:
        served: Any = getattr(connection, "served", None)
        if served is not None and hasattr(served, "out"):
            total += served.out.waiting_bytes
    return total


async def peak_bytes(node: Node, seconds: float) -> int:
    """The most that is held during some time."""
    peak = 0
    with trio.move_on_after(seconds):
        while True:
            peak = max(peak, held_bytes(node))
            await trio.sleep(0.01)
    return peak


def ranges(peers: ModuleType, count: int) -> bytes:
    request = RangeRequest(key=b"big/", range_end=b"big0").SerializeToString()
    return b"".join([peers.call(2 * n + 1, peers.RANGE, request) for n in range(count)])


async def test_answers_without_flow_control_credit(peers: ModuleType, node: Node) -> None:
    """A window that is never renewed: 3000 answers of a MiB are asked for, and a few are made."""
    await fill(node, 16, MIB // 16)
    async with peers.well_served(node):
        raw = await peers.Raw.connect(node.clients.ports[0])
        await raw.say(peers.opening())
        await raw.say(ranges(peers, 3000))
        assert MIB < await peak_bytes(node, 1.0) < 24 * MIB
        raw.close()
    await peers.settled(node, 0)


async def test_answers_that_the_socket_does_not_take(peers: ModuleType, node: Node) -> None:
    """Windows without end, but nobody reads: 3000 MiB are not made, and reading stops."""
    await fill(node, 16, MIB // 16)
    async with peers.well_served(node):
        raw = await peers.Raw.connect(node.clients.ports[0], receive_buffer_bytes=4096)
        await raw.say(
            peers.opening(window=HUGE_WINDOW)
            + peers.frame(peers.WINDOW, 0, 0, (HUGE_WINDOW - 65535).to_bytes(4, "big"))
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raw.say, ranges(peers, 3000))
            assert MIB < await peak_bytes(node, 1.0) < 24 * MIB
            nursery.cancel_scope.cancel()
        raw.close()
    await peers.settled(node, 0)


async def test_calls_set_aside_are_answered_in_the_end(peers: ModuleType, node: Node) -> None:
    """A client that reads late gets every answer, those of calls that were set aside too."""
    await fill(node, 16, MIB // 16)
    client = await peers.Client.connect(
        node.clients.ports[0],
        limits=Limits(stream_window_bytes=65535, connection_window_bytes=65535),
    )
    request = RangeRequest(key=b"big/", range_end=b"big0").SerializeToString()
    asked = [client.grpc.call(peers.RANGE, request) for _ in range(24)]
    await client.flush()
    await peak_bytes(node, 0.3)
    for stream_id in asked:
        assert await client.status(stream_id) == (0, "")
        (answer,) = client.waiting.pop(stream_id)
        assert len(RangeResponse.FromString(answer).kvs) == 16
    client.close()


async def test_large_requests_beside_large_answers(
    peers: ModuleType, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks for much and writes much at once is slowed down by its credit, and not sent away."""
    monkeypatch.setattr(connections, "PARKED_BYTES_MAX", 4 * MIB)
    await fill(node, 16, MIB // 16)
    client = await peers.Client.connect(
        node.clients.ports[0],
        limits=Limits(stream_window_bytes=65535, connection_window_bytes=65535),
    )
    request = RangeRequest(key=b"big/", range_end=b"big0").SerializeToString()
    asked = [client.grpc.call(peers.RANGE, request) for _ in range(24)]
    await client.flush()
    await peak_bytes(node, 0.3)
    (served,) = [each.served for each in node.clients.children if hasattr(each, "served")]
    put, parked = PutRequest(key=b"other", value=bytes(MIB)).SerializeToString(), 0
    for _ in range(30):
        asked.append(client.grpc.call(peers.PUT, put))
        while client.grpc.backlog_bytes_total:
            assert await client.pump()
            parked = max(parked, served._parked_bytes)
    assert 4 * MIB < parked < 14 * MIB
    for stream_id in asked:
        assert await client.status(stream_id) == (0, "")
    client.close()


async def test_watcher_that_reads_late_misses_nothing(peers: ModuleType, node: Node) -> None:
    """The kernel takes no more for a while. What waited in the hub follows when it does."""
    raw = await peers.Raw.connect(node.clients.ports[0], receive_buffer_bytes=4096)
    limits = Limits(stream_window_bytes=HUGE_WINDOW, connection_window_bytes=HUGE_WINDOW)
    client = peers.Client(raw, limits=limits)
    watch = WatchRequest(create_request=WatchCreateRequest(key=b"k", range_end=b"l"))
    stream_id = await client.start(WATCH, watch)
    assert (await client.next(stream_id, WATCH)).created
    async with peers.well_served(node):
        for number in range(200):
            await node.local.put(b"k%03d" % number, bytes(100_000))
        assert held_bytes(node) < 8 * MIB
        seen: list[bytes] = []
        while len(seen) < 200:
            response = await client.next(stream_id, WATCH)
            seen += [event.kv.key for event in response.events]
    assert seen == [b"k%03d" % number for number in range(200)]
    client.close()


async def test_many_streams_share_the_bound_of_their_connection(
    peers: ModuleType, node: Node
) -> None:
    """100 watchers on one connection whose client gives no credit: not 100 times the bound."""
    raw = await peers.Raw.connect(node.clients.ports[0])
    create = WatchRequest(create_request=WatchCreateRequest(key=b"k")).SerializeToString()
    await raw.say(
        peers.opening(window=0)
        + b"".join(
            peers.frame(peers.HEADERS, peers.END_HEADERS, n, peers.head_of(WATCH))
            + peers.frame(peers.DATA, 0, n, peers.framed(create))
            for n in range(1, 201, 2)
        )
    )
    async with peers.well_served(node):
        await peers.until(lambda: node.context.hub.statistics().watchers == 100)
        for _ in range(20):
            await node.local.put(b"k", bytes(500_000))
            assert held_bytes(node) < 80 * MIB
    raw.close()
    await peers.settled(node, 0)


async def test_snapshot_whose_reader_stops(peers: ModuleType, node: Node) -> None:
    """It waits with about a MiB in hand, and ends with its client."""
    await fill(node, 40, MIB // 4)
    raw = await peers.Raw.connect(node.clients.ports[0])
    path = "/etcdserverpb.Maintenance/Snapshot"
    await raw.say(peers.opening() + peers.call(1, path, SnapshotRequest().SerializeToString()))
    async with peers.well_served(node):
        assert MIB // 2 < await peak_bytes(node, 0.5) < 3 * MIB
        await node.local.put(b"after", b"")
    peers.reset(raw.sock)
    await peers.settled(node, 0)


async def test_snapshot_over_a_slow_socket_is_whole(peers: ModuleType, node: Node) -> None:
    """With windows without end the socket is what slows it down; it must go on all the same."""
    await fill(node, 40, MIB // 4)
    raw = await peers.Raw.connect(node.clients.ports[0], receive_buffer_bytes=4096)
    limits = Limits(stream_window_bytes=HUGE_WINDOW, connection_window_bytes=HUGE_WINDOW)
    client = peers.Client(raw, limits=limits)
    path = "/etcdserverpb.Maintenance/Snapshot"
    stream_id = await client.start(path, SnapshotRequest())
    client.grpc.half_close(stream_id)
    size = 0
    while (chunk := await client.next(stream_id, path)) is not None:
        size += len(chunk.blob)
        last = chunk
    assert last.remaining_bytes == 0
    assert size > 10 * MIB
    assert await client.status(stream_id) == (0, "")
    client.close()


async def test_keep_alives_without_reading(peers: ModuleType, node: Node) -> None:
    """Their answers are bounded: the stream ends with a status that says why."""
    raw = await peers.Raw.connect(node.clients.ports[0])
    path = "/etcdserverpb.Lease/LeaseKeepAlive"
    message = peers.framed(b"\x08\x07")
    head = peers.frame(peers.HEADERS, peers.END_HEADERS, 1, peers.head_of(path))
    flood = peers.frame(peers.DATA, 0, 1, message * 1000) * 40
    async with peers.well_served(node):
        await raw.say(peers.opening() + head)
        for _ in range(6):
            await raw.say(flood)
        assert await peak_bytes(node, 0.3) < 4 * MIB
        client = await peers.Client.connect(node.clients.ports[0])
        assert (await client.unary(peers.PUT, PutRequest(key=b"a")))[0] == 0
        client.close()
    raw.close()


async def test_a_call_that_is_cancelled_while_set_aside_is_not_made(
    peers: ModuleType, node: Node
) -> None:
    """Its client does not want it any more, and nobody else has seen it."""
    await fill(node, 16, MIB // 16)
    put = PutRequest(key=b"wanted").SerializeToString()
    unwanted = PutRequest(key=b"unwanted").SerializeToString()
    raw = await peers.Raw.connect(node.clients.ports[0])
    await raw.say(
        peers.opening()
        + ranges(peers, 30)
        + peers.call(101, peers.PUT, unwanted)
        + peers.call(103, peers.PUT, put)
        + peers.frame(peers.RST, 0, 101, (8).to_bytes(4, "big"))
    )
    assert await peak_bytes(node, 0.3) > 16 * MIB
    assert (await node.local.get(b"wanted")).count == 0, "it is set aside"
    for n in range(1, 61, 2):
        await raw.say(peers.frame(peers.RST, 0, n, (8).to_bytes(4, "big")))
    await peers.until(lambda: b"wanted" in node.context.store.index.keys)
    assert (await node.local.get(b"unwanted")).count == 0
    raw.close()
    await peers.settled(node)
