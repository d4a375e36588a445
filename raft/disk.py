"""The disk, as an object that is handed in: `RealDisk`, or a simulated one in tests.

What the write-ahead log needs to know of a disk, and what it may not assume:

* `write_at` puts bytes into the page cache. Only `fdatasync` makes them survive a loss of power; until
  then any of the 512-byte sectors written may or may not be on the disk, in any order.
* A file's *name* survives only after `fsync_dir` of the directory that holds it. A rename is atomic.
* After a failed `fdatasync` the kernel has dropped the pages that it could not write and calls
  them clean, so a second attempt "succeeds" without the data. Nobody may retry one.
* Space that was preallocated cannot run out, and writing into it does not change the file's size,
  so that `fdatasync` has less metadata to write.

All operations block, and raise only `StorageError` or, when space or quota is used up, its
subclass `DiskFull`; both name the file.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from ..errors import DiskFull, StorageError

__all__ = ["Disk", "DiskFile", "RealDisk", "SECTOR_BYTES", "write_file"]

SECTOR_BYTES = 512
"""The largest unit that every disk writes wholly or not at all."""

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
_CANNOT_PREALLOCATE = frozenset((errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENODEV))
_FILE_MODE = 0o600
_DIRECTORY_MODE = 0o700


class DiskFile(Protocol):
    """A file that is open for writing."""

    def write_at(self, offset: int, data: bytes) -> None:
        """Write all of `data`; a longer file than before is filled with zeros up to `offset`."""

    def preallocate(self, size: int) -> None:
        """Make the file at least `size` bytes long, the new ones zero.

        Space is set aside for them if the file system can promise it.
        """

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes, or lengthen it with zeros."""

    def fdatasync(self) -> None:
        """Return once everything written to the file (and its size) survives a loss of power."""

    def size(self) -> int: ...

    def close(self) -> None:
        """Close it, without making anything durable; closing twice is allowed."""


class Disk(Protocol):
    """The file operations of the log and of snapshot files."""

    def open(self, path: Path, *, create: bool = False) -> DiskFile:
        """Open an existing file, or with `create` make it if there is none (mode 0600)."""

    def read(self, path: Path) -> bytes:
        """The whole file."""

    def map(self, path: Path) -> mmap.mmap | bytes:
        """The content of a file that is not written any more, read as it is looked at."""

    def exists(self, path: Path) -> bool: ...

    def list_dir(self, path: Path) -> list[str]:
        """The names in a directory, sorted; a directory that is not there has none."""

    def make_dir(self, path: Path) -> None:
        """Make a directory and those above it (mode 0700), durably; what exists is left as it is."""

    def rename(self, old: Path, new: Path) -> None:
        """Replace `new`, which may be a file or an empty directory, in one step."""

    def remove(self, path: Path) -> None: ...

    def remove_tree(self, path: Path) -> None:
        """Remove a directory and all in it; nothing happens if it is not there."""

    def fsync_dir(self, path: Path) -> None:
        """Return once the names in a directory survive a loss of power."""


@contextlib.contextmanager
def _naming(path: Path, doing: str) -> Iterator[None]:
    """Turn an OSError into ours, which says what was being done and to which file."""
    try:
        yield
    except OSError as error:
        raise _fault(error, path, doing) from error


def _fault(error: OSError, path: Path, doing: str) -> StorageError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in _FULL:
        return DiskFull(f"cannot {doing} {path}: {reason}; free some space, then start again")
    return StorageError(f"cannot {doing} {path}: {reason}")


class RealDisk:
    """The operating system's files. With `fsync=False` nothing is made durable (for tests only)."""

    def __init__(self, *, fsync: bool = True) -> None:
        self._fsync = fsync

    def open(self, path: Path, *, create: bool = False) -> DiskFile:
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        with _naming(path, "open"):
            return _RealFile(path, os.open(path, flags, _FILE_MODE), fsync=self._fsync)

    def read(self, path: Path) -> bytes:
        with _naming(path, "read"):
            return path.read_bytes()

    def map(self, path: Path) -> mmap.mmap | bytes:
        with _naming(path, "read"), path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                return b""
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def exists(self, path: Path) -> bool:
        with _naming(path, "look at"):
            return path.exists()

    def list_dir(self, path: Path) -> list[str]:
        with _naming(path, "list"):
            try:
                return sorted(each.name for each in path.iterdir())
            except (FileNotFoundError, NotADirectoryError):
                return []

    def make_dir(self, path: Path) -> None:
        with _naming(path, "make"):
            missing = [each for each in (path, *path.parents) if not each.exists()]
        for each in reversed(missing):
            with _naming(path, "make"):
                each.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
            self.fsync_dir(each.parent)

    def rename(self, old: Path, new: Path) -> None:
        with _naming(new, f"rename {old} to"):
            old.rename(new)

    def remove(self, path: Path) -> None:
        with _naming(path, "remove"):
            path.unlink()

    def remove_tree(self, path: Path) -> None:
        with _naming(path, "remove"), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path)

    def fsync_dir(self, path: Path) -> None:
        if not self._fsync:
            return
        with _naming(path, "sync"):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


class _RealFile:
    def __init__(self, path: Path, fd: int, *, fsync: bool) -> None:
        self._path = path
        self._fd = fd
        self._fsync = fsync

    def write_at(self, offset: int, data: bytes) -> None:
        try:
            written = os.pwrite(self._fd, data, offset)
            while written < len(data):  # a signal or a nearly full disk: the rest tells which
                assert written >= 0
                written += os.pwrite(self._fd, memoryview(data)[written:], offset + written)
        except OSError as error:
            raise _fault(error, self._path, "write to") from error

    def preallocate(self, size: int) -> None:
        if size <= self.size():
            return
        try:
            os.posix_fallocate(self._fd, 0, size)
        except OSError as error:
            if error.errno not in _CANNOT_PREALLOCATE:
                raise _fault(error, self._path, f"preallocate {size} bytes for") from error
            self.truncate(size)

    def truncate(self, size: int) -> None:
        with _naming(self._path, "truncate"):
            os.ftruncate(self._fd, size)

    def fdatasync(self) -> None:
        if self._fsync:
            try:
                os.fdatasync(self._fd)
            except OSError as error:
                raise _fault(error, self._path, "sync") from error

    def size(self) -> int:
        with _naming(self._path, "look at"):
            return os.fstat(self._fd).st_size

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def write_file(disk: Disk, path: Path, content: bytes) -> None:
    """Write a whole file, in place of what it had, and sync it; its name is durable only after `fsync_dir`.

    Raises StorageError, DiskFull.
    """
    file = disk.open(path, create=True)
    try:
        file.truncate(0)
        file.write_at(0, content)
        file.fdatasync()
    finally:
        file.close()
