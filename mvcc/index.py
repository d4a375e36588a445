"""The index: from a key to its revisions, in memory, rebuilt from the bucket at start.

A `KeyIndex` is a key's life as far as the store still remembers it: the packed revision of the
newest change (`modified`) and, once there is more than one, the older ones in order (`history`).
Odd packed revisions are tombstones, so lives between deletes (etcd's generations) need no structure:
the key exists at revision r if its newest change with main <= r is there and is no tombstone.

    put at 2, put at 3, delete at 5, put at 8        history = [2, 3, 5t], modified = 8
    at revision 4: 3     at 5..7: absent     at 8: 8     at 1: absent

Compaction at r forgets what nobody may ask for any more: of the changes up to r only the newest
stays, and it goes too if it is a tombstone older than r. A tombstone of exactly r stays until the
next compaction, because a watch may still start at r and has to see the delete.

Keys are held in a dict and, for ranges, in a sorted list to which new keys are merged when a range
is asked for: a burst of new keys then costs one sort.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from sortedcontainers import SortedList

from ..errors import InvariantBroken
from .revision import MAIN_SHIFT, TOMBSTONE, bound_after

__all__ = ["Index", "KeyIndex"]


class KeyIndex:
    """The revisions of one key.

    Attributes:
        modified: packed revision of the newest change.
        created: main revision at which the present life began; 0 when the key is deleted.
        version: puts in the present life; 0 when the key is deleted.
        history: older packed revisions, ascending; None when there are none.
        framed: the framed KeyValue at `modified` if it is cached.
    """

    __slots__ = ("created", "framed", "history", "key", "modified", "version")

    def __init__(self, key: bytes, modified: int, created: int, version: int) -> None:
        self.key = key
        self.modified = modified
        self.created = created
        self.version = version
        self.history: list[int] | None = None
        self.framed: bytes | None = None

    def __repr__(self) -> str:
        shown = (f"{r >> MAIN_SHIFT}{'t' if r & TOMBSTONE else ''}" for r in self.revisions())
        return f"<KeyIndex {self.key!r} {' '.join(shown)}>"

    def revisions(self) -> Iterator[int]:
        """All packed revisions, ascending."""
        if self.history:
            yield from self.history
        yield self.modified

    def put(self, packed: int, created: int, version: int) -> None:
        """Record a change; a tombstone has created = version = 0."""
        if packed <= self.modified:
            raise InvariantBroken(
                f"revisions of {self.key!r} do not grow: {packed} after {self.modified}"
            )
        if self.history is None:
            self.history = [self.modified]
        else:
            self.history.append(self.modified)
        self.modified = packed
        self.created = created
        self.version = version

    def newest(self, bound: int) -> int:
        """The newest packed revision below `bound`, tombstone or not; 0 when there is none."""
        if self.modified < bound:
            return self.modified
        history = self.history
        if history is None:
            return 0
        at = bisect_left(history, bound)
        return history[at - 1] if at else 0

    def at(self, revision: int) -> int:
        """The packed revision that is visible at `revision`, 0 when the key does not exist then."""
        newest = self.newest(bound_after(revision))
        return 0 if newest & TOMBSTONE else newest

    def oldest(self) -> int:
        """The oldest packed revision that is remembered."""
        return self.history[0] if self.history else self.modified

    def survivor(self, revision: int) -> int:
        """What a compaction at `revision` keeps of the changes up to it; 0 for nothing."""
        newest = self.newest(bound_after(revision))
        if newest & TOMBSTONE and newest >> MAIN_SHIFT < revision:
            return 0
        return newest

    def compact(self, revision: int) -> bool:
        """Forget what a compaction at `revision` removes; True when nothing at all is left."""
        bound = bound_after(revision)
        kept = self.survivor(revision)
        if self.modified < bound:
            self.history = None
            return kept == 0
        history = self.history
        if history is not None:
            cut = bisect_left(history, kept or bound)
            if cut == len(history):
                self.history = None
            elif cut:
                del history[:cut]
        return False


class Index:
    """All keys. `keys` is the truth; the order is brought up to date when it is needed.

    Attributes:
        keys: key to KeyIndex. Add through `add`, remove through `remove`.
        dead: the keys whose newest change is a tombstone.
    """

    __slots__ = ("_fresh", "_order", "dead", "keys")

    def __init__(self) -> None:
        self.keys: dict[bytes, KeyIndex] = {}
        self.dead: set[bytes] = set()
        self._order: SortedList[bytes] = SortedList()
        self._fresh: list[bytes] = []

    def add(self, entry: KeyIndex) -> None:
        """Add a key that is not there."""
        self.keys[entry.key] = entry
        self._fresh.append(entry.key)

    def remove(self, entry: KeyIndex) -> None:
        """Remove a deleted key whose history is compacted away."""
        if entry.version:
            raise InvariantBroken(f"{entry.key!r} is not deleted, but was to leave the index")
        self.ordered().remove(entry.key)
        del self.keys[entry.key]
        self.dead.discard(entry.key)

    def ordered(self) -> SortedList[bytes]:
        """All keys in order."""
        if self._fresh:
            self._order.update(self._fresh)
            self._fresh = []
        return self._order

    def visit(self, start: bytes, end: bytes | None) -> Iterator[KeyIndex]:
        """The keys with start <= key < end in order, deleted ones too; None leaves it open."""
        within = self.ordered().irange(start, end, (True, False))
        return map(self.keys.__getitem__, within)

    def count(self, start: bytes, end: bytes | None) -> int:
        """How many keys of [start, end) exist now, visiting as few of them as possible."""
        order = self.ordered()
        last = len(order) if end is None else order.bisect_left(end)
        span = max(0, last - order.bisect_left(start))
        dead = self.dead
        if not dead or not span:
            return span
        if len(dead) > span:
            return sum(entry.version > 0 for entry in self.visit(start, end))
        if end is None:
            return span - sum(key >= start for key in dead)
        return span - sum(start <= key < end for key in dead)
