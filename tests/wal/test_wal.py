from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from triode.errors import CorruptData, DiskFull, InvariantBroken, StorageError
from triode.raft.simulated_disk import SimulatedDisk
from triode.raft.types import Entry, HardState
from triode.raft.wal import WAL, Metadata, Segment, WalSnapshot, verify

SmallLog = Callable[..., WAL]
SnapshotAt = Callable[[int, int], WalSnapshot]


def _reopen(wal: WAL, disk: SimulatedDisk, **options: int) -> WAL:
    wal.close()
    wal = WAL.open(disk, wal.directory, segment_bytes=options.get("segment_bytes", 4096))
    wal.read_all()
    return wal


# --- Making and opening ---------------------------------------------------------------------------


def test_a_new_log(small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path) -> None:
    wal = small_log(simulated_disk, directory)
    wal.close()
    assert simulated_disk.list_dir(directory.parent) == ["wal"]
    assert simulated_disk.list_dir(directory) == ["0000000000000000-0000000000000000.wal"]
    again = WAL.open(simulated_disk, directory)
    metadata, hard_state, entries = again.read_all()
    assert Metadata.decode(metadata).node_id == 0xBF9071F4639C75CC
    assert (hard_state, entries, again.last_index) == (HardState(), [], 0)
    assert again.snapshot == WalSnapshot()


def test_a_log_is_there_wholly_or_not_at_all(
    metadata: bytes, directory: Path, simulated_disk: SimulatedDisk
) -> None:
    """Power is lost before each operation of `create`; afterwards it can be tried again."""
    steps = 0
    while True:
        disk = SimulatedDisk(choose=lambda _versions: 0)
        disk.make_dir(directory.parent)
        steps += 1
        left = steps

        def before(_operation: str, _path: Path) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise StorageError("no power")

        disk.before = before
        try:
            WAL.create(disk, directory, metadata, segment_bytes=4096)
        except StorageError:
            disk.before = simulated_disk.before
            disk.crash()
            if disk.exists(directory):
                WAL.open(disk, directory).read_all()
            else:
                WAL.create(disk, directory, metadata, segment_bytes=4096)
        else:
            break
    assert steps > 8


def test_create_takes_no_used_directory(
    small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path, metadata: bytes
) -> None:
    small_log(simulated_disk, directory)
    with pytest.raises(StorageError, match="not empty"):
        WAL.create(simulated_disk, directory, metadata)


def test_there_must_be_a_log_to_open(simulated_disk: SimulatedDisk, directory: Path) -> None:
    with pytest.raises(StorageError, match="there is no log in /data/member/wal"):
        WAL.open(simulated_disk, directory)


def test_a_log_is_read_before_it_is_written(
    small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path
) -> None:
    small_log(simulated_disk, directory).close()
    wal = WAL.open(simulated_disk, directory)
    with pytest.raises(StorageError, match="has not been read"):
        wal.save(None, [Entry(1, 1)])


def test_other_files_are_left_alone(
    small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path
) -> None:
    wal = small_log(simulated_disk, directory, saves=2)
    others = ["0.tmp", "1.wal", "0000000000000000-0000000000000000.wal.broken", "notes"]
    for name in others:
        simulated_disk.open(directory / name, create=True)
    wal = _reopen(wal, simulated_disk)
    assert wal.last_index == 6
    assert set(others) < set(simulated_disk.list_dir(directory))


# --- Saving ---------------------------------------------------------------------------------------


def test_saving_nothing_writes_nothing(
    small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path
) -> None:
    wal = small_log(simulated_disk, directory)
    used: list[str] = []
    simulated_disk.before = lambda operation, _path: used.append(operation)
    wal.save(None, [])
    wal.save(HardState(), [])
    assert used == []
    wal.save(HardState(1, 0, 0), [Entry(1, 1), Entry(1, 2)])
    assert used == ["write to"]


def test_must_sync(small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path) -> None:
    wal = small_log(simulated_disk, directory)
    wal.save(HardState(2, 7, 5), [])
    assert not wal.must_sync(None, [])
    assert not wal.must_sync(HardState(2, 7, 6), [])
    assert wal.must_sync(HardState(3, 7, 5), [])
    assert wal.must_sync(HardState(2, 8, 5), [])
    assert wal.must_sync(None, [Entry(2, 1)])


@pytest.mark.parametrize("indexes", [[0], [3], [1, 3], [2, 1]])
def test_entries_leave_no_gap(
    small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path, indexes: list[int]
) -> None:
    wal = small_log(simulated_disk, directory)
    wal.save(None, [Entry(1, 1)])
    with pytest.raises(InvariantBroken):
        wal.save(None, [Entry(1, index) for index in indexes])
    wal.save(None, [Entry(1, 2)])
    assert _reopen(wal, simulated_disk).last_index == 2


def test_a_new_leaders_entries_replace_old_ones(
    small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path
) -> None:
    wal = small_log(simulated_disk, directory)
    old = [Entry(1, index, data=b"old") for index in range(1, 6)]
    new = [Entry(2, index, data=b"new") for index in range(3, 5)]
    wal.save(HardState(1, 1, 2), old)
    wal.save(HardState(2, 1, 2), new)
    wal.close()
    wal = WAL.open(simulated_disk, directory)
    assert wal.read_all().entries == [*old[:2], *new]
    assert wal.last_index == 4


# --- Snapshots ------------------------------------------------------------------------------------


def test_reading_starts_at_the_newest_snapshot_or_the_given_one(
    small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path, snapshot_at: SnapshotAt
) -> None:
    wal = small_log(simulated_disk, directory, saves=20)
    for index in (10, 30):
        wal.save_snapshot(snapshot_at(index, 1))
    wal.save(HardState(1, 7, 58), [])
    wal.close()
    for chosen, first in ((None, 31), (snapshot_at(10, 1), 11), (WalSnapshot(), 1)):
        wal = WAL.open(simulated_disk, directory, chosen)
        entries = wal.read_all().entries
        assert [entry.index for entry in entries] == list(range(first, 61))
        wal.close()
    assert wal.snapshot == WalSnapshot()
    for wrong in (snapshot_at(11, 1), snapshot_at(10, 2)):
        with pytest.raises(CorruptData, match="snapshot at index"):
            WAL.open(simulated_disk, directory, wrong).read_all()


def test_a_snapshot_beyond_the_commit_index_does_not_count(
    small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path, snapshot_at: SnapshotAt
) -> None:
    wal = small_log(simulated_disk, directory, saves=3)
    assert wal.hard_state.commit == 6
    wal.save_snapshot(snapshot_at(100, 5))
    wal = _reopen(wal, simulated_disk)
    assert wal.snapshot == WalSnapshot()
    # With the hard state that follows, it replaces the log; entries go on after it.
    wal.save(HardState(5, 7, 100), [Entry(5, 101)])
    wal.close()
    wal = WAL.open(simulated_disk, directory)
    assert wal.read_all().entries == [Entry(5, 101)]
    assert wal.snapshot == snapshot_at(100, 5)


def test_entries_of_a_log_that_a_snapshot_replaced_are_gone(
    small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path, snapshot_at: SnapshotAt
) -> None:
    """The log held uncommitted entries beyond a snapshot of another history."""
    wal = small_log(simulated_disk, directory)
    wal.save(HardState(2, 7, 1), [Entry(2, index) for index in range(1, 9)])
    wal.save_snapshot(snapshot_at(5, 4))
    wal.save(HardState(4, 0, 5), [])
    wal.close()
    wal = WAL.open(simulated_disk, directory)
    assert wal.read_all().entries == []
    # The same snapshot of our own history leaves them.
    other = directory.with_name("other")
    wal = small_log(simulated_disk, other)
    wal.save(HardState(2, 7, 5), [Entry(2, index) for index in range(1, 9)])
    wal.save_snapshot(snapshot_at(5, 2))
    wal.close()
    assert [entry.index for entry in WAL.open(simulated_disk, other).read_all().entries] == [
        6,
        7,
        8,
    ]


# --- Files ----------------------------------------------------------------------------------------


def test_a_full_file_is_followed_by_the_next(
    small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path
) -> None:
    wal = small_log(simulated_disk, directory)
    assert simulated_disk.used_bytes == 4096
    wal.save(HardState(1, 7, 0), [Entry(1, 1, data=bytes(3900))])
    wal.sync()
    assert len(wal.segments) == 1
    wal.save(None, [Entry(1, 2, data=bytes(100))])
    wal.sync()
    assert wal.segments == [Segment(0, 0), Segment(1, 3)]
    first, second = (simulated_disk.read(directory / segment.name) for segment in wal.segments)
    assert 4096 < len(first) < 4300
    assert len(second) == 4096
    wal = _reopen(wal, simulated_disk)
    assert (wal.last_index, wal.hard_state) == (2, HardState(1, 7, 0))


def test_the_next_file_can_be_prepared_ahead(
    small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path
) -> None:
    wal = small_log(simulated_disk, directory, saves=1)
    wanted = [wal.wants_next]
    wal.adopt_next(wal.prepare_next())
    wanted.append(wal.wants_next)
    assert "0.tmp" in simulated_disk.list_dir(directory)
    made: list[str] = []
    simulated_disk.before = lambda operation, _path: made.append(operation)
    wal.cut()
    wanted.append(wal.wants_next)
    assert wanted == [True, False, True]
    assert "preallocate" not in made
    prepared = wal.prepare_next()
    wal.cut()  # comes before the prepared file does
    wal.adopt_next(prepared)
    wal.cut()
    assert simulated_disk.list_dir(directory) == [segment.name for segment in wal.segments]
    assert [segment.sequence for segment in wal.segments] == [0, 1, 2, 3]
    assert _reopen(wal, simulated_disk).last_index == 3


def test_a_file_prepared_for_a_closed_log_is_closed(
    small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path
) -> None:
    wal = small_log(simulated_disk, directory)
    prepared = wal.prepare_next()
    wal.close()
    wal.adopt_next(prepared)
    with pytest.raises(StorageError):
        prepared.file.write_at(0, b"x")


def test_purge_deletes_the_oldest_released_files(
    small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path, snapshot_at: SnapshotAt
) -> None:
    wal = small_log(simulated_disk, directory)
    for index in range(1, 61):
        wal.save(HardState(1, 7, index - 1), [Entry(1, index)])
        if index % 10 == 0:
            wal.cut()
    assert [segment.first_index for segment in wal.segments] == [0, 11, 21, 31, 41, 51, 61]
    assert wal.purge(1) == []
    wal.save_snapshot(snapshot_at(35, 1))
    wal.release_to(35)
    assert [name[-6:-4] for name in wal.purge(6)] == ["00"]
    assert [name[-6:-4] for name in wal.purge(1)] == ["0b", "15"]
    assert wal.segments[0].first_index == 31
    assert len(simulated_disk.list_dir(directory)) == 4
    wal = _reopen(wal, simulated_disk)
    assert wal.snapshot == snapshot_at(35, 1)
    assert wal.last_index == 60
    wal.release_to(30)  # an older snapshot takes nothing back
    assert wal.purge(1) == []


def test_a_crash_while_purging_leaves_no_gap(
    small_log: SmallLog, directory: Path, snapshot_at: SnapshotAt
) -> None:
    for lost in range(8):
        disk = SimulatedDisk(choose=lambda _versions: 0)
        wal = small_log(disk, directory)
        for index in range(1, 6):
            wal.save(HardState(1, 7, index), [Entry(1, index)])
            wal.cut()
        wal.save_snapshot(snapshot_at(5, 1))
        wal.release_to(5)
        left = lost

        def before(operation: str, path: Path) -> None:
            nonlocal left
            if operation == "remove":
                left -= 1
                if left < 0:
                    raise StorageError(f"no power to remove {path}")

        disk.before = before
        with contextlib.suppress(StorageError):
            wal.purge(1)
        disk.before = lambda _operation, _path: None
        disk.crash()
        again = WAL.open(disk, directory, segment_bytes=4096)
        assert again.read_all().entries == []
        # What `purge` said was gone stays so.
        assert again.segments == wal.segments


def test_a_log_without_its_oldest_files_needs_their_snapshot(
    small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path
) -> None:
    wal = small_log(simulated_disk, directory, saves=3)
    wal.cut()
    simulated_disk.remove(directory / wal.segments[0].name)
    with pytest.raises(CorruptData, match="lacks the record of any snapshot"):
        _reopen(wal, simulated_disk)
    with pytest.raises(CorruptData, match="begins after the snapshot at index 0"):
        WAL.open(simulated_disk, directory, WalSnapshot()).read_all()


# --- After a crash --------------------------------------------------------------------------------


def test_a_torn_tail_is_cut_and_kept(
    small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path
) -> None:
    wal = small_log(simulated_disk, directory, saves=1, segment_bytes=20_000)
    end = wal._offset
    wal.save(None, [Entry(1, 4, data=b"x" * 2000)])
    wal.close()
    name = wal.segments[0].name
    simulated_disk.open(directory / name).write_at(1024, bytes(512))
    torn = simulated_disk.read(directory / name)

    wal = WAL.open(simulated_disk, directory, segment_bytes=20_000)
    contents = wal.read_all()
    assert [entry.index for entry in contents.entries] == [1, 2, 3]
    assert wal.repaired is not None
    assert (wal.repaired.file, wal.repaired.offset) == (directory / name, end)
    assert simulated_disk.read(wal.repaired.backup) == torn
    assert simulated_disk.read(directory / name) == torn[:end] + bytes(20_000 - end)
    wal.save(None, [Entry(1, 4)])
    assert _reopen(wal, simulated_disk).repaired is None


def test_parts_of_a_torn_write_behind_the_end_are_zeroed(
    small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path
) -> None:
    wal = small_log(simulated_disk, directory, saves=1)
    end = wal._offset
    wal.close()
    file = simulated_disk.open(directory / wal.segments[0].name)
    file.write_at(2048, b"left over")
    wal = _reopen(wal, simulated_disk)
    assert wal.repaired is None
    content = simulated_disk.read(directory / wal.segments[0].name)
    assert content[end:] == bytes(4096 - end)


def test_metadata_of_another_member_is_refused(
    small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path
) -> None:
    wal = small_log(simulated_disk, directory, saves=1)
    wal.metadata = Metadata(1, 1).encode()
    wal.cut()
    with pytest.raises(CorruptData, match=r"1-0000000000000004\.wal .*metadata"):
        _reopen(wal, simulated_disk)


def test_a_snapshot_behind_a_torn_record_does_not_count(
    small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path, snapshot_at: SnapshotAt
) -> None:
    """Of one batch of writes, the record of the snapshot was written, an entry before it was not."""
    wal = small_log(simulated_disk, directory, saves=2, segment_bytes=20_000)
    wal.save(HardState(1, 7, 6), [Entry(1, 7, data=b"x" * 3000)])
    wal.save_snapshot(snapshot_at(6, 1))
    wal.close()
    name = wal.segments[0].name
    simulated_disk.open(directory / name).write_at(2048, bytes(512))

    report = verify(simulated_disk, directory)
    assert report.torn is not None
    assert (report.first_index, report.last_index) == (1, 6)
    wal = WAL.open(simulated_disk, directory)
    assert [entry.index for entry in wal.read_all().entries] == [1, 2, 3, 4, 5, 6]
    assert wal.snapshot == WalSnapshot()
    assert wal.repaired is not None


# --- Faults ---------------------------------------------------------------------------------------


def _every_call_refuses(wal: WAL, snapshot: WalSnapshot) -> None:
    for call in (
        lambda: wal.save(None, [Entry(1, wal.last_index + 1)]),
        wal.sync,
        wal.cut,
        lambda: wal.save_snapshot(snapshot),
        lambda: wal.purge(1),
    ):
        with pytest.raises(StorageError, match="cannot be used"):
            call()
    assert not wal.wants_next
    wal.close()


def test_a_failed_fsync_is_final(
    small_log: SmallLog, simulated_disk: SimulatedDisk, directory: Path, snapshot_at: SnapshotAt
) -> None:
    wal = small_log(simulated_disk, directory, saves=1)
    wal.save(None, [Entry(1, 4)])

    def before(operation: str, path: Path) -> None:
        if operation == "fdatasync":
            raise StorageError(f"cannot sync {path}: Input/output error")

    simulated_disk.before = before
    with pytest.raises(StorageError, match="Input/output error"):
        wal.sync()
    simulated_disk.before = lambda _operation, _path: None
    _every_call_refuses(wal, snapshot_at(3, 1))
    # Had it been tried again, entry 4 would have been promised, and would be gone now.
    simulated_disk.crash()
    wal = WAL.open(simulated_disk, directory, segment_bytes=4096)
    assert [entry.index for entry in wal.read_all().entries] == [1, 2, 3]


def test_a_full_disk_while_writing(
    metadata: bytes, directory: Path, snapshot_at: SnapshotAt
) -> None:
    disk = SimulatedDisk(capacity_bytes=5000)
    disk.make_dir(directory.parent)
    wal = WAL.create(disk, directory, metadata, segment_bytes=4096)
    wal.save(None, [Entry(1, 1, data=b"x" * 3900)])
    wal.sync()
    with pytest.raises(DiskFull):
        wal.save(None, [Entry(1, 2, data=b"y" * 3000)])
    assert wal.last_index == 1
    _every_call_refuses(wal, snapshot_at(1, 1))
    disk.capacity_bytes = None
    wal = WAL.open(disk, directory, segment_bytes=4096)
    assert [entry.index for entry in wal.read_all().entries] == [1]


def test_a_full_disk_at_the_next_file(
    metadata: bytes, directory: Path, snapshot_at: SnapshotAt
) -> None:
    disk = SimulatedDisk(capacity_bytes=6000)
    disk.make_dir(directory.parent)
    wal = WAL.create(disk, directory, metadata, segment_bytes=4096)
    with pytest.raises(DiskFull):
        wal.prepare_next()
    wal.save(None, [Entry(1, 1, data=b"x" * 4200)])  # preparing ahead did no harm
    with pytest.raises(DiskFull):
        wal.sync()
    _every_call_refuses(wal, snapshot_at(1, 1))
    disk.capacity_bytes = None
    assert WAL.open(disk, directory, segment_bytes=4096).read_all().entries[0].index == 1


def test_a_full_disk_at_the_start(metadata: bytes, directory: Path) -> None:
    disk = SimulatedDisk(capacity_bytes=4000)
    disk.make_dir(directory.parent)
    with pytest.raises(DiskFull):
        WAL.create(disk, directory, metadata, segment_bytes=4096)
    assert not disk.exists(directory)
