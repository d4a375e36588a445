"""The engine that keeps everything in memory and forgets it when the process ends.

For tests, caches and experiments. Its snapshots are O(rows / 1024) and safe to read from other
threads; see `cowmap` for how.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from .contract import Batch, Engine, EngineOptions, Row, View
from .cowmap import CowMap, Frozen

__all__ = ["MemoryEngine"]

ROW_OVERHEAD_BYTES = 260
"""Two bytes objects (33 each), two list slots, a dict entry and a share of the slack, about."""


class MemoryView(View):
    """One state of a `MemoryEngine`."""

    def __init__(self, frozen: dict[str, Frozen]) -> None:
        self._frozen = frozen

    def get(self, bucket: str, key: bytes) -> bytes | None:
        found = self._frozen.get(bucket)
        return found.get(key) if found else None

    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        found = self._frozen.get(bucket)
        return found.range(start, end, limit) if found else []

    def buckets(self) -> list[str]:
        return sorted(self._frozen)

    def close(self) -> None:
        self._frozen = {}


class MemoryEngine(Engine):
    """Buckets of `CowMap`; a commit cannot fail half-way, for it does no more than dict stores."""

    name: ClassVar[str] = "memory"
    durable: ClassVar[bool] = False

    def __init__(self) -> None:
        self._maps: dict[str, CowMap] = {}

    @classmethod
    def open(cls, path: Path | None = None, options: EngineOptions | None = None) -> Self:
        """An empty engine; `path` and `options` mean nothing to it."""
        del path, options
        return cls()

    def commit(self, batch: Batch) -> None:
        maps = self._maps
        for name in batch.dropped:
            maps.pop(name, None)
        for name, writes in batch.writes.items():
            found = maps.get(name)
            if found is None:
                found = maps[name] = CowMap()
            found.update(writes.items())

    def get(self, bucket: str, key: bytes) -> bytes | None:
        found = self._maps.get(bucket)
        return None if found is None else found.get(key)

    def get_many(self, bucket: str, keys: Sequence[bytes]) -> list[bytes | None]:
        found = self._maps.get(bucket)
        return [None] * len(keys) if found is None else found.get_many(keys)

    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        found = self._maps.get(bucket)
        return [] if found is None else found.range(start, end, limit)

    def buckets(self) -> list[str]:
        return sorted(self._maps)

    def snapshot(self) -> View:
        return MemoryView({name: found.freeze() for name, found in self._maps.items()})

    def size(self) -> int:
        """An estimate of the memory taken by the rows; freed memory is reused, so no high-water mark."""
        return sum(m.data_bytes + len(m) * ROW_OVERHEAD_BYTES for m in self._maps.values())

    def size_in_use(self) -> int:
        return self.size()

    def sync(self) -> None:
        """Nothing: there is no disk."""

    def defragment(self) -> None:
        for found in self._maps.values():
            found.compact()

    def close(self) -> None:
        self._maps = {}
