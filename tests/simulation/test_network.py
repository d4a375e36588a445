"""What links do to messages: nothing, or what their conditions say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import copy_context
from random import Random
from typing import Any

import pytest
import trio

import triode.testing
from triode.errors import StorageError
from triode.raft.types import Message, MessageType
from triode.testing.conditions import Conditions
from triode.testing.links import SimulatedPeers
from triode.testing.network import Network
from triode.testing.trace import Trace


class Machine:
    """As much of one as links need."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.context = copy_context()
        self.dark = self.paused = self.unplugged = False

    class clock:  # noqa: N801
        rate = 1.0

        @staticmethod
        def now() -> float:
            return trio.current_time()


class Owner:
    """A node that notes what its links tell it."""

    cluster_id = 99

    def __init__(self, member: int) -> None:
        self.member_id = member
        self.got: list[int] = []
        self.unreachables: list[int] = []
        self.snapshots: list[tuple[int, bool]] = []

    def step(self, message: Message) -> None:
        self.got.append(message.index)

    def unreachable(self, member: int) -> None:
        self.unreachables.append(member)

    def open_snapshot(self) -> Any:
        raise StorageError("there is nothing to send")

    def snapshot_sent(self, member: int, *, failed: bool) -> None:
        self.snapshots.append((member, failed))

    def is_removed(self, member: int) -> bool:
        return member == 13


class Pair:
    """Members 1 and 2, and the network between them."""

    def __init__(self, **conditions: Any) -> None:
        self.network = Network(Random(7), Trace(), Conditions(**conditions))
        self.owners = {n: Owner(n) for n in (1, 2)}
        self.machines = {n: Machine(f"m{n}") for n in (1, 2)}
        self.peers = {
            n: SimulatedPeers(self.owners[n], self.network, self.machines[n])  # type: ignore[arg-type]
            for n in (1, 2)
        }
        for n, peers in self.peers.items():
            peers._attached = True
            self.network.attach(n, peers)
            peers.add(3 - n, ())

    async def send(self, count: int, kind: MessageType = MessageType.APP) -> list[int]:
        """Send messages from 1 to 2, one a millisecond, and tell what has arrived a minute later."""
        for index in range(count):
            self.peers[1].send([Message(kind, to=2, from_=1, index=index)])
            await trio.sleep(0.001)
        await trio.sleep(60)
        return self.owners[2].got


def in_network(test: Callable[[Pair], Awaitable[None]], **conditions: Any) -> None:
    async def main() -> None:
        pair = Pair(**conditions)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pair.network.run)
            await trio.sleep(0.001)
            await test(pair)
            nursery.cancel_scope.cancel()

    triode.testing.run(main)


def test_the_order_is_kept_whatever_the_delay() -> None:
    async def test(pair: Pair) -> None:
        assert await pair.send(200) == list(range(200))

    in_network(test, delay_min=0.0, delay_max=0.1)


def test_messages_are_overtaken() -> None:
    async def test(pair: Pair) -> None:
        got = await pair.send(200)
        assert got != sorted(got)
        assert sorted(got) == list(range(200))

    in_network(test, delay_max=0.01, reorder=0.3)


def test_messages_are_lost() -> None:
    async def test(pair: Pair) -> None:
        assert 60 < len(await pair.send(200)) < 140

    in_network(test, drop=0.5)


@pytest.mark.parametrize(("kind", "times"), [(MessageType.APP, 2), (MessageType.PROP, 1)])
def test_messages_are_doubled_but_not_proposals(kind: MessageType, times: int) -> None:
    """No stream delivers anything twice, and a proposal would be executed twice."""

    async def test(pair: Pair) -> None:
        assert len(await pair.send(50, kind)) == 50 * times

    in_network(test, duplicate=1.0)


def test_one_direction_is_cut() -> None:
    async def test(pair: Pair) -> None:
        pair.network.block([1], [2])
        assert await pair.send(5) == []
        pair.peers[2].send([Message(MessageType.APP, to=1, from_=2, index=8)])
        await trio.sleep(1)
        assert pair.owners[1].got == [8]
        assert pair.peers[1].active_since(2) is None
        pair.network.heal()
        assert await pair.send(2) == [0, 1]
        assert pair.peers[1].active_since(2) is not None

    in_network(test)


def test_what_is_on_the_way_is_lost_in_a_cut() -> None:
    async def test(pair: Pair) -> None:
        pair.peers[1].send([Message(MessageType.APP, to=2, from_=1, index=1)])
        pair.network.block([1], [2])
        assert await pair.send(0) == []

    in_network(test)


def test_a_member_that_is_down_is_unreachable() -> None:
    async def test(pair: Pair) -> None:
        pair.peers[2].cut()
        assert await pair.send(3) == []
        assert pair.owners[1].unreachables == [2, 2, 2]

    in_network(test)


def test_messages_wait_for_a_paused_machine() -> None:
    async def test(pair: Pair) -> None:
        pair.machines[2].paused = True
        assert await pair.send(3) == []
        pair.machines[2].paused = False
        pair.network.resumed(2)
        assert pair.owners[2].got == [], "it does not find them before all else"
        await trio.sleep(1)
        assert pair.owners[2].got == [0, 1, 2]

    in_network(test)


def test_what_became_of_a_snapshot_is_always_told() -> None:
    """Raft sends nothing else to its receiver before."""

    async def test(pair: Pair) -> None:
        pair.network.block([1], [2])
        assert await pair.send(1, MessageType.SNAP) == []
        assert pair.owners[1].snapshots == [(2, True)]

    in_network(test, drop=1.0)


def test_a_member_that_is_not_known_gets_nothing() -> None:
    async def test(pair: Pair) -> None:
        pair.peers[1].remove(2)
        assert await pair.send(3) == []

    in_network(test)
