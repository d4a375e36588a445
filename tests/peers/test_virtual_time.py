"""On a network that is made of memory, under a clock that jumps: no socket, no waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from random import Random
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from triode.actors.world import World
from triode.raft.types import MessageType


@pytest.fixture
def clock() -> MockClock:
    return MockClock(autojump_threshold=0)


@pytest.fixture
def network(t: Any) -> Any:
    return t.MemoryNetwork()


@asynccontextmanager
async def pair(t: Any, network: Any) -> AsyncIterator[tuple[Any, Any, Any, Any]]:
    world = attrs.evolve(World.real(seed=3), network=network)
    owners = [t.Owner(t.A, peer_urls=("http://a:1",)), t.Owner(t.B, peer_urls=("http://b:2",))]
    made = [
        t.make(owner, world, listen_peer_urls=(f"http://127.0.0.1:{n + 1}",))
        for n, owner in enumerate(owners)
    ]
    made[0].add(t.B, ["http://b:2"])
    made[1].add(t.A, ["http://a:1"])
    async with t.run(*made):
        yield owners[0], made[0], owners[1], made[1]


async def test_it_works_as_over_sockets(t: Any, network: Any, clock: MockClock) -> None:
    async with pair(t, network) as (a, of_a, b, of_b):
        await t.until(lambda: t.streams(of_a, t.B) and t.streams(of_b, t.A))
        sent = [t.append(t.B, 1 + 3 * n, 3) for n in range(10)]
        of_a.send([*sent, t.heartbeat(t.B)])
        await t.until(lambda: len(b.stepped) == 11)
        big = t.append(t.B, 31, 40, size=100_000)
        of_a.send([big])
        await t.until(lambda: len(b.stepped) == 12)
        assert t.plain(b.stepped[-1]) == big
        assert (await of_b.ask(t.A, "GET", "/members")).status == 200
        assert a.asked


async def test_streams_live_for_minutes_without_messages(
    t: Any, network: Any, clock: MockClock
) -> None:
    """By their heartbeats."""
    async with pair(t, network) as (_, of_a, _, of_b):
        await t.until(lambda: t.streams(of_a, t.B) and t.streams(of_b, t.A))
        since = of_a.active_since(t.B)
        dialled = len(network.dialled)
        await trio.sleep(600)
        assert of_a.active_since(t.B) == since
        probes = 2 * 600 / 4
        assert len(network.dialled) - dialled <= probes + 2


async def test_the_back_off_grows_and_starts_over(t: Any, network: Any, clock: MockClock) -> None:
    """Dials of two streams come at most every second; `rearm` makes them come at once."""
    world = attrs.evolve(World.real(seed=3), network=network)
    peers = t.make(t.Owner(t.A), world, listen_peer_urls=("http://127.0.0.1:1",))
    network.down.add(2)
    peers.add(t.B, ["http://b:2"])
    async with t.run(peers):
        began = trio.current_time()
        await trio.sleep(20)
        late = [at for at in network.dialled if at > began + 10]
        assert 2 * 10 <= len(late) <= 2 * 13 + 3  # and a probe now and then
        early = [at for at in network.dialled if at < began + 0.5]
        assert len(early) >= 4
        await trio.sleep(0.5)
        network.dialled.clear()
        peers.rearm()
        await trio.sleep(0.02)
        assert len(network.dialled) >= 2


async def test_who_dials_us_is_dialled_at_once(t: Any, network: Any, clock: MockClock) -> None:
    """A member that comes back is not kept waiting for our back-off."""
    async with pair(t, network) as (_, of_a, _, of_b):
        await t.until(lambda: t.streams(of_a, t.B) and t.streams(of_b, t.A))
        network.down.update({1, 2})
        for peers, member in ((of_b, t.A), (of_a, t.B)):
            peers.link(member).messages.close()
            peers.link(member).appends.close()
        await trio.sleep(20)
        tries = len(network.dialled)
        await t.until(lambda: len(network.dialled) > tries + 3)  # and all wait for the next one
        network.down.clear()
        back = trio.current_time()
        of_b.rearm()
        await t.until(lambda: t.streams(of_a, t.B) and t.streams(of_b, t.A))
        assert trio.current_time() - back < 0.1


async def test_active_since_is_when_it_began(t: Any, network: Any, clock: MockClock) -> None:
    async with pair(t, network) as (_, of_a, _, of_b):
        await t.until(lambda: t.streams(of_a, t.B) and t.streams(of_b, t.A))
        began = trio.current_time()
        await trio.sleep(100)
        of_b.link(t.A).messages.close()  # one that is closed and comes back is no interruption
        await t.until(lambda: not t.streams(of_b, t.A))
        await t.until(lambda: t.streams(of_b, t.A))
        await trio.sleep(1)
        assert of_a.active_since(t.B) <= began
        network.down.add(2)
        for peers, member in ((of_b, t.A), (of_a, t.B)):
            peers.link(member).messages.close()
            peers.link(member).appends.close()
        await t.until(lambda: of_a.active_since(t.B) is None)
        network.down.clear()
        back = trio.current_time()
        await t.until(lambda: of_a.active_since(t.B) is not None)
        assert of_a.active_since(t.B) >= back


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET /members HTTP/1.1\r\n",
        b"POST /leases HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n",
    ],
)
async def test_who_trickles_is_cut_off(t: Any, network: Any, clock: MockClock, data: bytes) -> None:
    """A byte now and then does not keep a connection."""
    async with pair(t, network):
        wire = await network.connect("a", 1)
        began = trio.current_time()
        await wire.send_all(data)
        try:
            while trio.current_time() < began + 1000:
                with trio.move_on_after(2):
                    if not await wire.receive_some():
                        break
                await wire.send_all(b"X")
        except trio.BrokenResourceError:
            pass
        assert 25 < trio.current_time() - began < 70
        await wire.aclose()


@pytest.mark.parametrize("seed", range(5))
async def test_nothing_is_delivered_twice(
    t: Any, network: Any, clock: MockClock, seed: int
) -> None:
    """However often connections break, at whichever end; and what comes on one stream comes in order."""
    chance = Random(seed)
    async with pair(t, network) as (_, of_a, b, of_b):
        await t.until(lambda: t.streams(of_a, t.B))
        for number in range(1, 2000):
            beat = t.heartbeat(t.B, commit=number)
            of_a.send(
                [
                    t.append(t.B, number, 1),
                    attrs.evolve(beat, context=bytes(chance.randrange(9999))),
                ]
            )
            if chance.random() < 0.02:
                link = of_a.link(t.B)
                ends = [link.messages, link.appends, *of_b.link(t.A)._readers]
                transport = chance.choice(ends)._transport
                if transport is not None:
                    transport.close()
            if chance.random() < 0.3:
                await trio.sleep(chance.random() * 0.2)
        await trio.sleep(20)
        of_a.send([t.heartbeat(t.B, commit=5000)])
        await t.until(lambda: b.stepped[-1].commit == 5000)
        beats = [m.commit for m in b.stepped if m.type is MessageType.HEARTBEAT]
        appends = [m.index for m in b.stepped if m.type is MessageType.APP]
        assert len(set(beats)) == len(beats) > 500
        assert len(set(appends)) == len(appends) > 500
        assert len(beats) + len(appends) < 2 * 2000  # some were lost, else nothing was tested
        descents = sum(one > other for one, other in pairwise(beats))
        assert descents < 64 * 2  # those of the pipeline


async def test_a_connection_that_is_turned_away_is_closed(
    t: Any, network: Any, clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it has run that could close it."""
    monkeypatch.setattr("triode.actors.peers.links.CONNECTIONS_MAX", 0)
    world = attrs.evolve(World.real(seed=3), network=network)
    peers = t.make(t.Owner(t.A), world, listen_peer_urls=("http://127.0.0.1:1",))
    async with t.run(peers):
        stream = await network.connect("127.0.0.1", 1)
        with trio.fail_after(5):
            assert await stream.receive_some() == b""
        await stream.aclose()
