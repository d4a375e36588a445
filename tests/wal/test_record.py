from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triode.raft.codec import encode_entry, encode_hard_state
from triode.raft.types import ConfState, Entry, EntryType, HardState
from triode.raft.wal import Metadata, RecordType, WalSnapshot
from triode.raft.wal.reader import SegmentReader
from triode.raft.wal.record import (
    append_entries,
    append_state,
    encode_crc_record,
    encode_record,
    parse_header,
)

# The first three records of a log that etcd 3.5.1 made.
ETCD_HEAD = bytes.fromhex(
    "0400000000000084 0804100000000000"
    "1d00000000000083 080110b7ba271a15 08cca789fdb0dfb5 e4ff011084b3d5ac b7f1e6bc70000000"
    "0e00000000000082 080510a2bbfcb901 1a04080010000000"
)
MEMBER, CLUSTER = 0xFFC8D6FB0FA253CC, 0x70799B8B75955984
# etcd's example of a record in its tests: this metadata has this checksum.
EXAMPLE, EXAMPLE_CRC = b"\x08\xef\xfd\x02", 0x3A191A99


def test_records_without_and_with_padding() -> None:
    assert encode_crc_record(0) == bytes.fromhex("0400000000000084 08041000 00000000")
    record, crc = encode_record(RecordType.METADATA, EXAMPLE, 0)
    assert crc == EXAMPLE_CRC
    assert record == bytes.fromhex("0e00000000000082 08011099b5e4d0031a0408effd020000")
    # A payload of 16 bytes has no padding.
    record, _ = encode_record(RecordType.METADATA, EXAMPLE + b"ab", 0)
    assert record[:8] == bytes([16, 0, 0, 0, 0, 0, 0, 0])
    assert len(record) == 24


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 100, 127, 128, 300, 8191, 8192, 8193, 20_000]),
            st.sampled_from(list(EntryType)),
        ),
        max_size=40,
    ),
    st.integers(1, (1 << 64) - 100),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, (1 << 32) - 1),
)
def test_many_entries_are_encoded_as_one_by_one(
    shapes: list[tuple[int, EntryType]], first: int, term: int, crc: int
) -> None:
    entries = [
        Entry(term, first + k, kind, bytes([k]) * length) for k, (length, kind) in enumerate(shapes)
    ]
    parts: list[bytes] = []
    after = append_entries(parts, entries, crc)
    one_by_one = b""
    for entry in entries:
        record, crc = encode_record(RecordType.ENTRY, encode_entry(entry), crc)
        one_by_one += record
    assert b"".join(parts) == one_by_one
    assert after == crc


@given(
    st.integers(0, (1 << 64) - 1),
    st.integers(0, (1 << 64) - 1),
    st.one_of(st.integers(0, 1 << 15), st.integers(0, (1 << 64) - 1)),
    st.integers(0, (1 << 32) - 1),
)
def test_a_hard_state_is_encoded_as_the_codec_does(
    term: int, vote: int, commit: int, crc: int
) -> None:
    state = HardState(term, vote, commit)
    parts: list[bytes] = []
    after = append_state(parts, state, crc)
    assert (parts[0], after) == encode_record(RecordType.STATE, encode_hard_state(state), crc)


@given(st.lists(st.binary(max_size=600), max_size=10), st.integers(0, (1 << 32) - 1))
def test_what_is_encoded_is_read(datas: list[bytes], start: int) -> None:
    crc = start
    content = encode_crc_record(crc)
    for data in (b"metadata", *datas):
        kind = RecordType.METADATA if data == b"metadata" else RecordType.ENTRY
        record, crc = encode_record(kind, data, crc)
        content += record
    reader = SegmentReader("file", content + bytes(64), start, last=True)
    assert [record.data for record in reader] == [b"", b"metadata", *datas]
    assert (reader.end, reader.crc, reader.torn) == (len(content), crc, None)


def test_a_header_must_fill_its_payload() -> None:
    payload = bytes.fromhex("08011099b5e4d0031a0408effd02")
    assert parse_header(payload, 0, len(payload)) == (RecordType.METADATA, EXAMPLE_CRC, 10)
    for length in range(len(payload)):
        # After 8 bytes stands what could be a record without data.
        assert (parse_header(payload, 0, length) is None) == (length != 8)
    assert parse_header(payload + b"\0", 0, len(payload) + 1) is None


def test_metadata_and_snapshot_bytes() -> None:
    metadata = Metadata(MEMBER, CLUSTER)
    assert Metadata.decode(metadata.encode()) == metadata
    assert WalSnapshot().encode() == b"\x08\0\x10\0"
    snapshot = WalSnapshot(300, 2, ConfState(voters=(1, 2), learners=(3,)))
    assert snapshot.encode() == bytes.fromhex("08ac02 1002 1a08 0801 0802 1003 2800")
    assert WalSnapshot.decode(snapshot.encode()) == snapshot
    with pytest.raises(ValueError):
        WalSnapshot.decode(b"\x18\x01")
    with pytest.raises(ValueError):
        Metadata.decode(b"\x0a\x01a")


def test_the_head_of_etcds_log() -> None:
    reader = SegmentReader("file", ETCD_HEAD, None, last=True)
    crc, metadata, snapshot = reader
    assert (crc.type, crc.crc, crc.data) == (RecordType.CRC, 0, b"")
    assert Metadata.decode(metadata.data) == Metadata(MEMBER, CLUSTER)
    assert WalSnapshot.decode(snapshot.data) == WalSnapshot()
    record, value = encode_record(RecordType.METADATA, metadata.data, 0)
    again, _ = encode_record(RecordType.SNAPSHOT, WalSnapshot().encode(), value)
    assert encode_crc_record(0) + record + again == ETCD_HEAD
