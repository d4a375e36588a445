"""Reading the records of one segment, and telling a crash from damage.

A crash may leave the end of the last file *torn*. What was written since the last fdatasync is then
there in part: each 512-byte sector holds what was written, or still zeros, as the file was
preallocated; or the file ends too early, if it was not. Nothing in that part was promised to anybody,
so it is cut off. Everything else that does not read as it was written is *damage*: reading on could
make replicas differ, so it raises CorruptData. The rules, for a record that does not read:

1. not in the last file: damage. A file is made durable before the next one is begun.
2. in the header of a file (its crc and metadata records): damage, as they precede its name.
3. the file ends inside the record: torn.
4. a whole sector of zeros begins inside the record: torn, it was not written.
5. a length word is zero, and so is the rest of its sector: the end of the log. (What comes later in the
   file was torn too, and is zeroed before anything is appended.)
6. all else is damage.

They are etcd's rules made stricter: etcd also takes for torn a record whose length alone is broken,
and data that ends in zeros within a sector that was written, and it takes a zero length
word for the end of the log whatever follows it.

No reader can tell a flipped bit in a record from a lost sector if the record rightly holds a
sector of zeros. It is then cut off with all that follows, and kept in the `.broken` copy.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from google_crc32c import extend

from ...errors import CorruptData
from ..disk import SECTOR_BYTES
from .record import FRAME_BYTES, HEADER_BYTES_MAX, LENGTH_MASK, RecordType, parse_header
from .segment import ADVICE

__all__ = ["Record", "SegmentReader", "skim"]

_WORD = struct.Struct("<Q")
_ZEROS = bytes(SECTOR_BYTES)
_HEADER = (RecordType.CRC, RecordType.METADATA)


class Record(NamedTuple):
    """A record as it lies in a file; `offset` is that of its length word."""

    type: int
    data: bytes
    crc: int
    offset: int


class SegmentReader:
    """Iterates over the records of one file, and knows afterwards where and why they ended.

    `crc` is the chain's value before the file, None for the first one that is read.
    """

    def __init__(self, name: str, content: bytes, crc: int | None, *, last: bool) -> None:
        self.name = name
        self.content = content
        self.crc = crc
        self.last = last
        self.end = 0
        """The offset after the last valid record."""
        self.torn: str | None = None
        """Why the record at `end` is torn; None if the log ends there as it should."""

    def __iter__(self) -> Iterator[Record]:
        content, size, at = self.content, len(self.content), 0
        unpack, crc_type = _WORD.unpack_from, int(RecordType.CRC)
        count = 0
        while at < size:
            if at + FRAME_BYTES > size:
                if not any(content[at:]):
                    break
                self._broken(at, size, "the file ends inside a length word")
                break
            word = unpack(content, at)[0]
            if word == 0:
                self._check_end(at)
                break
            start = at + FRAME_BYTES
            stop = start + (word & LENGTH_MASK)
            padding = -stop & 7
            if word >> 56 != (0x80 | padding if padding else 0):
                self.fail(at, "the length word is not one")
            header = parse_header(content, start, stop)
            if header is None or stop + padding > size:
                self._broken(at, stop, "this is not a record")
                break
            kind, stored, data_at = header
            data = content[data_at:stop]
            crc = self._chained(at, stored) if kind == crc_type else extend(self._crc(), data)
            if crc != stored:
                self._broken(at, stop, "the checksum is wrong")
                break
            if count < len(_HEADER) and kind != _HEADER[count]:
                self.fail(at, f"a file begins with a crc and a metadata record, not type {kind}")
            self.crc = crc
            record = Record(kind, data, crc, at)
            at = self.end = stop + padding
            count += 1
            yield record
        if count < len(_HEADER):
            self.fail(self.end, "the file has lost its beginning")

    def _crc(self) -> int:
        if self.crc is None:
            self.fail(0, "the file does not begin with a crc record")
        return self.crc

    def _chained(self, at: int, stored: int) -> int:
        """What a crc record must say: the chain's value so far, anything in the first file read."""
        if at != 0:
            self.fail(at, "a crc record stands in the middle of the file")
        if self.crc is not None and self.crc != stored:
            self.fail(at, "it does not continue the file before it, which lost records or its end")
        return stored

    def _check_end(self, at: int) -> None:
        """A zero length word ends the log if its sector was not written after it (rule 5)."""
        rest = self.content[at : at - at % SECTOR_BYTES + SECTOR_BYTES]
        if rest.count(0) != len(rest):
            self.fail(at, "a length word was zeroed")

    def _broken(self, at: int, stop: int, reason: str) -> None:
        """Decide what the record at `at`, which claims to end at `stop`, is; returns if it is torn."""
        if not self.last:
            self.fail(at, reason)
        size, start = len(self.content), at + FRAME_BYTES
        if self._lost_sector(at, min(start + HEADER_BYTES_MAX, stop)):
            self.torn = f"{reason} (a sector was not written)"
            return
        if start + HEADER_BYTES_MAX <= size and parse_header(self.content, start, stop) is None:
            # Nothing of its beginning was lost, so its lengths should agree; do not trust `stop`.
            self.fail(at, reason)
        if stop + (-stop & 7) > size:
            self.torn = "the file ends inside a record"
        elif self._lost_sector(at, stop):
            self.torn = f"{reason} (a sector was not written)"
        else:
            self.fail(at, reason)

    def _lost_sector(self, at: int, stop: int) -> bool:
        """Whether a sector that begins after `at` and before `stop` is all zeros."""
        content = self.content
        for sector in range(
            at - at % SECTOR_BYTES + SECTOR_BYTES, min(stop, len(content)), SECTOR_BYTES
        ):
            if _ZEROS.startswith(content[sector : sector + SECTOR_BYTES]):
                return True
        return False

    def fail(self, at: int, reason: str) -> NoReturn:
        """Report damage at an offset of this file."""
        raise CorruptData(f"{self.name} is corrupt at offset {at}: {reason}; {ADVICE}")


def skim(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, data) of the state and snapshot records, checking only these; never raises.

    Entries are stepped over, which is several times faster than reading them. A CRC is checked from
    the one in the record before. It ends at the first thing that cannot be a record.
    """
    at, before, size = 0, -1, len(content)
    unpack = _WORD.unpack_from
    wanted = (RecordType.STATE, RecordType.SNAPSHOT)
    while at + FRAME_BYTES + 3 < size:
        length = unpack(content, at)[0] & LENGTH_MASK
        start = at + FRAME_BYTES
        stop = start + length
        if length == 0 or stop > size:
            return
        if content[start + 1] in wanted and before >= 0:
            header = parse_header(content, start, stop)
            if header is None:
                return
            previous = parse_header(
                content,
                before + FRAME_BYTES,
                before + FRAME_BYTES + (unpack(content, before)[0] & LENGTH_MASK),
            )
            data = content[header[2] : stop]
            if previous is None or extend(previous[1], data) != header[1]:
                return
            yield header[0], data
        before, at = at, stop + (-stop & 7)
