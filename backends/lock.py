"""Locks that keep a data directory, or an engine's file, to one owner.

A lock is flock(2) on a file of its own. The kernel releases it when its holder dies, however it dies,
so a lock file that is left behind means nothing. Two owners in one process collide as well, because
flock belongs to the open file and not to the process.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from ..errors import DataDirLocked
from .faults import fail_os

__all__ = ["Lock", "lock_directory", "lock_file"]

DIRECTORY_LOCK = ".lock"


class Lock:
    """A lock that is held until `release`, or the end of the process. The file says who holds it."""

    def __init__(self, path: Path, what: Path) -> None:
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            fail_os(path, "opening the lock file", error)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._fd, 0)
            os.write(self._fd, b"%d\n" % os.getpid())
        except BlockingIOError:
            owner = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            by = f" (process {owner})" if owner else ""
            raise DataDirLocked(
                f"{what} is in use by another node{by}: stop it, or choose another `data-dir`"
            ) from None
        except OSError as error:
            os.close(self._fd)
            fail_os(path, "locking", error)

    def release(self) -> None:
        """Give the lock up; doing so twice is harmless. The file stays, for removing it would race."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def lock_directory(path: Path) -> Lock:
    """Take the data directory `path` (which exists) for the life of a node.

    Raises `DataDirLocked` when another node, in this process or another, has it.
    """
    return Lock(path / DIRECTORY_LOCK, path)


def lock_file(path: Path) -> Lock:
    """Take the file `path` (which need not exist yet) by a lock file beside it, `<name>-lock`.

    For engines: `Engine.open` of a path that is open raises `DataDirLocked`.
    """
    return Lock(path.with_name(path.name + "-lock"), path)
