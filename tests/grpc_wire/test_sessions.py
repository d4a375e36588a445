"""Client and server session against each other, without a socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triode.errors import Code
from triode.rpc.grpc import GrpcServer, KeepaliveEnforcer, Limits
from triode.rpc.grpc import events as server_events
from triode.rpc.grpc.client import Draining, Finished, Headers, Message, Writable
from triode.rpc.h2 import PREFACE, hpack_encoder
from triode.rpc.h2.frames import pack_head
from triode.rpc.h2.hpack_decoder import HpackDecoder

MakePair = Callable[..., Any]
OK = (Code.OK, "")


def finished(events: list[Any]) -> list[tuple[int, str]]:
    return [(event.code, event.text) for event in events if isinstance(event, Finished)]


def messages(events: list[Any]) -> list[bytes]:
    kinds = Message | server_events.Message
    return [event.data for event in events if isinstance(event, kinds)]


@pytest.mark.parametrize("cut", [1, 7, 1 << 20])
def test_a_unary_call(make_pair: MakePair, cut: int) -> None:
    pair = make_pair(cut)
    metadata = {"token": "t", "trace-bin": b"\0\xff"}
    call = pair.client.call(pair.unary, b"ask", metadata=metadata, timeout_ns=5 * 10**9)
    _, [request] = pair.pump()
    assert isinstance(request, server_events.Request)
    assert (request.stream_id, request.message) == (call, b"ask")
    head = request.head
    assert (head.path, head.authority, head.timeout_ns) == (pair.unary, "here:1", 5 * 10**9)
    assert {**head.metadata} == {"user-agent": "grpc-python-triode", **metadata}
    pair.server.respond(call, b"answer")
    assert pair.pump() == (
        [Headers(call, {}), Message(call, b"answer"), Finished(call, 0, "", {}, True)],
        [],
    )
    assert pair.client.idle
    assert pair.server.idle


@pytest.mark.parametrize("size", [0, 16_378, 16_379, 16_380, 65_530, 65_531, 70_000, 3_000_000])
def test_messages_of_every_size_pass_both_ways(make_pair: MakePair, size: int) -> None:
    """Around the frame size and the initial window, where the shortcut of `respond` ends."""
    pair = make_pair(server={"message_bytes_max": 4 << 20})
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    call = pair.client.call(pair.unary, body)
    _, [request] = pair.pump()
    assert request.message == body
    pair.server.respond(call, body)
    events, _ = pair.pump()
    assert messages(events) == [body]
    assert finished(events) == [OK]
    assert pair.server.backlog_bytes_total == pair.client.backlog_bytes_total == 0


def test_errors_are_trailers_only_and_unicode(pair: Any) -> None:
    call = pair.client.call(pair.unary, b"")
    pair.pump()
    pair.server.fail(call, Code.NOT_FOUND, "etcdserver: 100% ungültig\n")
    events, _ = pair.pump()
    assert events == [Finished(call, 5, "etcdserver: 100% ungültig\n", {}, True)]


def test_respond_after_headers_were_sent(pair: Any) -> None:
    call = pair.client.call(pair.unary, b"")
    pair.pump()
    pair.server.send_headers(call, {"lead": "yes"})
    pair.server.respond(call, b"answer")
    assert pair.pump()[0] == [
        Headers(call, {"lead": "yes"}),
        Message(call, b"answer"),
        Finished(call, 0, "", {}, True),
    ]


def test_a_bidirectional_stream(pair: Any) -> None:
    call = pair.client.start_call(pair.stream)
    pair.client.send_message(call, b"1")
    pair.client.send_message(call, b"")
    _, [started, *rest] = pair.pump()
    assert isinstance(started, server_events.CallStarted)
    assert rest == [server_events.Message(call, b"1"), server_events.Message(call, b"")]
    pair.server.send_headers(call, {"lead": "yes"})
    pair.server.send_message(call, b"one")
    assert pair.pump()[0] == [Headers(call, {"lead": "yes"}), Message(call, b"one")]
    pair.client.half_close(call)
    assert pair.pump()[1] == [server_events.HalfClosed(call)]
    pair.server.finish(call, 0, "", {"tail-bin": b"\1"})
    assert pair.pump()[0] == [Finished(call, 0, "", {"tail-bin": b"\1"}, True)]


def test_a_server_may_end_a_stream_early(pair: Any) -> None:
    call = pair.client.start_call(pair.stream)
    pair.client.send_message(call, b"1")
    pair.pump()
    pair.server.send_message(call, b"one")
    pair.server.fail(call, Code.CANCELED, "enough")
    pair.server.send_message(call, b"ignored")
    pair.client.send_message(call, b"in flight")
    events, at_server = pair.pump()
    assert messages(events) == [b"one"]
    assert finished(events) == [(Code.CANCELED, "enough")]
    assert at_server == []
    pair.client.send_message(call, b"too late")
    assert pair.pump() == ([], [])
    assert pair.server.open_calls == pair.client.open_calls == 0


def test_a_cancelled_call_is_reported_once_and_answers_do_nothing(pair: Any) -> None:
    calls = [pair.client.call(pair.unary, b"x"), pair.client.start_call(pair.stream)]
    pair.pump()
    for call in calls:
        pair.client.cancel(call)
    _, at_server = pair.pump()
    assert at_server == [server_events.Cancelled(call) for call in calls]
    for call in calls:
        pair.server.respond(call, b"y")
        pair.server.send_message(call, b"y")
        pair.server.finish(call)
        pair.server.fail(call, 5, "no")
        pair.server.pause(call)
        pair.server.resume(call)
    assert pair.pump() == ([], [])


def test_a_request_that_is_too_large(make_pair: MakePair) -> None:
    pair = make_pair(server={"message_bytes_max": 1000})
    pair.client.call(pair.unary, bytes(1000))
    assert len(pair.pump()[1]) == 1
    for path in (pair.unary, pair.stream):
        for size in (1001, 100_000):
            pair.client.call(path, bytes(size))
            events, _ = pair.pump()
            text = f"grpc: received message larger than max ({size} vs. 1000)"
            assert finished(events) == [(Code.RESOURCE_EXHAUSTED, text)]
    assert pair.server.connection.bodies.collected_bytes == 0


def test_an_answer_that_is_too_large(make_pair: MakePair) -> None:
    pair = make_pair(client={"message_bytes_max": 10})
    call = pair.client.call(pair.unary, b"")
    pair.pump()
    pair.server.respond(call, bytes(11))
    events, _ = pair.pump()
    assert finished(events) == [
        (Code.RESOURCE_EXHAUSTED, "grpc: received message larger than max (11 vs. 10)")
    ]
    assert pair.client.open_calls == 0


def test_a_slow_consumer_stops_its_own_stream_only(make_pair: MakePair) -> None:
    pair = make_pair(server={"limits": Limits(stream_window_bytes=65_535)})
    slow = pair.client.start_call(pair.stream)
    quick = pair.client.start_call(pair.stream)
    pair.pump()
    pair.server.pause(slow)
    for _ in range(20):
        pair.client.send_message(slow, bytes(10_000))
        pair.client.send_message(quick, bytes(10_000))
    _, at_server = pair.pump()
    arrived = [event.stream_id for event in at_server]
    assert arrived.count(quick) == 20
    assert arrived.count(slow) == 6
    assert pair.client.backlog_bytes(slow) > 100_000
    pair.server.resume(slow)
    at_client, at_server = pair.pump()
    assert len(messages(at_server)) == 14
    assert at_client == [Writable(slow)]


def test_a_paused_call_still_completes_a_message_larger_than_the_window(
    make_pair: MakePair,
) -> None:
    pair = make_pair(server={"limits": Limits(stream_window_bytes=65_535)})
    call = pair.client.start_call(pair.stream)
    pair.pump()
    pair.server.pause(call)
    pair.client.send_message(call, bytes(1_000_000))
    assert len(messages(pair.pump()[1])) == 1


def test_a_slow_client_is_visible_as_backlog(make_pair: MakePair) -> None:
    pair = make_pair(client={"limits": Limits(stream_window_bytes=65_535)})
    call = pair.client.start_call(pair.stream)
    pair.pump()
    pair.client.pause(call)
    for _ in range(10):
        pair.server.send_message(call, bytes(10_000))
    at_client, _ = pair.pump()
    assert len(messages(at_client)) == 6
    assert (
        pair.server.backlog_bytes(call)
        == pair.server.backlog_bytes_total
        == 50_050 + 50_000 - 65_535
    )
    pair.client.resume(call)
    at_client, at_server = pair.pump()
    assert len(messages(at_client)) == 4
    assert at_server == [server_events.Writable(call)]
    assert pair.server.backlog_bytes(call) == 0


# --- the end of a connection ------------------------------------------------------------------


def test_graceful_shutdown_lets_calls_finish(pair: Any) -> None:
    call = pair.client.start_call(pair.stream)
    pair.pump()
    pair.server.shutdown()
    # This one is on its way before the client knows.
    crossing = pair.client.call(pair.unary, b"x")
    up = pair.client.data_to_send()
    down = pair.server.data_to_send()
    assert any(isinstance(event, Draining) for event in pair.client.receive(down))
    assert not pair.client.can_start
    with pytest.raises(RuntimeError):
        pair.client.start_call(pair.unary)
    assert len(pair.server.receive(up)) == 1, "served, for the client cannot have known"
    pair.pump()
    assert not pair.server.idle
    pair.server.respond(crossing, b"")
    pair.server.finish(call)
    events, _ = pair.pump()
    assert sorted(event.stream_id for event in events if isinstance(event, Finished)) == [
        call,
        crossing,
    ]
    assert all(event.processed for event in events if isinstance(event, Finished))
    assert pair.server.idle
    assert pair.client.idle


def test_calls_above_the_last_stream_of_goaway_may_be_tried_elsewhere(pair: Any) -> None:
    kept = pair.client.call(pair.unary, b"1")
    lost = pair.client.call(pair.unary, b"2")
    goaway = pack_head(8 << 8 | 7, 0, 0) + kept.to_bytes(4, "big") + bytes(4)
    events = pair.client.receive(goaway)
    assert [event.processed for event in events if isinstance(event, Finished)] == [False]
    assert [event.stream_id for event in events if isinstance(event, Finished)] == [lost]
    pair.pump()
    pair.server.respond(kept, b"")
    assert finished(pair.pump()[0]) == [OK]


def test_a_refused_stream_may_be_tried_elsewhere(make_pair: MakePair) -> None:
    pair = make_pair(server={"limits": Limits(concurrent_streams_max=1)})
    assert pair.client.can_start
    first = pair.client.call(pair.unary, b"1")
    assert not pair.client.can_start
    pair.client.connection.peer.concurrent_streams_max = 5  # a client that did not know yet
    second = pair.client.call(pair.unary, b"2")
    events, _ = pair.pump()
    (end,) = [event for event in events if isinstance(event, Finished)]
    assert (end.stream_id, end.code, end.processed) == (second, Code.UNAVAILABLE, False)
    pair.server.respond(first, b"")
    assert finished(pair.pump()[0]) == [OK]


def test_a_lost_connection_ends_each_call_once(pair: Any) -> None:
    calls = [pair.client.call(pair.unary, b"x"), pair.client.start_call(pair.stream)]
    ends = pair.client.lost("connection reset")
    assert [(end.stream_id, end.code, end.processed) for end in ends] == [
        (call, Code.UNAVAILABLE, True) for call in calls
    ]
    assert pair.client.closed
    assert pair.client.lost("again") == []


def test_a_server_that_breaks_the_protocol(pair: Any) -> None:
    pair.client.call(pair.unary, b"x")
    events = pair.client.receive(pack_head(1 << 8 | 6, 0, 0) + b"x")
    assert finished(events)[0][0] == Code.UNAVAILABLE
    assert pair.client.closed


def test_terminate_drops_everything(pair: Any) -> None:
    pair.client.call(pair.unary, b"x")
    pair.pump()
    pair.server.terminate()
    assert pair.server.closed
    assert pair.server.open_calls == 0
    events, _ = pair.pump()
    assert isinstance(events[0], Draining)


# --- requests that are not as they should be --------------------------------------------------


def by_hand(
    body: bytes, path: bytes = b"/test.T/Unary", **changes: bytes
) -> tuple[GrpcServer, list[Any], dict[bytes, bytes]]:
    """Send one request with a body as given; the server, its events and the fields it answers."""
    server = GrpcServer(is_unary={"/test.T/Unary"}, http=bool(changes.pop("http", b"")))
    server.data_to_send()
    fields = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": path,
        b"content-type": b"application/grpc",
    }
    fields |= {name.replace("_", "-").encode(): value for name, value in changes.items()}
    block = hpack_encoder.encode(fields.items())
    data = PREFACE + pack_head(4, 0, 0)
    data += pack_head(len(block) << 8 | 1, 4, 1) + block + pack_head(len(body) << 8, 1, 1) + body
    events = server.receive(data)
    answer: dict[bytes, bytes] = {}
    out = server.data_to_send()
    while out:
        word = int.from_bytes(out[:4], "big")
        if word & 255 == 1:
            answer |= dict(HpackDecoder().decode(out[9 : 9 + (word >> 8)]))
        out = out[9 + (word >> 8) :]
    return server, events, answer


@pytest.mark.parametrize(
    ("body", "text"),
    [(b"", b"EOF"), (b"\0\0\0", b"unexpected EOF"), (b"\0\0\0\0\5abc", b"unexpected EOF")],
)
def test_a_unary_body_without_a_whole_message(body: bytes, text: bytes) -> None:
    _, events, answer = by_hand(body)
    assert events == []
    assert (answer[b"grpc-status"], answer[b"grpc-message"]) == (b"2", text)


@pytest.mark.parametrize(
    ("body", "message"), [(bytes(10), b""), (b"\0\0\0\0\1ab", b"a"), (bytes(5) + b"\7bad", b"")]
)
def test_a_unary_body_is_its_first_message(body: bytes, message: bytes) -> None:
    _, [event], answer = by_hand(body)
    assert (type(event), event.message) == (server_events.Request, message)
    assert answer == {}


def test_a_compressed_message_is_refused() -> None:
    for path in (b"/test.T/Unary", b"/test.T/Stream"):
        _, _, answer = by_hand(b"\1\0\0\0\1x", path, grpc_encoding=b"gzip")
        assert answer[b"grpc-status"] == b"12"
        assert answer[b"grpc-message"].endswith(b'grpc-encoding "gzip"')


def test_what_is_not_grpc_is_415() -> None:
    server, events, answer = by_hand(b"{}", content_type=b"application/json")
    assert answer[b":status"] == b"415"
    assert answer[b"grpc-status"] == b"3"
    assert events == []
    assert server.open_calls == 0


def test_what_is_not_grpc_may_be_served_as_http() -> None:
    server, [event], _ = by_hand(b"{}", b"/health", content_type=b"application/json", http=b"1")
    assert isinstance(event, server_events.HttpRequest)
    assert (event.head.path, event.head.method, event.body) == ("/health", "POST", b"{}")
    server.respond_http(1, 200, ((b"content-type", b"text/plain"),), b"fine")
    assert b"fine" in server.data_to_send()
    assert server.idle


def test_a_call_of_an_unknown_path_is_left_to_the_user() -> None:
    server, [started, *_], _ = by_hand(bytes(5), b"/no.Such/Method")
    assert isinstance(started, server_events.CallStarted)
    server.fail(1, Code.UNIMPLEMENTED, "unknown service no.Such")
    assert server.idle is False  # the answer waits to be written
    server.data_to_send()
    assert server.idle


# --- looking at it ----------------------------------------------------------------------------


def test_what_is_held_can_be_seen(pair: Any) -> None:
    call = pair.client.start_call(pair.stream)
    pair.pump()
    for _ in range(5):
        before = pair.server.pending_bytes
        pair.server.send_message(call, bytes(10_000))
        assert pair.server.pending_bytes >= before + 10_014
    statistics = pair.server.statistics()
    assert statistics.open_calls == statistics.peer_calls == 1
    assert statistics.pending_bytes == len(pair.server.data_to_send())
    assert pair.server.pending_bytes == 0
    assert statistics.send_window_bytes == pair.server.connection.outbox.window
    pair.server.send_message(call, bytes(10_000_000))
    statistics = pair.server.statistics()
    assert statistics.backlog_bytes == pair.server.backlog_bytes(call) > 0
    assert not statistics.draining
    pair.server.terminate()
    assert pair.server.statistics().closed
    assert pair.server.statistics().backlog_bytes == 0


# --- keepalive --------------------------------------------------------------------------------


def test_too_many_pings_end_the_connection() -> None:
    now = [0.0]
    server = GrpcServer(is_unary=set(), clock=lambda: now[0], keepalive=KeepaliveEnforcer(5.0))
    server.receive(PREFACE + pack_head(4, 0, 0))
    server.data_to_send()
    ping = pack_head(8 << 8 | 6, 0, 0) + bytes(8)
    for _ in range(3):
        now[0] += 1
        assert server.receive(ping) == []
    now[0] += 1
    assert server.receive(ping) == [server_events.Ended(11, "too_many_pings")]
    assert server.data_to_send().endswith(b"\0\0\0\x0btoo_many_pings")


# --- everything at once -----------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    calls=st.lists(
        st.tuples(
            st.sampled_from(["unary", "stream", "cancel", "fail"]),
            st.lists(st.integers(0, 40_000), min_size=1, max_size=4),
        ),
        min_size=1,
        max_size=8,
    ),
    cut=st.sampled_from([100, 999, 16_384, 1 << 20]),
    window=st.sampled_from([20_000, 65_535, 1 << 20]),
)
def test_every_call_ends_as_it_should(
    make_pair: MakePair, calls: list[tuple[str, list[int]]], cut: int, window: int
) -> None:
    """An echo server; calls of all kinds side by side, through windows of several sizes."""
    limits = Limits(stream_window_bytes=window)
    pair = make_pair(cut, {"limits": limits}, {"limits": limits})
    expected: dict[int, tuple[list[bytes], tuple[int, str]]] = {}
    for kind, sizes in calls:
        bodies = [bytes(size) for size in sizes]
        if kind == "unary":
            call = pair.client.call(pair.unary, bodies[0])
            expected[call] = bodies[:1], OK
            continue
        call = pair.client.start_call(pair.stream, metadata={"kind": kind})
        for body in bodies:
            pair.client.send_message(call, body)
        if kind == "cancel":
            pair.client.cancel(call)
            continue
        pair.client.half_close(call)
        expected[call] = (bodies, OK) if kind == "stream" else ([], (Code.ABORTED, "no"))
    ends: dict[int, tuple[list[bytes], tuple[int, str]]] = {}
    for _ in range(10_000):
        at_client, at_server = pair.pump()
        for event in at_server:
            if isinstance(event, server_events.Request):
                pair.server.respond(event.stream_id, event.message)
            elif isinstance(event, server_events.CallStarted):
                if event.head.metadata["kind"] == "fail":
                    pair.server.fail(event.stream_id, Code.ABORTED, "no")
            elif isinstance(event, server_events.Message):
                pair.server.send_message(event.stream_id, event.data)
            elif isinstance(event, server_events.HalfClosed):
                pair.server.finish(event.stream_id)
        for event in at_client:
            if isinstance(event, Message):
                ends.setdefault(event.stream_id, ([], OK))[0].append(event.data)
            elif isinstance(event, Finished):
                got, _ = ends.get(event.stream_id, ([], OK))
                ends[event.stream_id] = got, (event.code, event.text)
        if not at_client and not at_server:
            break
    assert ends == expected
    assert pair.client.idle
    assert pair.server.idle
    assert pair.client.backlog_bytes_total == pair.server.backlog_bytes_total == 0
