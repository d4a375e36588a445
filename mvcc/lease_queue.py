"""When something is due for each lease: a heap with lazy deletion, one entry per lease.

A keep-alive moves an expiry *later*, millions of times; only the lease is changed then. An entry that
comes up before its lease is really due is put back at the true time. So a keep-alive costs no heap work,
and the heap never holds more than one entry per living lease. Entries of revoked leases wait to
come up, or until they are half of the heap.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from .lease_record import Lease

__all__ = ["LeaseQueue"]

_STALE_MIN = 1024  # entries of revoked leases that are always tolerated


class LeaseQueue:
    __slots__ = ("_heap", "_serial", "_stale")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Lease]] = []
        self._serial = 0
        self._stale = 0

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, due: float, lease: Lease) -> None:
        """Enter a lease, which must have no entry."""
        self._serial += 1
        heapq.heappush(self._heap, (due, self._serial, lease))

    def fill(self, entries: Iterable[tuple[float, Lease]]) -> None:
        """Start again with these."""
        self._heap = [(due, at, lease) for at, (due, lease) in enumerate(entries)]
        self._serial = len(self._heap)
        self._stale = 0
        heapq.heapify(self._heap)

    def pop(self, now: float) -> Lease | None:
        """The next living lease whose entry is due; its entry is gone then."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            lease = heapq.heappop(heap)[2]
            if not lease.revoked:
                return lease
            self._stale = max(0, self._stale - 1)
        return None

    def due(self, now: float) -> bool:
        """Whether `pop` may have something; an entry of a revoked lease counts as well."""
        return bool(self._heap) and self._heap[0][0] <= now

    def bury(self) -> None:
        """A lease with an entry was revoked."""
        self._stale += 1
        if self._stale > _STALE_MIN and 2 * self._stale > len(self._heap):
            self._heap = [entry for entry in self._heap if not entry[2].revoked]
            self._stale = 0
            heapq.heapify(self._heap)
