"""The log as Raft sees it: the storage, continued by the unstable end.

Three marks move through it, each only forward, and in this order:

    applied <= applying <= committed <= last_index

`applying` is what Ready has handed to the application, `applied` what the application says it has
done. With asynchronous storage writes the application gets only what is stable here as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from .errors import InvariantBroken, LogCompacted, LogUnavailable, RaftError
from .logger import Logger
from .sizes import NO_LIMIT, encoded_bytes, limit_size
from .storage import Storage
from .types import Entry, EntryType, Snapshot
from .unstable import Unstable

__all__ = ["RaftLog"]


class RaftLog:
    """See the module. `applying_bytes_max` bounds what is handed out and not yet applied."""

    __slots__ = (
        "_handed_out",
        "applied",
        "applying",
        "applying_bytes",
        "applying_bytes_max",
        "applying_paused",
        "committed",
        "logger",
        "storage",
        "unstable",
    )

    def __init__(
        self, storage: Storage, logger: Logger, applying_bytes_max: int = NO_LIMIT
    ) -> None:
        self.storage = storage
        self.logger = logger
        self.unstable = Unstable(storage.last_index() + 1, logger)
        self.committed = self.applying = self.applied = storage.first_index() - 1
        self.applying_bytes_max = applying_bytes_max
        self.applying_bytes = 0
        self.applying_paused = False
        self._handed_out: deque[tuple[int, int]] = deque()  # (last index, bytes) per Ready

    def __str__(self) -> str:
        unstable = self.unstable
        return (
            f"committed={self.committed}, applied={self.applied}, applying={self.applying}, "
            f"unstable.offset={unstable.offset}, "
            f"unstable.offsetInProgress={unstable.offset_in_progress}, "
            f"len(unstable.Entries)={len(unstable.entries)}"
        )

    # --- Where it begins and ends, and terms ------------------------------------------------------

    def first_index(self) -> int:
        first = self.unstable.first_index()
        return self.storage.first_index() if first is None else first

    def last_index(self) -> int:
        last = self.unstable.last_index()
        return self.storage.last_index() if last is None else last

    def last_entry_id(self) -> tuple[int, int]:
        """(term, index) of the last entry."""
        index = self.last_index()
        try:
            return self.term(index), index
        except RaftError as error:
            raise InvariantBroken(f"no term for the last entry at {index}: {error}") from error

    def term(self, index: int) -> int:
        """The term at `index`. Raises LogCompacted or LogUnavailable."""
        unstable = self.unstable
        at = index - unstable.offset
        if at >= 0 and (entries := unstable.entries):
            if at < len(entries):
                return entries[at].term
            raise LogUnavailable
        if unstable.snapshot is None:
            return self.storage.term(index)
        term = unstable.term(index)
        if term is None:
            raise LogCompacted if index < unstable.snapshot.metadata.index else LogUnavailable
        return term

    def term_or_zero(self, index: int) -> int:
        """The term at `index`, 0 when the log does not know it; no entry has term 0."""
        try:
            return self.term(index)
        except (LogCompacted, LogUnavailable):
            return 0

    def match_term(self, term: int, index: int) -> bool:
        try:
            return self.term(index) == term
        except (LogCompacted, LogUnavailable):
            return False

    def is_up_to_date(self, term: int, index: int) -> bool:
        """Whether a log with this last entry is at least as up to date as ours (Raft, 5.4.1)."""
        return (term, index) >= self.last_entry_id()

    # --- Appending --------------------------------------------------------------------------------

    def append(self, entries: Sequence[Entry]) -> int:
        """Append to the log, truncating what conflicts; the new last index."""
        if entries:
            before = entries[0].index - 1
            if before < self.committed:
                raise InvariantBroken(
                    f"after({before}) is out of range [committed({self.committed})]"
                )
            self.unstable.truncate_and_append(entries)
        return self.last_index()

    def maybe_append(
        self, prev_term: int, prev_index: int, entries: Sequence[Entry], committed: int
    ) -> int | None:
        """Follow a leader (Raft, 5.3): append what is new, advance the commit index.

        The last index that now agrees with the leader; None when our log does not have the
        entry (prev_term, prev_index).
        """
        if not self.match_term(prev_term, prev_index):
            return None
        last_new = prev_index + len(entries)
        # Most often they just follow the end of the log.
        follows = entries and prev_index == self.last_index()
        conflict = prev_index + 1 if follows else self.find_conflict(entries)
        if conflict:
            if conflict <= self.committed:
                raise InvariantBroken(
                    f"entry {conflict} conflict with committed entry [committed({self.committed})]"
                )
            self.append(entries[conflict - prev_index - 1 :])
        self.commit_to(min(committed, last_new))
        return last_new

    def find_conflict(self, entries: Sequence[Entry]) -> int:
        """The index of the first entry that we do not have with the same term; 0 for none."""
        for entry in entries:
            if not self.match_term(entry.term, entry.index):
                if entry.index <= self.last_index():
                    self.logger.info(
                        f"found conflict at index {entry.index} [existing term: "
                        f"{self.term_or_zero(entry.index)}, conflicting term: {entry.term}]"
                    )
                return entry.index
        return 0

    def find_conflict_by_term(self, index: int, term: int) -> tuple[int, int]:
        """The best guess where another log, known to have `term` at `index`, ends matching ours.

        The highest (index, term) of ours that is not beyond `index` and whose term is not above
        `term`; the term is 0 when it is not known.
        """
        while index > 0:
            try:
                ours = self.term(index)
            except (LogCompacted, LogUnavailable):
                return index, 0
            if ours <= term:
                return index, ours
            index -= 1
        return 0, 0

    # --- Committing and applying ------------------------------------------------------------------

    def commit_to(self, index: int) -> None:
        if self.committed < index:
            if self.last_index() < index:
                raise InvariantBroken(
                    f"tocommit({index}) is out of range [lastIndex({self.last_index()})]. "
                    "Was the raft log corrupted, truncated, or lost?"
                )
            self.committed = index

    def maybe_commit(self, term: int, index: int) -> bool:
        """Commit up to `index` if its entry is of `term`, the leader's own (Raft, 5.4.2)."""
        if term != 0 and index > self.committed and self.match_term(term, index):
            self.commit_to(index)
            return True
        return False

    def _appliable_end(self, allow_unstable: bool) -> int:
        """The index after the last that may be applied now."""
        end = self.committed + 1
        return end if allow_unstable else min(end, self.unstable.offset)

    def has_next_committed(self, allow_unstable: bool) -> bool:
        """Whether there is something to apply.

        Not while the application has too much in hand, nor before a snapshot that came from the
        leader is applied, for that comes first.
        """
        return (
            self.applying < self._appliable_end(allow_unstable) - 1
            and not self.applying_paused
            and self.unstable.snapshot is None
        )

    def next_committed(self, allow_unstable: bool) -> list[Entry]:
        """The entries to apply next, in order, cut to the budget."""
        if not self.has_next_committed(allow_unstable):
            return []
        budget = self.applying_bytes_max - self.applying_bytes
        if budget <= 0:
            raise InvariantBroken(
                f"applying entry size ({self.applying_bytes_max}-{self.applying_bytes})="
                f"{budget} not positive"
            )
        return self.slice(self.applying + 1, self._appliable_end(allow_unstable), budget)

    def accept_applying(self, entries: Sequence[Entry], allow_unstable: bool) -> None:
        """Ready hands `entries` out.

        Handing out pauses when the budget is used up, or when the next entry would have gone
        over it: that is so when these are not all that could be applied.
        """
        index = entries[-1].index
        if self.committed < index:
            raise InvariantBroken(
                f"applying({index}) is out of range "
                f"[prevApplying({self.applying}), committed({self.committed})]"
            )
        self.applying = index
        if self.applying_bytes_max < NO_LIMIT:
            size = encoded_bytes(entries)
            self.applying_bytes += size
            self._handed_out.append((index, size))
        self.applying_paused = (
            self.applying_bytes >= self.applying_bytes_max
            or index < self._appliable_end(allow_unstable) - 1
        )

    def applied_to(self, index: int) -> None:
        """The application has applied everything up to `index`."""
        if not self.applied <= index <= self.committed:
            raise InvariantBroken(
                f"applied({index}) is out of range "
                f"[prevApplied({self.applied}), committed({self.committed})]"
            )
        self.applied = index
        self.applying = max(self.applying, index)
        while self._handed_out and self._handed_out[0][0] <= index:
            self.applying_bytes -= self._handed_out.popleft()[1]
        self.applying_paused = self.applying_bytes >= self.applying_bytes_max

    # --- Reading ----------------------------------------------------------------------------------

    def entries_from(self, index: int, bytes_max: int) -> list[Entry]:
        """Entries from `index` on, as `slice` gives them."""
        last = self.last_index()
        return [] if index > last else self.slice(index, last + 1, bytes_max)

    def slice(self, lo: int, hi: int, bytes_max: int) -> list[Entry]:
        """Entries lo <= index < hi, cut to `bytes_max` but at least one. Raises LogCompacted."""
        first, last = self.first_index(), self.last_index()
        if lo < first:
            raise LogCompacted
        if not lo <= hi <= last + 1:
            raise InvariantBroken(f"slice[{lo},{hi}) out of bound [{first},{last}]")
        if lo == hi:
            return []
        offset = self.unstable.offset
        if lo >= offset:
            return limit_size(self.unstable.slice(lo, hi), bytes_max)
        cut = min(hi, offset)
        try:
            entries = self.storage.entries(lo, cut, bytes_max)
        except LogUnavailable as error:
            raise InvariantBroken(f"entries[{lo}:{cut}) is unavailable from storage") from error
        if hi <= offset or len(entries) < cut - lo:
            return entries
        budget = bytes_max
        if bytes_max < NO_LIMIT:
            budget -= encoded_bytes(entries)
            if budget <= 0:
                return entries
        more = limit_size(self.unstable.slice(offset, hi), budget)
        if len(more) == 1 and budget < NO_LIMIT and encoded_bytes(more) > budget:
            return entries  # it alone is over what is left
        return entries + more

    def has_conf_change(self, lo: int, hi: int) -> bool:
        """Whether a membership change is among the entries lo <= index < hi."""
        while lo < hi:
            page = self.slice(lo, hi, self.applying_bytes_max)
            if any(entry.type != EntryType.NORMAL for entry in page):
                return True
            lo += len(page)
        return False

    # --- Snapshots --------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The latest snapshot. Raises SnapshotTemporarilyUnavailable."""
        unstable = self.unstable.snapshot
        return self.storage.snapshot() if unstable is None else unstable

    def restore(self, snapshot: Snapshot) -> None:
        """Begin anew with a snapshot that a leader sent."""
        meta = snapshot.metadata
        self.logger.info(
            f"log [{self}] starts to restore snapshot [index: {meta.index}, term: {meta.term}]"
        )
        self.committed = meta.index
        self.unstable.restore(snapshot)
