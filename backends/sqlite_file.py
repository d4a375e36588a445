"""A file of the sqlite engine as a view, without changing it: for looking at a member that is not running.

`SqliteEngine` and its views take over what a crash has left in the ``-wal`` file, and so change two files by being
opened. Here the main file and the ``-wal`` file stay as they are, byte for byte. Whoever calls this makes sure that
no node has the file open (`lock`).
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from ..errors import CorruptData, StorageError
from .sqlite_reader import SqliteReader, SqliteView, fail

__all__ = ["SQLITE_MAGIC", "SqliteFileView"]

SQLITE_MAGIC = b"SQLite format 3\0"
PROBLEMS_MAX = 20
_COLUMNS = ["k", "v"]


class SqliteFileView(SqliteView):
    """The file `path`, with what was committed to its ``-wal`` file.

    Raises `StorageError` when it cannot be opened, `CorruptData` when it is no database of ours.
    """

    def __init__(self, path: Path) -> None:
        self._shm = path.with_name(path.name + "-shm")
        self._had_shm = self._shm.exists()
        # `immutable` keeps SQLite from making files, and from looking at the -wal file.
        mode = "mode=ro" if _has_content(path.with_name(path.name + "-wal")) else "immutable=1"
        try:
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None
            )
        except sqlite3.Error as error:
            fail(path, "opening", error)
        try:
            connection.execute("BEGIN")
            _check_tables(path, connection)
            SqliteReader.__init__(
                self, path, connection
            )  # what a view of a running engine does differs
        except sqlite3.Error as error:
            connection.close()
            self._remove_shm()
            if mode == "mode=ro" and "unable to open" in str(error):
                raise StorageError(
                    f"{path}: its -wal file has to be read, for which SQLite writes beside it:"
                    " copy the directory to a place that can be written"
                ) from error
            fail(path, "opening", error)
        except BaseException:
            connection.close()
            self._remove_shm()
            raise

    @property
    def total_bytes(self) -> int:
        """The pages of the database, those in the ``-wal`` file included."""
        return self._number("page_count") * self._number("page_size")

    @property
    def free_bytes(self) -> int:
        """What `defragment` would give back, about."""
        return self._number("freelist_count") * self._number("page_size")

    def _number(self, pragma: str) -> int:
        try:
            return int(self._connection.execute(f"PRAGMA {pragma}").fetchone()[0])
        except sqlite3.Error as error:
            fail(self.path, "reading", error)

    def problems(self) -> list[str]:
        """What SQLite's own check finds, at most `PROBLEMS_MAX` lines; it reads the whole file."""
        try:
            found = self._connection.execute(f"PRAGMA integrity_check({PROBLEMS_MAX})").fetchall()
        except sqlite3.Error as error:
            return [str(error)]
        return [line for (line,) in found if line != "ok"]

    def close(self) -> None:
        super().close()
        self._remove_shm()

    def _remove_shm(self) -> None:
        """Away with what reading has made; it is rebuilt from the ``-wal`` file by whoever needs it."""
        if not self._had_shm:
            with suppress(OSError):
                self._shm.unlink()


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _check_tables(path: Path, connection: sqlite3.Connection) -> None:
    """Every table must be a bucket."""
    names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    for (name,) in names:
        if not name.isidentifier():
            _not_ours(path, name)
        columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')]
        if columns != _COLUMNS:
            _not_ours(path, name)


def _not_ours(path: Path, table: str) -> NoReturn:
    raise CorruptData(f"{path}: not a database of Triode: table {table!r} is no bucket")
