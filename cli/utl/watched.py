"""A view that tells how much has been read of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from ...backends.contract import Row, View

__all__ = ["Watched"]

ROWS_PER_CALL: Final = 1000


class Watched(View):
    """`view`, whose scans are counted; closing it does not close that.

    Args:
        view: what is read.
        on_bytes: called now and then with the bytes of rows that were read since the last time.
    """

    def __init__(self, view: View, on_bytes: Callable[[int], None]) -> None:
        self._view = view
        self._on_bytes = on_bytes

    def scan(self, bucket: str, start: bytes = b"", end: bytes | None = None) -> Iterator[Row]:
        size = 0
        for at, row in enumerate(self._view.scan(bucket, start, end)):
            yield row
            size += len(row[0]) + len(row[1])
            if not at % ROWS_PER_CALL:
                self._on_bytes(size)
                size = 0

    def get(self, bucket: str, key: bytes) -> bytes | None:
        return self._view.get(bucket, key)

    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        return self._view.range(bucket, start, end, limit)

    def buckets(self) -> list[str]:
        return self._view.buckets()

    def close(self) -> None:
        """The view belongs to somebody else."""
