from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from triode.errors import CorruptData, StorageError
from triode.raft.simulated_disk import SimulatedDisk
from triode.raft.types import Entry, HardState
from triode.raft.wal import WAL, RecordType, WalSnapshot, records, valid_snapshots, verify

SmallLog = Callable[..., WAL]


@pytest.fixture
def log(
    small_log: SmallLog,
    simulated_disk: SimulatedDisk,
    directory: Path,
    snapshot_at: Callable[[int, int], WalSnapshot],
    fill: Callable[[WAL, int], None],
) -> WAL:
    """Three files with 60 entries, and a snapshot at 10 and 45."""
    wal = small_log(simulated_disk, directory, saves=10)
    wal.save_snapshot(snapshot_at(10, 1))
    wal.cut()
    fill(wal, 10)
    wal.save_snapshot(snapshot_at(45, 1))
    wal.cut()
    wal.save(HardState(2, 7, 58), [Entry(2, 61)])
    wal.sync()
    return wal


def _untouched(disk: SimulatedDisk) -> list[str]:
    """From now on, note every operation that changes something."""
    changes: list[str] = []

    def before(operation: str, _path: Path) -> None:
        if operation not in {"read", "list"}:
            changes.append(operation)

    disk.before = before
    return changes


def test_a_report(log: WAL, simulated_disk: SimulatedDisk, directory: Path) -> None:
    changes = _untouched(simulated_disk)
    report = verify(simulated_disk, directory)
    assert changes == []
    assert report.segments == log.segments
    assert report.records == {
        RecordType.CRC: 3,
        RecordType.METADATA: 3,
        RecordType.ENTRY: 61,
        RecordType.STATE: 20 + 2 + 1,
        RecordType.SNAPSHOT: 3,
    }
    assert (report.first_index, report.last_index) == (46, 61)
    assert report.hard_state == HardState(2, 7, 58)
    assert [snapshot.index for snapshot in report.snapshots] == [0, 10, 45]
    assert report.snapshots == valid_snapshots(simulated_disk, directory)
    assert report.torn is None


def test_a_torn_tail_is_reported_and_left(
    log: WAL, simulated_disk: SimulatedDisk, directory: Path
) -> None:
    path = directory / log.segments[-1].name
    end = log._offset
    simulated_disk.open(path).truncate(end - 3)
    changes = _untouched(simulated_disk)
    report = verify(simulated_disk, directory)
    assert report.torn is not None
    assert report.torn_at < end
    assert report.hard_state == HardState(1, 7, 57)
    assert report.last_index == 61
    assert changes == []


def test_damage_in_old_files_is_found(
    log: WAL, simulated_disk: SimulatedDisk, directory: Path
) -> None:
    name = log.segments[0].name
    at = simulated_disk.read(directory / name).index(b"value 5")
    simulated_disk.flip(directory / name, at, 0)
    WAL.open(simulated_disk, directory).read_all()
    with pytest.raises(CorruptData, match=name):
        verify(simulated_disk, directory)


def test_a_dump(log: WAL, simulated_disk: SimulatedDisk, directory: Path) -> None:
    found = list(records(simulated_disk, directory))
    assert [segment for segment, record in found if record.offset == 0] == log.segments
    assert [record.type for _, record in found[:4]] == [4, 1, 5, 2]
    assert found[3][1].data.endswith(b"value 1")


def test_no_log(simulated_disk: SimulatedDisk, directory: Path) -> None:
    with pytest.raises(StorageError, match="there is no log"):
        verify(simulated_disk, directory)
