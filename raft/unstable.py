"""The end of the log that is not yet known to be durable.

An entry enters here when it is appended, is handed out once by a Ready (it is then *in progress*:
the storage is writing it), and leaves when the storage says that it is stable. The same holds for
a snapshot that a leader sent. `entries[i]` has index `offset + i`; `offset` may lie below the
last index of the storage, and then the next write truncates the storage first.
"""

from __future__ import annotations

from collections.abc import Sequence

from .errors import InvariantBroken
from .logger import Logger
from .types import Entry, Snapshot

__all__ = ["Unstable"]


class Unstable:
    """See the module."""

    __slots__ = (
        "entries",
        "logger",
        "offset",
        "offset_in_progress",
        "snapshot",
        "snapshot_in_progress",
    )

    def __init__(self, offset: int, logger: Logger) -> None:
        self.entries: list[Entry] = []
        self.offset = offset
        # The index after the last entry that is being written: offset <= offset_in_progress.
        self.offset_in_progress = offset
        self.snapshot: Snapshot | None = None
        self.snapshot_in_progress = False
        self.logger = logger

    def first_index(self) -> int | None:
        """The first index of a log that begins with the snapshot here, else None."""
        return None if self.snapshot is None else self.snapshot.metadata.index + 1

    def last_index(self) -> int | None:
        """The last index, if it is here."""
        if self.entries:
            return self.offset + len(self.entries) - 1
        return None if self.snapshot is None else self.snapshot.metadata.index

    def term(self, index: int) -> int | None:
        """The term at `index`, if it is here."""
        at = index - self.offset
        if at < 0:
            if self.snapshot is not None and self.snapshot.metadata.index == index:
                return self.snapshot.metadata.term
            return None
        return self.entries[at].term if at < len(self.entries) else None

    def has_next_entries(self) -> bool:
        """Whether there are entries that no Ready has handed out yet."""
        return self.offset_in_progress - self.offset < len(self.entries)

    def next_entries(self) -> list[Entry]:
        """The entries that no Ready has handed out yet."""
        return self.entries[self.offset_in_progress - self.offset :]

    def next_snapshot(self) -> Snapshot | None:
        """The snapshot, unless a Ready has handed it out."""
        return None if self.snapshot_in_progress else self.snapshot

    def accept_in_progress(self) -> None:
        """A Ready has handed out everything here."""
        if self.entries:
            self.offset_in_progress = self.offset + len(self.entries)
        if self.snapshot is not None:
            self.snapshot_in_progress = True

    def stable_to(self, term: int, index: int) -> None:
        """The storage holds everything up to this entry, if it still is the one that is here.

        Call it only when no write that is under way could overwrite the entry again; see
        `ready.append_response` for how that is known.
        """
        found = self.term(index)
        if found is None:
            self.logger.info(f"entry at index {index} missing from unstable log; ignoring")
        elif index < self.offset:
            self.logger.info(f"entry at index {index} matched unstable snapshot; ignoring")
        elif found != term:
            # Replaced while it was being written.
            self.logger.info(
                f"entry at (index,term)=({index},{term}) mismatched with "
                f"entry at ({index},{found}) in unstable log; ignoring"
            )
        else:
            del self.entries[: index + 1 - self.offset]
            self.offset = index + 1
            self.offset_in_progress = max(self.offset_in_progress, self.offset)

    def stable_snapshot_to(self, index: int) -> None:
        """The storage holds the snapshot at `index`."""
        if self.snapshot is not None and self.snapshot.metadata.index == index:
            self.snapshot = None
            self.snapshot_in_progress = False

    def restore(self, snapshot: Snapshot) -> None:
        """Begin anew with a snapshot that a leader sent."""
        self.offset = self.offset_in_progress = snapshot.metadata.index + 1
        self.entries = []
        self.snapshot = snapshot
        self.snapshot_in_progress = False

    def truncate_and_append(self, entries: Sequence[Entry]) -> None:
        """Add entries, dropping what they overwrite; there must be no gap."""
        first = entries[0].index
        end = self.offset + len(self.entries)
        if first == end:
            self.entries += entries
        elif first > end:
            raise InvariantBroken(f"unstable log ends at {end}, entries begin at {first}")
        elif first <= self.offset:
            self.logger.info(f"replace the unstable entries from index {first}")
            self.entries = list(entries)
            self.offset = self.offset_in_progress = first
        else:
            self.logger.info(f"truncate the unstable entries before index {first}")
            self.entries[first - self.offset :] = entries
            self.offset_in_progress = min(self.offset_in_progress, first)

    def slice(self, lo: int, hi: int) -> list[Entry]:
        """Entries lo <= index < hi, all of which must be here."""
        if not self.offset <= lo <= hi <= self.offset + len(self.entries):
            raise InvariantBroken(
                f"unstable.slice[{lo},{hi}) out of bound "
                f"[{self.offset},{self.offset + len(self.entries)}]"
            )
        return self.entries[lo - self.offset : hi - self.offset]
