"""Where the durable part of the log is read from.

Raft reads through `Storage`; whoever drives a `RawNode` writes what each `Ready` says. The
write-ahead log cannot be read at random, so in practice the entries since the last compaction are
kept in a `MemoryStorage` beside it, exactly as etcd does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .errors import InvariantBroken, LogCompacted, LogUnavailable, SnapshotOutOfDate
from .sizes import limit_size
from .types import ConfState, Entry, HardState, Snapshot, SnapshotMetadata

__all__ = ["MemoryStorage", "Storage"]


class Storage(Protocol):
    """What Raft reads. An error other than those named here stops the node."""

    def initial_state(self) -> tuple[HardState, ConfState]:
        """The hard state and the membership at the node's start; both empty for a new node."""
        ...

    def entries(self, lo: int, hi: int, bytes_max: int) -> list[Entry]:
        """Entries lo <= index < hi, cut to `bytes_max` encoded bytes but at least one.

        The caller owns the list. Raises LogCompacted when `lo` is gone, LogUnavailable when an
        entry is not there.
        """
        ...

    def term(self, index: int) -> int:
        """The term at `index`, first_index() - 1 <= index <= last_index().

        The term before the first entry stays known, for matching. Raises LogCompacted or
        LogUnavailable.
        """
        ...

    def first_index(self) -> int:
        """The index of the first entry that is still here; last_index() + 1 when there is none."""
        ...

    def last_index(self) -> int:
        """The index of the last entry, or of the snapshot when there is none."""
        ...

    def snapshot(self) -> Snapshot:
        """The latest snapshot. Raises SnapshotTemporarilyUnavailable while it is being made."""
        ...


class MemoryStorage:
    """The log since the last compaction, in memory."""

    def __init__(self) -> None:
        self._hard_state = HardState()
        self._snapshot = Snapshot()
        # The entry before the first one that is kept: only its place and term are still known.
        self._base_index = 0
        self._base_term = 0
        self._entries: list[Entry] = []

    def initial_state(self) -> tuple[HardState, ConfState]:
        return self._hard_state, self._snapshot.metadata.conf_state

    def entries(self, lo: int, hi: int, bytes_max: int) -> list[Entry]:
        base = self._base_index
        if lo <= base:
            raise LogCompacted
        if hi > base + len(self._entries) + 1:
            raise LogUnavailable
        return limit_size(self._entries[lo - base - 1 : hi - base - 1], bytes_max)

    def term(self, index: int) -> int:
        at = index - self._base_index - 1
        if at < 0:
            if at == -1:
                return self._base_term
            raise LogCompacted
        if at >= len(self._entries):
            raise LogUnavailable
        return self._entries[at].term

    def first_index(self) -> int:
        return self._base_index + 1

    def last_index(self) -> int:
        return self._base_index + len(self._entries)

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def set_hard_state(self, state: HardState) -> None:
        """Keep the hard state that a Ready carried."""
        self._hard_state = state

    def append(self, entries: Sequence[Entry]) -> None:
        """Add a Ready's entries; those that they conflict with, and all after them, go."""
        if not entries:
            return
        kept = self._entries
        at = entries[0].index - self._base_index - 1
        if at < 0:  # compacted in the meantime
            entries = entries[-at:]
            at = 0
            if not entries:
                return
        if at > len(kept):
            raise InvariantBroken(
                f"missing log entry [last: {self.last_index()}, append at: {entries[0].index}]"
            )
        if at < len(kept):
            del kept[at:]
        kept += entries

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        """Replace everything by a snapshot that a leader sent. Raises SnapshotOutOfDate."""
        meta, had = snapshot.metadata, self._snapshot.metadata.index
        # A new node may be given a membership in a snapshot of index 0.
        if had != 0 and had >= meta.index:
            raise SnapshotOutOfDate
        self._snapshot = snapshot
        self._base_index, self._base_term = meta.index, meta.term
        self._entries = []

    def create_snapshot(self, index: int, conf_state: ConfState | None, data: bytes) -> Snapshot:
        """Make the snapshot at an applied `index`; without a membership, the last one stays.

        Raises SnapshotOutOfDate when there is one at that index or later.
        """
        if index <= self._snapshot.metadata.index:
            raise SnapshotOutOfDate
        if index > self.last_index():
            raise InvariantBroken(
                f"snapshot {index} is out of bound lastindex({self.last_index()})"
            )
        if conf_state is None:
            conf_state = self._snapshot.metadata.conf_state
        self._snapshot = Snapshot(data, SnapshotMetadata(conf_state, index, self.term(index)))
        return self._snapshot

    def compact(self, index: int) -> None:
        """Forget the entries up to and including an applied `index`. Raises LogCompacted."""
        if index <= self._base_index:
            raise LogCompacted
        if index > self.last_index():
            raise InvariantBroken(f"compact {index} is out of bound lastindex({self.last_index()})")
        term = self.term(index)
        del self._entries[: index - self._base_index]
        self._base_index, self._base_term = index, term
