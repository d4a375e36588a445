"""What stands beside the messages: metadata, time, encodings, names, and requests that are not gRPC."""

from __future__ import annotations

import base64
import json
from types import ModuleType
from typing import Any

import pytest
import trio

from triode import Node
from triode.rpc.h2 import hpack_encoder
from triode.rpc.pb.rpc_pb2 import PutRequest, RangeRequest, WatchCreateRequest, WatchRequest

WATCH = "/etcdserverpb.Watch/Watch"


async def call_raw(
    peers: ModuleType, node: Node, path: str, message: bytes, *fields: tuple[bytes, bytes]
) -> dict[bytes, bytes]:
    """A unary call with header fields as they are; the fields that end it."""
    raw = await peers.Raw.connect(node.clients.ports[0])
    head = peers.frame(peers.HEADERS, peers.END_HEADERS, 1, peers.head_of(path, *fields))
    await raw.say(peers.opening() + head + peers.frame(peers.DATA, peers.END_STREAM, 1, message))
    with trio.fail_after(peers.ANSWER_SECONDS_MAX):
        while not (ended := peers.fields_of(raw.read, 1)):
            assert await raw.hear()
    raw.close()
    assert isinstance(ended, dict)
    return ended


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etcdserverpb.KV/Nope", "unknown method Nope for service etcdserverpb.KV"),
        ("/no.Such/Thing", "unknown service no.Such"),
        ("/", 'malformed method name: "/"'),
        ("nothing", 'malformed method name: "nothing"'),
        ("//x", 'malformed method name: "//x"'),
        ("/grpc.reflection.v1.ServerReflection/Info", "unknown service grpc.reflection.v1."),
        ("/ünbekannt/%00", "unknown service ünbekannt"),
    ],
)
async def test_unknown_methods(peers: ModuleType, node: Node, path: str, text: str) -> None:
    """UNIMPLEMENTED, in grpc-go's words."""
    client = await peers.Client.connect(node.clients.ports[0])
    code, said, _ = await client.unary(path, b"")
    assert code == 12
    assert said.startswith(text)
    client.close()


async def test_compressed_requests_are_refused(peers: ModuleType, node: Node) -> None:
    put = PutRequest(key=b"k").SerializeToString()
    squeezed = b"\1" + peers.framed(put)[1:]
    ended = await call_raw(peers, node, peers.PUT, squeezed, (b"grpc-encoding", b"gzip"))
    assert ended[b"grpc-status"] == b"12"
    assert b"Decompressor is not installed" in ended[b"grpc-message"]
    ended = await call_raw(peers, node, peers.PUT, squeezed)
    assert ended[b"grpc-status"] == b"13"
    # A client that could compress, and does not, is served.
    ended = await call_raw(peers, node, peers.PUT, peers.framed(put), (b"grpc-encoding", b"gzip"))
    assert ended[b"grpc-status"] == b"0"


async def test_metadata_is_checked(peers: ModuleType, node: Node) -> None:
    """Binary values must be base64; the client's version must be text; the rest is the client's."""
    put = peers.framed(PutRequest(key=b"k").SerializeToString())

    async def status(*fields: tuple[bytes, bytes]) -> bytes:
        return (await call_raw(peers, node, peers.PUT, put, *fields))[b"grpc-status"]

    assert await status((b"trace-bin", base64.b64encode(bytes(range(256))))) == b"0"
    assert await status((b"trace-bin", b"AAA,BBB")) == b"0"
    assert await status((b"trace-bin", b"!!!")) == b"13"
    assert await status((b"anything", b"\xff\xfe")) == b"0"
    assert await status((b"client-api-version", "3.6 ü".encode())) == b"0"
    assert await status((b"client-api-version", b"\xff\xfe")) == b"3"
    assert await status((b"hasleader", b"true")) == b"0"
    assert await status((b"grpc-timeout", b"soon")) == b"13"
    assert await status(*[(b"x%d" % n, b"y" * 50) for n in range(200)]) == b"0"


async def test_a_call_that_needs_a_leader(
    peers: ModuleType, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`hasleader` is refused where there is none, unary calls and streams; others are not."""
    client = await peers.Client.connect(node.clients.ports[0])
    monkeypatch.setattr(node.peer, "leader", 0)
    get = RangeRequest(key=b"k", serializable=True)
    wanted = {"hasleader": "true"}
    refused = (14, "etcdserver: no leader")
    assert (await client.unary(peers.RANGE, get, metadata=wanted))[:2] == refused
    assert (await client.unary(peers.RANGE, get))[0] == 0
    assert await client.status(await client.start(WATCH, metadata=wanted)) == refused
    client.close()


async def test_a_stream_ends_with_its_time(peers: ModuleType, node: Node) -> None:
    """Though the client should have ended it: nothing is held for it any longer."""
    client = await peers.Client.connect(node.clients.ports[0])
    create = WatchRequest(create_request=WatchCreateRequest(key=b"k"))
    stream_id = await client.start(WATCH, create, timeout_ns=200_000_000)
    assert (await client.next(stream_id, WATCH)).created
    assert await client.status(stream_id) == (4, "context deadline exceeded")
    assert node.context.hub.statistics().streams == 0
    other = await client.start(WATCH, create, timeout_ns=3_600_000_000_000)
    assert (await client.next(other, WATCH)).created
    client.grpc.cancel(other)
    await client.flush()
    client.close()
    await peers.settled(node)


async def http2(
    peers: ModuleType, node: Node, method: str, path: str, body: bytes = b"", kind: str = ""
) -> tuple[int, dict[bytes, bytes], bytes]:
    """What curl --http2-prior-knowledge would see: status, fields, body."""
    fields = [
        (b":method", method.encode()),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", b"node"),
        *([(b"content-type", kind.encode())] if kind else []),
    ]
    raw = await peers.Raw.connect(node.clients.ports[0])
    block = hpack_encoder.encode(fields)
    last = 0 if body else peers.END_STREAM
    await raw.say(
        peers.opening(window=1 << 20)
        + peers.frame(peers.WINDOW, 0, 0, (1 << 20).to_bytes(4, "big"))
        + peers.frame(peers.HEADERS, peers.END_HEADERS | last, 1, block)
    )
    if body:
        await raw.say(peers.frame(peers.DATA, peers.END_STREAM, 1, body))

    def whole() -> list[Any]:
        found = [f for f in peers.frames(raw.read) if f[2] == 1]
        return found if found and found[-1][1] & peers.END_STREAM else []

    with trio.fail_after(peers.ANSWER_SECONDS_MAX):
        while not (found := whole()):
            assert await raw.hear()
    raw.close()
    head = dict(peers.HpackDecoder(4096).decode(found[0][3]))
    return int(head[b":status"]), head, b"".join(f[3] for f in found if f[0] == peers.DATA)


async def test_pages_over_http2(peers: ModuleType, node: Node) -> None:
    """The same as over HTTP/1.1."""
    async with peers.well_served(node):
        status, head, body = await http2(peers, node, "GET", "/health")
        assert (status, json.loads(body)) == (200, {"health": "true", "reason": ""})
        assert head[b"content-type"] == b"text/plain; charset=utf-8"
        assert head[b"content-length"] == b"%d" % len(body)
        assert (await http2(peers, node, "GET", "/readyz"))[::2] == (200, b"ok\n")
        assert b"etcd_server_has_leader 1" in (await http2(peers, node, "GET", "/metrics"))[2]
        assert (await http2(peers, node, "HEAD", "/metrics"))[2] == b""
        assert (await http2(peers, node, "POST", "/health"))[0] == 405
        assert (await http2(peers, node, "GET", "/nothing"))[0] == 404
    await peers.settled(node)


async def test_the_gateway_over_http2(peers: ModuleType, node: Node) -> None:
    """Unary calls; the streams are in `test_http2_streams`."""
    body = b'{"key":"Zm9v","value":"YmFy"}'
    status, _, answer = await http2(peers, node, "POST", "/v3/kv/put", body, "application/json")
    assert status == 200
    assert json.loads(answer)["header"]["revision"] == "2"
    status, _, answer = await http2(peers, node, "POST", "/v3/kv/range", b"{", "application/json")
    assert (status, json.loads(answer)["code"]) == (400, 3)
    status, head, _ = await http2(peers, node, "POST", peers.PUT, b"{}", "application/json")
    assert (status, head[b"grpc-status"]) == (415, b"3")
    assert b'invalid gRPC request content-type "application/json"' in head[b"grpc-message"]
