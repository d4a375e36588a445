"""Reading SQLite files: the statements of a bucket, what an engine and its views share, and the views."""

# Table names are spliced into SQL; `Statements` asserts that they are identifiers.
# ruff: noqa: S608
from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

from ..errors import CorruptData, DiskFull, StorageError
from .contract import Reader, Row, View

__all__ = [
    "BUSY_SECONDS",
    "PUT_ROWS",
    "VIEW_CACHE_BYTES",
    "SqliteReader",
    "SqliteView",
    "Statements",
    "connect",
    "fail",
]

LOOKUP_KEYS: Final = 64
"""How many keys one statement of `get_many` looks up."""
PUT_ROWS: Final = 32
"""How many rows one statement of a batch writes: a third less time than row by row."""
BUSY_SECONDS: Final = 5.0
VIEW_CACHE_BYTES: Final = 2 << 20
"""Views are scanned once, front to back: a cache would not help them."""


def fail(path: Path, doing: str, error: sqlite3.Error) -> NoReturn:
    """Raise what `error` means, naming the file."""
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    text = f"{path}: {error} (while {doing})"
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        raise CorruptData(text) from error
    if code == sqlite3.SQLITE_FULL:
        raise DiskFull(text) from error
    raise StorageError(text) from error


def connect(path: Path, *, cache_bytes: int) -> sqlite3.Connection:
    """A connection that any thread may use, without transactions of its own making."""
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.execute(f"PRAGMA cache_size = -{cache_bytes >> 10}")
    return connection


class Statements:
    """The statements of one bucket. sqlite3 keeps them prepared, by their text."""

    __slots__ = (
        "create",
        "delete",
        "drop",
        "get",
        "get_many",
        "put",
        "put_many",
        "range",
        "range_open",
    )

    def __init__(self, bucket: str) -> None:
        assert bucket.isidentifier(), bucket
        table = f'"{bucket}"'
        rows = f"SELECT k, v FROM {table} WHERE k"
        self.create = f"CREATE TABLE {table} (k BLOB PRIMARY KEY NOT NULL, v BLOB NOT NULL)"
        self.drop = f"DROP TABLE {table}"
        self.put = self._put(table, 1)
        self.put_many = self._put(table, PUT_ROWS)
        self.delete = f"DELETE FROM {table} WHERE k = ?"
        self.get = f"SELECT v FROM {table} WHERE k = ?"
        self.get_many = f"{rows} IN ({','.join('?' * LOOKUP_KEYS)})"
        self.range = f"{rows} >= ? AND k < ? ORDER BY k LIMIT ?"
        self.range_open = f"{rows} >= ? ORDER BY k LIMIT ?"

    @staticmethod
    def _put(table: str, rows: int) -> str:
        values = ",".join(["(?, ?)"] * rows)
        update = "ON CONFLICT (k) DO UPDATE SET v = excluded.v"
        return f"INSERT INTO {table} (k, v) VALUES {values} {update}"


class SqliteReader(Reader):
    """Reading, which an engine and its views do alike."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._cursor = connection.cursor()
        found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        self._tables = {name: Statements(name) for (name,) in found}

    def get(self, bucket: str, key: bytes) -> bytes | None:
        sql = self._tables.get(bucket)
        if sql is None:
            return None
        try:
            row = self._cursor.execute(sql.get, (key,)).fetchone()
        except sqlite3.Error as error:
            fail(self.path, "reading", error)
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
            fail(self.path, "reading", error)
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
            fail(self.path, "reading", error)

    def buckets(self) -> list[str]:
        return sorted(self._tables)


class SqliteView(SqliteReader, View):
    """A read transaction on its own connection, begun at the last commit."""

    def __init__(self, path: Path) -> None:
        connection = None
        try:
            connection = connect(path, cache_bytes=VIEW_CACHE_BYTES)
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")  # the first read, of the names, fixes the state
            super().__init__(path, connection)
        except sqlite3.Error as error:
            if connection:
                connection.close()
            fail(path, "taking a snapshot", error)

    def scan(self, bucket: str, start: bytes = b"", end: bytes | None = None) -> Iterator[Row]:
        sql = self._tables.get(bucket)
        if sql is None:
            return
        # A cursor holds one row, where pages of rows would hold as many as there are large values.
        cursor = self._connection.cursor()
        try:
            if end is None:
                cursor.execute(sql.range_open, (start, -1))
            else:
                cursor.execute(sql.range, (start, end, -1))
            # not `yield from cursor`: a scan that is given up would close it, perhaps after the view
            yield from iter(cursor.fetchone, None)
        except sqlite3.Error as error:
            fail(self.path, "scanning", error)

    def close(self) -> None:
        self._connection.close()
