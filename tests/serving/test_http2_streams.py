"""Streams of the JSON gateway over HTTP/2, by a foreign client: the h2 library."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import ModuleType
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest
import trio

from triode import Node
from triode.rpc.pb.rpc_pb2 import LeaseGrantRequest

WATCH_K = {"create_request": {"key": b64encode(b"k").decode()}}
SECONDS_MAX = 10.0


class Client:
    """One connection with one request at a time."""

    def __init__(self, stream: trio.SocketStream, window_bytes: int = 65535) -> None:
        self._stream = stream
        self._codec = h2.connection.H2Connection()
        self._number = -1
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended = False
        self._text = b""
        self._acknowledged = 0
        self._codec.initiate_connection()
        self._codec.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window_bytes})

    async def begin(self) -> None:
        """Agree on settings: h2 counts wrongly if they change under a stream."""
        await self._flush()
        with trio.fail_after(SECONDS_MAX):
            while self._acknowledged < 2:
                await self._read()

    async def post(
        self,
        path: str,
        *objects: Any,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """A whole request; what is answered is read by `line` or `rest`."""
        self._number += 2
        self.status, self.headers, self.ended, self._text = 0, {}, False, b""
        fields = [(":method", "POST"), (":path", path), (":scheme", "http"), (":authority", "x")]
        self._codec.send_headers(self._number, [*fields, *(headers or {}).items()])
        data = b"".join(json.dumps(one).encode() for one in objects) if body is None else body
        self._codec.send_data(self._number, data, end_stream=True)
        await self._flush()

    async def line(self) -> Any:
        """The next line of the answer, decoded; None at its end."""
        with trio.fail_after(SECONDS_MAX):
            while b"\n" not in self._text and not self.ended:
                await self._read()
        line, newline, self._text = self._text.partition(b"\n")
        return json.loads(line) if newline else None

    async def lines(self) -> list[Any]:
        """All that is still to come."""
        found = []
        while (line := await self.line()) is not None:
            found.append(line)
        return found

    async def whole(self) -> bytes:
        """The whole answer, whatever it is."""
        with trio.fail_after(SECONDS_MAX):
            while not self.ended:
                await self._read()
        return self._text

    async def cancel(self) -> None:
        self._codec.reset_stream(self._number, h2.errors.ErrorCodes.CANCEL)
        await self._flush()

    async def _flush(self) -> None:
        await self._stream.send_all(self._codec.data_to_send())

    async def _read(self) -> None:
        data = await self._stream.receive_some(65536)
        assert data, "the connection was closed"
        for event in self._codec.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                self.headers = {_text(name): _text(value) for name, value in event.headers}
                self.status = int(self.headers.pop(":status"))
            elif isinstance(event, h2.events.DataReceived):
                self._text += event.data
                self._codec.acknowledge_received_data(event.flow_controlled_length, self._number)
            elif isinstance(event, h2.events.SettingsAcknowledged):
                self._acknowledged += 1
            elif isinstance(event, h2.events.StreamEnded):
                self.ended = True
            else:
                assert not isinstance(event, h2.events.StreamReset)
        await self._flush()


def _text(field: bytes | str) -> str:
    return field.decode() if isinstance(field, bytes) else field


Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def connect(node: Node) -> Connect:
    @asynccontextmanager
    async def opened(window_bytes: int = 65535) -> AsyncIterator[Client]:
        stream = await trio.open_tcp_stream("127.0.0.1", node.clients.ports[0])
        async with stream:
            client = Client(stream, window_bytes)
            await client.begin()
            yield client

    return opened


async def test_a_watch(node: Node, peers: ModuleType, connect: Connect) -> None:
    """Its answers come as lines, and it ends with its stream, not with its request."""
    async with connect() as client:
        await client.post("/v3/watch", WATCH_K)
        assert (await client.line())["result"]["created"] is True
        assert client.status == 200
        assert client.headers["content-type"] == "application/json"
        assert client.headers["access-control-allow-origin"] == "*"
        await node.local.put(b"k", b"v")
        event = (await client.line())["result"]["events"][0]
        assert event["kv"]["value"] == b64encode(b"v").decode()
        await client.cancel()
        await peers.until(lambda: node.hub.statistics().streams == 0)
        await client.post("/v3/watch", WATCH_K)  # the connection is as good as before
        assert (await client.line())["result"]["created"] is True
    await peers.until(lambda: node.hub.statistics().streams == 0)
    await peers.settled(node)


async def test_the_watch_of_the_page(node: Node, connect: Connect) -> None:
    """That of `/ui`: the same, but for no other origin."""
    async with connect() as client:
        await client.post("/ui/v3/watch", WATCH_K)
        assert (await client.line())["result"]["created"] is True
        assert "access-control-allow-origin" not in client.headers
        await client.cancel()
        await client.post("/ui/v3/watch", WATCH_K, headers={"origin": "http://evil.example"})
        await client.whole()
        assert client.status == 403


async def test_several_requests_at_once(node: Node, connect: Connect) -> None:
    other = {"create_request": {"key": b64encode(b"other").decode()}}
    async with connect() as client:
        await client.post("/v3/watch", WATCH_K, other)
        first, second = await client.line(), await client.line()
        assert first["result"].get("watch_id", "0") == "0"
        assert second["result"]["watch_id"] == "1"


async def test_a_stream_that_ends_with_its_request(node: Node, connect: Connect) -> None:
    grant = await node.local.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=60, ID=7))
    async with connect() as client:
        await client.post("/v3/lease/keepalive", {"ID": str(grant.ID)}, {"ID": "8"})
        results = [line["result"] for line in await client.lines()]
        assert [one.get("TTL") for one in results] == ["60", None]


async def test_more_than_the_window(node: Node, connect: Connect) -> None:
    """A snapshot goes through the smallest of windows, whole."""
    for number in range(30):
        await node.local.put(b"key %d" % number, b"v" * 20_000)
    async with connect(window_bytes=1000) as client:
        await client.post("/v3/maintenance/snapshot", {})
        lines = await client.lines()
    assert len(lines) > 10
    assert "remaining_bytes" not in lines[-1]["result"]
    assert node.clients.children


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("/v3/watch", b'{"create_request": 7}', "Failed to decode request"),
        ("/v3/watch", b"{", "Failed to decode request"),
        ("/v3/maintenance/snapshot", b"[]", ""),
    ],
)
async def test_what_cannot_be_read(
    node: Node, connect: Connect, path: str, body: bytes, text: str
) -> None:
    async with connect() as client:
        await client.post(path, body=body)
        [line] = await client.lines()
        assert client.status == 400
        assert line["error"]["code"] == 3
        assert line["error"]["message"].startswith(text)


async def test_metadata_and_a_refused_stream(node: Node, connect: Connect) -> None:
    """Without a leader, to a client that wants one."""
    node.context.raft.leader = 0
    async with connect() as client:
        await client.post("/v3/watch", WATCH_K, headers={"grpc-metadata-hasleader": "true"})
        assert await client.lines() == [{"error": {"code": 14, "message": "etcdserver: no leader"}}]
        assert client.status == 503


async def test_a_node_that_stops_says_so(run_node: Callable[..., Any]) -> None:
    async with run_node() as node:
        stream = await trio.open_tcp_stream("127.0.0.1", node.clients.ports[0])
        client = Client(stream)
        await client.begin()
        await client.post("/v3/watch", WATCH_K)
        assert (await client.line())["result"]["created"] is True
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(node.supervisor.stop_child, "clients")
            heard = b""
            with trio.fail_after(SECONDS_MAX):
                while data := await stream.receive_some(65536):
                    heard += data
            assert b'{"error":{"code":14,"message":"etcdserver: server stopped"}}\n' in heard


async def test_the_metadata_of_a_stream_over_http1(node: Node) -> None:
    """Is that of the call, as over HTTP/2."""
    node.context.raft.leader = 0
    body = json.dumps(WATCH_K).encode()
    stream = await trio.open_tcp_stream("127.0.0.1", node.clients.ports[0])
    async with stream:
        await stream.send_all(
            b"POST /v3/watch HTTP/1.1\r\nHost: x\r\nGrpc-Metadata-HasLeader: true\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        heard = b""
        with trio.fail_after(SECONDS_MAX):
            while b"}}\n" not in heard:
                data = await stream.receive_some(65536)
                assert data
                heard += data
    assert heard.startswith(b"HTTP/1.1 503 ")
    assert b'"etcdserver: no leader"' in heard
