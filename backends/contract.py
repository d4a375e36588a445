"""What a storage engine promises: the contract between Triode and anything that keeps bytes.

An engine is an ordered, bucketed, transactional map. A *bucket* is a named map from non-empty byte
keys to byte values, ordered by the keys' bytes (memcmp order). Bucket names are Python identifiers
(etcd's are ``key``, ``meta``, ``lease``, ``alarm``, ``cluster``, ``members``, ``members_removed``,
``auth``, ``authUsers``, ``authRoles``); two buckets of one engine never differ by case only. A bucket
exists from the first commit that names it, even with no keys, until a commit drops it. Reading a
bucket that does not exist finds nothing and is no error.

There is one writer. Every method is called from one thread, with three exceptions that let slow work
leave the event loop: a `View` may be read and closed on another thread while the engine goes on
committing (one thread at a time per view); `Engine.sync` may run on another thread; and so may
`Engine.defragment` and `Engine.replace`, while nothing else is called.

What durability means here. The raft log is ahead of the engine and is what makes an acknowledged
write durable. So `commit` need only be *atomic*: after a crash or power loss the engine opens at some
committed batch, whole, never between two and never out of order. Each batch carries the raft index
it reaches (etcd's consistent index), and the log replays the rest. `sync` is the point at which the
log may be shortened: all that was committed before it is on the disk when it returns.

Errors are those of `triode.errors`: `CorruptData`, `DiskFull`, `DataDirLocked`, `StorageError`, and
their messages name the file. After a failed `commit` the engine is as before it and can still be read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import attrs

__all__ = ["ETCD_BUCKETS", "Batch", "Engine", "EngineOptions", "Reader", "Row", "View"]

ETCD_BUCKETS = (
    "alarm",
    "auth",
    "authRoles",
    "authUsers",
    "cluster",
    "key",
    "lease",
    "members",
    "members_removed",
    "meta",
)
"""The buckets of etcd: it does not start without them, and hashes them even when they are empty."""

Row = tuple[bytes, bytes]

SCAN_ROWS = 1000
"""How many rows `Reader.scan` holds at a time."""


@attrs.frozen
class EngineOptions:
    """How to open an engine. An engine ignores what does not apply to it."""

    create: bool = True
    """Create what is missing; otherwise a missing file is a `StorageError`."""
    cache_bytes: int = 64 << 20
    """How much memory the engine may spend on caching its file."""


@attrs.define
class Batch:
    """The writes of one transaction: first `dropped` buckets go, then `writes` are made.

    `writes` maps a bucket to its keys, each with the new value or None for "delete" (of a key that
    may not exist), in the order of each key's first write. A bucket that is named there exists
    afterwards, even when its mapping is empty. The engine reads a batch; it must not change it.
    """

    writes: dict[str, dict[bytes, bytes | None]] = attrs.field(factory=dict)
    dropped: set[str] = attrs.field(factory=set)

    def __bool__(self) -> bool:
        return bool(self.writes or self.dropped)


class Reader(ABC):
    """What can be asked of a committed state."""

    @abstractmethod
    def get(self, bucket: str, key: bytes) -> bytes | None:
        """The value of `key`, or None."""

    def get_many(self, bucket: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of `keys`, in their order, None where there is no such key.

        Override it where one round trip is cheaper than many.
        """
        get = self.get
        return [get(bucket, key) for key in keys]

    @abstractmethod
    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        """The rows with start <= key < end in key order.

        An `end` of None leaves the range open; `limit` is the greatest number of rows, 0 for all.
        """

    @abstractmethod
    def buckets(self) -> list[str]:
        """The names of the buckets that exist, sorted."""

    def scan(self, bucket: str, start: bytes = b"", end: bytes | None = None) -> Iterator[Row]:
        """Like `range`, but lazily, holding at most `SCAN_ROWS` rows.

        Over an `Engine` (rather than a `View`) a scan sees what is committed on its way.
        """
        while rows := self.range(bucket, start, end, SCAN_ROWS):
            yield from rows
            if len(rows) < SCAN_ROWS:
                return
            start = rows[-1][0] + b"\0"


class View(Reader):
    """A frozen state: it reads the same whatever is committed afterwards, until it is closed.

    A view may hold back the reuse of space: close it soon. It outlives `Engine.close` at its own
    risk; reading a closed view is a mistake of the caller.
    """

    @abstractmethod
    def close(self) -> None:
        """Release what the view holds; closing twice is harmless."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Engine(Reader):
    """An engine at its last commit. Third parties subclass it and name it in `triode.backends`.

    `get`, `range` and the rest of `Reader` see every commit that has returned.
    """

    name: ClassVar[str]
    """What a user writes in the configuration."""
    durable: ClassVar[bool]
    """Whether committed batches outlive the process; without it a node cannot restart from disk."""

    @classmethod
    @abstractmethod
    def open(cls, path: Path | None, options: EngineOptions) -> Self:
        """Open or create the engine at `path` (a file or a directory, as the engine likes).

        `path` is None only for engines that are not durable; its parent directory exists. A path
        that is open already, here or in another process, raises `DataDirLocked`.
        """

    @abstractmethod
    def commit(self, batch: Batch) -> None:
        """Apply `batch` as one atomic transaction, visible to readers when this returns."""

    @abstractmethod
    def snapshot(self) -> View:
        """A view of the state at the last commit. Cheap: it copies no data."""

    @abstractmethod
    def size(self) -> int:
        """The bytes allocated: what the quota is held against. Cheap enough to ask per request."""

    @abstractmethod
    def size_in_use(self) -> int:
        """The bytes that live data takes, at most `size`; the difference is what `defragment` frees."""

    @property
    def sync_due(self) -> bool:
        """Whether calling `sync` now would keep a later commit from stalling; a cheap hint."""
        return False

    @abstractmethod
    def sync(self) -> None:
        """Return when everything that was committed before the call survives a loss of power.

        By earlier processes, too: what `open` finds may be in the page cache only, and if an fsync of theirs has
        failed, the kernel calls it clean and writes nothing. So it has to be written anew.
        """

    @abstractmethod
    def defragment(self) -> None:
        """Give free space back, in time proportional to the data.

        Open views stay as they are; they may keep their part of the space until they are closed.
        """

    def replace(self, content: Reader) -> None:
        """Take `content`, whole, in the place of everything that is here, as one transaction.

        It may run on another thread, while nothing else is called. Override it where that can be done
        without holding everything in memory.
        """
        batch = Batch(dropped=set(self.buckets()))
        for bucket in content.buckets():
            batch.writes[bucket] = dict(content.scan(bucket))
        self.commit(batch)

    @abstractmethod
    def close(self) -> None:
        """Make everything durable, release the path; closing twice is harmless."""
