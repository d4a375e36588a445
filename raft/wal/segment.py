"""The files of a log: their names, their order and how a new one comes to be.

A segment is named `<sequence>-<index>.wal`, both as 16 hexadecimal digits: its place in the chain of
files, counted from 0, and the index that the next entry had when it was begun. A file bears
such a name only after its first records are durable, so a segment without a whole header is damage,
never a crash. Until then it is `0.tmp` (prepared ahead) or `1.tmp` (made when one is needed); etcd
and we ignore files of other names.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import NamedTuple

from ...errors import CorruptData, StorageError
from ..disk import Disk, DiskFile

__all__ = [
    "ADVICE",
    "SEGMENT_BYTES",
    "Prepared",
    "Segment",
    "covering",
    "new_file",
    "list_segments",
    "segments_from",
]

SEGMENT_BYTES = 64_000_000
"""The size at which the next segment is begun (etcd's: millions, not MiB)."""
AHEAD = "0.tmp"
ON_DEMAND = "1.tmp"
ADVICE = "restore this member from a snapshot, or remove it and add it to its cluster anew"

_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.wal")


class Segment(NamedTuple):
    """A segment by its name: its place in the chain, and the index of the next entry at its start."""

    sequence: int
    first_index: int

    @property
    def name(self) -> str:
        return f"{self.sequence:016x}-{self.first_index:016x}.wal"


class Prepared(NamedTuple):
    """A file with its space preallocated, which has no place in the log yet."""

    path: Path
    file: DiskFile


def list_segments(disk: Disk, directory: Path, *, gaps: bool = False) -> list[Segment]:
    """All segments, oldest first; raises CorruptData if one is missing between them, unless `gaps` may be."""
    found = sorted(
        Segment(int(match[1], 16), int(match[2], 16))
        for match in map(_NAME.fullmatch, disk.list_dir(directory))
        if match
    )
    for before, after in itertools.pairwise(found):
        if not gaps and after.sequence != before.sequence + 1:
            raise CorruptData(
                f"the log in {directory} lacks a file between {before.name} and {after.name}: "
                f"put it back, or {ADVICE}"
            )
    return found


def segments_from(segments: list[Segment], directory: Path, index: int) -> list[Segment]:
    """The segments that hold everything after `index`; raises CorruptData if they do not."""
    at = covering(segments, index)
    if at is None:
        raise CorruptData(
            f"the log in {directory} begins after the snapshot at index {index}: {ADVICE}"
        )
    return segments[at:]


def covering(segments: list[Segment], index: int) -> int | None:
    """The place of the newest segment that begins at or before `index`."""
    for at in reversed(range(len(segments))):
        if segments[at].first_index <= index:
            return at
    return None


def new_file(disk: Disk, path: Path, segment_bytes: int) -> Prepared:
    """Make an empty file of zeros, in place of one that an earlier run may have left."""
    file = disk.open(path, create=True)
    try:
        file.truncate(0)
        file.preallocate(segment_bytes)
    except StorageError:
        file.close()
        raise
    return Prepared(path, file)
