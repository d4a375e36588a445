"""Whatever arrives: `receive` never raises, and what a peer makes us hold stays bounded."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triode.rpc.h2 import PREFACE, Connection, Limits, hpack_encoder
from triode.rpc.h2.events import DataReceived, HeadersReceived, RequestReceived
from triode.rpc.h2.fields import PlainHead, parse_plain
from triode.rpc.h2.frames import pack_head
from triode.rpc.h2.hpack_tables import Field

REQUEST = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/a.B/C"),
    (b":authority", b"here"),
)
BLOCKS = [
    hpack_encoder.encode(REQUEST),
    hpack_encoder.encode([(b":status", b"200")]),
    hpack_encoder.encode([(b"grpc-status", b"0")]),
    b"\x83\x86\x84\x40\x04name\x05value",
    b"\x83\x86\x84\xbe",
    b"\x3f\xe1\x1f\x83\x86\x84",
    b"\x20",
]
LIMITS = Limits(
    concurrent_streams_max=50,
    header_list_bytes_max=2000,
    stream_window_bytes=70_000,
    connection_window_bytes=100_000,
    body_bytes_max=5000,
    collected_bytes_max=20_000,
    backlog_bytes_max=100_000,
    replies_bytes_max=5000,
    nuisance_burst=200,
)

FRAMES = st.builds(
    lambda kind, flags, stream_id, payload: (
        pack_head(len(payload) << 8 | kind, flags, stream_id) + payload
    ),
    st.one_of(st.integers(0, 9), st.integers(0, 255)),
    st.one_of(st.sampled_from([0, 1, 4, 5, 8, 13, 32, 37]), st.integers(0, 255)),
    st.one_of(st.integers(0, 8), st.integers(0, 2**32 - 1)),
    st.one_of(
        st.sampled_from([*BLOCKS, bytes(4), bytes(8), b"\x00\x00\x10\x00", b""]),
        st.binary(max_size=60),
    ),
)
CHAOS = st.lists(st.one_of(FRAMES, st.binary(max_size=30)), max_size=40)


def parse_whole(fields: tuple[Field, ...]) -> PlainHead:
    head = parse_plain(fields, request=True)
    head.whole = True
    return head


def check_bounds(conn: Connection) -> None:
    assert len(conn.streams) <= LIMITS.concurrent_streams_max + 3
    assert len(conn._tail) <= LIMITS.frame_bytes_max + 9
    assert conn.block is None or conn.block.size <= LIMITS.header_list_bytes_max + 16384
    assert conn.bodies.collected_bytes <= LIMITS.collected_bytes_max
    assert conn.bodies.collected_bytes == sum(
        sum(map(len, stream.body or ())) for stream in conn.streams.values()
    )
    assert conn.replies_bytes <= LIMITS.replies_bytes_max + 100
    waiting = sum(stream.queued_bytes for stream in conn.streams.values())
    assert conn.outbox.backlog_bytes == waiting
    assert len(conn.memo) <= LIMITS.memo_blocks_max
    assert len(conn.decoder._table) <= 128
    for stream in conn.streams.values():
        assert not (stream.local_closed and stream.remote_closed)
        assert stream.recv_window >= 0


def converse(conn: Connection, pieces: list[bytes]) -> None:
    """Feed a connection, and answer like a server that echoes."""
    for piece in pieces:
        for event in conn.receive(piece):
            if isinstance(event, HeadersReceived | RequestReceived) and not conn.client:
                conn.send_headers(event.stream_id, BLOCKS[1])
            if isinstance(event, DataReceived) and not conn.client:
                conn.send_data(event.stream_id, event.data, end_stream=event.end_stream)
            if isinstance(event, RequestReceived):
                conn.send_data(event.stream_id, event.body, end_stream=True)
        check_bounds(conn)
        if conn.closed:
            return


def make(role: str) -> Connection:
    if role == "client":
        conn = Connection(client=True, limits=LIMITS)
        for _ in range(3):
            conn.open_stream(BLOCKS[0], end_stream=False)
    else:
        conn = Connection(limits=LIMITS, parse_head=parse_whole if role == "whole" else None)
        conn.receive(PREFACE)
    conn.receive(bytes.fromhex("000000040000000000"))
    conn.data_to_send()
    return conn


@pytest.mark.parametrize("role", ["server", "whole", "client"])
@given(chaos=CHAOS, cut=st.integers(1, 200))
@settings(max_examples=200, deadline=None)
def test_chaos(role: str, chaos: list[bytes], cut: int) -> None:
    data = b"".join(chaos)
    converse(make(role), [data[at : at + cut] for at in range(0, len(data), cut)])


def conversation(rng: random.Random) -> bytes:
    """A valid stretch of a client's traffic."""
    out = b""
    for stream_id in range(1, 2 * rng.randint(2, 12), 2):
        block = rng.choice([BLOCKS[0], BLOCKS[0], BLOCKS[3]])
        out += pack_head(len(block) << 8 | 1, 4, stream_id) + block
        for last in (0, 1):
            body = rng.randbytes(rng.choice([0, 5, 300, 3000]))
            out += pack_head(len(body) << 8, last, stream_id) + body
        if rng.random() < 0.3:
            out += pack_head(4 << 8 | 8, 0, stream_id) + rng.randbytes(4)
        if rng.random() < 0.2:
            out += pack_head(8 << 8 | 6, 0, 0) + bytes(8)
    return out


def mutate(rng: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(out))
        kind = rng.randrange(4)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del out[at : at + rng.randint(1, 20)]
        elif kind == 2:
            out[at:at] = rng.randbytes(rng.randint(1, 20))
        else:
            out[at:at] = out[at : at + rng.randint(1, 60)]
        if not out:
            return b"\0"
    return bytes(out)


def run_mutations(seeds: range) -> None:
    for seed in seeds:
        rng = random.Random(seed)
        data = mutate(rng, conversation(rng))
        cut = rng.choice([1, 7, 100, 5000])
        pieces = [data[at : at + cut] for at in range(0, len(data), cut)]
        try:
            converse(make(rng.choice(["server", "whole", "client"])), pieces)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise


def test_mutated_conversations() -> None:
    run_mutations(range(400))


@pytest.mark.long
@pytest.mark.timeout(600)
def test_many_mutated_conversations() -> None:
    run_mutations(range(1000, 9000))


def test_memory_does_not_grow_with_the_connection(wire: Any) -> None:
    """A connection of many calls, resets and insertions holds no more than a young one."""
    conn = make("whole")

    def work(start: int) -> None:
        for at in range(start, start + 4000, 2):
            block = BLOCKS[0] + b"\x40\x01x\x04%04d" % (at % 9999)
            converse(conn, [wire.frame(1, 4, at, block), wire.frame(0, at % 3 > 0, at, b"12345")])
            if not at % 3:
                conn.reset(at)
            conn.data_to_send()

    work(1)
    before = len(conn.streams), len(conn.memo), len(conn.resets._ids), len(conn.decoder._table)
    work(4001)
    after = len(conn.streams), len(conn.memo), len(conn.resets._ids), len(conn.decoder._table)
    assert not conn.closed
    assert before[0] == after[0] == 0
    assert after[1] <= LIMITS.memo_blocks_max
    assert after[2] <= 1024
    assert abs(after[3] - before[3]) <= 2
