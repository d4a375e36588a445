"""Compaction: forgetting history up to a revision.

Its effect on clients is immediate (reads and watches below the revision are refused); the rows go in
slices, so that nobody waits for them. A slice walks the rows up to the compact revision in order
and asks the index about each one's key: the first row of a key that is met compacts its index entry,
after which a row survives exactly if it is the oldest revision that the entry still knows. So no
set of survivors is built, and index and bucket shrink together.

Two marks in the bucket `meta` make it restartable: `scheduledCompactRev` is put when a compaction is
accepted, `finishedCompactRev` when its last row was looked at. If the second lags behind the first at
start, the sweep is done again, which is harmless.

The rows on the way are hashed, and the result kept for the last few compactions: members compare them
to find out whether they have diverged (see `hashes`). A sweep that was interrupted has not seen
every row, so neither it nor the one that follows it in line leaves a hash.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ..errors import Compacted, FutureRev
from .hashes import RowHash
from .keyvalue import split_key
from .restore import FINISHED_COMPACT, SCHEDULED_COMPACT, compact_mark
from .revision import main_key, packed_from_disk

if TYPE_CHECKING:
    from .store import Store

__all__ = ["COMPACTION_KEYS_MAX", "HASHES_KEPT_MAX", "Compactor"]

COMPACTION_KEYS_MAX = 1000  # rows per slice; etcd's --compaction-batch-limit
HASHES_KEPT_MAX = 10


class Sweep:
    """One compaction on its way through the rows."""

    __slots__ = ("hash", "hash_valid", "keeps_any", "position", "previous", "revision")

    def __init__(self, revision: int, previous: int, hash_valid: bool) -> None:
        self.revision = revision
        self.previous = previous  # the compact revision before this one
        self.hash_valid = hash_valid
        self.position = main_key(0)
        self.hash: RowHash | None = None  # from the first slice on
        self.keeps_any = True


class Compactor:
    """The compactions of a store: at most one sweeping, others in line behind it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._line: deque[Sweep] = deque()

    @property
    def sweeping(self) -> int:
        """The revision of the compaction that is being swept, 0 for none."""
        return self._line[0].revision if self._line else 0

    def schedule(self, revision: int) -> None:
        """Accept a compaction: logical effect now. Raises Compacted, FutureRev."""
        store = self._store
        if revision <= store.compact_revision:
            raise Compacted
        if revision > store.revision:
            raise FutureRev
        get = store.backend
        clean = compact_mark(get, SCHEDULED_COMPACT) == compact_mark(get, FINISHED_COMPACT)
        self._line.append(Sweep(revision, store.compact_revision, clean))
        store.compact_revision = revision
        store.backend.put("meta", SCHEDULED_COMPACT, main_key(revision))

    def slice(self, keys_max: int) -> bool:
        """Sweep up to `keys_max` rows; True when nothing is left to do."""
        assert keys_max > 0
        if not self._line:
            return True
        sweep = self._line[0]
        backend = self._store.backend
        rows = backend.range("key", sweep.position, main_key(sweep.revision + 1), keys_max)
        if sweep.hash is None:
            sweep.hash = RowHash(sweep.previous, sweep.revision)
            sweep.keeps_any = self._keeps_any(sweep.revision)
        self._sweep_rows(sweep, sweep.hash, rows)
        if len(rows) == keys_max:
            sweep.position = rows[-1][0] + b"\0"
            return False
        backend.put("meta", FINISHED_COMPACT, main_key(sweep.revision))
        if sweep.hash_valid:
            self._store.keep_hash(sweep.hash.value())
        self._line.popleft()
        return not self._line

    def _sweep_rows(self, sweep: Sweep, hashing: RowHash, rows: list[tuple[bytes, bytes]]) -> None:
        index = self._store.index
        keys = index.keys
        backend = self._store.backend
        revision = sweep.revision
        for disk, kv in rows:
            packed = packed_from_disk(disk)
            entry = keys.get(split_key(kv)[0])
            if entry is not None and entry.oldest() <= packed and entry.compact(revision):
                index.remove(entry)
                entry = None
            kept = entry is not None and entry.oldest() == packed
            if not kept:
                backend.delete("key", disk)
                self._store.counts.compacted += 1
            hashing.add(
                disk, kv, packed, kept or not sweep.keeps_any
            )  # none kept: all count, as in etcd

    def _keeps_any(self, revision: int) -> bool:
        """Whether any key has a revision up to `revision` that survives; mostly the first one has."""
        return any(entry.survivor(revision) for entry in self._store.index.keys.values())
