"""Two engines made for checking others: a model that is plainly right, and a mirror that compares."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self, TypeVar

from ..errors import ConfigError
from .contract import Batch, Engine, EngineOptions, Reader, Row, View

__all__ = ["MirrorEngine", "ModelEngine"]

T = TypeVar("T")
Buckets = dict[str, dict[bytes, bytes]]


class _Model(Reader):
    """Reads a dict of dicts in the most literal way."""

    def __init__(self, data: Buckets | None = None) -> None:
        self.data: Buckets = {} if data is None else data

    def get(self, bucket: str, key: bytes) -> bytes | None:
        return self.data.get(bucket, {}).get(key)

    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        rows = sorted(self.data.get(bucket, {}).items())
        rows = [row for row in rows if row[0] >= start and (end is None or row[0] < end)]
        return rows[:limit] if limit else rows

    def buckets(self) -> list[str]:
        return sorted(self.data)


class ModelView(_Model, View):
    """A deep copy."""

    def close(self) -> None:
        """Nothing to release."""


class ModelEngine(_Model, Engine):
    """The contract in as few words as possible: slow, and right by inspection."""

    name: ClassVar[str] = "model"
    durable: ClassVar[bool] = False

    @classmethod
    def open(cls, path: Path | None = None, options: EngineOptions | None = None) -> Self:
        del path, options
        return cls()

    def commit(self, batch: Batch) -> None:
        for name in batch.dropped:
            self.data.pop(name, None)
        for name, writes in batch.writes.items():
            rows = self.data.setdefault(name, {})
            for key, value in writes.items():
                rows.pop(key, None)
                if value is not None:
                    rows[key] = value

    def snapshot(self) -> View:
        return ModelView(copy.deepcopy(self.data))

    def size(self) -> int:
        return sum(len(k) + len(v) for rows in self.data.values() for k, v in rows.items())

    def size_in_use(self) -> int:
        return self.size()

    def sync(self) -> None:
        """Nothing: there is no disk."""

    def defragment(self) -> None:
        """Nothing to give back."""

    def close(self) -> None:
        """Nothing to release."""


class _Compare(Reader):
    """Asks both and answers what they agree on; disagreement is an `AssertionError`."""

    left: Reader
    right: Reader

    def _agree(self, left: T, right: T, *asked: object) -> T:
        assert left == right, f"asked {asked}: {self.left!r} says {left!r}, the other {right!r}"
        return left

    def get(self, bucket: str, key: bytes) -> bytes | None:
        left, right = self.left.get(bucket, key), self.right.get(bucket, key)
        return self._agree(left, right, "get", bucket, key)

    def get_many(self, bucket: str, keys: Sequence[bytes]) -> list[bytes | None]:
        left, right = self.left.get_many(bucket, keys), self.right.get_many(bucket, keys)
        return self._agree(left, right, "get_many", bucket, keys)

    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        left = self.left.range(bucket, start, end, limit)
        right = self.right.range(bucket, start, end, limit)
        return self._agree(left, right, "range", bucket, start, end, limit)

    def buckets(self) -> list[str]:
        return self._agree(self.left.buckets(), self.right.buckets(), "buckets")


class MirrorView(_Compare, View):
    """A view of each engine."""

    def __init__(self, left: View, right: View) -> None:
        self.left: View = left
        self.right: View = right

    def close(self) -> None:
        self.left.close()
        self.right.close()


class MirrorEngine(_Compare, Engine):
    """Does everything to two open engines and compares what they answer.

    Sizes, which engines may rightly disagree about, are the left one's.
    """

    name: ClassVar[str] = "mirror"
    durable: ClassVar[bool] = False

    def __init__(self, left: Engine, right: Engine) -> None:
        self.left: Engine = left
        self.right: Engine = right

    @classmethod
    def open(cls, path: Path | None, options: EngineOptions) -> Self:
        """Not by name: a mirror is made of two engines that are open."""
        del path, options
        raise ConfigError("a mirror is made as MirrorEngine(left, right), not opened by name")

    def commit(self, batch: Batch) -> None:
        self.left.commit(batch)
        self.right.commit(batch)

    def snapshot(self) -> View:
        return MirrorView(self.left.snapshot(), self.right.snapshot())

    def size(self) -> int:
        return self.left.size()

    def size_in_use(self) -> int:
        return self.left.size_in_use()

    def sync(self) -> None:
        self.left.sync()
        self.right.sync()

    def defragment(self) -> None:
        self.left.defragment()
        self.right.defragment()

    def close(self) -> None:
        self.left.close()
        self.right.close()
