"""One HTTP/1.1 connection and many requests: what is read is answered, or the close is announced."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import trio

from triode import Node

GET = b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n"
KEEPALIVE = "/v3/lease/keepalive"
VERSION = b'{"etcdserver":'
WATCH_BODY = b'{"create_request":{"key":"aw=="}}'
CREATED = b'"created":true'
LAST_CHUNK = b"\r\n0\r\n\r\n"


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def opened(path: str, body: bytes) -> bytes:
    """A request whose body has not ended."""
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head.encode() + (chunk(body) if body else b"")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def heard(raw: Any, text: bytes, times: int = 1) -> bytes:
    """What has come when `text` has; it must."""
    with trio.fail_after(5):
        while raw.read.count(text) < times:
            assert await raw.hear(), raw.read
    return bytes(raw.read)


STREAMS = [
    post(KEEPALIVE, b'{"ID":"5"}'),
    post("/v3/maintenance/snapshot", b"{}"),
    post("/v3/watch", WATCH_BODY + b'{"create_request": 1}'),
]


@pytest.mark.parametrize("request_bytes", STREAMS, ids=["keepalive", "snapshot", "failed watch"])
async def test_a_request_behind_a_stream(
    peers: ModuleType, node: Node, request_bytes: bytes
) -> None:
    """The connection serves on, whether the next request comes after the answer or with the stream's."""
    raw = await peers.Raw.connect(node.clients.ports[0])
    for number in range(1, 4):
        await raw.say(request_bytes)
        await heard(raw, LAST_CHUNK, number)
        await raw.say(GET)
        await heard(raw, VERSION, number)
    piped = await peers.Raw.connect(node.clients.ports[0])
    await piped.say((request_bytes + GET) * 3)
    text = await heard(piped, VERSION, 3)
    assert text.count(LAST_CHUNK) == 3
    assert b"connection: close" not in (raw.read + text).lower()


async def test_a_request_while_a_stream_is_answered(peers: ModuleType, node: Node) -> None:
    """It waits; when the client says that nothing more comes, the stream ends and it is answered."""
    raw = await peers.Raw.connect(node.clients.ports[0])
    await raw.say(post("/v3/watch", WATCH_BODY))
    await heard(raw, CREATED)
    for _ in range(2):
        await raw.say(GET)
        await trio.sleep(0.05)
    await node.local.put(b"k", b"")
    assert VERSION not in await heard(raw, b'"events"')
    raw.sock.shutdown(1)
    text = await raw.hear_all()
    error = b'{"error":{"code":1,"message":"context canceled"}}\n'
    assert text.index(error) < text.index(LAST_CHUNK) < text.index(VERSION)
    assert text.count(VERSION) == 2
    await peers.until(lambda: node.context.hub.statistics().watchers == 0)


async def test_a_request_while_a_lock_is_waited_for(peers: ModuleType, node: Node) -> None:
    """As with a stream; the end of the client is noticed behind a request that it has sent ahead."""
    lock = post("/v3/lock/lock", b'{"name":"aw=="}')
    first, second = [await peers.Raw.connect(node.clients.ports[0]) for _ in range(2)]
    await first.say(lock)
    await heard(first, b'"key"')
    await second.say(lock + GET)
    await trio.sleep(0.05)
    await second.say(GET)
    await trio.sleep(0.05)
    second.sock.shutdown(1)
    text = await second.hear_all()
    assert text.startswith(b"HTTP/1.1 499 ")
    assert text.count(VERSION) == 2
    assert (await node.local.get(b"k/", b"k0")).count == 1


async def test_a_body_that_ends_after_its_answer(peers: ModuleType, node: Node) -> None:
    """What is left of it is skipped, and the next request found."""
    raw = await peers.Raw.connect(node.clients.ports[0])
    await raw.say(opened(KEEPALIVE, b'{"ID":"5"}'))
    await heard(raw, b'"ID":"5"')
    await raw.say(chunk(b'{"ID":{}}'))
    await heard(raw, LAST_CHUNK)
    await raw.say(chunk(b"x" * 1000) + b"0\r\n\r\n" + GET)
    await heard(raw, VERSION)


async def test_bodies_that_cannot_be_read(peers: ModuleType, node: Node) -> None:
    """A stream says so in its own form; the close is announced if nothing was sent before."""
    raw = await peers.Raw.connect(node.clients.ports[0])
    await raw.say(opened("/v3/watch", WATCH_BODY))
    await heard(raw, CREATED)
    await raw.say(b"zz\r\n")
    text = await raw.hear_all()
    assert b'{"error":{"code":3,"message":"Failed to decode request: ' in text
    assert text.endswith(LAST_CHUNK)
    for request in (opened("/v3/watch", b"") + b"zz\r\n", opened("/v3/kv/put", b"{}") + b"zz\r\n"):
        raw = await peers.Raw.connect(node.clients.ports[0])
        await raw.say(request)
        text = await raw.hear_all()
        assert text.startswith(b"HTTP/1.1 400 ")
        assert b"connection: close\r\n" in text.lower()


async def test_a_snapshot_whose_request_is_too_large(peers: ModuleType, node: Node) -> None:
    """Is refused, not made for a request that nobody has read."""
    raw = await peers.Raw.connect(node.clients.ports[0])
    async with trio.open_nursery() as nursery:
        request = post("/v3/maintenance/snapshot", b" " * 20_000_000)
        nursery.start_soon(raw.say, request)
        text = await raw.hear_all()
        nursery.cancel_scope.cancel()
    assert text.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close\r\n" in text.lower()


async def test_failures_announce_the_close(
    peers: ModuleType, node: Node, unforeseen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that nobody has foreseen ends the connection: the client is told."""

    def broken(*_: object) -> None:
        raise ValueError("broken")

    unforeseen.append("broken")
    monkeypatch.setattr("triode.actors.http1.gateway.decode_request", broken)
    raw = await peers.Raw.connect(node.clients.ports[0])
    await raw.say(post("/v3/kv/put", b"{}"))
    text = await raw.hear_all()
    assert text.startswith(b"HTTP/1.1 500 ")
    assert b"connection: close\r\n" in text.lower()


async def test_the_stop_ends_what_may_take_for_ever(
    peers: ModuleType, run_node: Callable[..., Any]
) -> None:
    """A stream ends with an error and whole, a lock is refused, what has come behind is answered; at once."""
    async with run_node() as node:
        watch, holder, lock = [await peers.Raw.connect(node.clients.ports[0]) for _ in range(3)]
        await watch.say(post("/v3/watch", WATCH_BODY) + GET)
        await heard(watch, CREATED)
        await holder.say(post("/v3/lock/lock", b'{"name":"aw=="}'))
        await heard(holder, b'"key"')
        await lock.say(post("/v3/lock/lock", b'{"name":"aw=="}'))
        await trio.sleep(0.05)
        for raw in (watch, lock):
            peers.opened.remove(raw)
        began = trio.current_time()
    assert trio.current_time() - began < 2
    stopped = b'{"code":14,"message":"etcdserver: server stopped"}'
    text = await watch.hear_all()
    assert b'{"error":%b}\n%b' % (stopped, LAST_CHUNK) in text
    assert text.index(LAST_CHUNK) < text.index(VERSION)
    assert text.lower().count(b"connection: close\r\n") == 1
    text = await lock.hear_all()
    assert text.startswith(b"HTTP/1.1 503 ")
    assert text.endswith(stopped)
    assert b"connection: close\r\n" in text.lower()
    for raw in (watch, lock):
        raw.close()


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip, deflate, br", True),
        ("gzip;q=0", False),
        ("identity", False),
        ("*", False),
        ("x-gzip", False),
    ],
)
async def test_metrics_may_be_packed(
    peers: ModuleType, node: Node, accepted: str, packed: bool
) -> None:
    """If the client asks; other pages are not."""
    raw = await peers.Raw.connect(node.clients.ports[0])
    for page in ("version", "metrics"):
        await raw.say(
            f"GET /{page} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accepted}\r\n".encode()
            + (b"Connection: close\r\n\r\n" if page == "metrics" else b"\r\n")
        )
    _, version, metrics = (await raw.hear_all()).split(b"HTTP/1.1 200 ")
    assert b"gzip" not in version
    head, _, body = metrics.partition(b"\r\n\r\n")
    assert (b"\r\nContent-Encoding: gzip" in head) is packed
    assert f"\r\nContent-Length: {len(body)}".encode() in head
    text = gzip.decompress(body) if packed else body
    assert b"\netcd_server_has_leader " in text
    if not packed:
        with pytest.raises(zlib.error):
            zlib.decompress(body, wbits=31)


async def test_paths_that_are_not_clean(peers: ModuleType, node: Node) -> None:
    """The client is sent to the path that is meant, and the connection serves on."""
    raw = await peers.Raw.connect(node.clients.ports[0])
    await raw.say(post("//v3/kv/range?a=b", b"{}") + GET)
    text = await heard(raw, VERSION)
    assert text.startswith(b"HTTP/1.1 301 Moved Permanently\r\n")
    assert b"\r\nLocation: /v3/kv/range?a=b\r\n" in text
