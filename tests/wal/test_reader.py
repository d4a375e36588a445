"""The rules by which a crash is told from damage, one by one (see the head of `reader`)."""

from __future__ import annotations

import random
import struct

import pytest

from triode.errors import CorruptData
from triode.raft.wal import RecordType
from triode.raft.wal.reader import SegmentReader, skim
from triode.raft.wal.record import encode_crc_record, encode_record

FILE_BYTES = 20_000
NOISE = random.Random(1).randbytes(4000)


class File:
    """The content of a file with a header and some entries; `starts` are the entries' offsets."""

    def __init__(self, *datas: bytes, size: int = FILE_BYTES) -> None:
        record, crc = encode_record(RecordType.METADATA, b"metadata", 0)
        content = bytearray(encode_crc_record(0) + record)
        self.starts = []
        for data in datas:
            self.starts.append(len(content))
            record, crc = encode_record(RecordType.ENTRY, data, crc)
            content += record
        self.end = len(content)
        self.content = content[:size] + bytes(max(0, size - len(content)))

    def lose_sector(self, number: int) -> File:
        self.content[512 * number : 512 * (number + 1)] = bytes(512)
        return self

    def flip(self, offset: int, bit: int = 0) -> File:
        self.content[offset] ^= 1 << bit
        return self

    def set_length(self, start: int, length: int) -> File:
        padding = -length & 7
        word = length | (0x80 | padding) << 56 if padding else length
        self.content[start : start + 8] = struct.pack("<Q", word)
        return self

    def read(self, *, last: bool = True, crc: int | None = None) -> SegmentReader:
        """The reader, when it has read all."""
        reader = SegmentReader("a file", bytes(self.content), crc, last=last)
        self.count = sum(record.type == RecordType.ENTRY for record in reader)
        return reader


def test_rule_0_zeros_or_the_end_of_the_file_end_the_log() -> None:
    for size in (FILE_BYTES, File(b"a", b"b").end):
        file = File(b"a", b"b", size=size)
        reader = file.read()
        assert (reader.torn, reader.end, file.count) == (None, file.end, 2)


def test_rule_1_only_the_last_file_may_be_torn() -> None:
    file = File(b"a", NOISE, b"c").lose_sector(4)
    assert file.read(last=True).torn
    with pytest.raises(CorruptData, match=r"a file is corrupt at offset \d+"):
        file.read(last=False)
    file = File(b"a", NOISE, size=3000)
    assert file.read(last=True).torn
    with pytest.raises(CorruptData):
        file.read(last=False)


def test_rule_2_a_header_is_never_torn() -> None:
    for size in range(40):
        file = File()
        del file.content[size:]
        with pytest.raises(CorruptData):
            file.read()
    with pytest.raises(CorruptData, match="lost its beginning"):
        File().lose_sector(0).read()
    swapped = File()
    record, _ = encode_record(RecordType.ENTRY, b"entry", 0)
    swapped.content[16 : 16 + len(record)] = record
    with pytest.raises(CorruptData, match="begins with"):
        swapped.read()


def test_rule_3_a_file_that_ends_inside_the_record() -> None:
    whole = File(b"a", NOISE[:300])
    for size in range(whole.starts[1] + 1, whole.end):
        file = File(b"a", NOISE[:300])
        del file.content[size:]
        reader = file.read()
        assert (reader.end, file.count) == (whole.starts[1], 1)
        assert reader.torn is not None
        assert "the file ends inside" in reader.torn


@pytest.mark.parametrize("sector", range(1, 8))
def test_rule_4_a_lost_sector_inside_the_record(sector: int) -> None:
    file = File(NOISE[:10], NOISE, b"c").lose_sector(sector)
    reader = file.read()
    assert (reader.end, file.count) == (file.starts[1], 1)
    assert reader.torn is not None
    assert "a sector was not written" in reader.torn


def test_rule_4_a_lost_sector_that_holds_the_header_of_the_record() -> None:
    first = File(NOISE[:500]).end
    for gap in range(0, 512 - first % 512 + 8, 8):
        # The second record's length word moves up to the end of the first sector, and over it.
        file = File(NOISE[: 500 - 48 - 24 + gap], NOISE[:700])
        sector = file.starts[1] // 512 + 1
        reader = file.lose_sector(sector).read()
        assert (reader.end, file.count) == (file.starts[1], 1)
        assert reader.torn


def test_rule_4_zeros_in_a_sector_that_was_written_are_no_lost_sector() -> None:
    """etcd takes this flipped bit for a torn write, because the data of the record is zero."""
    file = File(bytes(200), NOISE[:100])
    with pytest.raises(CorruptData, match="checksum"):
        file.flip(file.starts[0] + 60).read()


def test_rule_5_a_zero_length_word_ends_the_log_only_with_its_sector() -> None:
    file = File(NOISE[:100], NOISE[:100])
    file.content[file.starts[1] : file.starts[1] + 8] = bytes(8)
    with pytest.raises(CorruptData, match="a length word was zeroed"):
        file.read()
    # The whole sector, and more of the same write after it.
    file = File(NOISE[: 512 - 48 - 24], NOISE[:100], NOISE[:3000])
    assert file.starts[1] == 512
    reader = file.lose_sector(1).read()
    assert (reader.torn, reader.end, file.count) == (None, 512, 1)


def test_rule_6_a_flipped_length_is_damage_even_if_it_leads_into_zeros() -> None:
    """etcd cuts the record off, although it was promised to be durable."""
    for length in (16, 100, 1000, 4096, FILE_BYTES, 1 << 40):
        file = File(b"a", NOISE[:300])
        with pytest.raises(CorruptData):
            file.set_length(file.starts[1], length).read()


def test_rule_6_a_flipped_bit_is_damage() -> None:
    whole = File(b"a", NOISE[:300], b"c")
    for offset in range(whole.starts[1], whole.end - 8):
        file = File(b"a", NOISE[:300], b"c").flip(offset, offset % 8)
        try:
            file.read()
        except CorruptData:
            continue
        # The checksum does not cover types, which `replay` looks at, and padding means nothing.
        kind, padding = whole.starts[1] + 9, (whole.starts[2] - 7, whole.starts[2])
        assert offset - 9 in whole.starts or padding[0] <= offset < padding[1], (offset, kind)


def test_the_chain_goes_from_file_to_file() -> None:
    first = File(b"a").read()
    assert first.crc is not None
    assert first.crc != 0
    second = File(b"b")
    with pytest.raises(CorruptData, match="does not continue the file before"):
        second.read(crc=first.crc)
    record = encode_crc_record(first.crc)
    metadata, _ = encode_record(RecordType.METADATA, b"metadata", first.crc)
    second.content = bytearray(record + metadata)
    assert second.read(crc=first.crc).torn is None


def test_skimming_finds_states_and_snapshots_and_stops_at_damage() -> None:
    content, crc = encode_crc_record(0), 0
    written = [
        (RecordType.METADATA, b"metadata"),
        (RecordType.STATE, b"state 1"),
        (RecordType.ENTRY, NOISE[:100]),
        (RecordType.SNAPSHOT, b"snapshot"),
        (RecordType.ENTRY, NOISE[:200]),
        (RecordType.STATE, b"state 2"),
    ]
    for kind, data in written:
        record, crc = encode_record(kind, data, crc)
        content += record
    wanted = [(kind, data) for kind, data in written if kind in {3, 5}]
    assert list(skim(content)) == list(skim(content + bytes(100))) == wanted
    for size in range(len(content)):
        found = list(skim(content[:size]))
        assert found == wanted[: len(found)]
    at = content.index(b"snapshot")
    assert list(skim(content[:at] + b"S" + content[at + 1 :])) == wanted[:1]
