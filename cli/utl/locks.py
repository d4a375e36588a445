"""Who uses a directory: the locks of Triode's nodes and of etcd's, taken for as long as a command runs.

A node of ours holds an exclusive lock on `DATA/.lock` (and on `<wal-dir>-lock`, if the log is elsewhere); etcd on
the database `DATA/member/snap/db` itself. A command that only reads asks for a shared lock and makes no files for
it: where there is no lock file, nobody has one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from ...backends.faults import fail_os
from ...backends.lock import DIRECTORY_LOCK, Lock, lock_directory, lock_file
from ...errors import DataDirLocked
from ..common.errors import complain
from .places import Member

__all__ = ["reading", "reading_file", "writing"]

POLL_SECONDS: Final = 0.05
SAY_SECONDS: Final = 1.0
"""How long a command waits before it says so."""


class _Shared:
    """A flock on a file that exists already; released by `release`."""

    def __init__(self, path: Path, what: Path, *, exclusive: bool = False) -> None:
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            fail_os(path, "opening", error)
        try:
            fcntl.flock(self._fd, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = b"" if path == what else os.pread(self._fd, 20, 0)
            os.close(self._fd)
            by = f" (process {owner.decode().strip()})" if owner.strip().isdigit() else ""
            raise DataDirLocked(f"{what} is in use by a running member{by}") from None
        except OSError as error:
            os.close(self._fd)
            if error.errno != errno.ENOLCK:
                fail_os(path, "locking", error)
            self._fd = -1  # a file system without locks has no members on it, either

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@contextmanager
def reading(member: Member, seconds_max: float) -> Iterator[None]:
    """Keep a member from starting while its files are read; raises DataDirLocked.

    Args:
        member: whose files.
        seconds_max: how long to wait for the present user; 0: as long as it takes.
    """
    takes = [
        partial(_Shared, path, member.data_dir) for path in _lock_files(member) if path.exists()
    ]
    with _held(takes, seconds_max):
        yield


@contextmanager
def writing(member: Member, seconds_max: float) -> Iterator[None]:
    """Be the only one who uses a member's files; see `reading`."""
    takes: list[Callable[[], Lock | _Shared]]
    if member.is_etcds:
        takes = [lambda: _Shared(member.db, member.data_dir, exclusive=True)]
    else:
        takes = [lambda: lock_directory(member.data_dir)]
        if member.has_own_wal_dir:
            takes.append(lambda: lock_file(member.wal_dir))
    with _held(takes, seconds_max):
        yield


@contextmanager
def reading_file(path: Path, seconds_max: float) -> Iterator[None]:
    """Read one database or snapshot, which may be that of a running member."""
    beside = path.with_name(path.name + "-lock")
    guards = [each for each in (path, beside) if each.is_file()]
    takes = [partial(_Shared, each, path) for each in guards]
    with _held(takes, seconds_max):
        yield


def _lock_files(member: Member) -> list[Path]:
    if member.is_etcds:
        return [member.db]
    files = [member.data_dir / DIRECTORY_LOCK]
    if member.engine == "sqlite":  # another engine is opened by itself, and takes its lock then
        files.append(member.db.with_name(member.db.name + "-lock"))
    if member.has_own_wal_dir:
        files.append(member.wal_dir.with_name(member.wal_dir.name + "-lock"))
    return files


@contextmanager
def _held(takes: Sequence[Callable[[], Lock | _Shared]], seconds_max: float) -> Iterator[None]:
    with ExitStack() as stack:
        for take in takes:
            stack.callback(_wait(take, seconds_max).release)
        yield


def _wait(take: Callable[[], Lock | _Shared], seconds_max: float) -> Lock | _Shared:
    begun = time.monotonic()
    said = False
    while True:
        try:
            return take()
        except DataDirLocked as error:
            waited = time.monotonic() - begun
            who = str(error).partition(":")[0]
            if seconds_max and waited >= seconds_max:
                raise DataDirLocked(
                    f"{who}: stop it first (waited {seconds_max:g}s, see --timeout)"
                ) from None
            if not said and waited >= SAY_SECONDS:
                said = True
                complain(f"{who}; waiting for it to stop", prefix="")
        time.sleep(POLL_SECONDS)
