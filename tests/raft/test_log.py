"""The log: storage and unstable end together, against a plain list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triode.raft import (
    ConfState,
    Entry,
    EntryType,
    InvariantBroken,
    LogCompacted,
    LogUnavailable,
    MemoryStorage,
    NullLogger,
    Snapshot,
    SnapshotMetadata,
    SnapshotOutOfDate,
)
from triode.raft.codec import encode_entry
from triode.raft.log import RaftLog
from triode.raft.sizes import NO_LIMIT, encoded_bytes, limit_size, payload_bytes


def entries_of(*terms: int, first: int = 1) -> list[Entry]:
    """Entries with these terms from index `first` on."""
    return [Entry(term, index) for index, term in enumerate(terms, first)]


def make_log(stable: list[Entry], unstable: list[Entry] | None = None) -> RaftLog:
    storage = MemoryStorage()
    storage.append(stable)
    log = RaftLog(storage, NullLogger())
    log.append(unstable or [])
    return log


LENGTHS = st.sampled_from([0, 1, 2, 126, 127, 128, 129, 16383, 16384, 16385])


@given(st.lists(LENGTHS, max_size=12), st.integers(1, 70_000), st.integers(1, 200))
def test_sizes_of_batches_are_those_of_their_bytes(
    lengths: list[int], first: int, term: int
) -> None:
    batch = [
        Entry(term, index, EntryType.NORMAL, b"x" * n) for index, n in enumerate(lengths, first)
    ]
    assert encoded_bytes(batch) == sum(len(encode_entry(entry)) for entry in batch)
    assert payload_bytes(batch) == sum(lengths)


@given(st.lists(LENGTHS, min_size=1, max_size=8), st.integers(0, 60_000))
def test_limit_is_the_longest_prefix_that_fits_but_one_at_least(
    lengths: list[int], limit: int
) -> None:
    batch = [Entry(1, index, EntryType.NORMAL, b"x" * n) for index, n in enumerate(lengths, 1)]
    kept = limit_size(batch, limit)
    assert kept == batch[: len(kept)]
    assert len(kept) >= 1
    assert len(kept) == 1 or encoded_bytes(kept) <= limit
    if len(kept) < len(batch):
        assert encoded_bytes(batch[: len(kept) + 1]) > limit


@given(
    st.integers(0, 6), st.integers(0, 6), st.integers(0, 6), st.integers(1, 14), st.integers(1, 14)
)
def test_reading_does_not_depend_on_where_an_entry_lies(
    compacted: int, stable: int, unstable: int, lo: int, hi: int
) -> None:
    everything = entries_of(*range(1, compacted + stable + unstable + 1))
    storage = MemoryStorage()
    storage.append(everything[: compacted + stable])
    if compacted:
        storage.compact(compacted)
    log = RaftLog(storage, NullLogger())
    log.append(everything[compacted + stable :])
    assert log.first_index() == compacted + 1
    assert log.last_index() == len(everything)
    if not lo <= hi <= len(everything) + 1:
        return
    if lo <= compacted:
        with pytest.raises(LogCompacted):
            log.slice(lo, hi, NO_LIMIT)
    else:
        assert log.slice(lo, hi, NO_LIMIT) == everything[lo - 1 : hi - 1]
        one = log.slice(lo, hi, 0)
        assert one == everything[lo - 1 : min(lo, hi - 1)]


def test_terms_are_known_from_the_entry_before_the_first() -> None:
    storage = MemoryStorage()
    storage.append(entries_of(1, 2, 3, 4))
    storage.compact(2)
    log = RaftLog(storage, NullLogger())
    log.append(entries_of(5, first=5))
    assert [log.term(index) for index in (2, 3, 4, 5)] == [2, 3, 4, 5]
    with pytest.raises(LogCompacted):
        log.term(1)
    with pytest.raises(LogUnavailable):
        log.term(6)


@given(st.lists(st.integers(1, 3), max_size=6), st.lists(st.integers(1, 3), max_size=6))
def test_following_a_leader_makes_the_log_agree_with_its_entries(
    ours: list[int], theirs: list[int]
) -> None:
    """Raft, 5.3: what conflicts is deleted, with all that follows; what agrees is kept."""
    ours.sort()
    theirs.sort()
    log = make_log(entries_of(*ours))
    sent = entries_of(*theirs)
    assert log.maybe_append(0, 0, sent, 0) == len(sent)
    conflict = any(a != b for a, b in zip(ours, theirs, strict=False))
    expected = theirs if conflict or len(theirs) > len(ours) else ours
    assert log.slice(1, log.last_index() + 1, NO_LIMIT) == entries_of(*expected)


def test_an_append_that_does_not_connect_changes_nothing() -> None:
    log = make_log(entries_of(1, 1, 2))
    assert log.maybe_append(3, 3, entries_of(3, first=4), 4) is None
    assert log.maybe_append(2, 4, entries_of(3, first=5), 4) is None
    assert (log.last_index(), log.committed) == (3, 0)


def test_a_committed_entry_is_never_overwritten() -> None:
    log = make_log(entries_of(1, 1))
    log.commit_to(2)
    with pytest.raises(InvariantBroken):
        log.maybe_append(1, 1, entries_of(2, first=2), 2)


def test_a_commit_index_beyond_the_log_is_refused() -> None:
    with pytest.raises(InvariantBroken, match=r"corrupted, truncated, or lost"):
        make_log(entries_of(1)).commit_to(2)


def test_entries_stay_unstable_until_the_write_of_the_very_same_is_reported() -> None:
    log = make_log([], entries_of(1, 1))
    log.unstable.accept_in_progress()
    log.append(entries_of(2, first=2))  # another leader, while the first write is under way
    log.unstable.stable_to(1, 2)
    assert log.unstable.offset == 1
    assert log.unstable.next_entries() == entries_of(2, first=2)
    log.unstable.stable_to(2, 2)
    assert (log.unstable.offset, log.unstable.entries) == (3, [])


def test_application_is_paced_by_bytes_that_are_not_yet_applied() -> None:
    storage = MemoryStorage()
    storage.append([Entry(1, index, EntryType.NORMAL, b"x" * 92) for index in (1, 2, 3)])
    log = RaftLog(storage, NullLogger(), applying_bytes_max=150)
    log.commit_to(3)
    first = log.next_committed(allow_unstable=True)
    assert [entry.index for entry in first] == [1]
    log.accept_applying(first, allow_unstable=True)
    assert not log.has_next_committed(allow_unstable=True)
    log.applied_to(1)
    assert [entry.index for entry in log.next_committed(allow_unstable=True)] == [2]


def test_memory_storage_overwrites_from_the_first_new_entry_on() -> None:
    storage = MemoryStorage()
    storage.append(entries_of(1, 1, 1, 1))
    storage.append(entries_of(2, first=3))
    assert storage.entries(1, 4, NO_LIMIT) == entries_of(1, 1, 2)
    storage.compact(2)
    storage.append(entries_of(1, 1, 2, 2))  # begins before what is kept
    assert storage.entries(3, 5, NO_LIMIT) == entries_of(2, 2, first=3)
    with pytest.raises(InvariantBroken, match="missing log entry"):
        storage.append(entries_of(2, first=6))


def test_memory_storage_snapshots_only_move_forward() -> None:
    storage = MemoryStorage()
    storage.append(entries_of(1, 1, 2))
    made = storage.create_snapshot(2, ConfState((1,)), b"state")
    assert made == Snapshot(b"state", SnapshotMetadata(ConfState((1,)), 2, 1))
    with pytest.raises(SnapshotOutOfDate):
        storage.create_snapshot(2, None, b"")
    with pytest.raises(SnapshotOutOfDate):
        storage.apply_snapshot(made)
    storage.apply_snapshot(Snapshot(b"new", SnapshotMetadata(ConfState((1,)), 9, 4)))
    assert (storage.first_index(), storage.last_index(), storage.term(9)) == (10, 9, 4)


def test_memory_storage_keeps_nothing_beyond_a_snapshot_that_it_is_sent() -> None:
    """What follows in the log may be another leader's, whose entries the sender does not have (Raft, section 7)."""
    storage = MemoryStorage()
    storage.append(entries_of(1, 1, 1, 1, 1, 1))
    storage.apply_snapshot(Snapshot(b"sent", SnapshotMetadata(ConfState((1,)), 3, 2)))
    assert (storage.first_index(), storage.last_index(), storage.term(3)) == (4, 3, 2)
