"""The client's short cut must not be seen: whatever comes, and however it is cut, it says the same as the long way."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
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
from triode.rpc.grpc.framing import frame
from triode.rpc.grpc.server import GrpcServer
from triode.rpc.h2.errors import ErrorCode
from triode.rpc.h2.frames import (
    DATA,
    FRAME_HEADER_BYTES,
    pack_head,
    ping,
    rst_stream,
    window_update,
)
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


def pieces(data: bytes) -> list[bytes]:
    """Frame by frame."""
    found = []
    while data:
        size = FRAME_HEADER_BYTES + int.from_bytes(data[:3], "big")
        found.append(data[:size])
        data = data[size:]
    return found


def body(stream_id: int, payload: bytes, flags: int = 0) -> bytes:
    return pack_head(len(payload) << 8 | DATA, flags, stream_id) + payload


def with_flags(piece: bytes, flags: int) -> bytes:
    return piece[:4] + bytes((flags,)) + piece[5:]


def on(stream_id: int, piece: bytes) -> bytes:
    return piece[:5] + stream_id.to_bytes(4, "big") + piece[9:]


def taught(client: GrpcClient) -> tuple[bytes, bytes]:
    """Have a client learn how the usual answer looks; returns its first frame and its last one."""
    server = GrpcServer(is_unary={UNARY})
    for _ in range(2):
        call = client.call(UNARY, b"request")
        server.receive(client.data_to_send())
        server.respond(call, b"right")
        sent = server.data_to_send()
        client.receive(sent)
    head, _, trailers = pieces(sent)
    return head, trailers


def oddities(head: bytes, trailers: bytes, at: int) -> dict[str, list[bytes]]:
    """Answers of a stream that differ from the usual one in one thing."""
    message = frame(b"right")
    usual = [head, body(at, message), trailers]
    return {
        "usual": usual,
        "padded": [head, body(at, b"\2" + message + bytes(2), 8), trailers],
        "compressed": [head, body(at, b"\1" + message[1:]), trailers],
        "two in one": [head, body(at, message * 2), trailers],
        "in two": [head, body(at, message[:7]), body(at, message[7:]), trailers],
        "cut": [head, body(at, message[:-1]), trailers],
        "ended by the body": [head, body(at, message, 1)],
        "a failure": [head, body(at, message), trailers[:-2] + b"\0\0"],
        "no body": [head, trailers],
        "no head": usual[1:],
        "two heads": [head, *usual],
        "a reset": [head, body(at, message), rst_stream(at, ErrorCode.CANCEL)],
        "credit": [head, body(at, message), window_update(at, 5), trailers],
        "an unknown frame": [head, pack_head(99, 0, at), *usual[1:]],
        "nothing": [],
        "ended by the head": [with_flags(head, 5), *usual[1:]],
        "ended twice": [head, body(at, message, 1), trailers],
        "not ended": [*usual[:2], with_flags(trailers, 4)],
        "something like a head": [head[:3] + b"\x63" + head[4:], *usual[1:]],
        "something like trailers": [*usual[:2], trailers[:3] + b"\x63" + trailers[4:]],
        "not found": [head[:9] + b"\x8d" + head[10:], *usual[1:]],  # HPACK's index of 404
    }


KINDS = list(oddities(bytes(11), bytes(11), 0))


@settings(max_examples=600)
@given(
    st.data(),
    st.lists(st.just("usual") | st.sampled_from(KINDS), min_size=1, max_size=5),
    st.booleans(),
)
def test_frames_in_any_order(data: st.DataObject, kinds: list[str], mixed: bool) -> None:
    """Answers in pieces of each other's, as a server writes that answers many at once; and answers that are odd."""
    said = []
    order: list[int] = []
    for answered in (False, True):
        client = GrpcClient(authority="a", answered=answered)
        head, trailers = taught(client)
        streams = []
        for kind in kinds:
            at = client.call(UNARY, b"request")
            streams.append(oddities(on(at, head), on(at, trailers), at)[kind])
        client.data_to_send()
        if not order:
            order = [at for at, stream in enumerate(streams) for _ in stream]
            order = data.draw(st.permutations(order)) if mixed else order
        events = client.receive(b"".join(streams[at].pop(0) for at in order))
        said.append((plain(events), client.open_calls, client.closed))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("sizes", "bytes_max"),
    [((5000,), 7500), ((9000,), 20_000), ((7800,), 7500), ((7000,) * 12, 7500)],
    ids=["none", "stream", "message", "all"],
)
def test_bounds(sizes: tuple[int, ...], bytes_max: int) -> None:
    """Of messages, of a stream's window, and of the connection's: a server that goes beyond them is refused."""
    said = []
    for answered in (False, True):
        client = GrpcClient(
            authority="a",
            answered=answered,
            limits=Limits(stream_window_bytes=8000, connection_window_bytes=65_535),
            message_bytes_max=bytes_max,
        )
        head, trailers = taught(client)
        data = b""
        for size in sizes:
            at = client.call(UNARY, b"request")
            data += on(at, head) + body(at, frame(bytes(size))) + on(at, trailers)
        said.append((plain(client.receive(data)), client.open_calls, client.closed))
    assert said[0][1] == said[1][1] == 0
    if len(sizes) == 1:
        assert said[0] == said[1]
    else:
        assert said[0][2] and not said[1][2], "the short way gives credit between answers"


def test_an_answer_that_comes_too_late() -> None:
    client = GrpcClient(authority="a", answered=True)
    head, trailers = taught(client)
    at = client.call(UNARY, b"request")
    client.cancel(at)
    assert client.receive(on(at, head) + body(at, frame(b"late")) + on(at, trailers)) == []


def test_an_answer_that_comes_too_early() -> None:
    """The request has not gone out in full: the rest of it is taken back."""
    client = GrpcClient(authority="a", answered=True)
    head, trailers = taught(client)
    at = client.call(UNARY, bytes(1 << 20))
    client.data_to_send()
    events = client.receive(on(at, head) + body(at, frame(b"early")) + on(at, trailers))
    assert plain(events) == [(at, b"early"), (at, 0, "", True)]
    assert client.data_to_send() == rst_stream(at, ErrorCode.NO_ERROR)
    assert client.backlog_bytes_total == 0


def test_a_stream_is_told_in_full() -> None:
    """A streaming call hears of its message and of its end, though they look like a unary answer."""
    client = GrpcClient(authority="a", answered=True)
    server = GrpcServer(is_unary=())
    for _ in range(3):
        call = client.start_call(UNARY)
        server.receive(client.data_to_send())
        server.send_message(call, b"one")
        server.finish(call)
        events = client.receive(server.data_to_send())
    assert [type(event) for event in events] == [Headers, Message, Finished]


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
