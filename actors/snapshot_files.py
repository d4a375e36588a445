"""Snapshots that came from the leader, on their way into the backend.

    DATA/member/snap/<index, 16 hexadecimal digits>.snap.db     a bbolt image, as etcd keeps it, and a trailer

The trailer has the image's CRC-32C, which is compared when the image is used: bbolt has no checksums over its rows.
A file has its name only when all of it is there and durable, and raft hears of the snapshot only after that. So
when the log says that a snapshot took its place and the backend is older, the file is there, and the next start
finishes what a crash has interrupted. A member that keeps nothing on disk keeps the image in memory.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

from google_crc32c import extend

from ..backends.bbolt_file import BboltView
from ..backends.contract import Row
from ..errors import CorruptData
from ..raft.disk import Disk, DiskFile

__all__ = ["ReceivedFile", "SnapshotFiles"]

SUFFIX = ".snap.db"
TEMPORARY = ".tmp"
TRAILER = struct.Struct("<8sI")
_MAGIC = b"crc-32c:"
_PAGE_BYTES_MIN = 512  # an image has whole pages: what is more is the trailer
_PIECE_BYTES = 1 << 20


class _ReceivedView(BboltView):
    """An image with its trailer; who copies it, on whichever thread, compares the checksum first.

    Raises CorruptData. A file of an older version, which has none, is taken as it is.
    """

    _checked = False

    def buckets(self) -> list[str]:
        self.check()
        return super().buckets()

    def scan(self, bucket: str, start: bytes = b"", end: bytes | None = None) -> Iterator[Row]:
        self.check()
        return super().scan(bucket, start, end)

    def check(self) -> None:
        """Read all of it, once; raises CorruptData."""
        data = self.data
        if self._checked or len(data) % _PAGE_BYTES_MIN == 0:
            return
        end = len(data) - TRAILER.size
        if bytes(data[end:]) != _trailer(_checksum(data, end)):
            raise CorruptData(
                f"{self.path}: the checksum is wrong; remove this member and add it to its cluster anew"
            )
        self._checked = True


def _checksum(data: bytes | mmap.mmap, end: int) -> int:
    crc = 0
    for at in range(0, end, _PIECE_BYTES):
        crc = extend(crc, data[at : min(at + _PIECE_BYTES, end)])
    return crc


def _trailer(crc: int) -> bytes:
    return TRAILER.pack(_MAGIC, crc)


class SnapshotFiles:
    """The received snapshots of one member; `directory` None keeps them in memory."""

    def __init__(self, disk: Disk, directory: Path | None) -> None:
        self._disk = disk
        self._directory = directory
        self._in_memory: dict[int, bytes] = {}
        self._begun = 0

    def create(self, index: int) -> ReceivedFile:
        """A new file for the snapshot at a log index; raises StorageError."""
        self._begun += 1
        return ReceivedFile(self, index, self._begun)

    def has(self, index: int) -> bool:
        """Whether the snapshot at `index` is here, whole."""
        if self._directory is None:
            return index in self._in_memory
        return self._disk.exists(self._path(index))

    def open(self, index: int) -> BboltView:
        """The snapshot's content; raises CorruptData."""
        if self._directory is None:
            return BboltView(Path(name_of(index)), self._in_memory[index])
        path = self._path(index)
        return _ReceivedView(path, self._disk.map(path))

    def remove_torn(self) -> None:
        """Delete what has not arrived whole; to be called before the first `create`."""
        for name in self._names(TEMPORARY):
            self._remove(name)

    def remove_up_to(self, index: int) -> None:
        """Delete the snapshots at `index` and before: that state is durable in the backend."""
        self._in_memory = {at: data for at, data in self._in_memory.items() if at > index}
        for name in self._names(SUFFIX):
            if int(name.removesuffix(SUFFIX), 16) <= index:
                self._remove(name)

    def _names(self, suffix: str) -> list[str]:
        if self._directory is None:
            return []
        return [name for name in self._disk.list_dir(self._directory) if name.endswith(suffix)]

    def _remove(self, name: str) -> None:
        assert self._directory is not None
        self._disk.remove(self._directory / name)

    def _path(self, index: int) -> Path:
        assert self._directory is not None
        return self._directory / name_of(index)

    def keep(self, index: int, data: bytes) -> None:
        """Have an image in memory as the snapshot at `index`."""
        self._in_memory[index] = data

    def place(self, index: int) -> tuple[Disk, Path] | None:
        """Where the file of `index` belongs; None in memory."""
        return None if self._directory is None else (self._disk, self._path(index))


class ReceivedFile:
    """One snapshot while it arrives. Nothing of it counts before `finish`. All raise StorageError."""

    def __init__(self, files: SnapshotFiles, index: int, number: int) -> None:
        self.index = index
        self.bytes = 0
        self._crc = 0
        self._files = files
        self._chunks: list[bytes] = []
        self._file: DiskFile | None = None
        place = files.place(index)
        if place is not None:
            self._disk, self._path = place
            # numbered, for the leader may send the same one again while the first is still on its way
            self._temporary = self._path.with_name(f"{self._path.name}.{number}{TEMPORARY}")
            self._file = self._disk.open(self._temporary, create=True)
            self._file.truncate(0)

    def write(self, data: bytes) -> None:
        """Append."""
        if self._file is None:
            self._chunks.append(data)
        else:
            self._file.write_at(self.bytes, data)
            self._crc = extend(self._crc, data)
        self.bytes += len(data)

    def finish(self) -> None:
        """Check that it is a sound image, make it durable and give it its name. May take long."""
        if self._file is None:
            data = b"".join(self._chunks)
            BboltView(Path(name_of(self.index)), data).close()
            self._files.keep(self.index, data)
            return
        self._file.write_at(self.bytes, _trailer(self._crc))
        self._file.fdatasync()
        self._file.close()
        BboltView(self._temporary, self._disk.map(self._temporary)).close()
        self._disk.rename(self._temporary, self._path)
        self._disk.fsync_dir(self._path.parent)

    def abandon(self) -> None:
        """Forget it."""
        self._chunks = []
        if self._file is not None:
            self._file.close()
            if self._disk.exists(self._temporary):
                self._disk.remove(self._temporary)


def name_of(index: int) -> str:
    """The file's name, etcd's."""
    return f"{index:016x}{SUFFIX}"
