"""Clients that vanish: everything that was held for them is released."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trio

from triode import Node
from triode.rpc.pb.rpc_pb2 import (
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    PutRequest,
    RangeRequest,
    SnapshotRequest,
    WatchCreateRequest,
    WatchRequest,
)
from triode.rpc.pb.v3election_pb2 import LeaderRequest
from triode.rpc.pb.v3lock_pb2 import LockRequest

WATCH = "/etcdserverpb.Watch/Watch"
KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"
SNAPSHOT = "/etcdserverpb.Maintenance/Snapshot"
OBSERVE = "/v3electionpb.Election/Observe"
LOCK = "/v3lockpb.Lock/Lock"


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def everything(peers: ModuleType, lease: int) -> bytes:
    """A client's bytes that keep a node busy: 300 streams of all kinds, calls that wait, half a call."""
    watch = WatchRequest(create_request=WatchCreateRequest(key=b"k", range_end=b"l"))
    keep_alive = LeaseKeepAliveRequest(ID=lease)
    kinds: list[tuple[str, Any, bool]] = [
        (WATCH, watch, False),
        (KEEP_ALIVE, keep_alive, False),
        (OBSERVE, LeaderRequest(name=b"e"), True),
        (LOCK, LockRequest(name=b"door", lease=lease), True),
        (peers.RANGE, RangeRequest(key=b"\0", range_end=b"\0"), True),
        ("/grpc.health.v1.Health/Watch", LeaderRequest(), True),
    ]
    out = [peers.opening(window=1000)]
    for number in range(300):
        path, request, ends = kinds[number % len(kinds)]
        stream_id = 2 * number + 1
        head = peers.frame(peers.HEADERS, peers.END_HEADERS, stream_id, peers.head_of(path))
        body = peers.framed(request.SerializeToString())
        out += [head, peers.frame(peers.DATA, int(ends), stream_id, body)]
    out.append(peers.frame(peers.HEADERS, peers.END_HEADERS, 601, peers.head_of(SNAPSHOT)))
    snapshot = peers.framed(SnapshotRequest().SerializeToString())
    out.append(peers.frame(peers.DATA, peers.END_STREAM, 601, snapshot))
    out.append(peers.frame(peers.HEADERS, peers.END_HEADERS, 603, peers.head_of(peers.PUT)))
    out.append(peers.frame(peers.DATA, 0, 603, b"\0\0\1\0\0" + bytes(5000)))
    return b"".join(out)


async def prepare(node: Node) -> int:
    """Something to read, and a lock that is held by somebody else."""
    for number in range(20):
        await node.local.put(b"k%02d" % number, bytes(5_000))
    granted = await node.local.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=600))
    await node.local.put(b"door/held", b"")
    return int(granted.ID)


@pytest.mark.parametrize("way", ["close", "reset", "goaway", "broken frame"])
async def test_vanishing_with_streams_open(peers: ModuleType, node: Node, way: str) -> None:
    lease = await prepare(node)
    before = descriptors()
    async with peers.well_served(node):
        for _ in range(3):
            raw = await peers.Raw.connect(node.clients.ports[0])
            await raw.say(everything(peers, lease))
            await peers.until(lambda: node.context.hub.statistics().watchers >= 150)
            await node.local.put(b"k00", bytes(100_000))
            if way == "reset":
                peers.reset(raw.sock)
            elif way == "goaway":
                await raw.say(peers.frame(peers.GOAWAY, 0, 0, bytes(8)))
            elif way == "broken frame":
                await raw.say(peers.frame(peers.PING, 0, 0, b"short"))
            raw.close()
            await peers.until(lambda: node.context.hub.statistics().watchers == 0)
    await peers.settled(node)
    assert descriptors() <= before
    assert (await node.local.get(b"door/", b"door0")).count == 1


CHILD = """
import socket, sys
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sock.sendall(sys.stdin.buffer.read())
sys.stdin.close()
import time
time.sleep(600)
"""


async def test_a_process_that_is_killed(peers: ModuleType, node: Node) -> None:
    lease = await prepare(node)
    async with peers.well_served(node), trio.open_nursery() as nursery:
        child = await nursery.start(
            partial(
                trio.run_process,
                [sys.executable, "-c", CHILD, str(node.clients.ports[0])],
                stdin=everything(peers, lease),
                check=False,
            )
        )
        await peers.until(lambda: node.context.hub.statistics().watchers >= 150)
        child.kill()
    await peers.settled(node)


async def test_leaving_http_streams(peers: ModuleType, node: Node) -> None:
    """The JSON gateway's watches and locks end with their connection too."""
    async with peers.well_served(node):
        body = b'{"create_request":{"key":"aw=="}}'
        head = b"POST /v3/watch HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
        raws = [await peers.Raw.connect(node.clients.ports[0]) for _ in range(20)]
        for raw in raws:
            await raw.say(head + body)
            while b'"created":true' not in raw.read:
                assert await raw.hear()
        await node.local.put(b"k", b"")
        for number, raw in enumerate(raws):
            if number % 2:
                peers.reset(raw.sock)
            raw.close()
    await peers.settled(node)


async def test_connections_that_come_and_go(peers: ModuleType, node: Node) -> None:
    """A thousand short ones leave nothing behind."""
    before = descriptors()
    put = PutRequest(key=b"k").SerializeToString()
    for number in range(1000):
        raw = await peers.Raw.connect(node.clients.ports[0])
        await raw.say(peers.opening() + peers.call(1, peers.PUT, put))
        if number % 3 == 0:
            await raw.hear()
        if number % 2:
            peers.reset(raw.sock)
        raw.close()
    peers.opened.clear()
    await peers.settled(node)
    assert descriptors() <= before


async def test_the_stop_is_told_to_clients(peers: ModuleType, run_node: Callable[..., Any]) -> None:
    """Streams end with Unavailable, a call that waits is answered or ended, GOAWAY comes."""
    async with run_node() as node:
        client = await peers.Client.connect(node.clients.ports[0])
        watch = WatchRequest(create_request=WatchCreateRequest(key=b"k"))
        stream_id = await client.start(WATCH, watch)
        assert (await client.next(stream_id, WATCH)).created
        raw = client.raw
        peers.opened.remove(raw)
    assert await client.status(stream_id) == (14, "etcdserver: server stopped")
    assert not client.grpc.can_start
    raw.close()


async def test_clients_that_do_not_answer_pings(
    peers: ModuleType, run_node: Callable[..., Any]
) -> None:
    """Their machines may be gone: what is held for them is released. Others are let alone."""
    async with run_node(grpc_keepalive_interval=0.2, grpc_keepalive_timeout=0.2) as node:
        watch = WatchRequest(create_request=WatchCreateRequest(key=b"k"))
        silent, alive, idle = [await peers.Client.connect(node.clients.ports[0]) for _ in range(3)]
        await silent.start(WATCH, watch)
        stream_id = await alive.start(WATCH, watch)
        assert (await alive.next(stream_id, WATCH)).created
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_pump, alive, nursery.cancel_scope)
            nursery.start_soon(_pump, idle, nursery.cancel_scope)
            await peers.until(lambda: len(node.clients.children) == 2)
            assert node.context.hub.statistics().watchers == 1
            assert not nursery.cancel_scope.cancel_called
            nursery.cancel_scope.cancel()
        assert await silent.raw.hear_all()


async def _pump(client: Any, ended: trio.CancelScope) -> None:
    while await client.pump():
        pass
    ended.cancel()


async def test_out_of_descriptors(peers: ModuleType, launch_triode: Callable[..., Any]) -> None:
    """A daemon that may open few files keeps enough for its own, and serves those it has accepted."""
    server = launch_triode()
    import resource

    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (60, 60))
    client = await peers.Client.connect(server.port)
    put = PutRequest(key=b"k")
    assert (await client.unary(peers.PUT, put))[0] == 0
    raws = [await peers.Raw.connect(server.port) for _ in range(100)]
    for _ in range(20):
        assert (await client.unary(peers.PUT, put))[0] == 0
    for raw in raws:
        raw.close()
    other = await peers.Client.connect(server.port)
    assert (await other.unary(peers.PUT, put))[0] == 0
    assert server.log().count("cannot accept connections") <= 2
    assert "cannot accept connections" in server.log()
    client.close()
    other.close()
    assert server.stop() == 0


async def test_descriptors_are_kept_for_files(
    peers: ModuleType, launch_triode: Callable[..., Any], tmp_path: Path
) -> None:
    """The limit of connections follows from that of descriptors: the rest is for the log and data."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (250, hard))
    try:
        server = launch_triode()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    client = await peers.Client.connect(server.port)
    raws = [await peers.Raw.connect(server.port) for _ in range(150)]
    closed = [raw for raw in raws[110:] if await raw.hear_all() == b""]
    assert len(closed) == 40
    assert (await client.unary(peers.PUT, PutRequest(key=b"k")))[0] == 0
    assert "too many connections" in server.log()
    for raw in raws:
        raw.close()
    client.close()
