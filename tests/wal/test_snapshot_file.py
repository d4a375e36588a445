from __future__ import annotations

from pathlib import Path

import pytest

from triode.errors import CorruptData
from triode.raft.simulated_disk import SimulatedDisk
from triode.raft.snapshot_file import load_snapshot, newest_snapshot_file, save_snapshot
from triode.raft.types import ConfState, Snapshot, SnapshotMetadata

DIRECTORY = Path("/data/member/snap")


def _snapshot(index: int, term: int = 2) -> Snapshot:
    return Snapshot(
        b"state at %d" % index, SnapshotMetadata(ConfState(voters=(1, 2)), index=index, term=term)
    )


@pytest.fixture
def disk(simulated_disk: SimulatedDisk) -> SimulatedDisk:
    simulated_disk.make_dir(DIRECTORY)
    return simulated_disk


def test_a_snapshot_file_is_durable_and_read_back(disk: SimulatedDisk) -> None:
    disk.choose = lambda _versions: 0
    path = save_snapshot(disk, DIRECTORY, _snapshot(300))
    assert path == DIRECTORY / "0000000000000002-000000000000012c.snap"
    disk.crash()
    assert load_snapshot(disk, path) == _snapshot(300)
    assert disk.list_dir(DIRECTORY) == [path.name]


def test_the_bytes_are_etcds(disk: SimulatedDisk) -> None:
    path = save_snapshot(disk, DIRECTORY, _snapshot(1))
    data = (
        bytes.fromhex("0a0a") + b"state at 1" + bytes.fromhex("120c 0a06 0801 0802 2800 1001 1802")
    )
    content = disk.read(path)
    assert content.endswith(b"\x12" + bytes([len(data)]) + data)
    assert content[0] == 0x08


def test_damage_is_noticed(disk: SimulatedDisk) -> None:
    path = save_snapshot(disk, DIRECTORY, _snapshot(300))
    for offset in range(len(disk.read(path))):
        disk.flip(path, offset, offset % 8)
        with pytest.raises(CorruptData, match=path.name):
            load_snapshot(disk, path)
        disk.flip(path, offset, offset % 8)
    disk.open(path).truncate(0)
    with pytest.raises(CorruptData, match="empty"):
        load_snapshot(disk, path)


def test_the_newest_whole_file_that_the_log_knows(disk: SimulatedDisk) -> None:
    for index in (100, 200, 300):
        save_snapshot(disk, DIRECTORY, _snapshot(index))
    assert newest_snapshot_file(disk, DIRECTORY, []) is None
    assert newest_snapshot_file(disk, DIRECTORY, [(2, 100), (2, 200)]) == _snapshot(200)
    disk.flip(DIRECTORY / "0000000000000002-00000000000000c8.snap", 20, 1)
    assert newest_snapshot_file(disk, DIRECTORY, [(2, 100), (2, 200)]) == _snapshot(100)
    assert "0000000000000002-00000000000000c8.snap.broken" in disk.list_dir(DIRECTORY)
