"""The client's short cut must not be seen: whatever comes, and however it is cut, it says the same as the long way."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triode.rpc.grpc.client import (
    Answered,
    ClientEvent,
    Finished,
    GrpcClient,
    Headers,
    Message,
    Writable,
)
from triode.rpc.grpc.events import Request
from triode.rpc.grpc.server import GrpcServer
from triode.rpc.h2.frames import ping, window_update
from triode.rpc.h2.limits import Limits

UNARY = "/etcdserverpb.KV/Put"


def transcript(answers: list[tuple[int, bytes | None]], noise: bool) -> tuple[bytes, int, int]:
    """What a server sends for calls that are answered in this order; None: refused."""
    client = GrpcClient(authority="a")
    server = GrpcServer(is_unary={UNARY})
    for _ in answers:
        client.call(UNARY, b"request")
    requests = [e for e in server.receive(client.data_to_send()) if isinstance(e, Request)]
    out = server.data_to_send()
    greeting = len(out)
    order = sorted(range(len(answers)), key=lambda at: answers[at][0])
    for at in order:
        message = answers[at][1]
        if message is None:
            server.fail(requests[at].stream_id, 5, "not there")
        else:
            server.respond(requests[at].stream_id, message)
        out += server.data_to_send()
        if noise:
            out += ping(b"12345678", ack=False) + window_update(0, 1000)
    return out, len(answers), greeting


left: list[tuple[int, int]] = []
"""The credit that clients had at the end, and the pings that they have answered."""


def replay(data: bytes, calls: int, cuts: list[int], *, answered: bool) -> list[ClientEvent]:
    """What a client makes of it, piece by piece."""
    client = GrpcClient(authority="a", answered=answered)
    for _ in range(calls):
        client.call(UNARY, b"request")
    events: list[ClientEvent] = []
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, stop in pairwise(places):
        events += client.receive(data[start:stop])
    assert client.open_calls == 0
    sent = client.data_to_send()
    left.append((client.connection.outbox.window, sent.count(ping(b"12345678", ack=True))))
    return events


def plain(events: list[ClientEvent]) -> list[tuple[object, ...]]:
    """Events without the differences that are allowed."""
    said: list[tuple[object, ...]] = []
    for event in events:
        if isinstance(event, Answered):
            said += [(event.stream_id, event.data), (event.stream_id, 0, "", True)]
        elif isinstance(event, Message):
            said.append((event.stream_id, event.data))
        elif isinstance(event, Finished):
            said.append((event.stream_id, event.code, event.text, event.processed))
        else:
            assert isinstance(event, Headers | Writable)
    return said


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.none() | st.binary(max_size=40)), min_size=1, max_size=8
    ),
    st.booleans(),
    st.lists(st.integers(0, 5000), max_size=12),
)
def test_it_says_the_same(
    answers: list[tuple[int, bytes | None]], noise: bool, cuts: list[int]
) -> None:
    data, calls, _ = transcript(answers, noise)
    long = replay(data, calls, cuts, answered=False)
    short = replay(data, calls, cuts, answered=True)
    assert plain(short) == plain(long)
    assert left[-1] == left[-2]
    assert left[-1][1] == (calls if noise else 0)


def test_it_is_taken() -> None:
    data, calls, greeting = transcript([(0, b"x")] * 20, noise=True)
    events = replay(data, calls, [greeting], answered=True)
    # The first answer teaches the head and the trailers.
    assert sum(isinstance(event, Answered) for event in events) >= 18


@pytest.mark.parametrize("size", [0, 1, 16_000, 70_000, 3_000_000])
def test_messages_of_any_size(size: int) -> None:
    client = GrpcClient(authority="a", answered=True)
    server = GrpcServer(is_unary={UNARY}, message_bytes_max=4 << 20)
    for _ in range(3):
        call = client.call(UNARY, bytes(size))
        got: list[ClientEvent] = []
        while not any(isinstance(event, Finished | Answered) for event in got):
            for event in server.receive(client.data_to_send()):
                if isinstance(event, Request):
                    assert event.message == bytes(size)
                    server.respond(event.stream_id, event.message)
            data = server.data_to_send()
            for at in range(0, len(data), 60_001):
                got += client.receive(data[at : at + 60_001])
        assert plain(got) == [(call, bytes(size)), (call, 0, "", True)]


@pytest.mark.parametrize("code", [0, 5])
@pytest.mark.parametrize("messages", [[], [b"one"], [b"one", b"two"], [b""]])
def test_answers_that_are_not_as_expected(messages: list[bytes], code: int) -> None:
    said = []
    for answered in (False, True):
        client = GrpcClient(authority="a", answered=answered)
        server = GrpcServer(is_unary=())
        events: list[ClientEvent] = []
        for _ in range(3):
            call = client.call(UNARY, b"request")
            server.receive(client.data_to_send())
            for message in messages:
                server.send_message(call, message)
            server.finish(call, code, "why" if code else "")
            events += client.receive(server.data_to_send())
        said.append(plain(events))
    assert said[0] == said[1]
    assert [one[1] for one in said[0]] == [*messages, code] * 3


def test_credit_is_given_back() -> None:
    """Many small answers: more than the connection's window in all."""
    limits = Limits(connection_window_bytes=65_535, stream_window_bytes=65_535)
    client = GrpcClient(authority="a", answered=True, limits=limits)
    server = GrpcServer(is_unary={UNARY})
    answered = 0
    for _ in range(300):
        client.call(UNARY, b"request")
        for event in server.receive(client.data_to_send()):
            assert isinstance(event, Request)
            server.respond(event.stream_id, bytes(1000))
        answered += len(plain(client.receive(server.data_to_send()))) // 2
    assert answered == 300


def test_garbage_is_not_waited_for() -> None:
    client = GrpcClient(authority="a", answered=True)
    server = GrpcServer(is_unary={UNARY})
    call = client.call(UNARY, b"")
    client.receive(server.data_to_send())
    [event] = client.receive(b"\xff" * 20)
    assert isinstance(event, Finished)
    assert event.stream_id == call
    assert client.closed
