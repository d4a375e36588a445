"""Hashes over the stored bytes, by which members find out whether they have diverged.

HashKV(r) is CRC-32C over the bucket's name `key` and then, in order, key and value bytes of each row
with main <= r, minus what compaction has removed or is about to remove (members may have swept to
different points): a row at or below the compact revision counts only if it is what a key is at r. When
no key exists at r, etcd skips nothing; we then count what keys were at the compact revision, which is
what etcd counts once its sweep is over, and the same at any other time. A tombstone of exactly
the compact revision is skipped, because versions of etcd differ on whether they store it.

When a compaction finishes, the hash over what it saw, (previous compact revision, its revision], is
kept, and answers HashKV for that revision from then on.

Hash() covers every bucket, for tests and by-eye comparison. `meta` differs by member, so the keys that
say where a member stands are left out.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain
from typing import NamedTuple

import google_crc32c

from ..backends.contract import ETCD_BUCKETS, Row, View
from .index import Index
from .revision import MAIN_SHIFT, TOMBSTONE, bound_after, packed_from_disk

__all__ = ["HashKV", "KeyHash", "RowHash", "hash_all", "hash_kv", "kept_below"]

ROWS_PER_SLICE = 1000
_IGNORED = frozenset({b"consistent_index", b"term", b"storageVersion"})


class HashKV(NamedTuple):
    """The hash of all rows up to `hash_revision`, given that `compact_revision` was compacted."""

    hash: int
    compact_revision: int
    hash_revision: int


class RowHash:
    """The running hash; rows are handed in in order with the verdict "kept"."""

    __slots__ = ("_compact", "_compact_bound", "_crc", "_revision")

    def __init__(self, compact_revision: int, revision: int) -> None:
        self._compact = compact_revision
        self._compact_bound = (compact_revision + 1) << MAIN_SHIFT
        self._revision = revision
        self._crc = int(google_crc32c.value(b"key"))

    def add(self, disk: bytes, kv: bytes, packed: int, kept: bool) -> None:
        """Count one row with main <= the hashed revision, unless compaction hides it."""
        if packed < self._compact_bound:
            if not kept:
                return
            if packed & TOMBSTONE and packed >> MAIN_SHIFT == self._compact:
                return
        self._crc = google_crc32c.extend(self._crc, disk + kv)

    def add_rows(self, rows: list[Row], kept: Collection[int]) -> None:
        """Count rows in order; `kept` holds the packed revisions of those to count below the bound."""
        for at, (disk, kv) in enumerate(rows):
            packed = packed_from_disk(disk)
            if packed >= self._compact_bound:  # from here on all count
                self._crc = google_crc32c.extend(
                    self._crc, b"".join(chain.from_iterable(rows[at:]))
                )
                return
            self.add(disk, kv, packed, packed in kept)

    def value(self) -> HashKV:
        return HashKV(self._crc, self._compact, self._revision)


def kept_below(index: Index, compact_revision: int, revision: int) -> set[int]:
    """The packed revisions up to the compact revision that count in HashKV(revision)."""
    kept: set[int] = set()
    if compact_revision < 0:
        return kept
    bound = bound_after(compact_revision)
    keeps_any = False
    for entry in index.keys.values():
        packed = entry.at(revision)
        if packed:
            keeps_any = True
            if packed < bound:
                kept.add(packed)
    if not keeps_any:
        kept = {entry.at(compact_revision) for entry in index.keys.values()}
    return kept


class KeyHash:
    """HashKV over a view, in slices: `advance` until it says True, then `value`.

    It touches nothing but the view and what it was made with, so it may run on another thread. `kept`
    holds the packed revisions at or below the compact revision that are kept at the hashed revision.
    """

    def __init__(
        self,
        view: View,
        revision: int,
        compact_revision: int,
        kept: Collection[int],
    ) -> None:
        self._view = view
        self._revision = revision
        self._kept = kept
        self._hash = RowHash(compact_revision, revision)
        self._start = b""
        self._end = max(0, revision + 1).to_bytes(8, "big")

    def advance(self, rows_max: int = ROWS_PER_SLICE) -> bool:
        """Hash up to `rows_max` rows; True when the end is reached (the view is then closed)."""
        rows = self._view.range("key", self._start, self._end, rows_max)
        self._hash.add_rows(rows, self._kept)
        if len(rows) < rows_max:
            self.close()
            return True
        self._start = rows[-1][0] + b"\0"
        return False

    def run(self) -> HashKV:
        """All slices."""
        while not self.advance():
            pass
        return self.value()

    def value(self) -> HashKV:
        return self._hash.value()

    def close(self) -> None:
        """Release the view; for a hash that is given up half-way."""
        self._view.close()


def hash_kv(
    view: View,
    revision: int,
    compact_revision: int,
    kept: Collection[int],
) -> HashKV:
    """HashKV in one go; see `KeyHash`."""
    return KeyHash(view, revision, compact_revision, kept).run()


def hash_all(view: View) -> int:
    """Hash(): CRC-32C over every bucket's name, keys and values."""
    crc = 0
    for bucket in sorted({*ETCD_BUCKETS, *view.buckets()}):
        crc = google_crc32c.extend(crc, bucket.encode())
        for key, value in view.scan(bucket):
            if bucket != "meta" or key not in _IGNORED:
                crc = google_crc32c.extend(crc, key + value)
    return int(crc)
