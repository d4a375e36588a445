"""Streams from peers that refuse, break, fall silent or talk nonsense; the peer is played by the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from triode.raft.codec import encode_message
from triode.raft.types import Message, MessageType
from triode.rpc.peer_frames import full_frame, length_frame

GIVEN = b"HTTP/1.1 200 OK\r\nX-Server-Version: 3.5.1\r\nTransfer-Encoding: chunked\r\n\r\n"


class Played:
    """A peer at which B's links dial their streams; `serve` says what it does with each."""

    def __init__(self, t: Any) -> None:
        self._t = t
        self.requests: list[bytes] = []

    async def message_stream(self, wire: Any) -> None:
        await wire.end()

    async def handle(self, stream: trio.SocketStream) -> None:
        async with stream:
            wire = self._t.Wire(stream)
            head = await wire.until(b"\r\n\r\n")
            if b"/raft/probing" in head:
                await wire.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            elif b"/msgapp/" in head:
                await wire.send(GIVEN)
                await wire.end()
            else:
                self.requests.append(head)
                await self.message_stream(wire)


@asynccontextmanager
async def dialled(t: Any, played: Played, **limits: float) -> AsyncIterator[tuple[Any, Any]]:
    """The owner and the links of B, which dial the played A."""
    owner = t.Owner(t.B)
    peers = t.make(owner)
    for name, value in limits.items():
        setattr(peers._home, name, value)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, played.handle, listeners)
        peers.add(t.A, [f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"])
        async with t.run(peers):
            yield owner, peers
        nursery.cancel_scope.cancel()


@pytest.fixture
def played(t: Any) -> Played:
    return Played(t)


def answering(played: Played, *answers: bytes) -> None:
    """Answer each request with the next of `answers`, which the last one repeats, then close."""
    rest = list(answers)

    async def answer(wire: Any) -> None:
        await wire.send(rest.pop(0) if len(rest) > 1 else rest[0])

    played.message_stream = answer  # type: ignore[method-assign]


def refusal(status: int, text: bytes) -> bytes:
    return b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n%b" % (status, len(text), text)


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_a_request_for_a_stream_is_etcds(t: Any, played: Played) -> None:
    async with dialled(t, played) as (owner, _):
        await t.until(lambda: played.requests)
        lines = played.requests[0].decode().strip().split("\r\n")
        assert lines[0] == "GET /raft/stream/message/b HTTP/1.1"
        assert {
            "X-Server-From: b",
            "X-Server-Version: 3.6.0",
            "X-Min-Cluster-Version: 3.0.0",
            "X-Etcd-Cluster-ID: c1",
            "X-Raft-To: a",
            f"X-PeerURLs: {owner.peer_urls[0]}",
        } <= set(lines)


async def test_a_member_that_was_removed_is_told_once(t: Any, played: Played) -> None:
    answering(played, refusal(410, b"removed member\n"))
    async with dialled(t, played) as (owner, peers):
        await t.until(lambda: len(played.requests) >= 3)
        assert owner.was_told_removed == 1
        assert not peers.link(t.A).messages.working


@pytest.mark.parametrize(
    "first",
    [
        refusal(412, b"cluster ID mismatch\n"),
        refusal(412, b"incompatible version\n"),
        refusal(404, b"error sender not found\n"),
        refusal(500, b""),
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"",
        GIVEN + b"zz\r\n",
        GIVEN + chunked(b"\xff" * 8),
        GIVEN + chunked(length_frame(b"\xff")),
        GIVEN + chunked(length_frame(b"\x08\x63")),
        GIVEN + chunked(length_frame(b"x" * 50)[:30]),
        GIVEN + b"0\r\n\r\n",
    ],
)
async def test_after_any_failure_it_dials_again(t: Any, played: Played, first: bytes) -> None:
    """And takes what comes then."""
    good = encode_message(t.heartbeat(t.B, commit=9))
    answering(played, first, GIVEN + chunked(length_frame(good)))
    async with dialled(t, played) as (owner, _):
        await t.until(lambda: owner.stepped)
        assert owner.stepped[0].commit == 9
        assert owner.was_told_removed == 0
        assert len(played.requests) >= 2


async def test_a_stream_without_chunks_is_read_too(t: Any, played: Played) -> None:
    good = encode_message(t.heartbeat(t.B, commit=9))
    answering(played, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + length_frame(good))
    async with dialled(t, played) as (owner, _):
        await t.until(lambda: owner.stepped)


async def test_messages_that_raft_must_not_see_are_left_out(t: Any, played: Played) -> None:
    """The stream goes on after them."""
    bad = [
        Message(MessageType.SNAP, to=t.B, from_=t.A, term=3),
        Message(MessageType.HUP, to=t.B, from_=t.A),
        Message(MessageType.APP, to=t.C, from_=t.A, term=3),
        Message(MessageType.APP, to=t.B, from_=0xD, term=3),
        t.heartbeat(t.B, commit=9),
    ]
    data = b"".join([length_frame(encode_message(m)) for m in bad])
    answering(played, GIVEN + chunked(data))
    async with dialled(t, played) as (owner, peers):
        owner.removed.add(0xD)
        await t.until(lambda: owner.stepped)
        assert owner.stepped[0] == bad[-1]
        assert peers.traffic.received_failures[t.A] >= 4


async def test_a_silent_stream_is_dialled_again(t: Any, played: Played) -> None:
    async def silent(wire: Any) -> None:
        await wire.send(GIVEN)
        await wire.end()

    played.message_stream = silent  # type: ignore[method-assign]
    async with dialled(t, played, read_seconds_max=0.15) as (_, peers):
        await t.until(lambda: len(played.requests) >= 2)
        assert peers.traffic.disconnected[t.A] >= 1


async def test_link_heartbeats_keep_a_stream(t: Any, played: Played) -> None:
    """And are nothing to raft."""

    async def beating(wire: Any) -> None:
        await wire.send(GIVEN)
        for _ in range(10):
            beat = length_frame(encode_message(Message(MessageType.HEARTBEAT)))
            await wire.send(chunked(beat))
            await trio.sleep(0.05)
        await wire.send(chunked(length_frame(encode_message(t.heartbeat(t.B)))))
        await wire.end()

    played.message_stream = beating  # type: ignore[method-assign]
    async with dialled(t, played, read_seconds_max=0.3) as (owner, _):
        await t.until(lambda: owner.stepped)
        assert owner.stepped == [t.heartbeat(t.B)]
        assert len(played.requests) == 1


async def test_an_oversized_message_is_refused_at_its_length(t: Any, played: Played) -> None:
    answering(played, GIVEN + chunked(((512 << 20) + 1).to_bytes(8, "big")))
    async with dialled(t, played) as (_, peers):
        await t.until(lambda: peers.traffic.received_failures[t.A] >= 1)


async def test_appends_are_read_with_and_without_heads(t: Any) -> None:
    """Both kinds of frames in one chunk, cut in the middle."""
    owner = t.Owner(t.B)
    peers = t.make(owner)
    first = t.append(t.B, 1, 2)

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            wire = t.Wire(stream)
            head = await wire.until(b"\r\n\r\n")
            if b"/msgapp/" not in head:
                await wire.end()
                return
            data = GIVEN + chunked(full_frame(encode_message(first)) + b"\0\1" + bytes(15))
            await wire.send(data[:-9])
            await trio.sleep(0.01)
            await wire.send(data[-9:] + chunked(b"\x08"))
            await wire.end()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, handle, listeners)
        peers.add(t.A, [f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"])
        async with t.run(peers):
            await t.until(lambda: len(owner.stepped) >= 2)
        nursery.cancel_scope.cancel()
    assert t.plain(owner.stepped[0]) == first
    assert t.plain(owner.stepped[1]) == Message(
        MessageType.APP, t.B, t.A, term=2, log_term=2, index=2, entries=(), commit=8
    )
