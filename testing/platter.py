"""A storage engine whose commits are on the disk at once, or not before `sync`: a loss of power decides.

`Platter` is what a machine has on its disk: a state that is durable for sure, and the commits since, in order. The
end of a process leaves all of them in the page cache; a loss of power keeps a prefix. After a sync that failed, no
later one makes the commits before it durable, until another process opens the file (engines write anew what they
find, see `backends.contract`). `SimulatedEngine` is the engine over one file on a platter; reads and views are the
memory engine's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Self

from ..backends.contract import Batch, EngineOptions, Reader, Row, View
from ..backends.memory import MemoryEngine
from ..errors import ConfigError, DataDirLocked, DiskFull, StorageError
from ..raft.simulated_disk import PowerLoss
from .watched_view import BeforeRead, WatchedReader, WatchedView, nothing

__all__ = ["Platter", "SimulatedEngine", "engine_on"]

Buckets = dict[str, dict[bytes, bytes]]


def _apply(buckets: Buckets, batch: Batch) -> None:
    for name in batch.dropped:
        buckets.pop(name, None)
    for name, writes in batch.writes.items():
        rows = buckets.setdefault(name, {})
        for key, value in writes.items():
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value


class _File:
    """One engine's data on a platter."""

    def __init__(self) -> None:
        self.durable: Buckets = {}
        self.since: list[Batch] = []
        self.opened = False
        self.spoiled: int | None = None  # so many commits were there when a sync failed

    def sync(self) -> None:
        if self.spoiled is None:
            self.settle(len(self.since))

    def lose_power(self, choose: Callable[[int], int]) -> None:
        states = len(self.since) if self.spoiled is None else self.spoiled
        self.settle(choose(states + 1))
        self.spoiled, self.opened = None, False

    def settle(self, kept: int) -> None:
        for batch in self.since[:kept]:
            _apply(self.durable, batch)
        del self.since[:]


class Platter:
    """The engines' part of a machine's disk.

    `before(operation, path)` is called ahead of everything that an engine does to the disk, and may raise what that
    should raise, and `before_read(operation, path)` ahead of its reads, also those of its views and of what it replaces
    its content with; `choose(n)` says, at a loss of power, which of n states is left, n - 1 being the newest.
    """

    def __init__(
        self,
        *,
        choose: Callable[[int], int] = lambda states: states - 1,
        before: Callable[[str, Path], None] = lambda _operation, _path: None,
        capacity_bytes: int | None = None,
    ) -> None:
        self.choose = choose
        self.before = before
        self.before_read: BeforeRead = nothing
        self.capacity_bytes = capacity_bytes
        self._files: dict[Path, _File] = {}

    def crash(self) -> None:
        """Lose power: of each file's commits since its last `sync`, the first so many are left."""
        for _, file in sorted(self._files.items()):
            file.lose_power(self.choose)

    def end_process(self) -> None:
        """Close what is open; commits that were not synced are there, and may be lost later."""
        for file in self._files.values():
            file.opened = False

    def wipe(self) -> None:
        """Forget everything, as a disk that is exchanged."""
        self._files.clear()

    def open(self, path: Path, *, create: bool) -> _File:
        """The file at `path`, for one engine alone."""
        self.before("open", path)
        if path not in self._files:
            if not create:
                raise StorageError(f"cannot open {path}: No such file or directory")
            self._files[path] = _File()
        file = self._files[path]
        if file.opened:
            raise DataDirLocked(f"{path} is in use by another node")
        file.opened, file.spoiled = True, None
        return file

    def read(self, operation: str, path: Path) -> None:
        """Something is about to be read."""
        self.before_read(operation, path)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, at once and for good."""
        self._files[new] = self._files.pop(old)


class SimulatedEngine(MemoryEngine):
    """An engine over a file of a platter; `engine_on` makes the class for one."""

    name: ClassVar[str] = "simulated"
    durable: ClassVar[bool] = True
    platter: ClassVar[Platter]

    def __init__(self, path: Path, file: _File) -> None:
        super().__init__()
        self._path = path
        self._file = file
        self._open = True
        super().commit(Batch({name: {**rows} for name, rows in file.durable.items()}))
        for batch in file.since:
            super().commit(batch)

    @classmethod
    def open(cls, path: Path | None = None, options: EngineOptions | None = None) -> Self:
        if path is None:
            raise ConfigError("a simulated engine keeps its data in a file: give it a path")
        options = options or EngineOptions()
        return cls(path, cls.platter.open(path, create=options.create))

    def commit(self, batch: Batch) -> None:
        self.platter.before("commit", self._path)
        growth = sum(
            len(key) + len(value or b"")
            for writes in batch.writes.values()
            for key, value in writes.items()
        )
        capacity = self.platter.capacity_bytes
        if capacity is not None and self.size() + growth > capacity:
            raise DiskFull(f"cannot write to {self._path}: No space left on device")
        kept = Batch({name: {**rows} for name, rows in batch.writes.items()}, set(batch.dropped))
        self._file.since.append(kept)
        super().commit(batch)

    def get(self, bucket: str, key: bytes) -> bytes | None:
        self.platter.before_read("get", self._path)
        return super().get(bucket, key)

    def get_many(self, bucket: str, keys: Sequence[bytes]) -> list[bytes | None]:
        self.platter.before_read("get_many", self._path)
        return super().get_many(bucket, keys)

    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        self.platter.before_read("range", self._path)
        return super().range(bucket, start, end, limit)

    def snapshot(self) -> View:
        return WatchedView(super().snapshot(), self._path, self.platter.read)

    def replace(self, content: Reader) -> None:
        super().replace(WatchedReader(content, "replace", self._path, self.platter.read))

    def sync(self) -> None:
        try:
            self.platter.before("sync", self._path)
        except PowerLoss:
            raise
        except StorageError:
            if self._file.spoiled is None:
                self._file.spoiled = len(self._file.since)
            raise
        if self._open:
            self._file.sync()

    def defragment(self) -> None:
        self.platter.before("defragment", self._path)
        super().defragment()

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        try:
            self.platter.before("close", self._path)
        except StorageError:
            return  # the power is gone: what is durable has been settled
        self._file.sync()
        self._file.opened = False


def engine_on(platter: Platter) -> type[SimulatedEngine]:
    """The engine class whose files are on `platter`."""
    return type("SimulatedEngine", (SimulatedEngine,), {"platter": platter})
