"""Rebuilding the index from the bucket `key`, and the marks of compaction.

Rows come in revision order, so a key's revisions arrive oldest first. When the first one that is left
is a put in the middle of a life, its create_revision and version come from its KeyValue; when it is
a tombstone (the rest was compacted), the key enters the index as deleted.

The store's revision is that of the last row, but never below a compaction mark: a compaction may
have removed the very last revision (a delete), and revisions must not go down and be given twice.
"""

from __future__ import annotations

import attrs

from ..backends.buffer import Backend
from ..backends.contract import Reader
from ..errors import LeaseNotFound
from .index import Index, KeyIndex
from .keyvalue import split_key, tail_fields
from .requests import LeaseHooks
from .revision import (
    FIRST_REVISION,
    MAIN_SHIFT,
    NEVER_COMPACTED,
    TOMBSTONE,
    main_key,
    main_of,
    packed_from_disk,
)

__all__ = ["FINISHED_COMPACT", "SCHEDULED_COMPACT", "Restored", "compact_mark", "read_state"]

SCHEDULED_COMPACT = b"scheduledCompactRev"
FINISHED_COMPACT = b"finishedCompactRev"
ROWS_PER_READ = 10_000


@attrs.frozen
class Restored:
    """What the backend says: the index, the current revision, the compaction marks, and the keys with leases."""

    index: Index
    revision: int
    finished_compact: int
    scheduled_compact: int
    key_leases: dict[bytes, int]

    def attach(self, leases: LeaseHooks) -> None:
        """Attach the keys to their leases; those of unknown leases are left alone."""
        for key, lease in self.key_leases.items():
            try:
                leases.attach(lease, key)
            except LeaseNotFound:
                continue  # as in etcd: the key keeps its lease id and never expires


def compact_mark(backend: Backend | Reader, name: bytes) -> int:
    """A compaction mark of the bucket `meta`, NEVER_COMPACTED when it is not there."""
    mark = backend.get("meta", name)
    return NEVER_COMPACTED if mark is None else main_of(packed_from_disk(mark))


def read_state(backend: Backend | Reader) -> Restored:
    """Read everything; it may take seconds, on any thread that has the backend to itself."""
    index = Index()
    key_leases: dict[bytes, int] = {}
    revision = FIRST_REVISION
    start = main_key(FIRST_REVISION)
    while rows := backend.range("key", start, None, ROWS_PER_READ):
        revision = _add_rows(index, rows, key_leases)
        if len(rows) < ROWS_PER_READ:
            break
        start = rows[-1][0] + b"\0"
    finished = compact_mark(backend, FINISHED_COMPACT)
    scheduled = compact_mark(backend, SCHEDULED_COMPACT)
    newest = max(revision, finished, scheduled)
    return Restored(index, newest, finished, scheduled, key_leases)


def _add_rows(index: Index, rows: list[tuple[bytes, bytes]], key_leases: dict[bytes, int]) -> int:
    """Add rows in revision order; returns the main revision of the last."""
    keys = index.keys
    packed = 0
    for disk, kv in rows:
        packed = packed_from_disk(disk)
        key, at = split_key(kv)
        entry = keys.get(key)
        if packed & TOMBSTONE:
            _add_tombstone(index, key, entry, packed)
            key_leases.pop(key, None)
            continue
        create, version, lease = tail_fields(kv, at)
        if entry is None:
            index.add(KeyIndex(key, packed, create, version))
        elif entry.version:
            entry.put(packed, entry.created, entry.version + 1)
        else:
            index.dead.discard(key)
            entry.put(packed, packed >> MAIN_SHIFT, 1)
        if lease:
            key_leases[key] = lease
        elif key_leases:
            key_leases.pop(key, None)
    return packed >> MAIN_SHIFT


def _add_tombstone(index: Index, key: bytes, entry: KeyIndex | None, packed: int) -> None:
    if entry is None:
        index.add(KeyIndex(key, packed, 0, 0))
    else:
        entry.put(packed, 0, 0)
    index.dead.add(key)
