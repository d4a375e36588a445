"""A node as other clients meet it: grpcio, the JSON gateway's streams, and the program that embeds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import grpc
import pytest
import trio

from triode import EtcdError, Node
from triode.actors.node_client import NodeChannel
from triode.rpc.methods import METHODS
from triode.rpc.pb.rpc_pb2 import (
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    PutRequest,
    RangeRequest,
    WatchCreateRequest,
    WatchRequest,
)
from triode.rpc.pb.v3lock_pb2 import LockRequest

LOCK = "/v3lockpb.Lock/Lock"
WATCH = "/etcdserverpb.Watch/Watch"
MIB = 1 << 20


@pytest.fixture
def channel(node: Node) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{node.clients.ports[0]}") as opened:
        yield opened


def unary(channel: grpc.Channel, path: str) -> Callable[..., Any]:
    method = METHODS.get(path)
    call: Callable[..., Any] = channel.unary_unary(
        path,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=method.response.FromString if method else None,
    )
    return call


async def refused(call: Callable[[], Any]) -> tuple[Any, str]:
    """The status of a call that fails, made in a thread."""
    with pytest.raises(grpc.RpcError) as caught:
        await trio.to_thread.run_sync(call)
    error: Any = caught.value
    return error.code(), error.details()


async def test_a_deadline_on_a_lock_that_waits(
    peers: ModuleType, node: Node, channel: grpc.Channel
) -> None:
    """The place in the queue is given up on the server as well."""
    await node.local.put(b"door/held", b"")
    lease = await node.local.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=60))
    request = LockRequest(name=b"door", lease=lease.ID)
    status = await refused(lambda: unary(channel, LOCK)(request, timeout=0.3))
    assert status[0] is grpc.StatusCode.DEADLINE_EXCEEDED
    await peers.until(lambda: node.tasks.running == 0)
    assert (await node.local.get(b"door/", b"door0")).count == 1


async def test_metadata_and_texts(node: Node, channel: grpc.Channel) -> None:
    """Binary and text metadata pass; texts outside of ASCII arrive whole."""
    metadata = (("trace-bin", bytes(range(256))), ("client-api-version", "3.6"), ("x", "a, b"))
    put = unary(channel, "/etcdserverpb.KV/Put")
    await trio.to_thread.run_sync(lambda: put(PutRequest(key=b"k"), metadata=metadata))
    status = await refused(lambda: unary(channel, "/größe.Ü/X")(PutRequest(key=b"k"), timeout=5))
    assert status == (grpc.StatusCode.UNIMPLEMENTED, "unknown service größe.Ü")
    status = await refused(lambda: put(PutRequest(), timeout=5))
    assert status == (grpc.StatusCode.INVALID_ARGUMENT, "etcdserver: key is not provided")


async def test_compression_is_refused(node: Node, channel: grpc.Channel) -> None:
    put = unary(channel, "/etcdserverpb.KV/Put")
    request = PutRequest(key=b"k", value=bytes(5000))
    status = await refused(lambda: put(request, compression=grpc.Compression.Gzip, timeout=5))
    assert status[0] is grpc.StatusCode.UNIMPLEMENTED
    assert 'Decompressor is not installed for grpc-encoding "gzip"' in status[1]


async def test_two_mebibytes(node: Node, channel: grpc.Channel) -> None:
    put = unary(channel, "/etcdserverpb.KV/Put")
    status = await refused(lambda: put(PutRequest(key=b"k", value=bytes(2 * MIB - 500_000))))
    assert status == (grpc.StatusCode.INVALID_ARGUMENT, "etcdserver: request is too large")
    status = await refused(lambda: put(PutRequest(key=b"k", value=bytes(3 * MIB))))
    assert status[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_watch_with_a_single_request(
    peers: ModuleType, node: Node, channel: grpc.Channel
) -> None:
    """grpcio half-closes when the requests are at their end, as other clients do: events come all the same."""
    stream = channel.stream_stream(
        WATCH,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=METHODS[WATCH].response.FromString,
    )
    await node.local.put(b"k", b"past")
    create = WatchRequest(create_request=WatchCreateRequest(key=b"k", start_revision=2))
    call = stream(iter([create]), timeout=peers.ANSWER_SECONDS_MAX)

    def receive() -> Any:
        return next(call)

    assert (await trio.to_thread.run_sync(receive)).created
    (event,) = (await trio.to_thread.run_sync(receive)).events
    assert event.kv.value == b"past"
    await node.local.put(b"k", b"present")
    (event,) = (await trio.to_thread.run_sync(receive)).events
    assert event.kv.value == b"present"
    call.cancel()
    await peers.until(lambda: node.context.hub.statistics().streams == 0)


async def test_an_embedded_watch_that_is_half_closed(peers: ModuleType, node: Node) -> None:
    """It goes on, for both kinds of clients in the same program; keep-alives end when they are answered."""
    create = WatchRequest(create_request=WatchCreateRequest(key=b"k"))
    with trio.fail_after(peers.ANSWER_SECONDS_MAX):
        async with node.local.stream("Watch/Watch") as stream:
            await stream.send(create)
            stream.half_close()
            assert (await stream.receive()).created
            await node.local.put(b"k", b"1")
            assert len((await stream.receive()).events) == 1
        channel = NodeChannel(node.dispatcher, node.outbox)
        async with channel.stream(METHODS[WATCH]) as raw:
            await raw.send(create.SerializeToString())
            await raw.half_close()
            assert await raw.receive()
            await node.local.put(b"k", b"2")
            assert await raw.receive()
        async with node.local.stream("Lease/LeaseKeepAlive") as stream:
            await stream.send(LeaseKeepAliveRequest(ID=1))
            stream.half_close()
            assert (await stream.receive()).TTL == 0
            with pytest.raises(trio.EndOfChannel):
                await stream.receive()
    await peers.settled(node)


async def test_a_channel_that_is_closed_mid_stream(peers: ModuleType, node: Node) -> None:
    """Fifty watches of a client that goes: nothing is left."""

    def watch_and_go() -> None:
        with grpc.insecure_channel(f"127.0.0.1:{node.clients.ports[0]}") as channel:
            stream = channel.stream_stream(
                WATCH,
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=METHODS[WATCH].response.FromString,
            )
            create = WatchRequest(create_request=WatchCreateRequest(key=b"k"))
            calls = [stream(iter([create] * 3)) for _ in range(50)]
            for call in calls:
                assert next(call).created

    async with peers.well_served(node):
        await trio.to_thread.run_sync(watch_and_go)
    await peers.settled(node)


async def test_a_gateway_watch_that_is_not_read(peers: ModuleType, node: Node) -> None:
    """JSON lines wait for their reader within a bound, and all of them arrive."""
    raw = await peers.Raw.connect(node.clients.ports[0], receive_buffer_bytes=4096)
    body = b'{"create_request":{"key":"aw=="}}'
    await raw.say(
        b"POST /v3/watch HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    await peers.until(lambda: node.context.hub.statistics().watchers == 1)
    async with peers.well_served(node):
        for number in range(150):
            await node.local.put(b"k", b"%04d" % number + bytes(100_000))
        statistics = node.context.hub.statistics()
        assert statistics.pending_events < 100
        token, seen, rest = b'"mod_revision"', 0, b""
        with trio.fail_after(30):
            while seen < 150:
                data = await raw.hear()
                assert data
                raw.read = b""
                rest += data
                seen += rest.count(token)
                rest = rest[1 - len(token) :]
        raw.close()
    await peers.settled(node)


async def test_the_embedding_program_is_a_client_too(peers: ModuleType, node: Node) -> None:
    """Its calls meet the same limits and errors; a stream that it does not read is bounded."""
    with pytest.raises(EtcdError, match="request is too large"):
        await node.local.put(b"k", bytes(2 * MIB))
    with pytest.raises(EtcdError, match="key is not provided"):
        await node.local.call("KV/Range", RangeRequest())
    with pytest.raises(LookupError):
        await node.local.call("KV/Nope", RangeRequest())
    with pytest.raises(LookupError):
        await node.local.call("Watch/Watch", WatchRequest())
    async with node.local.stream("Watch/Watch") as stream:
        await stream.send(WatchRequest(create_request=WatchCreateRequest(key=b"k")))
        assert (await stream.receive()).created
        for number in range(100):
            await node.local.put(b"k", b"%03d" % number + bytes(100_000))
        assert stream.responses.bytes < MIB
        seen: list[bytes] = []
        while len(seen) < 100:
            seen += [event.kv.value[:3] for event in (await stream.receive()).events]
        assert seen == [b"%03d" % number for number in range(100)]
    await peers.settled(node)


async def receive_all(stream: Any) -> None:
    while True:
        await stream.receive()


async def test_an_embedded_stream_that_is_flooded(peers: ModuleType, node: Node) -> None:
    """It ends with the error that a remote client would get."""
    async with node.local.stream("Lease/LeaseKeepAlive") as stream:
        while not stream.finished:
            await stream.send(LeaseKeepAliveRequest(ID=1))
        with pytest.raises(EtcdError, match="without reading their answers"):
            await receive_all(stream)
    await peers.settled(node)


async def test_an_embedded_lock_that_is_cancelled(peers: ModuleType, node: Node) -> None:
    """A task that stops waiting gives up its place."""
    await node.local.put(b"door/held", b"")
    with trio.move_on_after(0.2):
        await node.local.call("Lock/Lock", LockRequest(name=b"door"))
    await peers.until(lambda: node.tasks.running == 0)
    assert (await node.local.get(b"door/", b"door0")).count == 1
