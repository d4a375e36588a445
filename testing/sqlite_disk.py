"""SQLite on a simulated machine: the real engine on real files, which may be killed and lose power.

The files are in a directory in memory, where the system has one. The *end of a process* takes the files as they are,
before the dead process's connections are closed, which would tidy them up: whatever it has written is there, in the
page cache. A *loss of power* leaves what `sqlite_files` says. Salts are random and paths are the run's own, so neither
may be told to anybody: what a run shows depends on its seed alone.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar, Self
from unittest.mock import patch

from ..backends.contract import Batch, EngineOptions, Reader, Row, View
from ..backends.sqlite import SqliteEngine
from ..backends.sqlite_reader import SqliteView, Statements
from ..errors import DiskFull, StorageError
from .errors import PowerLoss
from .sqlite_files import DatabaseOnDisk, Wal
from .watched_view import BeforeRead, WatchedReader, WatchedView, nothing

__all__ = ["SqliteDisk"]

_MEMORY = Path("/dev/shm")  # noqa: S108  # a directory of its own is made in it
_WAL = "-wal"


class SqliteDisk:
    """What a machine keeps of its SQLite databases. The interface is that of `Platter`.

    `before(operation, path)` is called ahead of everything that an engine does to the disk: "open", "commit" and in it
    "write to" for each table, "sync" of the `-wal`, "checkpoint", "defragment", "snapshot", "close".
    """

    def __init__(self, *, choose: Callable[[int], int] = lambda states: states - 1) -> None:
        self.choose = choose
        self.before: Callable[[str, Path], None] = nothing
        self.before_read: BeforeRead = nothing
        self.capacity_bytes: int | None = None
        parent = _MEMORY if _MEMORY.is_dir() else None
        self._root = Path(tempfile.mkdtemp(prefix="triode-simulation-", dir=parent))
        self._remove = weakref.finalize(self, shutil.rmtree, self._root, ignore_errors=True)
        self._processes_ended = 0
        self._databases: dict[str, DatabaseOnDisk] = {}
        self._engines: list[_Engine] = []
        (self._root / "0").mkdir()
        self.engine: type[SqliteEngine] = type("SimulatedSqlite", (_Engine,), {"_disk": self})

    @property
    def folder(self) -> Path:
        """Where the files of the present process are."""
        return self._root / str(self._processes_ended)

    # --- what goes wrong ------------------------------------------------------------------------

    def end_process(self) -> None:
        """Close what is open without tidying up: the next process finds the files as they are now."""
        old = self.folder
        self._processes_ended += 1
        self.folder.mkdir()
        for name, database in self._databases.items():
            main = _read(old / name)
            self._put(name, database.half_copied(main, self.choose), _read(old / f"{name}{_WAL}"))
        self._drop_engines()
        shutil.rmtree(old, ignore_errors=True)

    def crash(self) -> None:
        """Lose power."""
        self.end_process()
        for name, database in self._databases.items():
            main, wal = self.main_of(name), self.wal_of(name)
            self._put(name, *database.lose_power(main, wal, self.choose))

    def flip(self, name: str, bit: int) -> bool:
        """Turn over one bit of a file, on the disk too, while no process runs; False if there is none."""
        path = self.folder / name
        data = bytearray(_read(path))
        if not data:
            return False
        at = self.choose(len(data))
        data[at] ^= 1 << bit
        path.write_bytes(data)
        database = self._databases[name.removesuffix(_WAL)]
        if name.endswith(_WAL):
            database.wal = database.wal[:at] + data[at : at + 1] + database.wal[at + 1 :]
        else:
            database.main = database.main[:at] + data[at : at + 1] + database.main[at + 1 :]
        return True

    def remove(self) -> None:
        """Delete everything; the disk is not used any more."""
        self._drop_engines()
        self._remove()

    def _drop_engines(self) -> None:
        for engine in self._engines:
            engine.drop()
        self._engines.clear()

    # --- what is there --------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """The databases."""
        return sorted(self._databases)

    def main_of(self, name: str) -> bytes:
        """The main file of a database, as it is seen."""
        return _read(self.folder / name)

    def wal_of(self, name: str) -> bytes:
        """Its `-wal`."""
        return _read(self.folder / f"{name}{_WAL}")

    def database(self, name: str) -> DatabaseOnDisk:
        """What of it is on the disk."""
        return self._databases.setdefault(name, DatabaseOnDisk())

    def _put(self, name: str, main: bytes, wal: bytes) -> None:
        for path, data in ((self.folder / name, main), (self.folder / f"{name}{_WAL}", wal)):
            if data or path.exists():
                path.write_bytes(data)

    # --- what engines do ------------------------------------------------------------------------

    def opened(self, engine: _Engine) -> None:
        self._engines.append(engine)

    @contextmanager
    def may_sync(self, name: str) -> Iterator[None]:
        """Around calls of SQLite that may sync or checkpoint: note what is on the disk afterwards.

        SQLite's own syncs are not seen, but what it does between them is known: see `sqlite_files`. Those of the engine,
        and what it writes itself, are seen.
        """
        database = self.database(name)
        main, wal = self.main_of(name), self.wal_of(name)

        def fsync(fd: int) -> None:
            path = Path(f"/proc/self/fd/{fd}").readlink()
            seen = self.wal_of(name)
            if path.name == f"{name}{_WAL}" or (path == self.folder and not seen):
                database.wal_synced(seen)

        pwrite = os.pwrite

        def written(fd: int, data: bytes, at: int) -> int:
            size = pwrite(fd, data, at)
            if Path(f"/proc/self/fd/{fd}").readlink().name == f"{name}{_WAL}":
                database.wal_written(at, size)
            return size

        with patch.object(os, "fsync", fsync), patch.object(os, "pwrite", written):
            try:
                yield
            finally:
                copied = self.main_of(name)
                if copied != main and wal:
                    database.wal_synced(wal)  # ahead of the first page that it copied
                # A checkpoint of all frames is the only one that syncs the main file, or empties the -wal.
                left = self.wal_of(name)
                if _has_all(copied, Wal.of(left).pages):
                    database.main = copied
                    if not left and database.spoiled is None:
                        database.wal = b""  # what may come back of it, all frames, changes nothing

    def read(self, operation: str, path: Path) -> None:
        """Something is about to be read."""
        self.before_read(operation, path)

    def sync_begins(self, path: Path) -> None:
        """The two things that a sync does, one after the other; raises what either should raise."""
        name = path.name
        database = self.database(name)
        try:
            self.before("sync", path)
        except PowerLoss:
            raise
        except StorageError:
            database.wal_sync_failed(self.wal_of(name))
            raise
        database.wal_synced(self.wal_of(name))
        try:
            self.before("checkpoint", path)
        except StorageError:
            wal = self.wal_of(name)  # others may have committed meanwhile
            database.wal_synced(wal)
            database.checkpoint_began(wal)
            raise

    @contextmanager
    def telling(self, path: Path) -> Iterator[None]:
        """Have errors name the files as the node knows them: the real directory has another name in each run."""
        try:
            yield
        except PowerLoss:
            raise
        except StorageError as error:
            told = str(error).replace(str(self.folder), str(path.parent))
            raise type(error)(told) from error


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _has_all(main: bytes, pages: dict[int, memoryview]) -> bool:
    """Whether a checkpoint has copied all these pages."""
    for number, page in pages.items():
        at = (number - 1) * len(page)
        if main[at : at + len(page)] != page:
            return False
    return True


class _Engine(SqliteEngine):
    """The real engine, whose every call the disk hears of first. It goes by the name of the simulated one.

    Its `path`, which errors name, is the one that the node knows, except where it is used.
    """

    name: ClassVar[str] = "simulated"
    _disk: ClassVar[SqliteDisk]
    _told: Path
    _real: Path

    @classmethod
    def open(cls, path: Path | None, options: EngineOptions) -> Self:
        assert path is not None, "it is durable"
        disk = cls._disk
        disk.before("open", path)
        with disk.telling(path), disk.may_sync(path.name):
            engine = super().open(disk.folder / path.name, options)
        engine._real, engine._told, engine.path = engine.path, path, path
        disk.opened(engine)
        return engine

    @contextmanager
    def _at_real_path(self) -> Iterator[None]:
        self.path = self._real
        try:
            with self._disk.telling(self._told):
                yield
        finally:
            self.path = self._told

    # --- reading --------------------------------------------------------------------------------

    def get(self, bucket: str, key: bytes) -> bytes | None:
        self._disk.before_read("get", self._told)
        return super().get(bucket, key)

    def get_many(self, bucket: str, keys: Sequence[bytes]) -> list[bytes | None]:
        self._disk.before_read("get_many", self._told)
        return super().get_many(bucket, keys)

    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        self._disk.before_read("range", self._told)
        return super().range(bucket, start, end, limit)

    def snapshot(self) -> View:
        self._disk.before("snapshot", self._told)
        with self._at_real_path():
            view = super().snapshot()
        assert isinstance(view, SqliteView), "it is SQLite's"
        view.path = self._told
        return WatchedView(view, self._told, self._disk.read)

    # --- writing --------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> None:
        self._disk.before("commit", self._told)
        super().commit(batch)

    def _write(self, sql: Statements, writes: dict[bytes, bytes | None]) -> None:
        super()._write(sql, writes)
        self._disk.before("write to", self._told)
        self._need_space()

    def replace(self, content: Reader) -> None:
        self._disk.before("commit", self._told)
        self._need_space()
        super().replace(WatchedReader(content, "replace", self._told, self._disk.read))

    def _need_space(self) -> None:
        """A machine that is about to be full has little space left: less than any commit takes."""
        if self._disk.capacity_bytes is not None:
            raise DiskFull(f"cannot write to {self._told}: No space left on device")

    def sync(self) -> None:
        try:
            self._disk.sync_begins(self._told)
        except StorageError:
            self._sync_failed = True
            raise
        with self._at_real_path(), self._disk.may_sync(self._told.name):
            super().sync()

    def defragment(self) -> None:
        self._disk.before("defragment", self._told)
        self._need_space()
        with self._disk.may_sync(self._told.name):
            super().defragment()

    def close(self) -> None:
        if self._closed:
            return
        try:
            self._disk.before("close", self._told)
        except PowerLoss:
            return  # the process is gone: see `SqliteDisk.end_process`
        with self._at_real_path(), self._disk.may_sync(self._told.name):
            super().close()

    def drop(self) -> None:
        """Give up the connection and the lock."""
        self._closed = True
        with suppress(sqlite3.Error):
            self._connection.close()
        self._lock.release()
