"""Which of many ranges of keys hold a given key: a segment tree that is rebuilt lazily.

The start and end points of all ranges, sorted, cut the key space into segments. A binary tree stands
over the segments; a range is written on the O(log n) nodes that together cover it, and a key is found
on the path from its segment to the root. So a stab costs one binary search, log2(n) list look-ups,
and the matches.

The tree's points are fixed when it is built. A range whose points are known goes straight in; any
other waits on a short list that every stab reads through, and when that list outgrows the square root
of the whole, the next stab rebuilds the tree. Removal takes a range off its nodes and leaves the points;
they go at the next rebuild. Adding n ranges one by one costs O(n * sqrt(n) * log n) in all, and
nothing is rebuilt while ranges come and go over the same points, as when clients reconnect.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from math import isqrt
from typing import Generic, TypeVar

__all__ = ["IntervalIndex"]

T = TypeVar("T")

_FRESH_MIN = 32  # ranges that may wait outside the tree, however small it is
_STALE_POINTS_MIN = 256  # points of removed ranges that are always tolerated


class IntervalIndex(Generic[T]):
    """A map from ranges `[start, end)` to values, asked by point. `end` b"" means without end.

    Values are compared and hashed by identity's usual rules and must be distinct.
    """

    __slots__ = ("_fresh", "_nodes", "_points", "_values")

    def __init__(self) -> None:
        self._values: dict[tuple[bytes, bytes], T] = {}
        self._fresh: dict[tuple[bytes, bytes], T] = {}
        self._points: list[bytes] = []
        self._nodes: list[dict[T, None]] = [{}, {}]  # nodes[n + i] is leaf i of n leaves

    def __len__(self) -> int:
        return len(self._values)

    def add(self, start: bytes, end: bytes, value: T) -> None:
        """Add a range; it must not be empty and not be there already."""
        interval = (start, end)
        assert interval not in self._values
        assert not end or start < end
        self._values[interval] = value
        if self._has_point(start) and (not end or self._has_point(end)):
            self._write(interval, value)
        else:
            self._fresh[interval] = value

    def remove(self, start: bytes, end: bytes) -> None:
        """Remove a range; KeyError if it is not there."""
        interval = (start, end)
        value = self._values.pop(interval)
        if self._fresh.pop(interval, None) is None:
            for node in self._cover(interval):
                del self._nodes[node][value]
        if len(self._points) > _STALE_POINTS_MIN + 4 * len(self._values):
            self._rebuild()

    def stab(self, point: bytes) -> list[T]:
        """The values of all ranges that hold `point`, each once."""
        fresh = self._fresh
        found: list[T] = []
        if fresh:
            if len(fresh) > _FRESH_MIN and len(fresh) > isqrt(len(self._values)):
                self._rebuild()
            else:
                found = [
                    value
                    for (start, end), value in fresh.items()
                    if start <= point and (not end or point < end)
                ]
        nodes = self._nodes
        at = bisect_right(self._points, point) + len(self._points) + 1
        while at:
            if nodes[at]:
                found += nodes[at]
            at >>= 1
        return found

    def _has_point(self, point: bytes) -> bool:
        at = bisect_left(self._points, point)
        return at < len(self._points) and self._points[at] == point

    def _write(self, interval: tuple[bytes, bytes], value: T) -> None:
        for node in self._cover(interval):
            self._nodes[node][value] = None

    def _cover(self, interval: tuple[bytes, bytes]) -> Iterator[int]:
        """The nodes which together span exactly this range. Segment i starts at point i - 1."""
        start, end = interval
        leaves = len(self._points) + 1
        low = bisect_left(self._points, start) + 1 + leaves
        high = (bisect_left(self._points, end) + 1 if end else leaves) + leaves
        while low < high:
            if low & 1:
                yield low
                low += 1
            if high & 1:
                high -= 1
                yield high
            low >>= 1
            high >>= 1

    def _rebuild(self) -> None:
        self._fresh = {}
        ends = {end for _, end in self._values if end}
        self._points = sorted(ends.union(start for start, _ in self._values))
        self._nodes = [{} for _ in range(2 * len(self._points) + 2)]
        for interval, value in self._values.items():
            self._write(interval, value)
