"""What becomes of streams that want a leader when there is none."""

from __future__ import annotations

import pytest

from triode.actors.call import Outlet
from triode.actors.led_streams import LedStreams
from triode.errors import EtcdError, NoLeader


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
