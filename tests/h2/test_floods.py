"""Cheap frames that cost us work are bounded, honest clients are not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from triode.rpc.h2 import PREFACE, Connection, ErrorCode, Limits
from triode.rpc.h2.events import ConnectionEnded
from triode.rpc.h2.floods import NuisanceBudget

ANSWER = b""
"""In a flood: here the server answers on stream 1."""
MakeServer = Callable[..., Connection]


def rapid_reset(wire: Any) -> Iterator[bytes]:
    """CVE-2023-44487."""
    for at in itertools.count(1, 2):
        yield wire.frame(1, 4, at, wire.block) + wire.frame(3, 0, at, bytes(4))


def faulty_requests(wire: Any) -> Iterator[bytes]:
    """The same, but we are made to send the reset."""
    for at in itertools.count(1, 2):
        yield wire.frame(1, 4, at, wire.block) + wire.frame(8, 0, at, bytes(4))


def empty_data(wire: Any) -> Iterator[bytes]:
    yield wire.frame(1, 4, 1, wire.block)
    yield from itertools.repeat(wire.frame(0, 0, 1))


def padded_nothing(wire: Any) -> Iterator[bytes]:
    yield wire.frame(1, 4, 1, wire.block)
    yield from itertools.repeat(wire.frame(0, 8, 1, b"\x01\x00"))


def empty_continuation(wire: Any) -> Iterator[bytes]:
    yield wire.frame(1, 0, 1)
    yield from itertools.repeat(wire.frame(9, 0, 1))


def crumbs(wire: Any) -> Iterator[bytes]:
    """A peer that reads one byte at a time."""
    yield wire.frame(4, 0, 0, bytes.fromhex("000400000000")) + wire.frame(1, 5, 1, wire.block)
    yield ANSWER
    yield from itertools.repeat(wire.frame(8, 0, 1, bytes((0, 0, 0, 1))))


def data_for_the_dead(wire: Any) -> Iterator[bytes]:
    yield wire.frame(1, 4, 1, wire.block) + wire.frame(3, 0, 1, bytes(4))
    yield from itertools.repeat(wire.frame(0, 0, 1, b"x"))


def same(kind: int, flags: int, stream_id: int, payload: bytes) -> Callable[[Any], Iterator[bytes]]:
    return lambda wire: itertools.repeat(wire.frame(kind, flags, stream_id, payload))


FLOODS = {
    "rapid reset": rapid_reset,
    "faulty requests": faulty_requests,
    "empty DATA": empty_data,
    "DATA of padding only": padded_nothing,
    "empty CONTINUATION": empty_continuation,
    "crumbs of credit": crumbs,
    "DATA for closed streams": data_for_the_dead,
    "PING": same(6, 0, 0, bytes(8)),
    "SETTINGS": same(4, 0, 0, b""),
    "PRIORITY": same(2, 0, 1, bytes(5)),
    "unknown frames": same(200, 0, 0, b""),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_flood(flood: Callable[[Any], Iterator[bytes]], wire: Any, make_server: MakeServer) -> None:
    server = make_server(nuisance_burst=100)
    sent = 0
    for data in itertools.islice(flood(wire), 300):
        if data is ANSWER:
            server.send_data(1, bytes(10_000))
        events = server.receive(data)
        sent += len(server.data_to_send())
        if server.closed:
            assert isinstance(events[-1], ConnectionEnded)
            assert events[-1].code is ErrorCode.ENHANCE_YOUR_CALM
            break
    assert server.closed
    assert sent < 8000


def test_replies_that_nobody_takes_are_bounded(wire: Any, make_server: MakeServer) -> None:
    """A peer that sends and never reads: its acknowledgements pile up here."""
    server = make_server(replies_bytes_max=1000, nuisance_burst=1 << 30)
    for _ in range(100):
        server.receive(wire.frame(6, 0, 0, bytes(8)))
    assert server.closed
    assert len(server.data_to_send()) < 1100


def test_header_block_flood_is_bounded(wire: Any, make_server: MakeServer) -> None:
    server = make_server(header_list_bytes_max=10_000)
    server.receive(wire.frame(1, 0, 1, bytes(100)))
    for _ in range(98):
        assert server.receive(wire.frame(9, 0, 1, bytes(100))) == []
    assert not server.closed
    assert server.receive(wire.frame(9, 0, 1, bytes(100))) == []
    (end,) = server.receive(wire.frame(9, 0, 1, b"x"))
    assert isinstance(end, ConnectionEnded)
    assert end.code is ErrorCode.ENHANCE_YOUR_CALM


def test_open_streams_are_bounded_whatever_was_announced(
    wire: Any, make_server: MakeServer
) -> None:
    server = make_server(open_streams_max=10)
    for at in range(1, 101, 2):
        server.receive(wire.frame(1, 4, at, wire.block))
    assert len(server.streams) == 10


def test_time_forgives() -> None:
    now = [0.0]
    server = Connection(
        limits=Limits(nuisance_burst=10, nuisance_per_second=5), clock=lambda: now[0]
    )
    server.receive(PREFACE + bytes.fromhex("000000040000000000"))
    ping = bytes.fromhex("000008060000000000") + bytes(8)
    for _ in range(200):
        now[0] += 0.21
        server.receive(ping)
    assert not server.closed
    for _ in range(50):
        now[0] += 0.1
        server.receive(ping)
    assert server.closed


def test_useful_work_forgives(wire: Any, make_server: MakeServer) -> None:
    """A client that cancels every third call for ever is busy, not hostile."""
    server = make_server(nuisance_burst=100)
    for at in range(1, 6001, 2):
        server.receive(wire.frame(1, 5, at, wire.block))
        if at % 3:
            server.send_headers(at, b"\x88", end_stream=True)
        else:
            server.receive(wire.frame(3, 0, at, bytes(4)))
    assert not server.closed


def test_pings_that_measure_the_round_trip_are_free(wire: Any, make_server: MakeServer) -> None:
    """Go's client sends one for each batch of data that arrives."""
    server = make_server(nuisance_burst=10)
    server.receive(wire.frame(1, 4, 1, wire.block))
    for _ in range(100):
        server.send_data(1, b"event")
        server.receive(wire.frame(6, 0, 0, bytes(8)))
        server.data_to_send()
    assert not server.closed


def test_cancelling_what_was_answered_is_free(wire: Any, make_server: MakeServer) -> None:
    """So ends each LeaseKeepAliveOnce of Go's client."""
    server = make_server(nuisance_burst=10)
    for at in range(1, 201, 2):
        server.receive(wire.frame(1, 4, at, wire.block))
        server.send_headers(at, b"\x88")
        server.receive(wire.frame(3, 0, at, bytes((0, 0, 0, 8))))
    assert not server.closed


def test_credit_that_nobody_waits_for_is_free(wire: Any, make_server: MakeServer) -> None:
    server = make_server(nuisance_burst=10)
    server.receive(wire.frame(1, 4, 1, wire.block))
    for _ in range(100):
        for stream_id in (0, 1):
            server.receive(wire.frame(8, 0, stream_id, bytes((0, 0, 0, 5))))
    assert not server.closed


def test_the_budget_reads_the_clock_only_when_it_is_empty() -> None:
    reads = []

    def clock() -> float:
        reads.append(1)
        return float(len(reads))

    budget = NuisanceBudget(10, 4, clock=clock)
    for _ in range(10):
        budget.spend("frames")
    assert len(reads) == 1
    assert budget.tokens == 0
    budget.spend("frames")
    assert len(reads) == 2
    assert budget.tokens == 3
