"""SQLite on a simulated machine: the real engine on real files, which may be killed and lose power.

The files are in a directory in memory, where there is one. A *kill* takes the files as they are, before the dead
process's connections are closed (which would tidy them up). A *loss of power* cuts the `-wal` at the end of any frame
after the last sync: SQLite writes it in order and only ever appends, and changes the main file only in checkpoints,
which sync it. Frames of an earlier round of the file, which SQLite overwrites from its beginning, are told apart by
their salts.
"""

from __future__ import annotations

import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Self

import attrs

from ..backends.contract import Batch, EngineOptions, Row, View
from ..backends.sqlite import SqliteEngine
from ..errors import DiskFull, StorageError

__all__ = ["SqliteDisk"]

_MEMORY = Path("/dev/shm")  # noqa: S108  # a directory of its own is made in it
_HEADER = struct.Struct(">4I8s2I")  # magic, version, page size, sequence; salts; checksums
_FRAME = struct.Struct(">2I8s2I")  # page number, size of the database; salts; checksums


@attrs.define
class _Synced:
    """Up to where a `-wal` was synced last: so many frames of the round with these salts."""

    salts: bytes = b""
    frames: int = 0


class SqliteDisk:
    """What a machine keeps of its SQLite file. The interface is that of `Platter`."""

    def __init__(self, *, choose: Callable[[int], int]) -> None:
        self.choose = choose
        self.before: Callable[[str, Path], None] = lambda _operation, _path: None
        self.before_read: Callable[[Path], None] = lambda _path: None
        self.capacity_bytes: int | None = None
        parent = _MEMORY if _MEMORY.is_dir() else None
        self._root = Path(tempfile.mkdtemp(prefix="triode-simulation-", dir=parent))
        self._processes_ended = 0
        self._files: dict[str, _Synced] = {}
        self._engines: list[_Engine] = []
        (self._root / "0").mkdir()
        self.engine: type[SqliteEngine] = type("SimulatedSqlite", (_Engine,), {"sqlite_disk": self})

    @property
    def folder(self) -> Path:
        """Where the files of the present process are."""
        return self._root / str(self._processes_ended)

    def told(self, text: str) -> str:
        """A text without the directory, whose name is another in each run."""
        return text.replace(f"{self._root}/", "")

    def end_process(self) -> None:
        """Close what is open without tidying up: the next process finds the files as they are now."""
        old = self.folder
        self._processes_ended += 1
        self.folder.mkdir()
        for name in self._files:
            for each in (name, f"{name}-wal"):
                if (old / each).exists():
                    shutil.copyfile(old / each, self.folder / each)
        for engine in self._engines:
            engine.drop()
        self._engines.clear()
        shutil.rmtree(old, ignore_errors=True)

    def crash(self) -> None:
        """Lose power: of the frames since the last sync the first so many are left."""
        self.end_process()
        for name, synced in self._files.items():
            wal = self.folder / f"{name}-wal"
            salts, frames, frame_bytes = frames_of(wal)
            if not frames:
                continue
            least = min(synced.frames, frames) if salts == synced.salts else 0
            kept = least + self.choose(frames - least + 1)
            with wal.open("r+b") as file:
                file.truncate(_HEADER.size + kept * frame_bytes)

    def flip(self, bit: int) -> bool:
        """Turn over one bit of the main file, or of the `-wal`; False if there is none."""
        found = [path for path in sorted(self.folder.iterdir()) if path.stat().st_size]
        files = [path for path in found if not path.name.endswith(("-shm", "-lock"))]
        if not files:
            return False
        path = files[self.choose(len(files))]
        at = self.choose(path.stat().st_size)
        with path.open("r+b") as file:
            file.seek(at)
            (byte,) = file.read(1)
            file.seek(at)
            file.write(bytes((byte ^ 1 << bit,)))
        return True

    def remove(self) -> None:
        """Delete everything; the disk is not used any more."""
        for engine in self._engines:
            engine.drop()
        self._engines.clear()
        shutil.rmtree(self._root, ignore_errors=True)

    def opened(self, engine: _Engine, name: str) -> None:
        self._engines.append(engine)
        self._files.setdefault(name, _Synced())

    def synced(self, name: str) -> None:
        """Everything in the `-wal` is on the disk, and in the main file as well."""
        salts, frames, _ = frames_of(self.folder / f"{name}-wal")
        self._files[name] = _Synced(salts, frames)


def frames_of(wal: Path) -> tuple[bytes, int, int]:
    """The salts of a `-wal`'s present round, how many frames it has, and the bytes of each."""
    data = wal.read_bytes() if wal.exists() else b""
    if len(data) < _HEADER.size:
        return b"", 0, 1
    _, _, page_bytes, _, salts, _, _ = _HEADER.unpack_from(data)
    frame_bytes = _FRAME.size + page_bytes
    frames = 0
    for at in range(_HEADER.size, len(data) - frame_bytes + 1, frame_bytes):
        if _FRAME.unpack_from(data, at)[2] != salts:
            break
        frames += 1
    return salts, frames, frame_bytes


class _Engine(SqliteEngine):
    """The real engine, whose every call the disk hears of first. It goes by the name of the simulated one."""

    name: ClassVar[str] = "simulated"
    sqlite_disk: ClassVar[SqliteDisk]
    _place: Path  # the path that the node knows

    @classmethod
    def open(cls, path: Path | None, options: EngineOptions) -> Self:
        assert path is not None, "it is durable"
        disk = cls.sqlite_disk
        disk.before("open", path)
        engine = super().open(disk.folder / path.name, options)
        engine._place = path
        disk.opened(engine, path.name)
        return engine

    def get(self, bucket: str, key: bytes) -> bytes | None:
        self.sqlite_disk.before_read(self._place)
        return super().get(bucket, key)

    def get_many(self, bucket: str, keys: Sequence[bytes]) -> list[bytes | None]:
        self.sqlite_disk.before_read(self._place)
        return super().get_many(bucket, keys)

    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        self.sqlite_disk.before_read(self._place)
        return super().range(bucket, start, end, limit)

    def commit(self, batch: Batch) -> None:
        disk = self.sqlite_disk
        disk.before("commit", self._place)
        if disk.capacity_bytes is not None and self.size() > disk.capacity_bytes:
            raise DiskFull(f"cannot write to {self._place}: No space left on device")
        super().commit(batch)

    def snapshot(self) -> View:
        self.sqlite_disk.before("open", self._place)
        return super().snapshot()

    def sync(self) -> None:
        try:
            self.sqlite_disk.before("sync", self._place)
        except StorageError:
            self._sync_failed = True
            raise
        super().sync()
        self.sqlite_disk.synced(self._place.name)

    def defragment(self) -> None:
        self.sqlite_disk.before("defragment", self._place)
        super().defragment()

    def close(self) -> None:
        if not self._closed:
            try:
                self.sqlite_disk.before("close", self._place)
            except StorageError:
                return  # the process is gone: see `SqliteDisk.end_process`
            super().close()
            self.sqlite_disk.synced(self._place.name)

    def drop(self) -> None:
        """Give up the connection and the lock."""
        self._closed = True
        with suppress(sqlite3.Error):
            self._connection.close()
        self._lock.release()
