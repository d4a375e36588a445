"""The write-ahead log of a member: what it must not forget, in the order in which it learnt it.

    wal = WAL.create(disk, directory, metadata)            # a new member, or
    wal = WAL.open(disk, directory)                        # an old one, and then at once
    metadata, hard_state, entries = wal.read_all()

    wal.save(ready.hard_state, ready.entries)              # encode and write: no wait for the disk
    if wal.must_sync(...): wal.sync()                      # fdatasync; begins a new file if it is time

Rules of use:

* Call it from one thread at a time. Only `prepare_next` may run beside other calls.
* What `save` wrote may be acknowledged, sent or applied once `sync` has returned, not before.
* Any failure is final. A failed write may have left half a record, and a failed fdatasync has
  dropped data (see `disk`), so from then on every call raises StorageError. Open the log
  again, which finds the last record that is whole.
* `read_all` writes the last file anew. What it reads may be in the page cache only: not just after the
  death of a process, but also after a failed fdatasync, when the kernel calls the pages clean although
  the disk does not have them. Syncing these again would write nothing, and what is acknowledged on
  top of them would be lost with them at the next loss of power. Only the last file can have such
  pages, as no file is begun before the one before it is durable.

Locking the data directory against a second process is the caller's part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...errors import InvariantBroken, StorageError
from ..disk import Disk, DiskFile
from ..types import Entry, HardState
from .record import (
    RecordType,
    WalSnapshot,
    append_entries,
    append_state,
    encode_crc_record,
    encode_record,
)
from .repair import Repaired, cut_tail
from .replay import Contents, Replay, Tail, read_log, read_newest
from .segment import (
    AHEAD,
    ON_DEMAND,
    SEGMENT_BYTES,
    Prepared,
    Segment,
    covering,
    list_segments,
    new_file,
)

__all__ = ["WAL"]

REWRITE_BYTES = 1 << 20  # at a time


class WAL:
    """A log in a directory of its own, open for appending. Made by `create` and `open`."""

    def __init__(self, disk: Disk, directory: Path, *, segment_bytes: int) -> None:
        assert segment_bytes > 0
        self.directory = directory
        self.segment_bytes = segment_bytes
        self.metadata = b""
        self.hard_state = HardState()
        """The last one saved."""
        self.last_index = 0
        """The index of the last entry or snapshot saved; the next entry is at most one beyond."""
        self.snapshot: WalSnapshot | None = None
        """The snapshot to read from, or that the log was read from."""
        self.written_bytes = 0
        """By this object, in all files."""
        self.repaired: Repaired | None = None
        """What `read_all` cut off the log's end after a crash."""
        self._disk = disk
        self._segments: list[Segment] = []
        self._released = 0
        self._file: DiskFile | None = None
        self._offset = 0
        self._crc = 0
        self._next: Prepared | None = None
        self._failure: str | None = "it has not been read"

    # --- Making and opening -----------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        disk: Disk,
        directory: Path,
        metadata: bytes,
        *,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> WAL:
        """Make a new log, empty but for a snapshot record at index 0.

        It is made beside `directory` and renamed, so that it is there as a whole or not at all.
        Raises StorageError if there is something in `directory`, and DiskFull.
        """
        if disk.list_dir(directory):
            raise StorageError(f"cannot make a log in {directory}: it is not empty")
        wal = cls(disk, directory, segment_bytes=segment_bytes)
        wal.metadata = metadata
        wal._failure = None
        temporary = directory.with_name(directory.name + ".tmp")
        disk.remove_tree(temporary)
        disk.make_dir(temporary)
        segment = Segment(0, 0)
        wal._segments = [segment]
        try:
            wal._create(temporary, segment)
        except BaseException:
            wal.close()
            raise
        return wal

    def _create(self, temporary: Path, segment: Segment) -> None:
        """Make the first file in `temporary`, and rename that to the log's directory."""
        with self._final():
            self._file = new_file(self._disk, temporary / segment.name, self.segment_bytes).file
            header, crc = self._header(0)
            initial, self._crc = encode_record(RecordType.SNAPSHOT, WalSnapshot().encode(), crc)
            self._write(header + initial)
            self._file.fdatasync()
            self._disk.fsync_dir(temporary)
            self._disk.rename(temporary, self.directory)
            self._disk.fsync_dir(self.directory.parent)
            self._name_file(segment)

    @classmethod
    def open(
        cls,
        disk: Disk,
        directory: Path,
        snapshot: WalSnapshot | None = None,
        *,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> WAL:
        """Open a log, to be read with `read_all` from `snapshot` on, by default the newest one.

        Nothing else can be done with it before. Raises StorageError if there is no log, CorruptData
        if a file is missing.
        """
        wal = cls(disk, directory, segment_bytes=segment_bytes)
        wal._segments = list_segments(disk, directory)
        if not wal._segments:
            raise StorageError(f"there is no log in {directory}")
        wal.snapshot = snapshot
        return wal

    def read_all(self) -> Contents:
        """Read the log, repair its end if a crash tore it, and make it ready for appending.

        All that is returned is durable, see the head of the module.
        Raises CorruptData, naming file and offset, for anything that no crash explains.
        """
        assert self._file is None
        disk, directory = self._disk, self.directory
        replay, tail = self._read()
        if tail.torn:
            self.repaired = cut_tail(disk, directory, tail)
            replay, tail = self._read()
            if tail.torn is not None:
                raise InvariantBroken(
                    f"{tail.segment.name} was cut, and is torn again: {tail.torn}"
                )
        contents = replay.finish(directory)
        self.snapshot = replay.snapshot
        self.metadata, self.hard_state = contents.metadata, contents.hard_state
        self.last_index = replay.last_index
        self._offset, self._crc = tail.end, tail.crc
        self._failure = None
        with self._final():
            self._file = disk.open(directory / tail.segment.name)
            if tail.dirty:
                # Zeros ended the log, and after them came parts of writes that were torn. New
                # records would lead up to them.
                self._file.truncate(tail.end)
            self._file.preallocate(self.segment_bytes)
            self._write_anew(directory / tail.segment.name)
            self._file.fdatasync()
            disk.fsync_dir(directory)
        return contents

    def _write_anew(self, path: Path) -> None:
        """Make all pages of the present file dirty, up to where it is used. Each keeps its content.

        So a loss of power in the middle does no harm: what the disk has of a page is what it had before,
        which was never acknowledged if it is another content, or this one.
        """
        assert self._file is not None
        data = self._disk.map(path)
        for at in range(0, self._offset, REWRITE_BYTES):
            self._file.write_at(at, bytes(data[at : min(at + REWRITE_BYTES, self._offset)]))

    def _read(self) -> tuple[Replay, Tail]:
        where = (self._disk, self.directory, self._segments)
        return read_newest(*where) if self.snapshot is None else read_log(*where, self.snapshot)

    # --- Appending --------------------------------------------------------------------------------

    def must_sync(self, hard_state: HardState | None, entries: Sequence[Entry]) -> bool:
        """Whether saving these asks for `sync` (Raft, figure 2): a commit index alone does not.

        To be asked before `save`.
        """
        if entries:
            return True
        old = self.hard_state
        return hard_state is not None and (hard_state.term, hard_state.vote) != (old.term, old.vote)

    def save(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Append entries and then the hard state, if any, in one write; not durable before `sync`.

        Entries follow each other, and the first one follows or replaces one in the log.
        Raises StorageError or DiskFull; the log is then unusable.
        """
        if self._failure:
            self._refuse()
        parts: list[bytes] = []
        crc, last_index = self._crc, self.last_index
        if entries:
            first, last_index = entries[0].index, entries[-1].index
            if not 0 < first <= self.last_index + 1:
                raise InvariantBroken(f"entry {first} would leave a gap after {self.last_index}")
            if last_index != first + len(entries) - 1:
                raise InvariantBroken(f"{len(entries)} entries from {first} on end at {last_index}")
            crc = append_entries(parts, entries, crc)
        if hard_state is not None and hard_state != _NO_STATE:
            crc = append_state(parts, hard_state, crc)
        if not parts:
            return
        try:  # `_final` written out: it is a microsecond in twenty
            self._write(b"".join(parts))
        except BaseException as error:
            self._failure = str(error) or type(error).__name__
            raise
        self._crc, self.last_index = crc, last_index
        if hard_state is not None and hard_state != _NO_STATE:
            self.hard_state = hard_state

    def save_snapshot(self, snapshot: WalSnapshot) -> None:
        """Record that a snapshot has been saved and is durable elsewhere, and sync.

        Reading starts there once a hard state with a commit index of at least its own was saved.
        """
        if self._failure:
            self._refuse()
        record, crc = encode_record(RecordType.SNAPSHOT, snapshot.encode(), self._crc)
        with self._final():
            self._write(record)
        self._crc = crc
        self.last_index = max(self.last_index, snapshot.index)
        self.sync()

    def sync(self) -> None:
        """Return once all that was saved is durable; begins the next file if this one is full."""
        if self._failure:
            self._refuse()
        if self._offset >= self.segment_bytes:
            self.cut()
            return
        with self._final():
            assert self._file is not None
            self._file.fdatasync()

    def cut(self) -> None:
        """End the present file where it is and begin the next one; all is durable then.

        The next file gets its name when its header is durable, so the chain never has a gap.
        """
        if self._failure:
            self._refuse()
        old, disk, directory = self._file, self._disk, self.directory
        assert old is not None
        with self._final():
            old.truncate(self._offset)
            old.fdatasync()
            prepared, self._next = self._next, None
            if prepared is None:
                prepared = new_file(disk, directory / ON_DEMAND, self.segment_bytes)
            segment = Segment(self._segments[-1].sequence + 1, self.last_index + 1)
            self._file, self._offset = prepared.file, 0
            header, self._crc = self._header(self._crc)
            self._write(header)
            prepared.file.fdatasync()
            disk.rename(prepared.path, directory / segment.name)
            disk.fsync_dir(directory)
            old.close()
            self._name_file(segment)
        self._segments.append(segment)

    def _name_file(self, segment: Segment) -> None:
        """Open the present file again by its new name, so that errors tell it. All of it is durable."""
        assert self._file is not None
        self._file.close()
        self._file = self._disk.open(self.directory / segment.name)

    def _header(self, crc: int) -> tuple[bytes, int]:
        """The records at the start of every file."""
        metadata, after = encode_record(RecordType.METADATA, self.metadata, crc)
        header = encode_crc_record(crc) + metadata
        if self.hard_state != _NO_STATE:
            state: list[bytes] = []
            after = append_state(state, self.hard_state, after)
            header += state[0]
        return header, after

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        self._file.write_at(self._offset, data)
        self._offset += len(data)
        self.written_bytes += len(data)

    # --- The next file, ahead of time -------------------------------------------------------------

    @property
    def wants_next(self) -> bool:
        """Whether `prepare_next` would spare a later `sync` the making of a file."""
        return self._next is None and not self._failure

    def prepare_next(self) -> Prepared:
        """Make the next file; may run in another thread beside all else, but not beside itself.

        Hand the result to `adopt_next`. Raises DiskFull, which does the log no harm.
        """
        return new_file(self._disk, self.directory / AHEAD, self.segment_bytes)

    def adopt_next(self, prepared: Prepared) -> None:
        """Keep a prepared file for the next `cut`."""
        assert self._next is None
        if self._failure:
            prepared.file.close()
        else:
            self._next = prepared

    # --- Old files --------------------------------------------------------------------------------

    @property
    def segments(self) -> list[Segment]:
        """The files of the log, oldest first."""
        return list(self._segments)

    def release_to(self, index: int) -> None:
        """Allow `purge` to delete the files that hold no entry after `index` (of a snapshot)."""
        if index > self.last_index:
            raise InvariantBroken(
                f"entries up to {index} were released, but {self.last_index} is the last"
            )
        at = covering(self._segments, index)
        if at is not None:
            self._released = max(self._released, self._segments[at].sequence)

    def purge(self, max_wals: int) -> list[str]:
        """Delete the oldest released files beyond `max_wals`; returns their names.

        The oldest goes first and durably, so that a crash leaves no gap.
        """
        assert max_wals >= 1
        if self._failure:
            self._refuse()
        removed = []
        while len(self._segments) > max_wals and self._segments[0].sequence < self._released:
            name = self._segments[0].name
            with self._final():
                self._disk.remove(self.directory / name)
                self._disk.fsync_dir(self.directory)
            del self._segments[0]
            removed.append(name)
        return removed

    # --- Faults and the end -----------------------------------------------------------------------

    @contextmanager
    def _final(self) -> Iterator[None]:
        """Make the log unusable if the block fails."""
        try:
            yield
        except BaseException as error:
            self._failure = str(error) or type(error).__name__
            raise

    def _refuse(self) -> None:
        raise StorageError(f"the log in {self.directory} cannot be used: {self._failure}")

    def close(self) -> None:
        """Close the file. What has not been synced may or may not be there later."""
        self._failure = self._failure or "it is closed"
        if self._file is not None:
            self._file.close()
        if self._next is not None:
            self._next.file.close()
            self._next = None


_NO_STATE = HardState()
