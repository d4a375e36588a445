"""Peers that do not read, are not there, or come back: bounds, and nobody waits for anybody."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio

from triode.actors.peers import writer as writers
from triode.raft.types import Entry, Message, MessageType


async def hung(t: Any, peers: Any, wire: Any) -> None:
    """Let A have its message stream without ever reading it."""
    await wire.send(t.request("GET", "/raft/stream/message/a", to=t.B))
    await wire.until(b"\r\n\r\n")
    await t.until(lambda: peers.link(t.A).messages.working)


async def test_a_peer_that_does_not_read_blocks_nobody(t: Any) -> None:
    """Its queue is bounded, raft is told, and another member gets everything."""
    c = t.Owner(t.C)
    of_c = t.make(c)
    async with t.served() as (owner, peers, wire), t.run(of_c):
        of_c.add(t.B, owner.peer_urls)
        peers.add(t.C, c.peer_urls)
        await hung(t, peers, wire)
        await t.until(lambda: t.streams(peers, t.C))
        data = bytes(10_000)
        for n in range(6000):
            beat = t.heartbeat(t.A, sender=t.B, commit=n)
            peers.send([attrs.evolve(beat, context=data), attrs.evolve(beat, to=t.C)])
            if n % 500 == 0:
                await t.until(lambda at=n: len(c.stepped) > at)
        await t.until(lambda: len(c.stepped) == 6000)
        link = peers.link(t.A)
        assert link.messages._messages <= writers.STREAM_MESSAGES_MAX
        assert peers.traffic.sent_failures[t.A] > 0
        assert t.A in owner.lost
        assert t.C not in owner.lost


async def test_the_queue_is_bounded_in_bytes(t: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "STREAM_BYTES_MAX", 1 << 20)
    async with t.served() as (owner, peers, wire):
        await hung(t, peers, wire)
        entry = Entry(2, 1, data=bytes(1 << 16))
        message = attrs.evolve(t.append(t.A, 1, 0, sender=t.B), entries=(entry,))
        for _ in range(400):
            peers.send([message])
        assert peers.link(t.A).messages._bytes <= (1 << 20) + (1 << 17)
        await t.until(lambda: owner.lost == [t.A])


async def test_a_socket_that_takes_nothing_is_closed(t: Any) -> None:
    """After the write timeout; raft is told, and the next connection works."""
    owner = t.Owner(t.B)
    async with t.served(owner) as (_, peers, wire):
        peers._home.write_seconds_max = 0.2
        await hung(t, peers, wire)
        assert peers.active_since(t.A) is not None
        message = attrs.evolve(t.heartbeat(t.A, sender=t.B), context=bytes(1 << 20))
        for _ in range(20):
            peers.send([message])
        await t.until(lambda: not peers.link(t.A).messages.working)
        await t.until(lambda: owner.lost)
        assert peers.active_since(t.A) is None
        async with t.wire(peers) as again:
            await hung(t, peers, again)
            peers.send([t.heartbeat(t.A, sender=t.B)])
            await again.until(b"\x08\x08")


async def test_a_slow_reader_gets_everything_in_order(t: Any) -> None:
    """More than the kernel takes at once."""
    async with t.pair() as (_, of_a, b, _):
        sent = [t.append(t.B, 1 + n, 1, size=100_000) for n in range(100)]
        of_a.send(sent)
        await t.until(lambda: len(b.stepped) == 100)
        assert [t.plain(m) for m in b.stepped] == sent


async def test_a_dead_peer_costs_its_own_messages_only(t: Any) -> None:
    owner = t.Owner(t.B)
    peers = t.make(owner)
    peers.add(t.A, ["http://127.0.0.1:1"])
    async with t.run(peers):
        peers.send([t.heartbeat(t.A, sender=t.B, commit=n) for n in range(200)])
        assert peers.traffic.sent_failures[t.A] >= 200 - 64
        await t.until(lambda: t.A in owner.lost)
        await t.until(lambda: peers.traffic.sent_failures[t.A] >= 200)
        assert peers.active_since(t.A) is None


async def test_streams_come_back_with_the_peer(t: Any) -> None:
    """At the same address, at another one, and after both sides were cut."""
    a = t.Owner(t.A)
    of_a = t.make(a)
    async with t.run(of_a):
        port = 0
        for life in range(3):
            b = t.Owner(t.B)
            of_b = t.make(b, listen_peer_urls=(f"http://127.0.0.1:{port if life < 2 else 0}",))
            port = of_b.ports[0]
            of_b.add(t.A, a.peer_urls)
            of_a.add(t.B, b.peer_urls)
            async with t.run(of_b):
                await t.until(lambda: t.streams(of_a, t.B) and t.streams(of_b, t.A))  # noqa: B023
                of_a.send([t.append(t.B, 1, 3), t.heartbeat(t.B)])
                await t.until(lambda: len(b.stepped) == 2)  # noqa: B023
            await t.until(lambda: of_a.active_since(t.B) is None)
        assert of_a.traffic.disconnected[t.B] == 3


async def test_a_member_that_is_removed_is_cut_off(t: Any) -> None:
    async with t.pair() as (a, of_a, b, of_b):
        of_a.remove(t.B)
        a.removed.add(t.B)
        of_a.send([t.heartbeat(t.B)])
        await t.until(lambda: b.was_told_removed)
        await t.until(lambda: of_b.active_since(t.A) is None)
        assert b.stepped == []
        assert of_a.active_since(t.B) is None
        assert of_a.known == ()
        of_a.add(t.C, b.peer_urls)
        assert of_a.known == (t.C,)


async def test_a_link_that_crashes_comes_back(t: Any, caplog: pytest.LogCaptureFixture) -> None:
    """An owner that fails while it takes a message costs the link, not the node."""
    async with t.pair() as (_, of_a, b, of_b):

        def fail(message: Any) -> None:
            b.on_step = None
            raise RuntimeError("the owner fails")

        b.on_step = fail
        of_a.send([t.heartbeat(t.B)])
        await t.until(lambda: b.on_step is None)
        await t.until(lambda: not t.streams(of_b, t.A) or not t.streams(of_a, t.B))
        await t.until(lambda: t.streams(of_b, t.A) and t.streams(of_a, t.B))
        of_a.send([t.heartbeat(t.B, commit=2)])
        await t.until(lambda: any(m.commit == 2 for m in b.stepped))
        assert any(m.type is MessageType.HEARTBEAT for m in b.stepped)


async def test_all_links_that_crash_come_back(t: Any) -> None:
    """The sockets stay bound; what is added meanwhile is started with the rest."""
    async with t.pair() as (_, of_a, b, of_b):

        async def crash() -> None:
            raise RuntimeError("a helper fails")

        of_a.nursery.start_soon(crash)
        await t.until(lambda: not t.streams(of_b, t.A))
        of_a.add(t.C, ["http://127.0.0.1:1"])
        await t.until(lambda: t.streams(of_b, t.A) and t.streams(of_a, t.B))
        of_a.send([t.heartbeat(t.B), t.heartbeat(t.C)])
        await t.until(lambda: b.stepped)
        await t.until(lambda: of_a.traffic.sent_failures[t.C])


async def test_what_comes_while_links_go_down_is_no_failure(t: Any) -> None:
    """At each step of it, also when a link's tasks have ended and it has not noticed."""
    failures: list[Exception] = []
    steps: list[str] = []

    class AtTheEndOfTasks(trio.abc.Instrument):
        def task_exited(self, task: trio.lowlevel.Task) -> None:
            steps.append(task.name)
            try:
                of_a.send([t.append(t.B, 1, 1), Message(MessageType.SNAP, to=t.B, from_=t.A)])
            except Exception as error:  # noqa: BLE001  # Trio would take it for the instrument's own
                failures.append(error)

    async def crash() -> None:
        raise RuntimeError("a helper fails")

    async with t.pair() as (a, of_a, b, of_b):
        trio.lowlevel.add_instrument(watching := AtTheEndOfTasks())
        of_a.link(t.B).nursery.start_soon(crash)
        await t.until(lambda: any(name.startswith("link-") for name in steps))
        trio.lowlevel.remove_instrument(watching)
        await t.until(lambda: t.streams(of_b, t.A) and t.streams(of_a, t.B))
        assert failures == []
        assert a.snapshots
        b.stepped.clear()
        of_a.send([t.heartbeat(t.B, commit=2)])
        await t.until(lambda: any(m.commit == 2 for m in b.stepped))
