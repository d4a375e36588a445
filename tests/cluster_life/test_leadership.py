"""What a leader does after a pause, and what becomes of streams without one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing

from triode.actors.call import Call, Outlet
from triode.actors.leadership import Leadership
from triode.actors.led_streams import LedStreams
from triode.errors import EtcdError, NoLeader, RequestTimeout


class Clock:
    def __init__(self) -> None:
        self.at = 100.0

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return self.at


class Raft:
    def __init__(self) -> None:
        self.is_leader = True
        self.handing_over = False
        self.reads: list[tuple[Call, Callable[[], None]]] = []

    def read_index(self, call: Call, then: Callable[[], None]) -> None:
        self.reads.append((call, then))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def raft() -> Raft:
    return Raft()


@pytest.fixture
def leadership(clock: Clock, raft: Raft) -> Leadership:
    return Leadership(clock, raft, raft.read_index, tick_seconds=1.0, request_seconds_max=9.0)


def certain(leadership: Leadership) -> bool:
    return leadership.certain


def tick(leadership: Leadership, clock: Clock, *gaps: float) -> None:
    for gap in gaps:
        clock.at += gap
        leadership.ticked()


async def test_who_ticks_leads(leadership: Leadership, clock: Clock, raft: Raft) -> None:
    """No question is asked as long as no time is missing."""
    assert certain(leadership)
    tick(leadership, clock, 1, 1, 3, 1)
    assert certain(leadership)
    assert await leadership.ensure()
    raft.is_leader = False
    assert not certain(leadership)
    assert not await leadership.ensure()
    assert raft.reads == []


async def test_a_leader_that_hands_over(leadership: Leadership, raft: Raft) -> None:
    """The next one may lead at once, so a quorum is asked until the hand-over has come to nothing, and once more."""
    leadership.handed_over()
    raft.handing_over = True
    for _ in range(2):
        assert not certain(leadership)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(leadership.ensure)
            await trio.testing.wait_all_tasks_blocked()
            raft.reads.pop()[1]()
        raft.handing_over = False
    assert certain(leadership)


async def test_missing_time(leadership: Leadership, clock: Clock, raft: Raft) -> None:
    """Before the tick that is late as well as after it, a quorum is asked first; once."""
    tick(leadership, clock, 1)
    clock.at += 3.5
    assert not certain(leadership)
    tick(leadership, clock, 0, 1, 1)
    assert not certain(leadership), "the ticks after the pause do not make up for it"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leadership.ensure)
        await trio.testing.wait_all_tasks_blocked()
        raft.reads[0][1]()
    assert certain(leadership)
    assert await leadership.ensure()
    assert len(raft.reads) == 1


async def test_a_pause_while_the_quorum_is_asked(
    leadership: Leadership, clock: Clock, raft: Raft
) -> None:
    """The answer is about the time before it."""
    tick(leadership, clock, 1, 9)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leadership.ensure)
        await trio.testing.wait_all_tasks_blocked()
        tick(leadership, clock, 9)
        raft.reads[0][1]()
    assert not certain(leadership)


async def test_no_quorum(leadership: Leadership, clock: Clock, raft: Raft) -> None:
    """Then it leads nobody."""
    tick(leadership, clock, 1, 9)
    result: list[bool] = []

    async def ensure() -> None:
        result.append(await leadership.ensure())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ensure)
        await trio.testing.wait_all_tasks_blocked()
        raft.reads[0][0].refuse(RequestTimeout())
    assert result == [False]


async def test_another_leads_by_now(leadership: Leadership, clock: Clock, raft: Raft) -> None:
    """The confirmed read may have been answered by the new leader."""
    tick(leadership, clock, 1, 9)
    result: list[bool] = []

    async def ensure() -> None:
        result.append(await leadership.ensure())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ensure)
        await trio.testing.wait_all_tasks_blocked()
        raft.is_leader = False
        raft.reads[0][1]()
    assert result == [False]


# --- streams ------------------------------------------------------------------------------------


class Out:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.ended: list[EtcdError | None] = []

    def send(self, message: bytes) -> None:
        self.sent.append(message)

    def backlog(self) -> int:
        return len(self.sent)

    def finish(self, error: EtcdError | None = None) -> None:
        self.ended.append(error)


class Echo:
    """A service that says everything back, and notes what it hears."""

    def __init__(self, out: Outlet) -> None:
        self.out = out
        self.heard: list[str] = []

    def message(self, data: bytes) -> None:
        self.heard.append("message")
        self.out.send(data)

    def half_closed(self) -> None:
        self.heard.append("half_closed")
        self.out.finish()

    def cancelled(self) -> None:
        self.heard.append("cancelled")

    def writable(self) -> None:
        self.heard.append("writable")


class Led:
    """Streams, and whether there is a leader."""

    def __init__(self) -> None:
        self.leader = True
        self.flushed = 0
        self.streams = LedStreams(lambda: self.leader, self._flush)
        self.services: list[Echo] = []

    def _flush(self) -> None:
        self.flushed += 1

    def open(self) -> tuple[Out, Echo, object]:
        out = Out()

        def opener(outlet: Outlet) -> Echo:
            self.services.append(Echo(outlet))
            return self.services[-1]

        stream = self.streams.open(out, opener)
        return out, self.services[-1], stream


def test_three_looks_without_a_leader() -> None:
    """In a row; a leader in between is forgiven."""
    led = Led()
    out, service, stream = led.open()
    for leader in (False, False, True, False, False):
        led.leader = leader
        led.streams.look()
    assert out.ended == []
    led.streams.look()
    assert [type(error) for error in out.ended] == [NoLeader]
    assert (service.heard, led.flushed, len(led.streams)) == (["cancelled"], 1, 0)
    stream.message(b"late")  # type: ignore[attr-defined]
    stream.half_closed()  # type: ignore[attr-defined]
    stream.writable()  # type: ignore[attr-defined]
    stream.cancelled()  # type: ignore[attr-defined]
    service.out.finish()
    assert (service.heard, len(out.ended)) == (["cancelled"], 1)


def test_streams_that_are_over_are_left_alone() -> None:
    """Ended by the client, or by the service."""
    led = Led()
    one, its_service, its_stream = led.open()
    two, _, other_stream = led.open()
    three, _, _ = led.open()
    assert len(led.streams) == 3
    its_stream.cancelled()  # type: ignore[attr-defined]
    other_stream.message(b"x")  # type: ignore[attr-defined]
    other_stream.half_closed()  # type: ignore[attr-defined]
    led.leader = False
    for _ in range(4):
        led.streams.look()
    assert (one.ended, its_service.heard) == ([], ["cancelled"])
    assert (two.sent, two.ended) == ([b"x"], [None])
    assert [type(error) for error in three.ended] == [NoLeader]


def test_a_service_that_refuses() -> None:
    """Nothing is kept of a stream that could not be opened."""
    led = Led()

    def refuse(_: Outlet) -> Echo:
        raise NoLeader

    with pytest.raises(NoLeader):
        led.streams.open(Out(), refuse)
    assert len(led.streams) == 0
