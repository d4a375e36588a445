"""HPACK against the RFC's own examples and against the `hpack` library."""

from __future__ import annotations

import hpack
import pytest
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.table import HeaderTable
from hypothesis import given, settings
from hypothesis import strategies as st

from triode.rpc.h2 import hpack_encoder, huffman
from triode.rpc.h2.errors import ConnectionFault, ErrorCode
from triode.rpc.h2.hpack_decoder import HpackDecoder, list_size
from triode.rpc.h2.hpack_tables import HUFFMAN, STATIC

NAMES = st.sampled_from(
    [b"te", b"grpc-timeout", b":path", b"content-type", b"x", b"a-bin", b"n" * 90]
)
VALUES = st.one_of(
    st.sampled_from([b"trailers", b"4999978u", b"application/grpc", b"", b"/etcdserverpb.KV/Put"]),
    st.binary(max_size=300),
)
LISTS = st.lists(st.tuples(NAMES, VALUES), max_size=20)


def test_tables_are_the_rfcs() -> None:
    assert STATIC[1:] == HeaderTable.STATIC_TABLE
    assert list(zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True)) == HUFFMAN


def test_rfc_7541_c4_requests_with_huffman() -> None:
    decoder = HpackDecoder()
    blocks = [
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ]
    first, second, third = [decoder.decode(bytes.fromhex(block)) for block in blocks]
    assert first == (
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":path", b"/"),
        (b":authority", b"www.example.com"),
    )
    assert second == (*first, (b"cache-control", b"no-cache"))
    assert third[-1] == (b"custom-key", b"custom-value")
    assert third[3] == (b":authority", b"www.example.com")


def test_rfc_7541_c6_responses_with_eviction() -> None:
    decoder = HpackDecoder(256)
    blocks = [
        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
        "4883640effc1c0bf",
        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    ]
    lists = [decoder.decode(bytes.fromhex(block)) for block in blocks]
    assert [fields[0][1] for fields in lists] == [b"302", b"307", b"200"]
    assert lists[2][1:] == (
        (b"cache-control", b"private"),
        (b"date", b"Mon, 21 Oct 2013 20:13:22 GMT"),
        (b"location", b"https://www.example.com"),
        (b"content-encoding", b"gzip"),
        (b"set-cookie", b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
    )


@given(st.binary(max_size=200))
def test_huffman_round_trip(data: bytes) -> None:
    assert huffman.decode(huffman.encode(data)) == data


@settings(deadline=None)
@given(st.lists(LISTS, min_size=1, max_size=12), st.sampled_from([0, 64, 200, 4096]))
def test_decoder_agrees_with_the_library_encoder(
    lists: list[list[tuple[bytes, bytes]]], table_bytes: int
) -> None:
    """Many blocks in a row, so that both dynamic tables live, with changes of the table's size."""
    encoder = hpack.Encoder()
    decoder = HpackDecoder()
    for at, fields in enumerate(lists):
        if at == 2:
            encoder.header_table_size = table_bytes
        block = encoder.encode(fields, huffman=at % 3 != 0)
        assert decoder.decode(block) == tuple(fields)


@given(st.lists(LISTS, min_size=1, max_size=5))
def test_library_decodes_our_blocks(lists: list[list[tuple[bytes, bytes]]]) -> None:
    decoder = hpack.Decoder(max_header_list_size=1 << 20)
    for fields in lists:
        assert decoder.decode(hpack_encoder.encode(fields), raw=True) == fields
    assert decoder.header_table.dynamic_entries == type(decoder.header_table.dynamic_entries)()


@given(st.lists(st.binary(max_size=40), max_size=30))
def test_arbitrary_blocks_decode_as_in_the_library_or_fail_in_both(blocks: list[bytes]) -> None:
    ours, theirs = HpackDecoder(), hpack.Decoder(max_header_list_size=1 << 30)
    theirs.max_allowed_table_size = 4096
    for block in blocks:
        try:
            expected = tuple(map(tuple, theirs.decode(block, raw=True)))
        except (hpack.HPACKError, UnicodeDecodeError):
            expected = None
        if expected is None:
            with pytest.raises(ConnectionFault) as caught:
                ours.decode(block)
            assert caught.value.code is ErrorCode.COMPRESSION_ERROR
            return
        assert ours.decode(block) == expected


@pytest.mark.parametrize(
    "block",
    [
        "80",  # index 0
        "be",  # the table is empty
        "ff8001",  # far beyond
        "ffffffffffff7f",  # an integer of too many bytes
        "4005",  # cut name
        "00017a",  # no value
        "823f00",  # size update behind a field
        "3fe2ff01",  # above the announced maximum
        "00016184ffffffff",  # EOS
        "00016181fe",  # padding that is not ones
        "00016182ffff",  # padding of more than seven bits
    ],
)
def test_wrong_blocks_are_compression_errors(block: str) -> None:
    with pytest.raises(ConnectionFault) as caught:
        HpackDecoder().decode(bytes.fromhex(block))
    assert caught.value.code is ErrorCode.COMPRESSION_ERROR


def test_a_lowered_maximum_must_be_followed_by_an_update() -> None:
    decoder = HpackDecoder(4096)
    decoder.decode(hpack.Encoder().encode([(b"a", b"b")]))
    decoder.limit(100)
    with pytest.raises(ConnectionFault):
        decoder.decode(b"\x82")
    assert decoder.decode(b"\x3f\x45\x82") == ((b":method", b"GET"),)


def test_the_table_never_exceeds_its_size() -> None:
    decoder = HpackDecoder(200)
    encoder = hpack.Encoder()
    encoder.header_table_size = 200
    for at in range(500):
        decoder.decode(encoder.encode([(b"grpc-timeout", b"%d" % at)]))
        assert list_size(decoder._table) == decoder._used <= 200
    decoder.decode(b"\x40\x01n\x7f\xcd\x02" + b"v" * 460)  # larger than the table: empties it
    assert decoder._table == []


def test_entries_that_fill_the_table_exactly_all_stay() -> None:
    decoder = HpackDecoder(100)
    insert = b"\x40\x08abcdefgh\x0a0123456789"  # 8 + 10 + 32 bytes
    decoder.decode(insert + insert)
    field = (b"abcdefgh", b"0123456789")
    assert decoder.decode(b"\xbe\xbf") == (field, field)


def test_generation_moves_exactly_with_the_table() -> None:
    decoder = HpackDecoder()
    encoder = hpack.Encoder()
    assert decoder.generation == 0
    decoder.decode(hpack_encoder.encode([(b"a", b"b"), (b":method", b"GET")]))
    assert decoder.generation == 0
    block = encoder.encode([(b"a", b"b")])
    decoder.decode(block)
    assert decoder.generation == 1
    decoder.decode(encoder.encode([(b"a", b"b")]))
    assert decoder.generation == 1
    decoder.decode(b"\x20")
    assert decoder.generation == 2
