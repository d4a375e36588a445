"""HTTP/1.1 that is wrong, slow, or too much: a status, or the end of the connection."""

from __future__ import annotations

import json
import random
from types import ModuleType

import pytest
import trio

from triode import Node
from triode.rpc.methods import METHODS


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: node", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def ask(peers: ModuleType, node: Node, request: bytes) -> tuple[int, bytes]:
    """The status and the body of the reply, on a connection that is closed after it."""
    raw = await peers.Raw.connect(node.clients.ports[0])
    await raw.say(request)
    with trio.fail_after(peers.ANSWER_SECONDS_MAX):
        while b"\r\n\r\n" not in raw.read and await raw.hear():
            pass
        head, _, body = raw.read.partition(b"\r\n\r\n")
        length = next(
            (
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if b"length:" in line
            ),
            0,
        )
        while len(raw.read) < len(head) + 4 + length and await raw.hear():
            pass
    raw.close()
    _, _, body = raw.read.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, body


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /health\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
        b"POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        b"POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200_000 + b"\r\n",
    ],
)
async def test_what_is_not_http(peers: ModuleType, node: Node, request_bytes: bytes) -> None:
    """400 or a neighbour of it, with a text; then the connection ends."""
    async with peers.well_served(node):
        raw = await peers.Raw.connect(node.clients.ports[0])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raw.say, request_bytes)
            reply = await raw.hear_all()
            nursery.cancel_scope.cancel()
        assert reply.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501"))
        raw.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"key": 1}',
        b'{"key": "not base64!"}',
        b'{"limit": "9223372036854775808"}',
        b'{"limit": 1e400}',
        b'{"limit": NaN}',
        b'{"sort_order": "SIDEWAYS"}',
        b'{"no_such_field": 1}',
        b'{"key": "YQ==", "key": "YQ=="}',
        b'{"key": {"key": {}}}',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"key": "' + b"A" * 3_000_000 + b'"}',
    ],
)
async def test_json_that_is_no_request(peers: ModuleType, node: Node, body: bytes) -> None:
    """Refused as InvalidArgument in JSON, except where it happens to be a request."""
    async with peers.well_served(node):
        for path in ("/v3/kv/range", "/v3/kv/txn", "/v3/lease/grant", "/v3/lock/lock"):
            status, reply = await ask(peers, node, post(path, body, "Grpc-Timeout: 50m"))
            assert status in (200, 400, 504), (path, reply)
            answer = json.loads(reply)
            assert status == 200 or answer["code"] in (3, 4), (path, answer)


async def test_txns_nested_too_deeply(peers: ModuleType, node: Node) -> None:
    """JSON has no limit of protobuf's, so it needs one of its own; a moderate depth is served."""
    async with peers.well_served(node):
        for depth, expected in ((30, 200), (45, 400), (60, 400), (3000, 400)):
            body = b'{"success":[{"request_txn":' * depth + b"{}" + b"}]}" * depth
            status, reply = await ask(peers, node, post("/v3/kv/txn", body))
            assert status == expected, (depth, reply[:200])


async def test_random_json_for_every_path(peers: ModuleType, node: Node) -> None:
    """Mutated JSON, to every unary method: never a 500."""
    rng = random.Random(1)
    values = [
        "1",
        '"1"',
        '""',
        "[]",
        "{}",
        "null",
        "true",
        "-1",
        '"YQ=="',
        "1e99",
        '"' + "é" * 9 + '"',
    ]
    async with peers.well_served(node):
        for method in METHODS.values():
            if not method.rest_paths or not method.unary or method.name in ("Defragment", "Alarm"):
                continue
            names = [field.name for field in method.request.DESCRIPTOR.fields] + ["x"]
            for _ in range(6):
                pairs = [f'"{name}":{rng.choice(values)}' for name in rng.sample(names, 1)]
                body = ("{" + ",".join(pairs) + "}").encode()
                request = post(method.rest_paths[0], body, "Grpc-Timeout: 20m")
                status, reply = await ask(peers, node, request)
                assert (
                    status != 500
                    or b"etcdserver: " in reply
                    or b"election" in reply
                    or (b"leader" in reply)
                ), (method.path, body, reply)


async def test_slow_header_and_body(
    peers: ModuleType, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that never becomes whole is given up, header or body."""
    monkeypatch.setattr("triode.actors.http1.HEADER_SECONDS_MAX", 0.2)
    monkeypatch.setattr("triode.actors.http1.BODY_SECONDS_MAX", 0.2)
    async with peers.well_served(node):
        header = await peers.Raw.connect(node.clients.ports[0])
        await header.say(b"GET /health HTTP/1.1\r\nHo")
        assert await header.hear_all() == b""
        body = await peers.Raw.connect(node.clients.ports[0])
        await body.say(b"POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        assert b"HTTP/1.1 400 " in await body.hear_all()
        page = await peers.Raw.connect(node.clients.ports[0])
        await page.say(b"GET /version HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        assert b"HTTP/1.1 200 " in await page.hear_all()
        for raw in (header, body, page):
            raw.close()
    await peers.settled(node)


async def test_body_without_end(peers: ModuleType, node: Node) -> None:
    """More than a request may have is refused while it comes, and can be read by the sender."""
    async with peers.well_served(node):
        raw = await peers.Raw.connect(node.clients.ports[0])
        head = b"POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raw.say, head + chunk * 400)
            reply = await raw.hear_all()
            nursery.cancel_scope.cancel()
        assert b"HTTP/1.1 400 " in reply
        assert b"request body is too large" in reply
        raw.close()
    await peers.settled(node)


async def test_upgrades_and_tunnels(peers: ModuleType, node: Node) -> None:
    """Not offered: answered as any other request, and the connection may be used again."""
    async with peers.well_served(node):
        upgrade = b"GET /version HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
        assert (await ask(peers, node, upgrade))[0] == 200
        connect = b"CONNECT example.org:443 HTTP/1.1\r\nHost: a\r\n\r\n"
        assert (await ask(peers, node, connect))[0] == 404
        raw = await peers.Raw.connect(node.clients.ports[0])
        await raw.say(upgrade + upgrade + b"GET /health HTTP/1.0\r\n\r\n")
        assert (await raw.hear_all()).count(b"HTTP/1.1 200") == 3
        raw.close()
