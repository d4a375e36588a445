"""A bbolt file as a view: the databases and snapshots of etcd, read without etcd.

Nothing is loaded: the file is mapped, and rows are cut out of it as they are asked for. Every number
that is read from the file is checked before it is followed; what does not fit is `CorruptData`.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple, NoReturn

from ..errors import CorruptData, StorageError
from .bbolt_format import (
    BRANCH_ELEMENT,
    BRANCH_PAGE,
    BUCKET,
    BUCKET_ELEMENT,
    CHECKSUM,
    LEAF_ELEMENT,
    LEAF_PAGE,
    MAGIC,
    META,
    PAGE,
    PAGE_BYTES,
    VERSION,
    fnv1a,
)
from .contract import Row, View
from .faults import fail_os

__all__ = ["BboltView"]

DEPTH_MAX = 64
"""A tree as deep as this has a cycle: with two children per branch it would have 2**64 pages."""

PAGE_SIZE_BITS = range(9, 17)
"""Page sizes that are tried when the first meta page is torn: 512 B to 64 KiB."""
_PAGE_SIZES = frozenset(1 << bits for bits in PAGE_SIZE_BITS)


class Meta(NamedTuple):
    """A meta page: the greater `transaction` counts. `root` and `freelist` are page numbers."""

    transaction: int
    page_bytes: int
    root: int
    pages: int
    freelist: int


class BboltView(View):
    """The file `path`; it must not be written meanwhile. A digest after the last page is ignored.

    With `data`, that is the file's content, and `path` only what it is called in errors.
    Raises `StorageError` when it cannot be opened, `CorruptData` when it is no bbolt file.
    """

    def __init__(self, path: Path, data: bytes | mmap.mmap | None = None) -> None:
        self.path = path
        self._data: mmap.mmap | bytes
        try:
            if data is not None:
                self._data = data
            else:
                with path.open("rb") as file:
                    self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            fail_os(path, "opening", error)
        except ValueError as error:
            raise StorageError(f"{path}: the file is empty") from error
        self._page_bytes = PAGE_BYTES
        try:
            self.meta = self._newest_meta()
            self._page_bytes = self.meta.page_bytes
            self._roots: dict[str, int] = {}
            for flags, key, at, _ in self._elements(self._page(self.meta.root), b"", 0):
                if flags & BUCKET_ELEMENT:
                    inner, _sequence = BUCKET.unpack_from(self._data, at)
                    here = at + BUCKET.size if inner == 0 else self._page(inner)
                    self._roots[key.decode()] = here
        except (struct.error, UnicodeDecodeError):
            self._corrupt("the buckets cannot be read")
        except BaseException:
            self.close()
            raise

    def _corrupt(self, what: str) -> NoReturn:
        raise CorruptData(f"{self.path}: not a sound bbolt file: {what}")

    @property
    def total_bytes(self) -> int:
        """The pages of the file that are counted by its last transaction; more may follow, unused."""
        return self.meta.pages * self.meta.page_bytes

    @property
    def data(self) -> bytes | mmap.mmap:
        """The whole file."""
        return self._data

    def _newest_meta(self) -> Meta:
        """That of the last transaction."""
        first = self._meta(0)
        # The second is one page further, which the first should know; else every size is tried.
        sizes = [first.page_bytes] if first else sorted(_PAGE_SIZES)
        seconds = [meta for size in sizes if (meta := self._meta(size)) and meta.page_bytes == size]
        newest = max(filter(None, [first, *seconds]), default=None)
        if newest is None:
            self._corrupt("it has no valid meta page")
        if newest.pages * newest.page_bytes > len(self._data):
            self._corrupt("it is cut short")
        return newest

    def _meta(self, page: int) -> Meta | None:
        """The meta page at offset `page`, when it is valid."""
        at = page + PAGE.size
        if at + META.size + CHECKSUM.size > len(self._data):
            return None
        fields = META.unpack_from(self._data, at)
        magic, version, page_bytes, _, root, _, freelist, pages, transaction = fields
        (checksum,) = CHECKSUM.unpack_from(self._data, at + META.size)
        valid = (magic, version) == (MAGIC, VERSION) and page_bytes in _PAGE_SIZES
        if not valid or checksum != fnv1a(self._data[at : at + META.size]):
            return None
        return Meta(transaction, page_bytes, root, pages, freelist)

    def _page(self, id: int) -> int:
        at: int = id * self._page_bytes
        if not 0 < at < len(self._data):
            self._corrupt(f"page {id} lies outside")
        return at

    def _slice(self, at: int, size: int) -> bytes:
        if at + size > len(self._data):
            self._corrupt("a row lies outside")
        return self._data[at : at + size]

    def _elements(
        self, page: int, start: bytes, depth: int
    ) -> Iterator[tuple[int, bytes, int, int]]:
        """(flags, key, offset of the value, size of the value) of the leaf elements from `start` on."""
        _, kind, count, _ = PAGE.unpack_from(self._data, page)
        first = page + PAGE.size
        if depth > DEPTH_MAX or not kind & (BRANCH_PAGE | LEAF_PAGE):
            self._corrupt(f"no tree page at offset {page}")
        if kind & LEAF_PAGE:
            low = _search(count, start, lambda n: self._leaf(first, n)[1])
            for n in range(low, count):
                yield self._leaf(first, n)
            return
        # The child before the first greater key is the one that may hold `start`.
        low = _search(count, start + b"\0", lambda n: self._branch(first, n)[0])
        for n in range(max(low - 1, 0), count):
            yield from self._elements(self._page(self._branch(first, n)[1]), start, depth + 1)

    def _leaf(self, first: int, n: int) -> tuple[int, bytes, int, int]:
        at = first + n * LEAF_ELEMENT.size
        flags, position, key_size, value_size = LEAF_ELEMENT.unpack_from(self._data, at)
        key = self._slice(at + position, key_size)
        return flags, key, at + position + key_size, value_size

    def _branch(self, first: int, n: int) -> tuple[bytes, int]:
        at = first + n * BRANCH_ELEMENT.size
        position, key_size, page = BRANCH_ELEMENT.unpack_from(self._data, at)
        return self._slice(at + position, key_size), page

    def scan(self, bucket: str, start: bytes = b"", end: bytes | None = None) -> Iterator[Row]:
        if bucket not in self._roots:
            return
        try:
            for _, key, at, size in self._elements(self._roots[bucket], start, 0):
                if end is not None and key >= end:
                    return
                yield key, self._slice(at, size)
        except struct.error:
            self._corrupt("a page lies outside")

    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        return list(islice(self.scan(bucket, start, end), limit or None))

    def get(self, bucket: str, key: bytes) -> bytes | None:
        for found, value in self.scan(bucket, key):
            return value if found == key else None
        return None

    def buckets(self) -> list[str]:
        return sorted(self._roots)

    def close(self) -> None:
        if isinstance(self._data, mmap.mmap):
            self._data.close()


def _search(count: int, key: bytes, key_at: Callable[[int], bytes]) -> int:
    """The place of the first of `count` ascending keys that is not below `key`."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if key_at(middle) < key:
            low = middle + 1
        else:
            high = middle
    return low
