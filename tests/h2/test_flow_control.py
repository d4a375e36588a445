"""Flow control, both ways: what is promised, what is renewed, what waits."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from triode.rpc.h2 import PREFACE, Connection, ErrorCode, Limits, hpack_encoder
from triode.rpc.h2.events import BodyTooLarge, RequestReceived, StreamReset, StreamWritable

MakeServer = Callable[..., Connection]
GOAWAY, WINDOW_UPDATE = 7, 8


def updates(wire: Any, conn: Connection) -> dict[int, int]:
    """stream id -> credit of the WINDOW_UPDATEs that wait to be sent."""
    return {
        stream_id: int.from_bytes(data, "big")
        for kind, _, stream_id, data in wire.split(conn.data_to_send())
        if kind == WINDOW_UPDATE
    }


def body_of(wire: Any, data: bytes) -> bytes:
    return b"".join(payload for kind, _, _, payload in wire.split(data) if kind == 0)


# --- receiving --------------------------------------------------------------------------------


def test_the_opening_raises_the_connection_window(wire: Any) -> None:
    server = Connection(limits=Limits(connection_window_bytes=1 << 20))
    assert updates(wire, server) == {0: (1 << 20) - 65535}


def test_a_manual_stream_gets_credit_only_for_what_is_consumed(
    wire: Any, make_server: MakeServer
) -> None:
    server = make_server(stream_window_bytes=65535, connection_window_bytes=1 << 20)
    server.receive(wire.frame(1, 4, 1, wire.block) + wire.frame(1, 4, 3, wire.block))
    server.streams[1].auto_credit = False
    for _ in range(3):
        server.receive(wire.frame(0, 0, 1, bytes(16384)) + wire.frame(0, 0, 3, bytes(16384)))
    assert updates(wire, server) == {3: 32768}, "the neighbour is not held up"
    server.consume(1, 16384)
    assert updates(wire, server) == {}, "small renewals are saved up"
    server.consume(1, 20000)
    assert updates(wire, server) == {1: 36384}
    events = [server.receive(wire.frame(0, 0, 1, bytes(16384))) for _ in range(4)]
    assert events[-1] == [StreamReset(1, ErrorCode.FLOW_CONTROL_ERROR, by_peer=False)]
    server.consume(1, 1000)  # the stream is gone: nothing happens
    assert not server.closed


def test_padding_is_credited_although_nobody_consumes_it(
    wire: Any, make_server: MakeServer
) -> None:
    server = make_server(stream_window_bytes=65535)
    server.receive(wire.frame(1, 4, 1, wire.block))
    server.streams[1].auto_credit = False
    for _ in range(128):
        server.receive(wire.frame(0, 8, 1, b"\xff" + bytes(255)))
    assert updates(wire, server) == {1: 32768}


def test_the_connection_window_counts_frames_for_streams_that_are_gone(
    wire: Any, make_server: MakeServer
) -> None:
    server = make_server(connection_window_bytes=65535)
    server.receive(wire.frame(1, 4, 1, wire.block))
    server.reset(1)
    server.data_to_send()
    for _ in range(3):
        server.receive(wire.frame(0, 0, 1, bytes(16384)))
    assert updates(wire, server) == {0: 32768}


@pytest.mark.parametrize("whole", [False, True])
def test_the_connection_window_is_enforced(wire: Any, make_server: MakeServer, whole: bool) -> None:
    """One buffer with more DATA than was promised; renewals come only between buffers."""
    server = make_server(whole=whole, connection_window_bytes=65535)
    data = b"".join(
        wire.frame(1, 4, at, wire.block) + wire.frame(0, 1, at, bytes(16384))
        for at in range(1, 11, 2)
    )
    server.receive(data)
    assert server.closed
    assert wire.split(server.data_to_send())[-1][3][4:8] == bytes((0, 0, 0, 3))


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("last", [0, 1])
def test_a_stream_window_is_enforced_in_a_single_frame(
    wire: Any, make_server: MakeServer, whole: bool, last: int
) -> None:
    server = make_server(whole=whole, stream_window_bytes=65535, frame_bytes_max=1 << 20)
    server.receive(wire.frame(1, 4, 1, wire.block) + wire.frame(1, 4, 3, wire.block))
    assert server.receive(wire.frame(0, last, 1, bytes(65536))) == [
        StreamReset(1, ErrorCode.FLOW_CONTROL_ERROR, by_peer=False)
    ]
    assert server.receive(wire.frame(0, last, 3, bytes(65535))) != [
        StreamReset(3, ErrorCode.FLOW_CONTROL_ERROR, by_peer=False)
    ]


def test_settings_below_the_default_hold_only_after_the_acknowledgement(wire: Any) -> None:
    server = Connection(limits=Limits(stream_window_bytes=1000))
    server.receive(PREFACE + wire.frame(4, 0, 0) + wire.frame(1, 4, 1, wire.block))
    server.streams[1].auto_credit = False
    server.receive(wire.frame(0, 0, 1, bytes(900)))
    server.receive(wire.frame(4, 1, 0))
    assert server.streams[1].recv_window == 100
    assert server.receive(wire.frame(0, 0, 1, bytes(101))) == [
        StreamReset(1, ErrorCode.FLOW_CONTROL_ERROR, by_peer=False)
    ]


def test_a_window_that_was_used_before_it_shrank_is_renewed(wire: Any) -> None:
    """The peer has less than no credit then, and waits for us: nothing that it sends would make us renew it."""
    limits = Limits(
        stream_window_bytes=3000, connection_window_bytes=1 << 20, frame_bytes_max=65535
    )
    server = Connection(limits=limits)
    server.receive(PREFACE + wire.frame(4, 0, 0) + wire.frame(1, 4, 1, wire.block))
    server.receive(wire.frame(0, 0, 1, bytes(40_000)) + wire.frame(0, 0, 1, bytes(25_535)))
    assert updates(wire, server)[1] == 40_000
    server.receive(wire.frame(4, 1, 0))
    assert updates(wire, server) == {1: 25_535}
    assert server.streams[1].recv_window == 3000


# --- bodies wanted whole ----------------------------------------------------------------------


def test_a_whole_body_arrives_in_one_event(wire: Any, make_server: MakeServer) -> None:
    server = make_server(whole=True)
    first = wire.frame(1, 4, 1, wire.block) + wire.frame(0, 0, 1, b"ab")
    assert server.receive(first + wire.frame(0, 8, 1, b"\x01c\x00")) == []
    (event,) = server.receive(wire.frame(0, 1, 1, b"d"))
    assert isinstance(event, RequestReceived)
    assert event.body == b"abcd"
    assert server.bodies.collected_bytes == 0


def test_a_whole_body_may_end_with_trailers(wire: Any, make_server: MakeServer) -> None:
    server = make_server(whole=True)
    server.receive(wire.frame(1, 4, 1, wire.block) + wire.frame(0, 0, 1, b"ab"))
    trailers = hpack_encoder.encode([(b"x", b"y")])
    (event,) = server.receive(wire.frame(1, 5, 1, trailers))
    assert isinstance(event, RequestReceived)
    assert event.body == b"ab"


def test_a_whole_body_is_bounded(wire: Any, make_server: MakeServer) -> None:
    server = make_server(whole=True, body_bytes_max=10)
    server.receive(wire.frame(1, 4, 1, wire.block))
    assert server.receive(wire.frame(0, 0, 1, b"123456")) == []
    (event,) = server.receive(wire.frame(0, 0, 1, b"7890-"))
    assert isinstance(event, BodyTooLarge)
    assert event.start == b"1234567890-"
    assert server.receive(wire.frame(0, 0, 1, b"more")) != [event]
    assert server.bodies.collected_bytes == 0


def test_incomplete_bodies_together_are_bounded(wire: Any, make_server: MakeServer) -> None:
    server = make_server(whole=True, collected_bytes_max=100)
    events = []
    for at in range(1, 41, 2):
        data = wire.frame(1, 4, at, wire.block) + wire.frame(0, 0, at, bytes(9))
        events += server.receive(data)
        assert server.bodies.collected_bytes <= 100
    assert {type(event) for event in events} == {BodyTooLarge}
    assert not server.closed


# --- sending ----------------------------------------------------------------------------------


def answer(server: Connection, stream_id: int, size: int) -> None:
    server.send_headers(stream_id, b"\x88")
    server.send_data(stream_id, bytes(size), end_stream=True)


def test_data_waits_for_both_windows(wire: Any, make_server: MakeServer) -> None:
    server = make_server()
    server.receive(wire.frame(4, 0, 0, bytes.fromhex("000400000064")))  # 100 bytes per stream
    server.receive(wire.frame(1, 5, 1, wire.block))
    server.data_to_send()
    answer(server, 1, 250)
    assert len(body_of(wire, server.data_to_send())) == 100
    assert server.outbox.backlog_bytes == server.streams[1].queued_bytes == 150
    assert server.receive(wire.frame(8, 0, 1, bytes.fromhex("00000064"))) == []
    assert len(body_of(wire, server.data_to_send())) == 100
    assert server.receive(wire.frame(8, 0, 1, bytes.fromhex("00000064"))) == [StreamWritable(1)]
    assert wire.split(server.data_to_send()) == [(0, 1, 1, bytes(50))]
    assert server.outbox.backlog_bytes == 0
    assert not server.streams


def test_settings_move_the_windows_of_open_streams_even_below_zero(
    wire: Any, make_server: MakeServer
) -> None:
    server = make_server()
    server.receive(wire.frame(1, 5, 1, wire.block))
    answer(server, 1, 70_000)
    server.data_to_send()
    server.receive(wire.frame(8, 0, 0, bytes.fromhex("00100000")))
    server.receive(wire.frame(4, 0, 0, bytes.fromhex("000400000000")))
    assert server.streams[1].send_window == -65535
    server.receive(wire.frame(8, 0, 1, (65535 + 10).to_bytes(4, "big")))
    assert len(body_of(wire, server.data_to_send())) == 10
    assert server.receive(wire.frame(4, 0, 0, bytes.fromhex("00040000ffff")))[-1] == StreamWritable(
        1
    )
    assert len(body_of(wire, server.data_to_send())) == 4455


def test_streams_share_the_connection_window_frame_by_frame(
    wire: Any, make_server: MakeServer
) -> None:
    server = make_server()
    server.receive(wire.frame(4, 0, 0, bytes.fromhex("000400100000")))  # 1 MiB per stream
    for at in (1, 3, 5):
        server.receive(wire.frame(1, 5, at, wire.block))
        answer(server, at, 100_000)
    server.data_to_send()
    server.receive(wire.frame(8, 0, 0, (6 * 16384).to_bytes(4, "big")))
    served = [stream_id for kind, _, stream_id, _ in wire.split(server.data_to_send()) if not kind]
    assert served == [1, 3, 5, 1, 3, 5]


def test_a_stream_that_runs_dry_leaves_the_queue_for_the_connection(
    wire: Any, make_server: MakeServer
) -> None:
    server = make_server()
    for at in (1, 3):
        server.receive(wire.frame(1, 5, at, wire.block))
        answer(server, at, 100_000)
    assert list(server.outbox.waiting) == [3], "the first has used up its own window as well"
    server.receive(wire.frame(8, 0, 0, bytes.fromhex("00100000")))
    assert not server.outbox.waiting
    assert server.outbox.backlog_bytes == 2 * (100_000 - 65535)


def test_a_stream_without_credit_does_not_stop_the_others(
    wire: Any, make_server: MakeServer
) -> None:
    server = make_server()
    server.receive(wire.frame(1, 5, 1, wire.block))
    server.receive(wire.frame(8, 0, 0, bytes.fromhex("00100000")))
    answer(server, 1, 80_000)
    server.data_to_send()
    server.receive(wire.frame(1, 5, 3, wire.block))
    answer(server, 3, 10_000)
    assert len(body_of(wire, server.data_to_send())) == 10_000
    assert list(server.streams) == [1]


def test_frames_keep_to_the_peers_frame_size(wire: Any, make_server: MakeServer) -> None:
    server = make_server()
    server.receive(wire.frame(1, 5, 1, wire.block))
    answer(server, 1, 60_000)
    sizes = [len(data) for kind, _, _, data in wire.split(server.data_to_send()) if not kind]
    assert sizes == [16384, 16384, 16384, 10848]
    server.receive(wire.frame(4, 0, 0, bytes.fromhex("000500008000")))
    server.receive(wire.frame(8, 0, 0, bytes.fromhex("00100000")))
    server.receive(wire.frame(1, 5, 3, wire.block))
    server.data_to_send()
    answer(server, 3, 60_000)
    sizes = [len(data) for kind, _, _, data in wire.split(server.data_to_send()) if not kind]
    assert sizes == [32768, 27232]


def test_a_long_header_block_goes_on_in_continuation(wire: Any, make_server: MakeServer) -> None:
    server = make_server()
    server.receive(wire.frame(1, 5, 1, wire.block))
    server.send_headers(1, bytes(40_000), end_stream=True)
    frames = wire.split(server.data_to_send())
    assert [(kind, flags, len(data)) for kind, flags, _, data in frames] == [
        (1, 1, 16384),
        (9, 0, 16384),
        (9, 4, 7232),
    ]


def test_trailers_and_empty_data_wait_behind_data(wire: Any, make_server: MakeServer) -> None:
    server = make_server()
    server.receive(wire.frame(1, 5, 1, wire.block))
    server.send_data(1, bytes(70_000))
    server.send_data(1, b"")
    server.send_headers(1, b"\x88", end_stream=True)
    server.data_to_send()
    credit = (10_000).to_bytes(4, "big")
    server.receive(wire.frame(8, 0, 0, credit) + wire.frame(8, 0, 1, credit))
    frames = wire.split(server.data_to_send())
    assert [(kind, flags, len(data)) for kind, flags, _, data in frames] == [
        (0, 0, 4465),
        (0, 0, 0),
        (1, 5, 1),
    ]


def test_a_reset_drops_what_waits(wire: Any, make_server: MakeServer) -> None:
    server = make_server()
    server.receive(wire.frame(1, 5, 1, wire.block) + wire.frame(1, 5, 3, wire.block))
    server.send_data(1, bytes(100_000))
    server.send_data(3, bytes(100_000))
    server.receive(wire.frame(3, 0, 1, bytes(4)))
    assert server.outbox.backlog_bytes == 100_000
    server.reset(3)
    assert server.outbox.backlog_bytes == 0
    server.data_to_send()
    server.receive(wire.frame(8, 0, 0, bytes.fromhex("00100000")))
    assert server.data_to_send() == b""


def test_a_peer_that_does_not_read_is_ended_by_the_backlog(
    wire: Any, make_server: MakeServer
) -> None:
    server = make_server(backlog_bytes_max=200_000)
    for at in range(1, 9, 2):
        server.receive(wire.frame(1, 5, at, wire.block))
    for at in range(1, 7, 2):
        server.send_data(at, bytes(100_000))
        assert not server.closed, "any single answer may pass the bound"
    server.send_data(7, bytes(100_000))
    assert server.closed
    assert wire.split(server.data_to_send())[-1][3][4:8] == bytes((0, 0, 0, 11))


def test_a_smaller_header_table_is_confirmed_in_the_next_block(
    wire: Any, make_server: MakeServer
) -> None:
    server = make_server()
    server.receive(wire.frame(4, 0, 0, bytes.fromhex("000100000000")))
    server.receive(wire.frame(1, 5, 1, wire.block))
    server.data_to_send()
    server.send_headers(1, b"\x88")
    server.send_headers(1, b"\x88", end_stream=True)
    assert [data for _, _, _, data in wire.split(server.data_to_send())] == [b"\x20\x88", b"\x88"]


# --- many bodies at once ----------------------------------------------------------------------


class Uploads:
    """A peer that keeps to its credit, and sends a piece of each body in turn."""

    def __init__(self, wire: Any, server: Connection, sizes: list[int]) -> None:
        self.wire = wire
        self.server = server
        self.left = {2 * at + 1: size for at, size in enumerate(sizes)}
        self.credit = dict.fromkeys(self.left, 65_535)
        self.events: list[Any] = []
        self.collected_max = 0
        for at in self.left:
            self.say(1, 4, at, wire.block)

    def say(self, kind: int, flags: int, at: int, payload: bytes) -> None:
        server = self.server
        self.events += server.receive(self.wire.frame(kind, flags, at, payload))
        self.collected_max = max(self.collected_max, server.bodies.collected_bytes)
        for stream, credit in updates(self.wire, server).items():
            if stream in self.credit:
                self.credit[stream] += credit

    def run(self, order: Callable[[list[int]], list[int]] = list) -> None:
        """Send until all is sent, or nothing can be."""
        while turn := order([at for at, left in self.left.items() if left and self.credit[at]]):
            for at in turn:
                size = min(self.left[at], self.credit[at], 16_384)
                self.left[at] -= size
                self.credit[at] -= size
                self.say(0, int(not self.left[at]), at, bytes(size))

    @property
    def received(self) -> dict[int, int]:
        return {
            event.stream_id: len(event.body)
            for event in self.events
            if isinstance(event, RequestReceived)
        }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(1, 400_000), min_size=1, max_size=30),
    rng=st.randoms(use_true_random=False),
)
def test_nobody_is_refused_who_can_wait(
    wire: Any, make_server: MakeServer, sizes: list[int], rng: random.Random
) -> None:
    """All large, all at once, a piece of each in turn, in any order: every body comes, and the bound holds."""
    server = make_server(whole=True, body_bytes_max=400_000, collected_bytes_max=4_000_000)
    uploads = Uploads(wire, server, sizes)
    uploads.run(lambda ready: rng.sample(ready, len(ready)))
    assert uploads.received == {2 * at + 1: size for at, size in enumerate(sizes)}
    assert uploads.collected_max <= 4_000_000
    assert server.bodies.collected_bytes == 0


def test_who_leaves_makes_room(wire: Any, make_server: MakeServer) -> None:
    """Those who have credit and do not use it hold up others only until they are gone."""
    server = make_server(whole=True, body_bytes_max=400_000, collected_bytes_max=1_000_000)
    uploads = Uploads(wire, server, [400_000] * 3)

    def lazily(ready: list[int]) -> list[int]:
        return [at for at in ready if at == 5 or uploads.left[at] > 300_000]

    uploads.run(lazily)
    assert [uploads.left[at] > 300_000 for at in (1, 3, 5)] == [False, True, True]
    for gone in (1, 3):
        assert uploads.received == {}
        uploads.say(3, 0, gone, bytes(4))
        del uploads.left[gone]
        uploads.run(lazily)
    assert uploads.received == {5: 400_000}


def test_one_body_may_be_larger_than_all_together(wire: Any, make_server: MakeServer) -> None:
    server = make_server(whole=True, body_bytes_max=900_000, collected_bytes_max=1_200_000)
    uploads = Uploads(wire, server, [900_000] * 4)
    uploads.run()
    assert uploads.received == dict.fromkeys((1, 3, 5, 7), 900_000)


def test_a_body_that_is_too_large_is_seen(wire: Any, make_server: MakeServer) -> None:
    server = make_server(whole=True, body_bytes_max=100_000)
    uploads = Uploads(wire, server, [100_001])
    uploads.run()
    (event,) = uploads.events[:1]
    assert isinstance(event, BodyTooLarge)


def test_padding_does_not_use_up_the_credit_of_a_body(wire: Any, make_server: MakeServer) -> None:
    server = make_server(whole=True, body_bytes_max=400_000)
    uploads = Uploads(wire, server, [400_000])
    while left := uploads.left[1]:
        size = min(left, 2000)
        padded = bytes((250,)) + bytes(size) + bytes(250)
        assert uploads.credit[1] >= len(padded)
        uploads.left[1] -= size
        uploads.credit[1] -= len(padded)
        uploads.say(0, 8 | (not uploads.left[1]), 1, padded)
    assert uploads.received == {1: 400_000}


def test_nobody_gets_credit_after_the_end(wire: Any, make_server: MakeServer) -> None:
    server = make_server(whole=True, body_bytes_max=400_000, collected_bytes_max=1_000_000)
    uploads = Uploads(wire, server, [400_000] * 5)
    for at in uploads.left:
        uploads.say(0, 0, at, bytes(16_384))
        uploads.say(0, 0, at, bytes(16_384))
    assert [at for at, credit in uploads.credit.items() if credit > 65_535] == [1]
    server.terminate()
    assert [kind for kind, *_ in wire.split(server.data_to_send())] == [GOAWAY]
