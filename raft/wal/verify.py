"""Looking at a log without changing it: for checks and dumps of a member that is not running."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs

from ...errors import StorageError
from ..disk import Disk
from ..types import HardState
from .reader import Record, SegmentReader
from .record import RecordType, WalSnapshot
from .replay import read_newest, valid_snapshots
from .segment import Segment, list_segments

__all__ = ["Report", "records", "verify"]


@attrs.frozen
class Report:
    """What a log holds that is whole."""

    segments: list[Segment]
    records: dict[RecordType, int]
    """How many records of each type are in all files."""
    metadata: bytes
    hard_state: HardState
    snapshots: list[WalSnapshot]
    """The snapshot records up to the commit index, oldest first."""
    first_index: int
    """The index of the first entry after the newest snapshot."""
    last_index: int
    """The index of the last entry, or of the newest snapshot if no entry follows."""
    torn: str | None
    """Why the last record does not count, if a crash tore it; opening the log will cut it off."""
    torn_at: int
    """The offset in the last file at which records end, bytes."""


def verify(disk: Disk, directory: Path) -> Report:
    """Read every file of a log and check all that can be checked; changes nothing.

    Raises StorageError if there is no log, CorruptData as opening it would, and also for
    damage in old files that opening would not read.
    """
    counts = Counter(RecordType(record.type) for _, record in records(disk, directory))
    segments = list_segments(disk, directory)
    replay, tail = read_newest(disk, directory, segments)
    contents, snapshot = replay.finish(directory), replay.snapshot
    return Report(
        segments=segments,
        records=dict(counts),
        metadata=contents.metadata,
        hard_state=contents.hard_state,
        snapshots=valid_snapshots(disk, directory),
        first_index=snapshot.index + 1,
        last_index=snapshot.index + len(contents.entries),
        torn=tail.torn,
        torn_at=tail.end,
    )


def records(disk: Disk, directory: Path) -> Iterator[tuple[Segment, Record]]:
    """Yield every record of every file, oldest first, up to the end or a torn tail.

    Raises StorageError if there is no log, CorruptData at the first record that is damaged.
    """
    segments = list_segments(disk, directory)
    if not segments:
        raise StorageError(f"there is no log in {directory}")
    crc: int | None = None
    for segment in segments:
        path = directory / segment.name
        last = segment is segments[-1]
        reader = SegmentReader(str(path), disk.read(path), crc, last=last)
        for record in reader:
            if record.type not in _KNOWN:
                reader.fail(record.offset, f"a record of type {record.type}")
            yield segment, record
        crc = reader.crc


_KNOWN = frozenset(map(int, RecordType))
