"""The durable engine: one SQLite file in WAL mode, one table per bucket.

**Tables.** A bucket is ``CREATE TABLE "name" (k BLOB PRIMARY KEY NOT NULL, v BLOB NOT NULL)``: an
ordinary rowid table with an index on k, so anyone's SQLite tool reads it. WITHOUT ROWID looks more
natural and is a little faster for small values, but keeps values inside the tree: beyond a quarter of
a page they overflow, the fan-out collapses and commits get several times slower. Pages of 16 KiB
halve the cost of a batch against the default of 4 KiB. Both measured with `benchmarks/backends.py`.

**Durability.** With journal_mode=WAL and synchronous=NORMAL a commit appends checksummed frames to
``<path>-wal`` without fsync. After a loss of power SQLite finds the longest prefix of whole,
checksummed transactions there, so the file opens at some committed batch: what the contract asks for,
since the raft log replays the rest. `sync` makes all of it durable: it fsyncs the -wal file, then
copies its frames into the main file (a passive checkpoint, which waits for nobody). Both happen on
descriptors of their own, so `sync` can run on a worker thread while commits go on. If nobody calls it,
SQLite checkpoints within a commit when the -wal file reaches `WAL_BYTES_MAX`.

**Views** are read transactions on a connection of their own: SQLite keeps the frames they need. A view
that stays open keeps the -wal file growing.

POSIX locks, which SQLite uses, are dropped when *any* descriptor of the file is closed by the process:
nothing here opens the main file behind SQLite's back while it is open. (The -wal file bears no locks.)
"""

# Table names are spliced into SQL; `_Sql` asserts that they are identifiers.
# ruff: noqa: S608
from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final, NoReturn, Self

from ..errors import CorruptData, DiskFull, StorageError
from .contract import Batch, Engine, EngineOptions, Reader, Row, View
from .lock import Lock, lock_file

__all__ = ["SqliteEngine"]

PAGE_BYTES: Final = 16384
WAL_BYTES_MAX: Final = 64 << 20
"""Size of the -wal file at which a commit checkpoints it, in the foreground."""
WAL_BYTES_DUE: Final = 8 << 20
"""Size from which `sync_due` asks for a checkpoint in the background."""
LOOKUP_KEYS: Final = 64
"""How many keys one statement of `get_many` looks up."""
BUSY_SECONDS: Final = 5.0
_BBOLT_MAGIC: Final = (0xED0CDAED).to_bytes(4, "little")


def _fail(path: Path, doing: str, error: sqlite3.Error) -> NoReturn:
    """Raise what `error` means, naming the file."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    text = f"{path}: {error} (while {doing})"
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        raise CorruptData(text) from error
    if code == sqlite3.SQLITE_FULL:
        raise DiskFull(text) from error
    raise StorageError(text) from error


def _connect(path: Path, *, cache_bytes: int) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute(f"PRAGMA cache_size = -{cache_bytes >> 10}")
    return connection


class _Sql:
    """The statements of one bucket. sqlite3 keeps them prepared, by their text."""

    __slots__ = ("create", "delete", "drop", "get", "get_many", "put", "range", "range_open")

    def __init__(self, bucket: str) -> None:
        assert bucket.isidentifier(), bucket
        table = f'"{bucket}"'
        rows = f"SELECT k, v FROM {table} WHERE k"
        self.create = f"CREATE TABLE {table} (k BLOB PRIMARY KEY NOT NULL, v BLOB NOT NULL)"
        self.drop = f"DROP TABLE {table}"
        self.put = (
            f"INSERT INTO {table} (k, v) VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v"
        )
        self.delete = f"DELETE FROM {table} WHERE k = ?"
        self.get = f"SELECT v FROM {table} WHERE k = ?"
        self.get_many = f"{rows} IN ({','.join('?' * LOOKUP_KEYS)})"
        self.range = f"{rows} >= ? AND k < ? ORDER BY k LIMIT ?"
        self.range_open = f"{rows} >= ? ORDER BY k LIMIT ?"


class _Tables(Reader):
    """Reading, which an engine and its views do alike."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._cursor = connection.cursor()
        found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        self._tables = {name: _Sql(name) for (name,) in found}

    def get(self, bucket: str, key: bytes) -> bytes | None:
        sql = self._tables.get(bucket)
        if sql is None:
            return None
        try:
            row = self._cursor.execute(sql.get, (key,)).fetchone()
        except sqlite3.Error as error:
            _fail(self.path, "reading", error)
        return row and row[0]  # type: ignore[no-any-return]

    def get_many(self, bucket: str, keys: Sequence[bytes]) -> list[bytes | None]:
        sql = self._tables.get(bucket)
        if sql is None:
            return [None] * len(keys)
        found: dict[bytes, bytes] = {}
        # In key order the lookups of one statement, and of the next, meet the same pages.
        order = sorted(keys)
        whole = len(keys) - len(keys) % LOOKUP_KEYS
        try:
            for at in range(0, whole, LOOKUP_KEYS):
                found.update(self._cursor.execute(sql.get_many, order[at : at + LOOKUP_KEYS]))
            for key in order[whole:]:
                for (value,) in self._cursor.execute(sql.get, (key,)):
                    found[key] = value
        except sqlite3.Error as error:
            _fail(self.path, "reading", error)
        return list(map(found.get, keys))

    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        sql = self._tables.get(bucket)
        if sql is None:
            return []
        try:
            if end is None:
                return self._cursor.execute(sql.range_open, (start, limit or -1)).fetchall()
            return self._cursor.execute(sql.range, (start, end, limit or -1)).fetchall()
        except sqlite3.Error as error:
            _fail(self.path, "reading", error)

    def buckets(self) -> list[str]:
        return sorted(self._tables)


class SqliteView(_Tables, View):
    """A read transaction on its own connection, begun at the last commit."""

    def __init__(self, path: Path, *, cache_bytes: int) -> None:
        try:
            connection = _connect(path, cache_bytes=cache_bytes)
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")  # the first read, of the names, fixes the state
            super().__init__(path, connection)
        except sqlite3.Error as error:
            _fail(path, "taking a snapshot", error)

    def close(self) -> None:
        self._connection.close()


VIEW_CACHE_BYTES: Final = 2 << 20
"""Views are scanned once, front to back: a cache would not help them."""


class SqliteEngine(_Tables, Engine):
    """See the head of the module."""

    name: ClassVar[str] = "sqlite"
    durable: ClassVar[bool] = True

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: Lock) -> None:
        super().__init__(path, connection)
        self._lock = lock
        self._sizes: tuple[int, int] | None = None
        self._closed = False
        self._page_bytes: int = connection.execute("PRAGMA page_size").fetchone()[0]
        self._wal = path.with_name(path.name + "-wal")

    @classmethod
    def open(cls, path: Path | None, options: EngineOptions) -> Self:
        """Open or create the file `path`; raises `CorruptData`, `DataDirLocked`, `StorageError`."""
        if path is None:
            raise StorageError("the sqlite backend needs the path of its file")
        lock = lock_file(path)
        try:
            _prepare_file(path, create=options.create)
            return cls(path, _connect_writer(path, options), lock)
        except sqlite3.Error as error:
            lock.release()
            _fail(path, "opening", error)
        except BaseException:
            lock.release()
            raise

    def commit(self, batch: Batch) -> None:
        execute = self._cursor.execute
        self._sizes = None
        tables = self._tables.copy()
        try:
            execute("BEGIN IMMEDIATE")
            for name in batch.dropped & tables.keys():
                execute(tables.pop(name).drop)
            for name, writes in batch.writes.items():
                if name not in tables:
                    tables[name] = _Sql(name)
                    execute(tables[name].create)
                self._write(tables[name], writes)
            execute("COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:
                self._connection.rollback()
            if isinstance(error, sqlite3.Error):
                _fail(self.path, "committing", error)
            raise
        self._tables = tables

    def _write(self, sql: _Sql, writes: dict[bytes, bytes | None]) -> None:
        executemany = self._cursor.executemany
        if None in writes.values():
            executemany(sql.delete, [(key,) for key, value in writes.items() if value is None])
            executemany(sql.put, [row for row in writes.items() if row[1] is not None])
        else:
            executemany(sql.put, writes.items())

    def snapshot(self) -> View:
        return SqliteView(self.path, cache_bytes=VIEW_CACHE_BYTES)

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
            _fail(self.path, "reading its size", error)
        self._sizes = (pages * self._page_bytes, (pages - free) * self._page_bytes)
        return self._sizes

    @property
    def sync_due(self) -> bool:
        try:
            return self._wal.stat().st_size >= WAL_BYTES_DUE
        except FileNotFoundError:
            return False

    def sync(self) -> None:
        try:
            _fsync(self._wal)
            _fsync(self._wal.parent)
            connection = _connect(self.path, cache_bytes=VIEW_CACHE_BYTES)
            try:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            finally:
                connection.close()
        except OSError as error:
            raise StorageError(f"{self._wal}: fsync failed: {error.strerror}") from error
        except sqlite3.Error as error:
            _fail(self.path, "checkpointing", error)

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
            _fail(self.path, "defragmenting", error)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self.sync()
        finally:
            self._connection.close()
            self._lock.release()


def _connect_writer(path: Path, options: EngineOptions) -> sqlite3.Connection:
    connection = _connect(path, cache_bytes=options.cache_bytes)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_BYTES_MAX // PAGE_BYTES}").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


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
            head = file.read(20)
    except OSError as error:
        raise StorageError(f"{path}: cannot open: {error.strerror}") from error
    if head[16:20] == _BBOLT_MAGIC:
        raise StorageError(
            f"{path}: this is a bbolt file, written by etcd; "
            "bring its data over with `triodeutl snapshot restore`"
        )


def _fsync(path: Path) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # no -wal file: nothing was committed since the last checkpoint
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
