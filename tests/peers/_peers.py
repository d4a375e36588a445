"""Two ends of a link without nodes: an owner that only notes what it is told."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import attrs
import trio
import trio.testing

from triode.actors.membership import Member
from triode.actors.peers.contract import PeerReply
from triode.actors.peers.links import HttpPeers
from triode.actors.running import running
from triode.actors.supervisor import Supervisor
from triode.actors.world import World
from triode.config import Config
from triode.errors import StorageError
from triode.raft.types import (
    ConfState,
    Entry,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
)

CLUSTER = 0xC1
SECONDS_MAX = 10.0  # machines that run tests may be slow
A, B, C = 0xA, 0xB, 0xC


async def until(condition: Callable[[], Any], seconds: float = SECONDS_MAX) -> None:
    """Wait for something that the other side of a socket will bring about."""
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.002)


class Outgoing:
    """A state to be sent, in pieces."""

    def __init__(self, pieces: Sequence[bytes], *, size: int | None = None) -> None:
        self.snapshot = Snapshot(metadata=SnapshotMetadata(ConfState(voters=(A, B)), 77, 5))
        self._pieces = pieces
        self._size = sum(map(len, pieces)) if size is None else size
        self.closed = False
        self.asked = 0

    async def size(self) -> int:
        await trio.lowlevel.checkpoint()
        return self._size

    def chunks(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.asked += 1
            yield piece

    def close(self) -> None:
        self.closed = True


class Incoming:
    """A state that comes in."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self.data = b""
        self.end = ""
        self.full_at: int | None = None

    def write(self, data: bytes) -> None:
        self.data += data
        if self.full_at is not None and len(self.data) > self.full_at:
            raise StorageError("no space left on device")

    async def finish(self) -> None:
        await trio.lowlevel.checkpoint()
        self.end = "finished"

    def abandon(self) -> None:
        self.end = "abandoned"


@attrs.define(eq=False, slots=False)
class Owner:
    """A node that has no state; `on_step` may put raft behind it."""

    member_id: int
    cluster_id: int = CLUSTER
    peer_urls: tuple[str, ...] = ()
    stepped: list[Message] = attrs.Factory(list)
    lost: list[int] = attrs.Factory(list)
    snapshots: list[tuple[int, bool]] = attrs.Factory(list)
    removed: set[int] = attrs.Factory(set)
    was_told_removed: int = 0
    outgoing: Outgoing = attrs.Factory(lambda: Outgoing([b"image"]))
    incoming: list[Incoming] = attrs.Factory(list)
    full_at: int | None = None
    asked: list[tuple[str, str, bytes]] = attrs.Factory(list)
    on_step: Callable[[Message], None] | None = None

    def step(self, message: Message, *, more: bool = False) -> None:
        self.stepped.append(message)
        if self.on_step is not None:
            self.on_step(message)

    def unreachable(self, member: int) -> None:
        self.lost.append(member)

    def snapshot_sent(self, member: int, *, failed: bool) -> None:
        self.snapshots.append((member, failed))

    def is_removed(self, member: int) -> bool:
        return member in self.removed

    def told_removed(self) -> None:
        self.was_told_removed += 1

    def open_snapshot(self) -> Outgoing:
        return self.outgoing

    def receive_snapshot(self, message: Message) -> Incoming:
        incoming = Incoming(message)
        incoming.full_at = self.full_at
        self.incoming.append(incoming)
        return incoming

    def members(self) -> Sequence[Member]:
        return [Member(self.member_id, self.peer_urls)] if self.peer_urls else []

    async def answer(self, verb: str, target: str, body: bytes) -> PeerReply | None:
        await trio.lowlevel.checkpoint()
        self.asked.append((verb, target, body))
        if target == "/members":
            return PeerReply(200, {"content-type": "application/json"}, b"[]\n")
        if target == "/version":
            return PeerReply(200, {}, b'{"etcdserver":"3.5.1","etcdcluster":"3.5.0"}')
        return None


def make(owner: Owner, world: World | None = None, **settings: Any) -> HttpPeers:
    """The links of `owner` on a port of their own."""
    config = Config(**{"listen_peer_urls": ("http://127.0.0.1:0",), **settings})
    peers = HttpPeers(owner, config, world or World.real(seed=1))
    if peers.bound:
        owner.peer_urls = (f"http://127.0.0.1:{peers.ports[0]}",)
    return peers


@asynccontextmanager
async def run(*peers: HttpPeers) -> AsyncIterator[None]:
    """Run the links of several nodes."""
    async with running(
        Supervisor("test", [Supervisor(f"node-{i}", [p]) for i, p in enumerate(peers)])
    ):
        yield


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[Owner, HttpPeers, Owner, HttpPeers]]:
    """Two nodes that know each other and have all their streams."""
    a, b = Owner(A), Owner(B)
    of_a, of_b = make(a), make(b)
    of_a.add(B, b.peer_urls)
    of_b.add(A, a.peer_urls)
    async with run(of_a, of_b):
        await until(lambda: streams(of_a, B) and streams(of_b, A))
        yield a, of_a, b, of_b


def streams(peers: HttpPeers, member: int) -> bool:
    """Whether `member` has dialled both streams."""
    link = peers.link(member)
    return link is not None and link.messages.working and link.appends.working


def entries(first: int, count: int, term: int = 2, size: int = 20) -> tuple[Entry, ...]:
    return tuple(
        Entry(term, first + n, data=Random(first + n).randbytes(size)) for n in range(count)
    )


def append(
    to: int, first: int, count: int, *, sender: int = A, term: int = 2, size: int = 20
) -> Message:
    """An append of a leader of `term` after the entry `first - 1` of the same term."""
    return Message(
        MessageType.APP,
        to=to,
        from_=sender,
        term=term,
        log_term=term,
        index=first - 1,
        entries=entries(first, count, term, size),
        commit=first - 1,
    )


def heartbeat(to: int, sender: int = A, commit: int = 0) -> Message:
    return Message(MessageType.HEARTBEAT, to=to, from_=sender, term=2, commit=commit)


def plain(message: Message) -> Message:
    """With the entries as a tuple, to be compared."""
    return attrs.evolve(message, entries=tuple(message.entries))


def listening(port: int = 0) -> socket.socket:
    """A socket of the test's own that accepts."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen()
    return sock


class Wire:
    """A connection of the test's own to links."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.data = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def until(self, text: bytes) -> bytes:
        """Read up to and with `text`."""
        with trio.fail_after(SECONDS_MAX):
            while text not in self.data:
                more = bytes(await self.stream.receive_some())
                assert more, self.data
                self.data += more
        found, _, rest = self.data.partition(text)
        self.data = rest
        return found + text

    async def reply(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a reply that says how long it is."""
        head = (await self.until(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
        size = int(headers.get("content-length", "0"))
        with trio.fail_after(SECONDS_MAX):
            while len(self.data) < size:
                self.data += await self.stream.receive_some()
        body, self.data = self.data[:size], self.data[size:]
        return int(first.split()[1]), headers, body

    async def end(self) -> bytes:
        """Everything to the end of the connection."""
        with trio.fail_after(SECONDS_MAX):
            try:
                while more := await self.stream.receive_some():
                    self.data += more
            except trio.BrokenResourceError:
                pass
        return self.data


@asynccontextmanager
async def wire(peers: HttpPeers) -> AsyncIterator[Wire]:
    """Connect to links as a stranger."""
    async with await trio.open_tcp_stream("127.0.0.1", peers.ports[0]) as stream:
        yield Wire(stream)


def request(
    verb: str,
    target: str,
    body: bytes = b"",
    *,
    sender: int = A,
    to: int | None = None,
    **other: str,
) -> bytes:
    """The bytes of a request as a peer makes it; `other` headers take the place of its own."""
    headers = {
        "Host": "peer",
        "X-Server-From": f"{sender:x}",
        "X-Server-Version": "3.5.1",
        "X-Min-Cluster-Version": "3.0.0",
        "X-Etcd-Cluster-ID": f"{CLUSTER:x}",
    }
    if to is not None:
        headers["X-Raft-To"] = f"{to:x}"
    if body or verb == "POST":
        headers["Content-Length"] = str(len(body))
    headers.update({name.replace("_", "-"): value for name, value in other.items()})
    lines = [f"{verb} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items() if v), "", ""]
    return "\r\n".join(lines).encode() + body


@asynccontextmanager
async def served(
    owner: Owner | None = None, **settings: Any
) -> AsyncIterator[tuple[Owner, HttpPeers, Wire]]:
    """The links of B, which knows A (at an address where nobody is), and a connection to them."""
    owner = owner or Owner(B)
    peers = make(owner, **settings)
    peers.add(A, ["http://127.0.0.1:1"])
    async with run(peers), wire(peers) as connection:
        yield owner, peers, connection


class MemoryNetwork:
    """Connections within the program: for virtual time."""

    def __init__(self) -> None:
        self._queues: dict[int, trio.MemorySendChannel[trio.abc.Stream]] = {}
        self.dialled: list[float] = []
        self.down: set[int] = set()

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.dialled.append(trio.current_time())
        if port not in self._queues or port in self.down:
            raise ConnectionRefusedError(f"{host}:{port}")
        ours, theirs = trio.testing.memory_stream_pair()
        await self._queues[port].send(theirs)
        return ours

    async def listen(self, host: str, port: int) -> Sequence[trio.abc.Listener[Any]]:
        await trio.lowlevel.checkpoint()
        send, receive = trio.open_memory_channel[trio.abc.Stream](100)
        self._queues[port] = send
        return [MemoryListener(receive)]


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    def __init__(self, receive: trio.MemoryReceiveChannel[trio.abc.Stream]) -> None:
        self._receive = receive

    async def accept(self) -> trio.abc.Stream:
        return await self._receive.receive()

    async def aclose(self) -> None:
        await self._receive.aclose()
