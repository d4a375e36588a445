"""What the records of a log mean: the entries, the hard state and the membership to go on from.

Records are read in the order in which they were written:

* an entry takes the place of an earlier one of the same index and of all after it: those were never
  committed, and a new leader had others (Raft, figure 7). Entries that the snapshot covers are skipped;
* a snapshot that came from the leader takes the place of the whole log, unless the log has its last
  entry: entries written before it and beyond its index then belong to another history;
* the last hard state counts. At the start of a file it repeats the one before;
* a snapshot record says that a snapshot was saved. One beyond the commit index does not count: the
  crash came between the record and the hard state.

The checksum does not cover a record's type, so a flipped bit may present an entry as a hard state.
Therefore every record must be possible where it stands: no gaps; terms that do not fall; no
committed entry changed; a term and a commit index that do not go back, and no commit beyond the
last entry.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ...errors import CorruptData
from ...protowire import fields
from ..codec import decode_entry, decode_hard_state
from ..disk import Disk
from ..types import Entry, HardState
from .reader import Record, SegmentReader, skim
from .record import RecordType, WalSnapshot
from .segment import ADVICE, Segment, list_segments, segments_from

__all__ = [
    "Contents",
    "Replay",
    "Tail",
    "newest_snapshot",
    "read_log",
    "read_newest",
    "valid_snapshots",
]


class Contents(NamedTuple):
    """What a log holds: whose it is, the state to restart with, and all entries after the snapshot."""

    metadata: bytes
    hard_state: HardState
    entries: list[Entry]


class Tail(NamedTuple):
    """Where the last file ends, and why if it is torn."""

    segment: Segment
    end: int
    crc: int
    torn: str | None
    dirty: bool
    """Something else than zeros follows the end."""


class Replay:
    """Takes in records one after the other; see the rules above."""

    def __init__(self, snapshot: WalSnapshot) -> None:
        self.snapshot = snapshot
        self.metadata: bytes | None = None
        self.hard_state = HardState()
        self.entries: list[Entry] = []
        self.matched = False
        """The record of `snapshot` was there."""
        self.last_index = 0
        """The index of the last entry or snapshot record, as etcd counts on for file names."""
        self._covered_term: int | None = None
        """The term of the log's entry at the snapshot's index."""

    def feed(self, reader: SegmentReader) -> None:
        """Take all records of a file; raises CorruptData."""
        entry_type = int(RecordType.ENTRY)
        for record in reader:
            try:
                if record[0] == entry_type:
                    self._entry(record[1])
                else:
                    self._other(record)
            except ValueError as error:
                reader.fail(record.offset, str(error))

    def _entry(self, data: bytes) -> None:
        entry = decode_entry(data)
        index, term = entry.index, entry.term
        self.last_index = index
        offset = index - self.snapshot.index - 1
        entries = self.entries
        if offset < 0:
            entries.clear()
            self._covered_term = term if offset == -1 else None
            return
        if offset > len(entries):
            raise ValueError(f"entry {index} follows entry {self.snapshot.index + len(entries)}")
        before = entries[offset - 1].term if offset else self._covered_term or 0
        if term < before or term == 0:
            raise ValueError(f"entry {index} of term {term} follows one of term {before}")
        if offset < len(entries):
            old = entries[offset]
            if old != entry and (index <= self.hard_state.commit or old.term == term):
                raise ValueError(f"entry {index} differs from what was written before")
            del entries[offset:]
        entries.append(entry)

    def _other(self, record: Record) -> None:
        kind, data = record.type, record.data
        if kind == RecordType.STATE:
            self._state(data)
        elif kind == RecordType.METADATA:
            if self.metadata is not None and self.metadata != data:
                raise ValueError("the metadata is that of another member or cluster")
            self.metadata = data
        elif kind == RecordType.SNAPSHOT:
            snapshot = WalSnapshot.decode(data)
            if snapshot.index == self.snapshot.index:
                if snapshot.term != self.snapshot.term:
                    raise ValueError(
                        f"the snapshot at index {snapshot.index} is of term {snapshot.term},"
                        f" not {self.snapshot.term}"
                    )
                if self._covered_term != snapshot.term:
                    self.entries.clear()
                    self._covered_term = snapshot.term
                self.matched = True
            self.last_index = max(self.last_index, snapshot.index)
        elif kind != RecordType.CRC or data:
            raise ValueError(f"a record of type {kind}")

    def _state(self, data: bytes) -> None:
        if {number for number, _ in fields(data)} - {1, 2, 3}:
            raise ValueError("a hard state with fields of something else")
        state, old = decode_hard_state(data), self.hard_state
        if state.term < old.term or state.commit < old.commit:
            raise ValueError(f"the hard state goes back from {old} to {state}")
        if self.entries and self.entries[-1].term > state.term:
            raise ValueError(f"term {state.term} is older than the last entry's")
        self.hard_state = state

    def finish(self, directory: Path) -> Contents:
        """The result; raises CorruptData when something is missing."""
        last = self.snapshot.index + len(self.entries)
        missing = None
        if not self.matched:
            missing = f"the record of the snapshot at index {self.snapshot.index}"
        elif self.hard_state.commit > last:
            missing = f"the entries from {last + 1} to the commit index {self.hard_state.commit}"
        if missing:
            raise CorruptData(f"the log in {directory} lacks {missing}: {ADVICE}")
        assert self.metadata is not None, "every file has metadata"
        return Contents(self.metadata, self.hard_state, self.entries)


def read_log(
    disk: Disk, directory: Path, segments: list[Segment], snapshot: WalSnapshot
) -> tuple[Replay, Tail]:
    """Read the log from `snapshot` on, up to its end or to its torn tail; raises CorruptData."""
    chosen = segments_from(segments, directory, snapshot.index)
    replay = Replay(snapshot)
    crc: int | None = None
    for segment in chosen:
        content = disk.read(directory / segment.name)
        last = segment is chosen[-1]
        reader = SegmentReader(str(directory / segment.name), content, crc, last=last)
        replay.feed(reader)
        crc = reader.crc
    assert crc is not None
    dirty = not content.endswith(bytes(len(content) - reader.end))
    return replay, Tail(segment, reader.end, crc, reader.torn, dirty)


def read_newest(disk: Disk, directory: Path, segments: list[Segment]) -> tuple[Replay, Tail]:
    """Read the log from its newest snapshot on; see `read_log`."""
    replay, tail = read_log(disk, directory, segments, newest_snapshot(disk, directory, segments))
    if tail.torn and not replay.matched:
        snapshot = newest_snapshot(disk, directory, segments, end=tail.end)
        replay, tail = read_log(disk, directory, segments, snapshot)
    return replay, tail


def newest_snapshot(
    disk: Disk, directory: Path, segments: list[Segment], *, end: int | None = None
) -> WalSnapshot:
    """The newest snapshot record that is not beyond the commit index: where to read from.

    Newer files are looked at first, as the last one mostly has it; that one counts up to the offset
    `end`. A record after a torn one may be returned, as entries are not checked. Raises CorruptData
    if no file has any.
    """
    commit: int | None = None
    for segment in reversed(segments):
        content = disk.read(directory / segment.name)
        state, snapshots = _skim(content if commit is not None else content[:end])
        if commit is None:
            commit = state.commit
        valid = [snapshot for snapshot in snapshots if snapshot.index <= commit]
        if valid:
            return valid[-1]
    raise CorruptData(f"the log in {directory} lacks the record of any snapshot: {ADVICE}")


def valid_snapshots(disk: Disk, directory: Path) -> list[WalSnapshot]:
    """All snapshot records up to the commit index, oldest first: which `.snap` files to trust."""
    state, found = HardState(), []
    for segment in list_segments(disk, directory):
        newer, snapshots = _skim(disk.read(directory / segment.name))
        state = max(state, newer, key=lambda each: (each.term, each.commit))
        found += snapshots
    return [snapshot for snapshot in found if snapshot.index <= state.commit]


def _skim(content: bytes) -> tuple[HardState, list[WalSnapshot]]:
    """The last hard state and all snapshot records of a file; nothing that does not decode."""
    state, snapshots = HardState(), []
    for kind, data in skim(content):
        try:
            if kind == RecordType.STATE:
                state = decode_hard_state(data)
            else:
                snapshots.append(WalSnapshot.decode(data))
        except ValueError:
            break
    return state, snapshots
