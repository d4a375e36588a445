"""The durable engine: one SQLite file in WAL mode, one table per bucket.

**Tables.** A bucket is ``CREATE TABLE "name" (k BLOB PRIMARY KEY NOT NULL, v BLOB NOT NULL)``: an
ordinary rowid table with an index on k, so anyone's SQLite tool reads it. WITHOUT ROWID looks more
natural and costs the same for small values, but keeps values inside the tree: beyond a quarter of a
page they overflow, the fan-out collapses and commits get several times slower. Pages of 16 KiB hold
rows of 1 KiB for half the cost of the default 4 KiB, and smaller ones for the same; where values are
several KiB they waste some space. Measured with ``benchmarks/backends.py --layouts``.

**Durability.** With journal_mode=WAL and synchronous=NORMAL a commit appends checksummed frames to
``<path>-wal`` without fsync. After a loss of power SQLite finds the longest prefix of whole,
checksummed transactions there, so the file opens at some committed batch: what the contract asks for,
since the raft log replays the rest. `sync` makes all of it durable: it fsyncs the -wal file, then
copies its frames into the main file (a passive checkpoint, which waits for nobody). Both happen on
descriptors of their own, so `sync` can run on a worker thread while commits go on. If nobody calls it,
SQLite checkpoints within a commit when the -wal file reaches `WAL_BYTES_MAX`. A -wal file that an earlier process
has left is written anew before it is opened: after an fsync that failed its pages count as clean, though
the disk does not have them, and a checkpoint must not change the main file before they are durable.
(The main file needs no such care: as long as a checkpoint has not synced it, the -wal file has all of it.)

**Views** are read transactions on a connection of their own: SQLite keeps the frames they need. A view
that stays open keeps the -wal file growing.

POSIX locks, which SQLite uses, are dropped when *any* descriptor of the file is closed by the process:
nothing here opens the main file behind SQLite's back while it is open. (The -wal file bears no locks.)
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import ClassVar, Final, Self

from ..errors import StorageError
from .bbolt_format import MAGIC, PAGE
from .contract import Batch, Engine, EngineOptions, Reader, View
from .faults import fail_os
from .lock import Lock, lock_file
from .sqlite_reader import (
    BUSY_SECONDS,
    PUT_ROWS,
    VIEW_CACHE_BYTES,
    SqliteReader,
    SqliteView,
    Statements,
    connect,
    fail,
)

__all__ = ["SqliteEngine"]

PAGE_BYTES: Final = 16384
WAL_BYTES_MAX: Final = 64 << 20
"""Size of the -wal file at which a commit checkpoints it, in the foreground."""
WAL_BYTES_DUE: Final = 8 << 20
"""Growth of the -wal file since the last `sync` from which `sync_due` asks for another."""
REWRITE_BYTES: Final = 1 << 20
COMMIT_BYTES: Final = 3 * PAGE_BYTES
"""What a commit adds to the -wal file, however little it writes: a table's, its index's and a first page."""


class SqliteEngine(SqliteReader, Engine):
    """See the head of the module."""

    name: ClassVar[str] = "sqlite"
    durable: ClassVar[bool] = True

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: Lock) -> None:
        super().__init__(path, connection)
        self._lock = lock
        self._sizes: tuple[int, int] | None = None
        self._grown = 0  # about how much the -wal file has grown since the last sync
        self._closed = False
        self._sync_failed = False
        self._page_bytes: int = connection.execute("PRAGMA page_size").fetchone()[0]
        self._wal = path.with_name(path.name + "-wal")

    @classmethod
    def open(cls, path: Path | None, options: EngineOptions) -> Self:
        """Open or create the file `path`; raises `CorruptData`, `DataDirLocked`, `StorageError`."""
        if path is None:
            raise StorageError("the sqlite backend needs the path of its file")
        lock = lock_file(path)
        with ExitStack() as undo:
            undo.callback(lock.release)
            _prepare_file(path, create=options.create)
            _write_anew(path.with_name(path.name + "-wal"))
            try:
                connection = connect(path, cache_bytes=options.cache_bytes)
                undo.callback(connection.close)
                _configure(connection)
                engine = cls(path, connection, lock)
            except sqlite3.Error as error:
                fail(path, "opening", error)
            undo.pop_all()
            return engine

    def commit(self, batch: Batch) -> None:
        tables = self._tables.copy()
        with self._transaction("committing"):
            for name in batch.dropped & tables.keys():
                self._cursor.execute(tables.pop(name).drop)
            for name, writes in batch.writes.items():
                if name not in tables:
                    tables[name] = Statements(name)
                    self._cursor.execute(tables[name].create)
                self._write(tables[name], writes)
        self._tables = tables
        self._grown += COMMIT_BYTES

    def replace(self, content: Reader) -> None:
        tables = {name: Statements(name) for name in content.buckets()}
        with self._transaction("replacing the content"):
            for gone in self._tables.values():
                self._cursor.execute(gone.drop)
            for name, sql in tables.items():
                self._cursor.execute(sql.create)
                self._cursor.executemany(sql.put, content.scan(name))
        self._tables = tables
        self._grown += WAL_BYTES_DUE

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[None]:
        self._sizes = None
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
            yield
            self._cursor.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):  # SQLite has rolled some failures back by itself
                self._connection.rollback()
            if isinstance(error, sqlite3.Error):
                fail(self.path, doing, error)
            raise

    def _write(self, sql: Statements, writes: dict[bytes, bytes | None]) -> None:
        rows: Collection[tuple[bytes, bytes | None]] = writes.items()
        if None in writes.values():
            deletes = [(key,) for key, value in rows if value is None]
            self._cursor.executemany(sql.delete, deletes)
            rows = [row for row in rows if row[1] is not None]
        flat: list[bytes] = list(chain.from_iterable(rows))  # type: ignore[arg-type]
        self._grown += sum(map(len, flat))
        whole = len(rows) - len(rows) % PUT_ROWS
        for at in range(0, 2 * whole, 2 * PUT_ROWS):
            self._cursor.execute(sql.put_many, flat[at : at + 2 * PUT_ROWS])
        self._cursor.executemany(sql.put, islice(rows, whole, None))

    def snapshot(self) -> View:
        return SqliteView(self.path)

    def size(self) -> int:
        return (self._sizes or self._measure())[0]

    def size_in_use(self) -> int:
        return (self._sizes or self._measure())[1]

    def _measure(self) -> tuple[int, int]:
        """Pages of the database, with those still in the -wal file: all of them, those in use."""
        try:
            ((pages,),) = self._cursor.execute("PRAGMA page_count").fetchall()
            ((free,),) = self._cursor.execute("PRAGMA freelist_count").fetchall()
        except sqlite3.Error as error:
            fail(self.path, "reading its size", error)
        self._sizes = (pages * self._page_bytes, (pages - free) * self._page_bytes)
        return self._sizes

    @property
    def sync_due(self) -> bool:
        # Not the file's size: SQLite starts again at its beginning once all of it is copied.
        return self._grown >= WAL_BYTES_DUE

    def sync(self) -> None:
        self._grown = 0
        try:
            _fsync(self._wal)
            _fsync(self._wal.parent)
            connection = connect(self.path, cache_bytes=VIEW_CACHE_BYTES)
            try:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            finally:
                connection.close()
        except OSError as error:
            self._sync_failed = True
            fail_os(self._wal, "syncing", error)
        except sqlite3.Error as error:
            self._sync_failed = True
            fail(self.path, "checkpointing", error)

    def defragment(self) -> None:
        self._sizes = None
        execute = self._connection.execute
        try:
            execute("VACUUM")
            # Cut the files off, unless a view still needs them: do not wait for it.
            execute("PRAGMA busy_timeout = 0").fetchall()
            execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}").fetchall()
        except sqlite3.Error as error:
            fail(self.path, "defragmenting", error)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            if (
                not self._sync_failed
            ):  # the kernel may report a lost page once only, and then success
                self.sync()
        finally:
            self._connection.close()
            self._lock.release()


def _configure(connection: sqlite3.Connection) -> None:
    for setting in (
        f"page_size = {PAGE_BYTES}",  # of a new file; before the next
        "journal_mode = WAL",
        "synchronous = NORMAL",
        f"wal_autocheckpoint = {WAL_BYTES_MAX // PAGE_BYTES}",
        f"journal_size_limit = {WAL_BYTES_DUE}",  # cut the -wal file when it starts again
    ):
        connection.execute(f"PRAGMA {setting}").fetchall()


def _prepare_file(path: Path, *, create: bool) -> None:
    """Create the file for its owner alone, or look at what is there before SQLite does."""
    try:
        if not path.exists():
            if not create:
                raise StorageError(f"{path}: no such file")
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            _fsync(path.parent)
            return
        with path.open("rb") as file:
            head = file.read(PAGE.size + 4)
    except OSError as error:
        fail_os(path, "opening", error)
    if head[PAGE.size :] == MAGIC.to_bytes(4, "little"):
        raise StorageError(
            f"{path}: this is a bbolt file, written by etcd; "
            "bring its data over with `triodeutl snapshot restore`"
        )


def _write_anew(wal: Path) -> None:
    """Make all pages of a -wal file that is there dirty, and sync it; its content stays as it is."""
    try:
        with wal.open("r+b") as file:
            at = 0
            while part := os.pread(file.fileno(), REWRITE_BYTES, at):
                at += os.pwrite(file.fileno(), part, at)
            os.fsync(file.fileno())
    except FileNotFoundError:
        return
    except OSError as error:
        fail_os(wal, "writing it anew", error)


def _fsync(path: Path) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # no -wal file: nothing was committed since the last checkpoint
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
