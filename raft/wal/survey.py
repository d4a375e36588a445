"""All that is wrong with a log: reading on where `verify` stops, and changing nothing.

A file that cannot be read to its end is a finding, and the next file is read all the same: it begins with the value
that the chain of checksums should have reached, and goes on from what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import attrs

from ...errors import CorruptData, StorageError
from ..disk import Disk
from .reader import Record, SegmentReader
from .record import RecordType
from .replay import Replay, Tail, read_newest
from .segment import Segment, list_segments

__all__ = ["FileSurvey", "Survey", "survey"]

_KNOWN = frozenset(map(int, RecordType))


@attrs.define
class FileSurvey:
    """What is in one file: its size, how many records could be read, and up to where."""

    segment: Segment
    bytes: int
    records: int = 0
    end: int = 0


@attrs.define
class Survey:
    """What is in a log.

    Attributes:
        files: oldest first.
        problems: what no crash explains; each names a file and an offset where it can.
        torn: why the last record does not count, if a crash tore it: opening the log will cut it off.
        replay: what a start would read; None if it would refuse.
        tail: where that ended.
    """

    files: list[FileSurvey] = attrs.field(factory=list)
    problems: list[str] = attrs.field(factory=list)
    torn: str | None = None
    replay: Replay | None = None
    tail: Tail | None = None


class _Reading:
    """A disk of which the last file that was read is kept: most logs are one file, which is read three times."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._last: tuple[Path, bytes] | None = None
        self.list_dir = disk.list_dir

    def read(self, path: Path) -> bytes:
        if self._last is None or self._last[0] != path:
            self._last = None  # before the next is there: each may be large
            self._last = path, self._disk.read(path)
        return self._last[1]


def survey(
    disk: Disk,
    directory: Path,
    on_record: Callable[[Segment, Record], None] = lambda _segment, _record: None,
) -> Survey:
    """Read every file; `on_record` is given each record that is whole.

    Raises:
        StorageError: there is no log, or it cannot be read at all.
    """
    found = Survey()
    disk = cast("Disk", _Reading(disk))
    segments = _segments(disk, directory, found)
    crc: int | None = None
    for segment in segments:
        path = directory / segment.name
        content = disk.read(path)
        file = FileSurvey(segment, len(content))
        found.files.append(file)
        reader = SegmentReader(str(path), content, crc, last=segment is segments[-1])
        try:
            for record in _records(reader):
                on_record(segment, record)
                file.records += 1
                file.end = reader.end
            crc = reader.crc
        except CorruptData as error:
            found.problems.append(str(error))
            crc = None
        found.torn = reader.torn
    _replay(disk, directory, segments, found)
    return found


def _segments(disk: Disk, directory: Path, found: Survey) -> list[Segment]:
    try:
        segments = list_segments(disk, directory)
    except CorruptData as error:  # one is missing between them
        found.problems.append(str(error))
        segments = list_segments(disk, directory, gaps=True)
    if not segments:
        raise StorageError(f"there is no log in {directory}")
    return segments


def _records(reader: SegmentReader) -> Iterator[Record]:
    for record in reader:
        if record.type not in _KNOWN:
            reader.fail(record.offset, f"a record of type {record.type}")
        yield record


def _replay(disk: Disk, directory: Path, segments: list[Segment], found: Survey) -> None:
    """Read it as a start would; what is wrong with the meaning of the records shows here only."""
    try:
        replay, tail = read_newest(disk, directory, segments)
        replay.finish(directory)
    except CorruptData as error:
        if str(error) not in found.problems:
            found.problems.append(str(error))
    else:
        found.replay, found.tail = replay, tail
