"""The value cache: the newest framed KeyValue of as many keys as fit a byte budget.

The bytes hang on the index entries themselves, so a hit costs nothing beyond finding the key, and a
write refreshes its key by storing one reference. When the budget is passed, the entries that have
been cached longest lose their bytes until a quarter of the budget is free: eviction is a rare sweep,
not a cost of every read. Old revisions are not cached.
"""

from __future__ import annotations

from .index import KeyIndex

__all__ = ["CACHE_BYTES", "CACHE_FILL_KEYS_MAX", "ValueCache"]

CACHE_BYTES = 64 << 20
CACHE_FILL_KEYS_MAX = 1000  # a range that misses more keys than this does not displace the cache
_SLACK = 1024  # entries that may stand in line without bytes before the line is tidied


class ValueCache:
    """Accounting and eviction; `used` counts the framed bytes on the entries in line."""

    __slots__ = ("_line", "budget_bytes", "live", "used")

    def __init__(self, budget_bytes: int = CACHE_BYTES) -> None:
        assert budget_bytes >= 0
        self.budget_bytes = budget_bytes
        self.used = 0
        self.live = 0  # entries with bytes
        self._line: list[KeyIndex] = []

    def set(self, entry: KeyIndex, framed: bytes) -> None:
        """Cache the bytes of the entry's newest revision, replacing older ones."""
        old = entry.framed
        entry.framed = framed
        if old is None:
            self.live += 1
            self._line.append(entry)
            self.used += len(framed)
        else:
            self.used += len(framed) - len(old)
        if self.used > self.budget_bytes:
            self._evict()

    def clear(self, entry: KeyIndex) -> None:
        """Forget the bytes of an entry (its key was deleted)."""
        old = entry.framed
        if old is not None:
            entry.framed = None
            self.used -= len(old)
            self.live -= 1
            if len(self._line) > 2 * self.live + _SLACK:
                self._tidy()

    def _tidy(self) -> None:
        """Drop from the line what has no bytes, and what stands in it twice."""
        self._line = [entry for entry in dict.fromkeys(self._line) if entry.framed is not None]
        assert len(self._line) == self.live

    def _evict(self) -> None:
        self._tidy()
        goal = self.budget_bytes - self.budget_bytes // 4
        evicted = 0
        for entry in self._line:
            if self.used <= goal:
                break
            assert entry.framed is not None
            self.used -= len(entry.framed)
            entry.framed = None
            evicted += 1
        self.live -= evicted
        del self._line[:evicted]
