"""A view of an engine of which every read is announced, so that it can fail, or stop a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..backends.contract import Reader, Row, View

__all__ = ["BeforeRead", "WatchedReader", "WatchedView", "nothing"]

BeforeRead = Callable[[str, Path], None]
"""Called ahead of a read with its name and the engine's path; may raise what the read should raise."""


def nothing(_operation: str, _path: Path) -> None:
    """No fault."""


class WatchedReader(Reader):
    """`reader`, of which every read is announced as `operation`."""

    def __init__(self, reader: Reader, operation: str, path: Path, before: BeforeRead) -> None:
        self._reader = reader
        self._operation = operation
        self._path = path
        self._before = before

    def _announce(self) -> None:
        self._before(self._operation, self._path)

    def get(self, bucket: str, key: bytes) -> bytes | None:
        self._announce()
        return self._reader.get(bucket, key)

    def get_many(self, bucket: str, keys: Sequence[bytes]) -> list[bytes | None]:
        self._announce()
        return self._reader.get_many(bucket, keys)

    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        self._announce()
        return self._reader.range(bucket, start, end, limit)

    def buckets(self) -> list[str]:
        return self._reader.buckets()

    def scan(self, bucket: str, start: bytes = b"", end: bytes | None = None) -> Iterator[Row]:
        self._announce()
        yield from self._reader.scan(bucket, start, end)


class WatchedView(WatchedReader, View):
    """A view of an engine; reading it is announced as "view"."""

    def __init__(self, view: View, path: Path, before: BeforeRead) -> None:
        super().__init__(view, "view", path, before)
        self._view = view

    def close(self) -> None:
        self._view.close()
