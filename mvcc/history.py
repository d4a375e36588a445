"""History: the events between two revisions, read back for watchers that are behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import Compacted
from .events import DELETE, PUT, Event, History
from .keyvalue import deleted, frame, split_key, tail_fields
from .revision import MAIN_SHIFT, TOMBSTONE, main_key, packed_from_disk

if TYPE_CHECKING:
    from .store import Store

__all__ = ["read_history"]


def read_history(store: Store, start_revision: int, revisions_max: int) -> History:
    """Events from `start_revision` on, at most `revisions_max` revisions of them, whole ones.

    A slice reads about `revisions_max` rows, however few revisions those are, and always at least one
    revision. Raises Compacted when the start is below the compact revision; from that revision itself
    history is whole, deletes included.
    """
    assert revisions_max > 0
    if start_revision < store.compact_revision:
        raise Compacted
    present = store.revision
    if start_revision > present:
        return History([], start_revision)
    get = store.backend.range
    rows = get("key", main_key(start_revision), main_key(present + 1), revisions_max + 1)
    next_revision = present + 1
    if len(rows) > revisions_max:
        first = packed_from_disk(rows[0][0]) >> MAIN_SHIFT
        last = packed_from_disk(rows[-1][0]) >> MAIN_SHIFT
        if first == last:  # one revision of many changes: all of it
            next_revision = first + 1
            rows = get("key", main_key(first), main_key(next_revision))
        else:
            next_revision = last
            end = main_key(last)
            rows = [row for row in rows if row[0] < end]
    return History([_event(disk, kv) for disk, kv in rows], next_revision)


def _event(disk: bytes, kv: bytes) -> Event:
    packed = packed_from_disk(disk)
    revision = packed >> MAIN_SHIFT
    key, at = split_key(kv)
    if packed & TOMBSTONE:
        return Event(DELETE, key, revision, deleted(key, revision), False)
    create, _, _ = tail_fields(kv, at)
    return Event(PUT, key, revision, frame(kv), create == revision)
