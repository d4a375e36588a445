"""An ordered map of bytes whose snapshots cost next to nothing.

The rows live in *chunks*, sorted runs of at most `CHUNK_ROWS` rows, which are kept in a list in key
order. A snapshot takes a copy of that list of references and starts a new *epoch*; from then on a
chunk from an older epoch is frozen, and the map replaces it by a copy before it changes it. So a
snapshot of a million rows copies some thousands of pointers, a write after it copies one chunk at
most, and a snapshot's reader needs no lock, whichever thread it is on: nothing that it can reach is
ever changed.

A dict beside the chunks answers point reads of the live map, at about 100 bytes a row.

etcd's `key` bucket is keyed by revision and so only grows at its end: a batch of new, ascending keys
above the last one is appended with list operations, without a search per key.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import islice

from .contract import Row

__all__ = ["CowMap", "Frozen"]

CHUNK_ROWS = 1024


class _Chunk:
    __slots__ = ("epoch", "keys", "values")

    def __init__(self, epoch: int, keys: list[bytes], values: list[bytes]) -> None:
        self.epoch = epoch
        self.keys = keys
        self.values = values


def _rows(chunks: list[_Chunk], start: bytes, end: bytes | None, limit: int) -> list[Row]:
    """The rows of [start, end) in key order; limit 0 means all."""
    out: list[Row] = []
    at = max(bisect_right(chunks, start, key=lambda chunk: chunk.keys[0]) - 1, 0)
    for chunk in islice(chunks, at, None):
        keys = chunk.keys
        if end is not None and keys[0] >= end:
            break
        low = bisect_left(keys, start) if keys[0] < start else 0
        high = len(keys) if end is None or keys[-1] < end else bisect_left(keys, end)
        out += zip(keys[low:high], chunk.values[low:high], strict=True)
        if limit and len(out) >= limit:
            del out[limit:]
            break
    return out


class Frozen:
    """One state of a `CowMap`, for ever."""

    __slots__ = ("_chunks",)

    def __init__(self, chunks: list[_Chunk]) -> None:
        self._chunks = chunks

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None."""
        at = bisect_right(self._chunks, key, key=lambda chunk: chunk.keys[0]) - 1
        if at < 0:
            return None
        chunk = self._chunks[at]
        i = bisect_left(chunk.keys, key)
        return chunk.values[i] if i < len(chunk.keys) and chunk.keys[i] == key else None

    def range(self, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        """The rows of [start, end) in key order; limit 0 means all."""
        return _rows(self._chunks, start, end, limit)


class CowMap:
    """A mutable ordered map with cheap snapshots; `data_bytes` is the sum of key and value lengths."""

    __slots__ = ("_chunks", "_epoch", "_values", "data_bytes")

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._chunks: list[_Chunk] = []
        self._epoch = 0
        self.data_bytes = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None."""
        return self._values.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of `keys` in their order."""
        return list(map(self._values.get, keys))

    def range(self, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        """The rows of [start, end) in key order; limit 0 means all."""
        return _rows(self._chunks, start, end, limit)

    def freeze(self) -> Frozen:
        """The state as it is now."""
        self._epoch += 1
        return Frozen(self._chunks.copy())

    def update(self, writes: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Set the keys, or remove those whose value is None."""
        fresh: list[Row] = []
        values = self._values
        for key, value in writes:
            if value is None:
                if key in values:
                    self._remove(key)
            elif key in values:
                self._replace(key, value)
            else:
                fresh.append((key, value))
        if fresh:
            self._add(fresh)

    def compact(self) -> None:
        """Pack the rows into full chunks again, as after many removals."""
        rows = self.range(b"", None)
        self._chunks.clear()
        self._append(rows)

    def _own(self, at: int) -> _Chunk:
        """Chunk `at`, safe to change: a frozen one is replaced by a copy first."""
        chunk = self._chunks[at]
        if chunk.epoch != self._epoch:
            chunk = _Chunk(self._epoch, chunk.keys.copy(), chunk.values.copy())
            self._chunks[at] = chunk
        return chunk

    def _find(self, key: bytes) -> int:
        """The place of the chunk whose span `key` falls into."""
        return max(bisect_right(self._chunks, key, key=lambda chunk: chunk.keys[0]) - 1, 0)

    def _replace(self, key: bytes, value: bytes) -> None:
        chunk = self._own(self._find(key))
        chunk.values[bisect_left(chunk.keys, key)] = value
        self.data_bytes += len(value) - len(self._values[key])
        self._values[key] = value

    def _remove(self, key: bytes) -> None:
        at = self._find(key)
        chunk = self._own(at)
        if len(chunk.keys) == 1:
            del self._chunks[at]
        else:
            i = bisect_left(chunk.keys, key)
            del chunk.keys[i]
            del chunk.values[i]
        self.data_bytes -= len(key) + len(self._values.pop(key))

    def _add(self, rows: list[Row]) -> None:
        """Insert rows whose keys are new."""
        rows.sort()
        self._values.update(rows)
        self.data_bytes += sum(len(key) + len(value) for key, value in rows)
        split = bisect_right(rows, self._chunks[-1].keys[-1], key=_key) if self._chunks else 0
        for key, value in islice(rows, split):
            self._insert(key, value)
        self._append(rows[split:])

    def _insert(self, key: bytes, value: bytes) -> None:
        at = self._find(key)
        chunk = self._own(at)
        i = bisect_left(chunk.keys, key)
        chunk.keys.insert(i, key)
        chunk.values.insert(i, value)
        if len(chunk.keys) > CHUNK_ROWS:
            half = CHUNK_ROWS // 2
            upper = _Chunk(self._epoch, chunk.keys[half:], chunk.values[half:])
            del chunk.keys[half:]
            del chunk.values[half:]
            self._chunks.insert(at + 1, upper)

    def _append(self, rows: list[Row]) -> None:
        """Add ascending rows that are all above the last key."""
        done = 0
        if self._chunks and rows and len(self._chunks[-1].keys) < CHUNK_ROWS:
            last = self._own(len(self._chunks) - 1)
            done = CHUNK_ROWS - len(last.keys)
            last.keys += map(_key, rows[:done])
            last.values += map(_value, rows[:done])
        for at in range(done, len(rows), CHUNK_ROWS):
            part = rows[at : at + CHUNK_ROWS]
            self._chunks.append(_Chunk(self._epoch, [*map(_key, part)], [*map(_value, part)]))


def _key(row: Row) -> bytes:
    return row[0]


def _value(row: Row) -> bytes:
    return row[1]
