"""Records must be possible where they stand, as the checksum does not cover their types."""

from __future__ import annotations

from pathlib import Path

import pytest

from triode.errors import CorruptData
from triode.raft.codec import encode_entry, encode_hard_state
from triode.raft.types import ConfState, Entry, HardState
from triode.raft.wal import RecordType, WalSnapshot
from triode.raft.wal.reader import SegmentReader
from triode.raft.wal.record import encode_crc_record, encode_record
from triode.raft.wal.replay import Contents, Replay

Given = Entry | HardState | WalSnapshot | tuple[int, bytes]
METADATA = b"\x08\x01\x10\x02"
VOTERS = ConfState(voters=(1,))


def _replay(*records: Given, snapshot: WalSnapshot = WalSnapshot()) -> Contents:
    content, crc = encode_crc_record(0), 0
    for given in ((1, METADATA), WalSnapshot(), *records):
        kind, data = _encoded(given)
        record, crc = encode_record(kind, data, crc)
        content += record
    replay = Replay(snapshot)
    replay.feed(SegmentReader("a file", content, None, last=True))
    return replay.finish(Path("/data/wal"))


def _encoded(given: Given) -> tuple[RecordType, bytes]:
    if isinstance(given, Entry):
        return RecordType.ENTRY, encode_entry(given)
    if isinstance(given, HardState):
        return RecordType.STATE, encode_hard_state(given)
    if isinstance(given, WalSnapshot):
        return RecordType.SNAPSHOT, given.encode()
    return RecordType(given[0]), given[1]


def test_a_possible_log() -> None:
    records: tuple[Given, ...] = (
        Entry(1, 1, data=b"a"),
        Entry(1, 2, data=b"b"),
        HardState(1, 1, 1),
        Entry(3, 2, data=b"c"),
        Entry(3, 3, data=b"d"),
        HardState(3, 0, 1),
        Entry(3, 3, data=b"d"),  # the same once more
        HardState(3, 0, 3),
    )
    metadata, hard_state, entries = _replay(*records)
    assert metadata == METADATA
    assert hard_state == HardState(3, 0, 3)
    assert entries == [records[0], records[3], records[4]]


def test_a_snapshot_after_entries_that_were_replaced() -> None:
    """Entry 3 was uncommitted when a new leader replaced entry 2, which the snapshot covers."""
    snapshot = WalSnapshot(2, 4, VOTERS)
    records: tuple[Given, ...] = (
        *(Entry(1, index) for index in (1, 2, 3)),
        HardState(1, 1, 1),
        Entry(4, 2),
        HardState(4, 1, 2),
        snapshot,
    )
    assert _replay(*records).entries == [Entry(1, 1), Entry(4, 2)]
    assert _replay(*records, snapshot=snapshot).entries == []
    assert _replay(*records, Entry(4, 3), snapshot=snapshot).entries == [Entry(4, 3)]


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([Entry(1, 1), Entry(1, 3)], "entry 3 follows entry 1"),
        ([Entry(2, 1), Entry(1, 2)], "entry 2 of term 1 follows one of term 2"),
        ([Entry(0, 1)], "entry 1 of term 0"),
        ([Entry(1, 1), HardState(1, 1, 1), Entry(2, 1)], "entry 1 differs"),
        ([Entry(1, 1, data=b"a"), Entry(1, 1, data=b"b")], "entry 1 differs"),
        ([HardState(2, 1, 0), HardState(1, 1, 0)], "the hard state goes back"),
        ([Entry(1, 1), HardState(1, 1, 1), HardState(1, 1, 0)], "the hard state goes back"),
        ([Entry(2, 1), HardState(1, 1, 0)], "term 1 is older than the last entry's"),
        ([(RecordType.STATE, encode_entry(Entry(1, 1, data=b"a")))], "fields of something else"),
        ([(RecordType.STATE, b"\xff")], "a file is corrupt at offset 64: bad varint"),
        ([(RecordType.ENTRY, b"\x08\x09\x10\x01")], "entry type 9"),
        ([(RecordType.METADATA, b"other")], "another member"),
        ([WalSnapshot(0, 1)], "is of term 1, not 0"),
        ([Entry(1, 1), HardState(1, 1, 3)], "lacks the entries from 2 to the commit index 3"),
    ],
)
def test_an_impossible_log(records: list[Given], reason: str) -> None:
    with pytest.raises(CorruptData, match=reason):
        _replay(*records)


def test_the_snapshot_to_read_from_must_be_there() -> None:
    with pytest.raises(CorruptData, match="lacks the record of the snapshot at index 5"):
        _replay(Entry(1, 1), snapshot=WalSnapshot(5, 1, VOTERS))
