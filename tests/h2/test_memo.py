"""The memo of header blocks is right only as long as the dynamic table is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hpack
from hypothesis import given, settings
from hypothesis import strategies as st

from triode.rpc.h2 import PREFACE, Connection
from triode.rpc.h2.events import HeadersReceived
from triode.rpc.h2.fields import parse_plain

TIMEOUTS = st.lists(
    st.sampled_from([b"", b"1S", b"2S", b"3S", b"123456u"]), min_size=1, max_size=60
)


def request(timeout: bytes) -> list[tuple[bytes, bytes]]:
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/a.B/C"),
        (b"user-agent", b"grpc-go/1.41.0"),
    ]
    return [*fields, (b"grpc-timeout", timeout)] if timeout else fields


def test_the_same_block_means_something_else_after_an_insertion(
    wire: Any, make_server: Callable[..., Connection]
) -> None:
    """Index 62 is the newest entry: the block b'...be' must not be served from the memo."""
    server: Connection = make_server()
    constant = bytes.fromhex("838684") + b"\xbe"
    heads = []
    for at, value in enumerate((b"first", b"second")):
        insert = wire.block + b"\x40\x01x" + bytes((len(value),)) + value
        stream_id = 1 + 8 * at
        data = wire.frame(1, 5, stream_id, insert)
        data += wire.frame(1, 5, stream_id + 2, constant) + wire.frame(
            1, 5, stream_id + 4, constant
        )
        heads += [e.head for e in server.receive(data) if isinstance(e, HeadersReceived)]
    assert [dict(head.fields)[b"x"] for head in heads] == [b"first"] * 3 + [b"second"] * 3
    assert heads[1] is heads[2], "the repeated block is remembered"


@settings(deadline=None)
@given(TIMEOUTS, st.sampled_from([4096, 150]))
def test_any_mixture_decodes_as_without_a_memo(timeouts: list[bytes], table_bytes: int) -> None:
    """An encoder like Go's: a varying timeout moves all indices and evicts; sometimes none is sent."""
    server = Connection()
    server.receive(PREFACE + bytes.fromhex("000000040000000000"))
    encoder = hpack.Encoder()
    encoder.header_table_size = table_bytes
    for at, timeout in enumerate(timeouts):
        block = encoder.encode(request(timeout))
        stream_id = 2 * at + 1
        frame = len(block).to_bytes(3, "big") + b"\x01\x05" + stream_id.to_bytes(4, "big") + block
        (event,) = server.receive(frame)
        expected = parse_plain(tuple(request(timeout)), request=True)
        assert event == HeadersReceived(stream_id, expected, end_stream=True)


def test_the_memo_is_bounded(wire: Any, make_server: Callable[..., Connection]) -> None:
    server: Connection = make_server(memo_blocks_max=4)
    for at in range(50):
        block = wire.block + b"\x00\x01x\x02%02d" % at
        server.receive(wire.frame(1, 5, 2 * at + 1, block))
        assert len(server.memo) <= 4
    server.receive(wire.frame(1, 5, 201, wire.block + b"\x00\x01x\x7f\xfe\x20" + b"y" * 4221))
    assert max(map(len, server.memo)) < 2048
