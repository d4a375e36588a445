"""The write buffer in front of an engine: what `mvcc` and `auth` write to.

etcd commits to its file every 100 ms or 10 000 operations, not per request; until then reads see the
buffer laid over the file. This is that buffer. A put is one dict store; a commit hands the whole
dict to the engine as one transaction.

A batch must end between two log entries, never within one: the consistent index that the
`before_commit` hooks put into the batch says which entries it covers. So the buffer never commits by
itself; the applier asks `full` after each entry, or lets a timer run out.

When a commit fails because the disk is full, the batch stays here and is still read, so a node can go
on serving reads, and committing again is sound. Any other failure is final, as nobody knows what the file holds
now: whoever else commits before the node has stopped is told the same. So it is when an entry fails half-way
(`refuse_commits`): what is buffered then belongs to no index.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Self
from weakref import WeakSet

from ..errors import DiskFull, InstallingSnapshot, StorageError
from .contract import Batch, Engine, EngineOptions, Row, View

__all__ = ["BATCH_LIMIT", "Backend"]

BATCH_LIMIT = 10_000
"""Operations after which a commit is due; etcd's `--backend-batch-limit`."""


class _Absent(bytes):
    """A type of its own, so that no value that was put can be the same object."""


_ABSENT = _Absent()


class Backend:
    """Buffered writes over `engine`, which it owns from now on.

    `before_commit` holds functions that are called at the start of every commit and may still write.
    """

    def __init__(self, engine: Engine, *, batch_limit: int = BATCH_LIMIT) -> None:
        self.engine = engine
        self.batch_limit = batch_limit
        self.before_commit: list[Callable[[], None]] = []
        self._views: WeakSet[View] = WeakSet()
        self._failed: StorageError | None = None
        self._start_batch()

    def _start_batch(self) -> None:
        self._batch = Batch()
        self._writes = self._batch.writes
        self._dropped = self._batch.dropped
        self._orders: dict[str, list[bytes]] = {}

    def put(self, bucket: str, key: bytes, value: bytes) -> None:
        """Set `key`; reads through this object see it at once."""
        try:
            self._writes[bucket][key] = value
        except KeyError:
            self._writes[bucket] = {key: value}

    def delete(self, bucket: str, key: bytes) -> None:
        """Remove `key`, whether or not it is there."""
        self._writes.setdefault(bucket, {})[key] = None

    def create_bucket(self, bucket: str) -> None:
        """Make sure that `bucket` exists, empty if nothing is written to it."""
        self._writes.setdefault(bucket, {})

    def drop_bucket(self, bucket: str) -> None:
        """Remove `bucket` and all its keys, buffered ones too."""
        self._writes.pop(bucket, None)
        self._orders.pop(bucket, None)
        self._dropped.add(bucket)

    @property
    def pending_ops(self) -> int:
        """Keys written and buckets dropped since the last commit (a key written twice counts once)."""
        return sum(map(len, self._writes.values())) + len(self._dropped)

    @property
    def full(self) -> bool:
        """Whether a commit is due because `batch_limit` is reached."""
        return self.pending_ops >= self.batch_limit

    def get(self, bucket: str, key: bytes) -> bytes | None:
        """The value of `key` as last written, committed or not."""
        if bucket in self._writes:
            value = self._writes[bucket].get(key, _ABSENT)
            if value is not _ABSENT:
                return value
        if bucket in self._dropped:
            return None
        return self.engine.get(bucket, key)

    def get_many(self, bucket: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of `keys` in their order, None for those that are not there."""
        writes = self._writes.get(bucket)
        dropped = bucket in self._dropped
        if not writes:
            return [None] * len(keys) if dropped else self.engine.get_many(bucket, keys)
        values = [writes.get(key, _ABSENT) for key in keys]
        at = [i for i, value in enumerate(values) if value is _ABSENT]
        found: Iterable[bytes | None]
        found = [None] * len(at) if dropped else self.engine.get_many(bucket, [keys[i] for i in at])
        for i, value in zip(at, found, strict=True):
            values[i] = value
        return values

    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        """The rows of [start, end) as last written; see `Reader.range` for the arguments."""
        writes = self._writes.get(bucket)
        keys = self._written_between(bucket, writes, start, end) if writes else []
        if not keys:
            return [] if bucket in self._dropped else self.engine.range(bucket, start, end, limit)
        assert writes
        # A buffered delete hides at most one row of the engine, so this many are always enough.
        wanted = limit and limit + sum(writes[key] is None for key in keys)
        rows = [] if bucket in self._dropped else self.engine.range(bucket, start, end, wanted)
        merged: dict[bytes, bytes | None] = dict(rows)
        for key in keys:
            merged[key] = writes[key]
        out = sorted((key, value) for key, value in merged.items() if value is not None)
        return out[:limit] if limit else out

    def _written_between(
        self, bucket: str, writes: dict[bytes, bytes | None], start: bytes, end: bytes | None
    ) -> list[bytes]:
        """The buffered keys of a range, in order.

        Keys are only ever added to `writes`, at its end, so the sorted list of them is kept and topped up.
        """
        order = self._orders.setdefault(bucket, [])
        if len(order) < len(writes):
            order += islice(writes, len(order), None)
            order.sort()
        first = bisect_left(order, start)
        return order[first : len(order) if end is None else bisect_left(order, end, first)]

    def buckets(self) -> list[str]:
        """The names of the buckets that exist or will after the next commit, sorted."""
        kept = (name for name in self.engine.buckets() if name not in self._dropped)
        return sorted({*kept, *self._writes})

    def commit(self) -> None:
        """Run the hooks, then write everything pending as one transaction (none when there is nothing).

        Raises DiskFull, after which it may be called again, or StorageError, which it then raises ever after.
        """
        if self._failed is not None:
            raise self._failed
        for hook in self.before_commit:
            hook()
        if self._batch:
            self._write()
            self._start_batch()

    def refuse_commits(self, error: BaseException) -> None:
        """From now on every commit raises StorageError: executing an entry has failed with `error`, half-way."""
        if self._failed is None:
            self._failed = StorageError(
                f"nothing is committed any more, as an entry failed: {error!r}"
            )
            self._failed.__cause__ = error

    def _write(self) -> None:
        try:
            self.engine.commit(self._batch)
        except DiskFull:
            raise
        except StorageError as error:
            self._failed = error
            raise

    def snapshot(self) -> View:
        """Commit, then a view of exactly that state."""
        self.commit()
        view = _CountedView(self.engine.snapshot(), self._views)
        self._views.add(view)
        return view

    @property
    def open_views(self) -> int:
        """Views that are not closed: each may hold back the reuse of space."""
        return len(self._views)

    def size(self) -> int:
        """Bytes allocated by the engine: etcd's dbSize. Pending writes are not counted."""
        return self.engine.size()

    def size_in_use(self) -> int:
        """Bytes of live data in the engine: etcd's dbSizeInUse."""
        return self.engine.size_in_use()

    def sync(self) -> None:
        """Commit, then make everything durable; returns when it is."""
        self.commit()
        self.engine.sync()

    def defragment(self) -> None:
        """Commit, then let the engine give free space back."""
        self.commit()
        self.engine.defragment()

    @property
    def away(self) -> bool:
        """Whether the engine is handed out, so that reads that need it are refused."""
        return type(self.engine) is _Away

    def replacing(self) -> Engine:
        """Commit, and hand the engine out for its `replace`; until `replaced`, reads are refused.

        They would see something between the old content and the new. Sizes are told as they were.
        """
        self.commit()
        engine = self.engine
        self.engine = _Away(engine.size(), engine.size_in_use())
        return engine

    def replaced(self, engine: Engine) -> None:
        """The engine is back, with its old content or the new."""
        self.engine = engine

    def close(self) -> None:
        """Commit and close the engine. The engine is closed even when the commit fails."""
        try:
            self.commit()
        finally:
            self.engine.close()


class _Away(Engine):
    """Stands for an engine whose content is being replaced."""

    name = "away"
    durable = False

    def __init__(self, size: int, size_in_use: int) -> None:
        self._size = size
        self._size_in_use = size_in_use

    @classmethod
    def open(cls, path: Path | None, options: EngineOptions) -> Self:
        del path, options
        return cls(0, 0)

    def get(self, bucket: str, key: bytes) -> bytes | None:
        del bucket, key
        raise InstallingSnapshot

    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        del bucket, start, end, limit
        raise InstallingSnapshot

    def buckets(self) -> list[str]:
        raise InstallingSnapshot

    def commit(self, batch: Batch) -> None:
        del batch
        raise InstallingSnapshot

    def snapshot(self) -> View:
        raise InstallingSnapshot

    def size(self) -> int:
        return self._size

    def size_in_use(self) -> int:
        return self._size_in_use

    def sync(self) -> None:
        raise InstallingSnapshot

    def defragment(self) -> None:
        raise InstallingSnapshot

    def close(self) -> None:
        """Nothing is open."""


class _CountedView(View):
    """An engine's view that is in a set as long as it is open."""

    def __init__(self, view: View, opened: WeakSet[View]) -> None:
        self._view = view
        self._opened = opened

    def get(self, bucket: str, key: bytes) -> bytes | None:
        return self._view.get(bucket, key)

    def get_many(self, bucket: str, keys: Sequence[bytes]) -> list[bytes | None]:
        return self._view.get_many(bucket, keys)

    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        return self._view.range(bucket, start, end, limit)

    def buckets(self) -> list[str]:
        return self._view.buckets()

    def scan(self, bucket: str, start: bytes = b"", end: bytes | None = None) -> Iterator[Row]:
        return self._view.scan(bucket, start, end)

    def close(self) -> None:
        self._opened.discard(self)
        self._view.close()
