"""Clients of all manners, for tests that talk to a node over real sockets."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import trio

from triode.actors.node import Node
from triode.rpc.grpc.client import Finished, GrpcClient
from triode.rpc.grpc.client import Message as Received
from triode.rpc.h2 import PREFACE, Limits, hpack_encoder
from triode.rpc.h2.frames import frame_head, pack_head
from triode.rpc.h2.hpack_decoder import HpackDecoder
from triode.rpc.methods import METHODS
from triode.rpc.pb.rpc_pb2 import PutRequest, PutResponse, RangeRequest, RangeResponse

PUT, RANGE = "/etcdserverpb.KV/Put", "/etcdserverpb.KV/Range"
ANSWER_SECONDS_MAX = 10.0  # machines that run tests may be slow
DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4


def reset(sock: socket.socket | trio.socket.SocketType) -> None:
    """Close at once with a TCP reset, as a process that is killed behind a firewall seems to do."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


opened: list[Raw] = []  # closed by the fixture, whatever becomes of a test


class Raw:
    """A socket on which a test says what it likes."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self.sock = sock
        self.read = b""
        opened.append(self)

    @classmethod
    async def connect(cls, port: int, *, receive_buffer_bytes: int = 0) -> Raw:
        sock = trio.socket.socket()
        if receive_buffer_bytes:
            await sock.bind(("127.0.0.1", 0))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        await sock.connect(("127.0.0.1", port))
        return cls(sock)

    async def say(self, data: bytes) -> bool:
        """Send; False when the node has closed the connection."""
        view = memoryview(data)
        try:
            while view:
                view = view[await self.sock.send(view) :]
        except OSError:
            return False
        return True

    async def hear(self) -> bytes:
        """Some bytes; empty at the end, however it came."""
        try:
            data: bytes = await self.sock.recv(65536)
        except OSError:
            data = b""
        self.read += data
        return data

    async def hear_all(self, seconds: float = ANSWER_SECONDS_MAX) -> bytes:
        """All that comes until the node closes; fails if it does not."""
        with trio.fail_after(seconds):
            while await self.hear():
                pass
        return self.read

    def close(self) -> None:
        self.sock.close()


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return pack_head(len(payload) << 8 | kind, flags, stream_id) + payload


def settings(**values: int) -> bytes:
    """SETTINGS; names are `window` and `table`."""
    numbers = {"table": 1, "window": 4}
    body = b"".join(struct.pack(">HI", numbers[name], value) for name, value in values.items())
    return frame(SETTINGS, 0, 0, body)


def opening(**values: int) -> bytes:
    return PREFACE + settings(**values)


def head_of(path: str, *fields: tuple[bytes, bytes]) -> bytes:
    """The header block of a gRPC call."""
    return hpack_encoder.encode(
        (
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", path.encode()),
            (b":authority", b"node"),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
            *fields,
        )
    )


def framed(message: bytes) -> bytes:
    return struct.pack(">BI", 0, len(message)) + message


def call(stream_id: int, path: str, message: bytes, *fields: tuple[bytes, bytes]) -> bytes:
    """A unary call as bytes; `message` is cut into frames."""
    body = framed(message)
    out = [frame(HEADERS, END_HEADERS, stream_id, head_of(path, *fields))]
    cuts = range(0, len(body), 16384)
    for at in cuts:
        flags = END_STREAM if at == cuts[-1] else 0
        out.append(frame(DATA, flags, stream_id, body[at : at + 16384]))
    return b"".join(out)


def frames(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """(type, flags, stream id, payload) of each whole frame in `data`."""
    found, at = [], 0
    while at + 9 <= len(data):
        word, flags, stream_id = frame_head(data, at)
        found.append((word & 255, flags, stream_id, data[at + 9 : at + 9 + (word >> 8)]))
        at += 9 + (word >> 8)
    return found


def fields_of(data: bytes, stream_id: int) -> dict[bytes, bytes]:
    """The header fields that ended a stream; empty if it has not ended."""
    for kind, flags, number, payload in frames(data):
        if (kind, number) == (HEADERS, stream_id) and flags & END_STREAM:
            return dict(HpackDecoder(4096).decode(payload))
    return {}


def goaway_code(data: bytes) -> int | None:
    """The error code of the GOAWAY in what a node said."""
    for kind, _, _, payload in frames(data):
        if kind == GOAWAY:
            return int.from_bytes(payload[4:8], "big")
    return None


class Client:
    """A gRPC client that keeps to the rules; one task may use it."""

    def __init__(self, raw: Raw, *, limits: Limits | None = None) -> None:
        self.raw = raw
        self.grpc = GrpcClient(authority="node", limits=limits)
        self.waiting: dict[int, list[bytes]] = {}
        self.ended: dict[int, tuple[int, str]] = {}

    @classmethod
    async def connect(cls, port: int, *, limits: Limits | None = None) -> Client:
        return cls(await Raw.connect(port), limits=limits)

    async def flush(self) -> None:
        await self.raw.say(self.grpc.data_to_send())

    async def pump(self) -> bool:
        """Take in what comes next; False at the end of the connection."""
        await self.flush()
        data = await self.raw.hear()
        self.raw.read = b""
        for event in self.grpc.receive(data) if data else ():
            if isinstance(event, Received):
                self.waiting.setdefault(event.stream_id, []).append(event.data)
            elif isinstance(event, Finished):
                self.ended[event.stream_id] = event.code, event.text
        await self.flush()
        return bool(data)

    async def status(self, stream_id: int) -> tuple[int, str]:
        """How a call ended."""
        with trio.fail_after(ANSWER_SECONDS_MAX):
            while stream_id not in self.ended:
                if not await self.pump():
                    return -1, "the connection has ended"
        return self.ended.pop(stream_id)

    async def unary(self, path: str, message: Any, **options: Any) -> tuple[int, str, bytes]:
        """(code, text, encoded response)."""
        encoded = message if isinstance(message, bytes) else message.SerializeToString()
        stream_id = self.grpc.call(path, encoded, **options)
        code, text = await self.status(stream_id)
        answers = self.waiting.pop(stream_id, [])
        return code, text, answers[0] if answers else b""

    async def start(self, path: str, *messages: Any, **options: Any) -> int:
        """Begin a streaming call."""
        stream_id = self.grpc.start_call(path, **options)
        await self.send(stream_id, *messages)
        return stream_id

    async def send(self, stream_id: int, *messages: Any) -> None:
        for message in messages:
            self.grpc.send_message(stream_id, message.SerializeToString())
        await self.flush()

    async def next(self, stream_id: int, path: str) -> Any:
        """The next message of a stream, decoded; None when it has ended."""
        with trio.fail_after(ANSWER_SECONDS_MAX):
            while not self.waiting.get(stream_id):
                if stream_id in self.ended or not await self.pump():
                    return None
        return METHODS[path].response.FromString(self.waiting[stream_id].pop(0))

    def close(self) -> None:
        self.raw.close()


async def check_served(client: Client, number: int) -> None:
    """One put and one get, soon."""
    with trio.fail_after(ANSWER_SECONDS_MAX):
        put = PutRequest(key=b"healthy", value=b"%d" % number)
        code, text, answer = await client.unary(PUT, put)
        assert code == 0, text
        revision = PutResponse.FromString(answer).header.revision
        code, text, answer = await client.unary(RANGE, RangeRequest(key=b"healthy"))
        assert code == 0, text
        assert RangeResponse.FromString(answer).header.revision >= revision


@asynccontextmanager
async def well_served(node: Node) -> AsyncIterator[None]:
    """All the while, a well-behaved client on a connection of its own is served, and at the end too."""
    client = await Client.connect(node.clients.ports[0])
    stop = trio.Event()

    async def go_on() -> None:
        number = 0
        while not stop.is_set():
            await check_served(client, number)
            number += 1
            await trio.sleep(0.02)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(go_on)
        yield
        stop.set()
    await check_served(client, -1)
    client.close()


async def until(true: Callable[[], bool], seconds: float = ANSWER_SECONDS_MAX) -> None:
    """Return when the node has come so far; fails if it does not."""
    with trio.fail_after(seconds):
        while not true():  # noqa: ASYNC110  # a node has no event for each thing that a test waits for
            await trio.sleep(0.005)


async def settled(node: Node, connections: int = 0, *, seconds: float = ANSWER_SECONDS_MAX) -> None:
    """Return when the node has noticed that its clients are gone, and holds nothing for them."""
    with suppress(trio.TooSlowError):
        await until(lambda: _quiet(node, connections), seconds)
    watches = node.context.hub.statistics()
    assert len(node.clients.children) == connections, node.clients.children
    assert (watches.streams, watches.watchers) == (0, 0)
    assert node.tasks.running == 0


def _quiet(node: Node, connections: int) -> bool:
    streams = node.context.hub.statistics().streams
    return len(node.clients.children) == connections and not streams and not node.tasks.running
