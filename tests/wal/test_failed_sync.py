"""A failed fdatasync, a restart of the process alone, and a loss of power later: acknowledged entries are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from triode.errors import StorageError
from triode.raft.simulated_disk import SimulatedDisk
from triode.raft.types import Entry, HardState
from triode.raft.wal import WAL, Metadata

DIRECTORY = Path("/data/wal")
SEGMENT_BYTES = 1 << 16
SIZES = (10, 300, 600, 2000, 9000)


def nothing_unsynced(_states: int) -> int:
    return 0


class Member:
    """A log on a disk that keeps nothing at a loss of power but what was synced."""

    def __init__(self) -> None:
        self.disk = SimulatedDisk(choose=nothing_unsynced)
        self.disk.make_dir(DIRECTORY.parent)
        metadata = Metadata(1, 2).encode()
        self.wal = WAL.create(self.disk, DIRECTORY, metadata, segment_bytes=SEGMENT_BYTES)
        self.written: list[bytes] = []

    def save(self, data: bytes) -> None:
        """Save an entry; it is acknowledged when this returns."""
        index = self.wal.last_index + 1
        self.wal.save(HardState(1, 0, index - 1), [Entry(1, index, data=data)])
        self.wal.sync()
        self.written.append(data)

    def fail(self, data: bytes, operation: str) -> None:
        """Save an entry while one call of the disk fails."""

        def fault(name: str, path: Path) -> None:
            if name == operation:
                raise StorageError(f"cannot {name} {path}: Input/output error")

        self.disk.before = fault
        with pytest.raises(StorageError, match="Input/output error"):
            self.save(data)
        self.disk.before = lambda _name, _path: None

    def restart(self) -> list[bytes]:
        """The process alone: it finds the page cache."""
        self.disk.end_process()
        self.wal = WAL.open(self.disk, DIRECTORY, segment_bytes=SEGMENT_BYTES)
        self.written = [entry.data for entry in self.wal.read_all().entries]
        return self.written

    def lose_power(self) -> list[bytes]:
        self.disk.crash()
        return self.restart()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("restarts", [1, 2])
def test_what_a_failed_sync_has_lost_is_written_again(size: int, restarts: int) -> None:
    member = Member()
    for number in range(3):
        member.save(b"%d" % number)
    member.fail(b"f" * size, "fdatasync")
    for _ in range(restarts):
        assert len(member.restart()) == 4, "it is in the page cache"
    for number in range(5):
        member.save(b"a%d" % number * size)
    acknowledged = list(member.written)
    assert member.lose_power() == acknowledged


def test_what_a_restart_has_read_is_durable_at_once() -> None:
    """Raft acts on it without saving anything more: it has voted, and may acknowledge the entries again."""
    member = Member()
    member.save(b"before")
    member.fail(b"f" * 3000, "fdatasync")
    found = list(member.restart())
    assert member.lose_power() == found


@pytest.mark.parametrize("operation", ["fdatasync", "rename", "sync"])
def test_a_file_that_could_not_be_begun(operation: str) -> None:
    """The call fails while the log goes on in its next file."""
    member = Member()
    while member.wal._offset < SEGMENT_BYTES:
        index = member.wal.last_index + 1
        member.wal.save(HardState(1, 0, index - 1), [Entry(1, index, data=b"x" * 5000)])
    member.fail(b"last", operation)
    member.restart()
    for number in range(5):
        member.save(b"a%d" % number * 700)
    acknowledged = list(member.written)
    assert member.lose_power() == acknowledged


def test_power_is_lost_while_the_file_is_written_anew() -> None:
    """At every call of a start, with all that a disk may keep: what was acknowledged before is there."""
    for dies_at in range(1, 40):
        member = Member()
        for number in range(4):
            member.save(b"%d" % number * 900)
        acknowledged = list(member.written)
        member.fail(b"f" * 2500, "fdatasync")
        member.disk.end_process()
        calls = 0

        def dark(name: str, path: Path, at: int = dies_at) -> None:
            nonlocal calls
            calls += 1
            if calls >= at:
                raise StorageError(f"cannot {name} {path}: no power")

        member.disk.before = dark
        try:
            WAL.open(member.disk, DIRECTORY, segment_bytes=SEGMENT_BYTES).read_all()
        except StorageError:
            pass
        else:
            break
        member.disk.before = lambda _name, _path: None
        member.disk.choose = lambda states, at=dies_at: at % states  # type: ignore[misc]
        found = member.lose_power()
        assert found[:4] == acknowledged
    else:
        pytest.fail("a start takes fewer calls")


def test_reading_leaves_the_file_as_it_is() -> None:
    member = Member()
    for number in range(30):
        member.save(b"%d" % number * 300)
    name = member.wal.segments[-1].name
    before = member.disk.read(DIRECTORY / name)
    member.restart()
    assert member.disk.read(DIRECTORY / name) == before
