"""What a loss of power leaves of an SQLite database: its main file and its `-wal`, each as seen and as on the disk.

How SQLite (in WAL mode, synchronous=NORMAL) uses them, which is what is modelled here:

* A commit appends frames to the `-wal` and syncs nothing. When all frames are in the main file, the next commit starts
  again at the beginning with other salts, and syncs the new header before it writes frames.
* A checkpoint syncs the `-wal`, copies pages from it to the main file, and syncs that if it has copied all of them.
  Nothing else changes the main file. As long as it is not synced, the `-wal` is whole.
* A frame counts if its salts are the header's and its checksum, which goes on from the frame before, is right; so
  what follows a lost or torn frame is lost as well.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import attrs

from ..raft.disk import SECTOR_BYTES

__all__ = ["DatabaseOnDisk", "Wal"]

Choose = Callable[[int], int]

_HEADER = struct.Struct(">4I8s2I")  # magic, version, page size, sequence; salts; checksums
_FRAME = struct.Struct(">2I8s2I")  # page number, size of the database or 0; salts; checksums
TORN_WAYS = 3


@attrs.frozen
class Wal:
    """The content of a `-wal` file, read without checking checksums.

    `pages` has the newest committed content of each page, by number from 1.
    """

    data: bytes
    salts: bytes = b""
    frame_bytes: int = 1
    frames: int = 0
    pages: dict[int, memoryview] = attrs.Factory(dict)

    @classmethod
    def of(cls, data: bytes) -> Wal:
        """Read what is in a file; one that is too short has nothing in it."""
        if len(data) < _HEADER.size:
            return cls(data)
        _, _, page_bytes, _, salts, _, _ = _HEADER.unpack_from(data)
        view = memoryview(data)
        frame_bytes = _FRAME.size + page_bytes
        frames = 0
        pages: dict[int, memoryview] = {}
        open_: dict[int, memoryview] = {}
        for at in range(_HEADER.size, len(data) - frame_bytes + 1, frame_bytes):
            number, size, found, _, _ = _FRAME.unpack_from(data, at)
            if found != salts:
                break
            frames += 1
            open_[number] = view[at + _FRAME.size : at + frame_bytes]
            if size:  # the last one of a transaction
                pages.update(open_)
                open_.clear()
                for gone in [each for each in pages if each > size]:
                    del pages[gone]
        return cls(data, salts, frame_bytes, frames, pages)

    def end_of(self, frames: int) -> int:
        """Where so many frames end."""
        return min(len(self.data), _HEADER.size + frames * self.frame_bytes)

    def frames_up_to(self, size: int) -> int:
        """How many frames the first `size` bytes hold, at most as many as there are."""
        return max(0, min(self.frames, (size - _HEADER.size) // self.frame_bytes))


@attrs.define
class DatabaseOnDisk:
    """What is on the disk for sure of one database.

    Attributes:
        main, wal: the files' content as of their last sync.
        spoiled: the salts of the `-wal`, and where in it the pages begin and end that a failed sync has made clean: they
            are seen, not on the disk, and no later sync writes them.
        copying: the pages that a checkpoint was copying to the main file when it was interrupted.
    """

    main: bytes = b""
    wal: bytes = b""
    spoiled: tuple[bytes, int, int] | None = None
    copying: dict[int, bytes] = attrs.Factory(dict)

    def wal_synced(self, seen: bytes) -> None:
        """An fsync of the `-wal` has returned."""
        if self.spoiled is not None:
            salts, start, end = self.spoiled
            if Wal.of(seen).salts == salts and len(seen) > start:
                lost = self.wal[start:end].ljust(end - start, b"\0")
                seen = seen[:start] + lost + seen[end:]
            else:
                self.spoiled = None  # the file has been written anew
        self.wal = seen

    def wal_written(self, at: int, size: int) -> None:
        """Bytes of the `-wal` have been written again, in place: a sync writes them to the disk."""
        if self.spoiled is not None:
            salts, start, end = self.spoiled
            if at <= start < at + size:
                start = at + size
            self.spoiled = (salts, start, end) if start < end else None

    def wal_sync_failed(self, seen: bytes) -> None:
        """An fsync of the `-wal` has failed: what it should have written counts as written."""
        wal = Wal.of(seen)
        start = wal.end_of(self._frames_kept(wal))
        if self.spoiled is not None and self.spoiled[0] == wal.salts:
            start = min(start, self.spoiled[1])
        self.spoiled = wal.salts, start, len(seen)

    def checkpoint_began(self, seen: bytes) -> None:
        """A checkpoint was interrupted while it copied pages."""
        self.copying = {number: bytes(page) for number, page in Wal.of(seen).pages.items()}

    def half_copied(self, main: bytes, choose: Choose) -> bytes:
        """The main file as an interrupted checkpoint, if there was one, has left it."""
        out = bytearray(main)
        for number, page in sorted(self.copying.items()):
            if choose(2):
                at = (number - 1) * len(page)
                out += bytes(max(0, at - len(out)))
                out[at : at + len(page)] = page
        self.copying = {}
        return bytes(out)

    def lose_power(self, main: bytes, wal: bytes, choose: Choose) -> tuple[bytes, bytes]:
        """What is left of the files, as seen; from now on that is what is on the disk."""
        page_bytes = Wal.of(wal).frame_bytes - _FRAME.size
        self.wal = self._wal_left(wal, choose)
        self.main = _pages_left(self.main, main, page_bytes, choose)
        self.spoiled = None
        return self.main, self.wal

    def _frames_kept(self, seen: Wal) -> int:
        """How many of the frames that are seen are on the disk for sure."""
        stored = Wal.of(self.wal)
        if seen.salts != stored.salts:
            return 0
        frames = min(seen.frames, stored.frames)
        if self.spoiled is not None and self.spoiled[0] == seen.salts:
            frames = min(frames, seen.frames_up_to(self.spoiled[1]))
        return frames

    def _wal_left(self, data: bytes, choose: Choose) -> bytes:
        """The first frames, at least those that were synced; perhaps a torn one; then what was there before."""
        if data == self.wal:
            return data
        seen = Wal.of(data)
        if not seen.frames:  # emptied or deleted, which may not have reached the disk
            return (data, self.wal)[choose(2)]
        most = seen.frames
        if self.spoiled is not None and self.spoiled[0] == seen.salts:
            most = min(most, seen.frames_up_to(self.spoiled[1]))
        least = min(self._frames_kept(seen), most)
        kept = least + choose(most - least + 1)
        end = seen.end_of(kept)
        if kept < seen.frames and choose(TORN_WAYS) == 0:
            end += SECTOR_BYTES * choose(seen.frame_bytes // SECTOR_BYTES)
        return data[:end] + self.wal[end:]


def _pages_left(stored: bytes, seen: bytes, page_bytes: int, choose: Choose) -> bytes:
    """Of each page that is seen to differ: what is on the disk, what is seen, or some sectors of that."""
    if stored == seen or page_bytes <= 0:
        return seen
    out = bytearray(stored)
    for at in range(0, len(seen), page_bytes):
        page = seen[at : at + page_bytes]
        if stored[at : at + page_bytes] == page:
            continue
        how = choose(TORN_WAYS)
        if how:
            if how == 1:
                page = page[: SECTOR_BYTES * choose(page_bytes // SECTOR_BYTES)]
            out += bytes(max(0, at - len(out)))
            out[at : at + len(page)] = page
    return bytes(out)
