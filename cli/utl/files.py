"""Opening databases to be read: bbolt's, sqlite's, and those of other engines, told apart by what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ...backends.bbolt_file import BboltView
from ...backends.contract import ETCD_BUCKETS, EngineOptions, Row, View
from ...backends.faults import fail_os
from ...backends.sqlite_file import SQLITE_MAGIC, SqliteFileView
from ...errors import CorruptData, StorageError
from .places import Member

__all__ = ["free_bytes", "open_file", "open_member", "required_buckets", "total_bytes"]

_BBOLT_BYTES_MIN: Final = 1024


def open_file(path: Path) -> BboltView | SqliteFileView:
    """A database or a snapshot as it is, unchanged; raises StorageError, CorruptData."""
    try:
        if not path.exists():
            raise StorageError(f"stat {path}: no such file or directory")
        if path.is_dir():
            raise StorageError(f"{path} is a directory, not a snapshot or a database")
        if not path.is_file():  # a pipe would not end
            raise StorageError(f"invalid database: {path} is no regular file")
        with path.open("rb") as file:
            head = file.read(_BBOLT_BYTES_MIN)
    except OSError as error:
        fail_os(path, "opening", error)
    if head.startswith(SQLITE_MAGIC):
        return SqliteFileView(path)
    try:
        return BboltView(path)
    except CorruptData as error:
        raise CorruptData(f"invalid database: {error}") from error
    except StorageError as error:
        raise StorageError(f"invalid database: {error}") from error


def open_member(member: Member) -> View:
    """A member's database, as its last commit left it."""
    if member.is_etcds or member.engine == "sqlite":
        return open_file(member.db)
    return _EngineView(member)


def required_buckets(view: View) -> tuple[str, ...]:
    """What a snapshot of this database would have, though it may not be there yet."""
    return () if isinstance(view, BboltView) else ETCD_BUCKETS


def total_bytes(view: View) -> int:
    """The size of the database as its owner counts it."""
    if isinstance(view, BboltView | SqliteFileView | _EngineView):
        return view.total_bytes
    return 0


def free_bytes(view: View) -> int | None:
    """What defragmenting would give back, about; None: that is not known without looking at every page."""
    if isinstance(view, SqliteFileView | _EngineView):
        return view.free_bytes
    return None


class _EngineView(View):
    """The database of a third party's engine, which has to be opened by it."""

    def __init__(self, member: Member) -> None:
        from ...backends.registry import engine_class

        self._engine = engine_class(member.engine).open(member.db, EngineOptions(create=False))
        self._view = self._engine.snapshot()
        self.total_bytes = self._engine.size()
        self.free_bytes = self.total_bytes - self._engine.size_in_use()

    def get(self, bucket: str, key: bytes) -> bytes | None:
        return self._view.get(bucket, key)

    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        return self._view.range(bucket, start, end, limit)

    def buckets(self) -> list[str]:
        return self._view.buckets()

    def close(self) -> None:
        self._view.close()
        self._engine.close()
