"""The `h2` library as an oracle: the same bytes mean the same to both, in both roles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events as theirs
import h2.exceptions
from h2.settings import SettingCodes
from hypothesis import given, settings
from hypothesis import strategies as st

from triode.rpc.h2 import Connection, Limits, events, hpack_encoder
from triode.rpc.h2.errors import ErrorCode

HEADERS = [(":method", "POST"), (":scheme", "http"), (":path", "/p"), (":authority", "a")]
RESPONSE = [(":status", "200"), ("content-type", "application/grpc")]

# A script is a list of steps; a step that does not fit the stream's state is left out.
STEP = st.one_of(
    st.tuples(st.just("open"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("data"), st.integers(0, 9), st.binary(max_size=300), st.integers(0, 20)),
    st.tuples(st.just("big"), st.integers(0, 9), st.integers(0, 70_000)),
    st.tuples(st.just("end"), st.integers(0, 9)),
    st.tuples(st.just("trailers"), st.integers(0, 9)),
    st.tuples(st.just("reset"), st.integers(0, 9)),
    st.tuples(st.just("ping"), st.binary(min_size=8, max_size=8)),
    st.tuples(st.just("settings"), st.sampled_from([(1, 0), (1, 4096), (4, 10), (4, 100_000)])),
    st.tuples(st.just("long"), st.integers(6, 11)),
)
SCRIPT = st.lists(STEP, max_size=30)
CUTS = st.lists(st.integers(1, 4000), max_size=40)


def chunks(data: bytes, cuts: list[int]) -> Iterable[bytes]:
    at = 0
    for cut in cuts:
        if at < len(data):
            yield data[at : at + cut]
            at += cut
    if at < len(data):
        yield data[at:]


def library(*, client: bool) -> h2.connection.H2Connection:
    config = h2.config.H2Configuration(client_side=client, header_encoding=None)
    conn = h2.connection.H2Connection(config=config)
    conn.local_settings.max_header_list_size = 1 << 20
    conn.initiate_connection()
    return conn


def shake_hands(ours: Connection, other: h2.connection.H2Connection) -> None:
    for _ in range(3):
        ours.receive(other.data_to_send())
        other.receive_data(ours.data_to_send())
    ours.receive(other.data_to_send())


class Digest:
    """What a sequence of events amounts to, in the vocabulary of neither side."""

    def __init__(self) -> None:
        self.heads: dict[int, list[Any]] = defaultdict(list)
        self.bodies: dict[int, bytes] = defaultdict(bytes)
        self.ended: set[int] = set()
        self.reset: dict[int, int] = {}
        self.pings = 0

    def ours(self, received: list[events.Event]) -> None:
        for event in received:
            assert not isinstance(event, events.ConnectionEnded), event
            if isinstance(event, events.HeadersReceived):
                head = event.head
                self.heads[event.stream_id].append([*head.pseudo.items(), *head.fields])
            elif isinstance(event, events.TrailersReceived):
                self.heads[event.stream_id].append(list(event.fields))
                self.ended.add(event.stream_id)
            elif isinstance(event, events.DataReceived):
                self.bodies[event.stream_id] += event.data
            elif isinstance(event, events.StreamReset):
                assert event.by_peer
                self.reset[event.stream_id] = event.code
            elif isinstance(event, events.PingReceived):
                self.pings += 1
            if isinstance(event, events.HeadersReceived | events.DataReceived):
                self.ended |= {event.stream_id} if event.end_stream else set()

    def library(self, received: list[theirs.Event]) -> None:
        for event in received:
            if isinstance(
                event,
                theirs.RequestReceived | theirs.ResponseReceived | theirs.TrailersReceived,
            ):
                self.heads[event.stream_id].append([tuple(field) for field in event.headers])
            elif isinstance(event, theirs.DataReceived):
                self.bodies[event.stream_id] += event.data
            elif isinstance(event, theirs.StreamEnded):
                self.ended.add(event.stream_id)
            elif isinstance(event, theirs.StreamReset):
                self.reset[event.stream_id] = int(event.error_code)
            elif isinstance(event, theirs.PingReceived):
                self.pings += 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digest) and self.plain() == other.plain()

    __hash__ = None  # type: ignore[assignment]

    def plain(self) -> tuple[Any, ...]:
        bodies = {key: body for key, body in self.bodies.items() if body}
        return dict(self.heads), bodies, self.ended, self.reset, self.pings


def act(sender: h2.connection.H2Connection, step: tuple[Any, ...], streams: list[int]) -> None:
    """One step of a script by the library; steps that it refuses are left out."""
    kind = step[0]
    try:
        if kind == "open":
            if sender.config.client_side and sender.open_outbound_streams < 50:
                stream_id = sender.get_next_available_stream_id()
                fields = [*HEADERS, (f"x-{step[1]}", "v" * step[1])]
                sender.send_headers(stream_id, fields, end_stream=step[2])
                streams.append(stream_id)
        elif kind == "ping":
            sender.ping(step[1])
        elif kind == "settings":
            sender.update_settings({SettingCodes(step[1][0]): step[1][1]})
        elif kind == "long" and sender.config.client_side:
            stream_id = sender.get_next_available_stream_id()
            sender.send_headers(stream_id, [*HEADERS, *[("long", "\xe9" * 1500)] * step[1]])
            streams.append(stream_id)
        elif streams:
            stream_id = streams[step[1] % len(streams)]
            if kind == "data":
                sender.send_data(stream_id, step[2], pad_length=step[3] or None)
            elif kind == "big":
                size = min(step[2], sender.local_flow_control_window(stream_id), 16384)
                sender.send_data(stream_id, bytes(size))
            elif kind == "end":
                sender.end_stream(stream_id)
            elif kind == "trailers":
                sender.send_headers(stream_id, [("grpc-status", "0")], end_stream=True)
            elif kind == "reset":
                sender.reset_stream(stream_id, h2.errors.ErrorCodes.CANCEL)
    except (h2.exceptions.ProtocolError, KeyError):
        pass  # the library also knows closed streams as a KeyError


@settings(max_examples=200, deadline=None)
@given(SCRIPT, CUTS)
def test_server_reads_what_the_library_reads(
    script: list[tuple[Any, ...]], cuts: list[int]
) -> None:
    client, oracle = library(client=True), library(client=False)
    server = Connection(limits=Limits(header_list_bytes_max=1 << 20))
    got, expected = Digest(), Digest()
    streams: list[int] = []
    for step in script:
        act(client, step, streams)
    data = client.data_to_send()
    for chunk in chunks(data, cuts):
        got.ours(server.receive(chunk))
    expected.library(oracle.receive_data(data))
    assert got == expected
    # The library, as the client, accepts whatever the server has to say to that.
    client.receive_data(server.data_to_send())
    assert not server.closed


@settings(max_examples=150, deadline=None)
@given(SCRIPT, CUTS)
def test_client_reads_what_the_library_reads(
    script: list[tuple[Any, ...]], cuts: list[int]
) -> None:
    """Both clients send the same requests; the library's server answers; both read the answer."""
    ours = Connection(client=True)
    oracle, server = library(client=True), library(client=False)
    shadow = library(client=False)
    shake_hands(ours, server)
    for _ in range(3):
        shadow.receive_data(oracle.data_to_send())
        oracle.receive_data(shadow.data_to_send())
    block = hpack_encoder.encode([(n.encode(), v.encode()) for n, v in HEADERS])
    streams = [ours.open_stream(block, end_stream=False).id for _ in range(3)]
    server.receive_data(ours.data_to_send())
    for stream_id in streams:
        oracle.send_headers(stream_id, HEADERS)
    oracle.data_to_send()
    for stream_id in streams:
        server.send_headers(stream_id, RESPONSE)
    for step in script:
        act(server, step, streams)
    data = server.data_to_send()
    got, expected = Digest(), Digest()
    for chunk in chunks(data, cuts):
        got.ours(ours.receive(chunk))
    expected.library(oracle.receive_data(data))
    assert got == expected
    server.receive_data(ours.data_to_send())


MESSAGES = st.lists(
    st.tuples(st.integers(0, 3), st.one_of(st.binary(max_size=50), st.integers(0, 40_000))),
    min_size=1,
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(
    MESSAGES,
    st.sampled_from([0, 1, 1000, 65_535, 1 << 20]),
    st.sampled_from([1024, 5000, 60_000]),
    CUTS,
)
def test_library_reads_what_the_server_writes(
    messages: list[tuple[int, int | bytes]], initial_window: int, credit: int, cuts: list[int]
) -> None:
    """Answers of any size, through windows of any size, reach the library's client unharmed."""
    client = library(client=True)
    client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: initial_window})
    server = Connection()
    shake_hands(server, client)
    streams = []
    for _ in range(4):
        stream_id = client.get_next_available_stream_id()
        client.send_headers(stream_id, HEADERS, end_stream=True)
        streams.append(stream_id)
    server.receive(client.data_to_send())
    sent: dict[int, bytes] = defaultdict(bytes)
    for stream_id in streams:
        server.send_headers(stream_id, hpack_encoder.encode([(b":status", b"200")]))
    for which, data in messages:
        body = bytes(data) if isinstance(data, int) else data
        sent[streams[which]] += body
        server.send_data(streams[which], body)
    for stream_id in streams:
        trailer = hpack_encoder.encode([(b"grpc-status", b"0")])
        server.send_headers(stream_id, trailer, end_stream=True)
    got = Digest()
    for _ in range(10_000):
        data = server.data_to_send()
        if not data and got.ended == set(streams):
            break
        for chunk in chunks(data, cuts):
            got.library(client.receive_data(chunk))
        for stream_id in {*streams} - got.ended:
            client.increment_flow_control_window(credit, stream_id)
        client.increment_flow_control_window(credit * 4)
        server.receive(client.data_to_send())
    assert {key: body for key, body in got.bodies.items() if body} == {
        key: body for key, body in sent.items() if body
    }
    assert server.outbox.backlog_bytes == 0
    assert not server.streams
    assert server.idle


@settings(max_examples=150, deadline=None)
@given(MESSAGES, st.sampled_from([0, 1000, 65_535]), CUTS)
def test_library_reads_what_the_client_writes(
    messages: list[tuple[int, int | bytes]], initial_window: int, cuts: list[int]
) -> None:
    server = library(client=False)
    server.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: initial_window})
    client = Connection(client=True)
    shake_hands(client, server)
    block = hpack_encoder.encode([(n.encode(), v.encode()) for n, v in HEADERS])
    streams = [client.open_stream(block, end_stream=False).id for _ in range(4)]
    sent: dict[int, bytes] = defaultdict(bytes)
    for which, data in messages:
        body = bytes(data) if isinstance(data, int) else data
        sent[streams[which]] += body
        client.send_data(streams[which], body)
    for stream_id in streams:
        client.send_data(stream_id, b"", end_stream=True)
    got = Digest()
    for _ in range(2000):
        data = client.data_to_send()
        if not data and got.ended == set(streams):
            break
        for chunk in chunks(data, cuts):
            got.library(server.receive_data(chunk))
        for stream_id in {*streams} - got.ended:
            server.increment_flow_control_window(50_000, stream_id)
        server.increment_flow_control_window(200_000)
        client.receive(server.data_to_send())
    assert got.ended == set(streams)
    assert {key: body for key, body in got.bodies.items() if body} == {
        key: body for key, body in sent.items() if body
    }
    assert all(code == ErrorCode.NO_ERROR for code in got.reset.values())
