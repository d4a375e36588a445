"""`grpc_server_handled_total`: each call that has begun is counted once when it ends, however it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import trio

from triode import Node
from triode.errors import Code
from triode.rpc.pb.rpc_pb2 import (
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    WatchCreateRequest,
    WatchRequest,
)
from triode.rpc.pb.v3election_pb2 import LeaderRequest
from triode.rpc.pb.v3lock_pb2 import LockRequest

WATCH = "/etcdserverpb.Watch/Watch"
KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"
OBSERVE = "/v3electionpb.Election/Observe"
HEALTH_WATCH = "/grpc.health.v1.Health/Watch"
LOCK = "/v3lockpb.Lock/Lock"
STREAMS = (WATCH, KEEP_ALIVE, OBSERVE, HEALTH_WATCH)
CREATE = WatchRequest(create_request=WatchCreateRequest(key=b"k"))


def handled(node: Node, path: str) -> dict[int, int]:
    """Calls of an RPC that have ended, by code."""
    counter = node.dispatcher.traffic.counter(path)
    return {code: count for code, count in {0: counter.ok, **counter.ended}.items() if count}


def under_way(node: Node) -> int:
    """Calls that have begun and not ended."""
    counters = node.dispatcher.traffic.methods.values()
    return sum(c.started - c.ok - sum(c.ended.values()) for c in counters)


@pytest.fixture
def all_counted(node: Node) -> Iterator[None]:
    """At the end, nothing is under way."""
    yield
    assert under_way(node) == 0


@pytest.mark.parametrize("way", ["close", "reset", "broken rule", "pings", "cancel"])
@pytest.mark.usefixtures("all_counted")
async def test_calls_that_end_with_their_client(peers: ModuleType, node: Node, way: str) -> None:
    """Canceled, as when the client cancels each of them."""
    one, two = [
        (await node.local.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=60))).ID for _ in range(2)
    ]
    await node.local.put(b"door/held", b"", lease=one)
    client = await peers.Client.connect(node.clients.ports[0])
    calls = [await client.start(WATCH, CREATE), await client.start(KEEP_ALIVE)]
    calls.append(await client.start(OBSERVE, LeaderRequest(name=b"e")))
    calls.append(await client.start(HEALTH_WATCH, LeaderRequest()))
    lock = LockRequest(name=b"door", lease=two).SerializeToString()
    calls.append(client.grpc.call(LOCK, lock))
    await client.flush()
    await peers.until(lambda: under_way(node) == 5)
    if way == "reset":
        peers.reset(client.raw.sock)
    elif way == "broken rule":
        await client.raw.say(peers.frame(peers.DATA, 0, 0, b"no stream"))
    elif way == "pings":
        await client.raw.say(peers.frame(peers.PING, 0, 0, bytes(8)) * 20_000)
    elif way == "cancel":
        for call in calls:
            client.grpc.cancel(call)
        await client.flush()
    else:
        client.close()
    await peers.until(lambda: under_way(node) == 0)
    for path in (*STREAMS, LOCK):
        assert handled(node, path) == {Code.CANCELED: 1}, path
    reply = await node.pages.answer("GET", "/metrics")
    assert reply is not None
    page = reply.body.decode()
    labels = 'grpc_method="Watch",grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream"'
    assert f'grpc_server_handled_total{{grpc_code="Canceled",{labels}}} 1\n' in page
    client.close()
    await peers.settled(node)


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\0\0\0\0\x09abc", Code.INTERNAL),
        (b"\x09\0\0\0\0", Code.INTERNAL),
        (b"\0\x10\0\0\0a", Code.RESOURCE_EXHAUSTED),
    ],
)
@pytest.mark.usefixtures("all_counted")
async def test_messages_that_are_none(
    peers: ModuleType, node: Node, path: str, body: bytes, code: Code
) -> None:
    """They end the call with a status, which is the one that is counted."""
    raw = await peers.Raw.connect(node.clients.ports[0])
    head = peers.frame(peers.HEADERS, peers.END_HEADERS, 1, peers.head_of(path))
    await raw.say(peers.opening() + head + peers.frame(peers.DATA, peers.END_STREAM, 1, body))
    with trio.fail_after(peers.ANSWER_SECONDS_MAX):
        while not (ended := peers.fields_of(raw.read, 1)):
            assert await raw.hear()
    assert int(ended[b"grpc-status"]) == code
    assert handled(node, path) == {code: 1}
    raw.close()
    await peers.settled(node)


GATEWAY = {WATCH: "/v3/watch", KEEP_ALIVE: "/v3/lease/keepalive", OBSERVE: "/v3/election/observe"}


async def ask_gateway(peers: ModuleType, node: Node, path: str, body: bytes) -> Any:
    """A gateway stream over HTTP/1.1."""
    raw = await peers.Raw.connect(node.clients.ports[0])
    head = b"POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    await raw.say(head % (GATEWAY[path].encode(), len(body)) + body)
    return raw


@pytest.mark.parametrize("metrics", ["basic", "extensive"])
async def test_streams_of_the_gateway(
    peers: ModuleType, run_node: Callable[..., Any], metrics: str
) -> None:
    """They are calls like others: their messages and how they end."""
    async with run_node(metrics=metrics) as node:
        watch = await ask_gateway(peers, node, WATCH, b'{"create_request":{"key":"aw=="}}')
        observe = await ask_gateway(peers, node, OBSERVE, b'{"name":"ZQ=="}')
        await peers.until(lambda: under_way(node) == 2)
        with trio.fail_after(peers.ANSWER_SECONDS_MAX):
            while b"created" not in watch.read:
                assert await watch.hear()
        watch.close()
        peers.reset(observe.sock)
        await peers.until(lambda: under_way(node) == 0)
        assert [handled(node, path) for path in (WATCH, OBSERVE)] == [{Code.CANCELED: 1}] * 2
        counter = node.dispatcher.traffic.counter(WATCH)
        assert (counter.received, counter.sent) == (1, 1)
        for body, code in ((b'{"ID":"1"}{"ID":"2"}', Code.OK), (b"no JSON", Code.CANCELED)):
            raw = await ask_gateway(peers, node, KEEP_ALIVE, body)
            await raw.hear_all()
            assert handled(node, KEEP_ALIVE)[code] == 1
        counter = node.dispatcher.traffic.counter(KEEP_ALIVE)
        assert (counter.received, counter.sent) == (2, 2)
        assert under_way(node) == 0


@pytest.mark.usefixtures("all_counted")
async def test_streams_of_the_embedding_program(node: Node) -> None:
    async with node.local.stream("Watch/Watch") as stream:
        await stream.send(CREATE)
        assert (await stream.receive()).created
    async with node.client() as client, client.watch(b"k"):
        assert under_way(node) == 1
    async with node.local.stream("Lease/LeaseKeepAlive") as stream:
        stream.half_close()
    async with node.local.stream("Lease/LeaseKeepAlive") as stream:
        while not stream.finished:
            await stream.send(LeaseKeepAliveRequest(ID=1))
    assert handled(node, WATCH) == {Code.CANCELED: 2}
    assert handled(node, KEEP_ALIVE) == {Code.OK: 1, Code.RESOURCE_EXHAUSTED: 1}
