"""A conformance suite is worth what it catches: engines that are wrong in one point each must fail."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from triode.backends.conformance import EngineConformance
from triode.backends.contract import Batch, Row, View
from triode.backends.mirror import ModelEngine, ModelView


class MovingView(ModelEngine):
    def snapshot(self) -> View:
        return ModelView(self.data)


class ShallowView(ModelEngine):
    def snapshot(self) -> View:
        return ModelView(self.data.copy())


class ClosedRange(ModelEngine):
    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        return super().range(bucket, start, end and end + b"\0", limit)


class NoLimit(ModelEngine):
    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        return super().range(bucket, start, end)


class TextOrder(ModelEngine):
    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        rows = super().range(bucket, start, end)
        rows.sort(key=lambda row: row[0].decode("latin-1").casefold())
        return rows[: limit or len(rows)]


class EmptyIsAbsent(ModelEngine):
    def get(self, bucket: str, key: bytes) -> bytes | None:
        return super().get(bucket, key) or None


class ForgetsEmptyBuckets(ModelEngine):
    def buckets(self) -> list[str]:
        return [name for name in super().buckets() if self.data[name]]


class DropsLast(ModelEngine):
    def commit(self, batch: Batch) -> None:
        super().commit(Batch(batch.writes))
        super().commit(Batch({}, batch.dropped))


class KeepsBatch(ModelEngine):
    def commit(self, batch: Batch) -> None:
        super().commit(batch)
        self.data.update(batch.writes)  # type: ignore[arg-type]


class SortsGetMany(ModelEngine):
    def get_many(self, bucket: str, keys: list[bytes]) -> list[bytes | None]:  # type: ignore[override]
        return super().get_many(bucket, sorted(keys))


class DefragmentLoses(ModelEngine):
    def defragment(self) -> None:
        self.data = {}


def checks(suite: EngineConformance) -> Iterator[str]:
    return (name for name in dir(suite) if name.startswith("test_"))


@pytest.mark.parametrize(
    "wrong",
    [
        MovingView,
        ShallowView,
        ClosedRange,
        NoLimit,
        TextOrder,
        EmptyIsAbsent,
        ForgetsEmptyBuckets,
        DropsLast,
        KeepsBatch,
        SortsGetMany,
        DefragmentLoses,
    ],
)
def test_one_wrong_answer_is_caught_without_luck(wrong: type[ModelEngine], tmp_path: Path) -> None:
    class Suite(EngineConformance):
        engine = wrong

    failed = []
    for name in checks(Suite()):
        if name == "test_random_histories":  # must not be needed
            continue
        with contextlib.suppress(BaseException):
            getattr(Suite(), name)(tmp_path)
            continue
        failed.append(name)
    assert failed
