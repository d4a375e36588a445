"""Both disks behave alike; the simulated one then loses what it may lose."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from triode.errors import DiskFull, StorageError
from triode.raft.disk import Disk, RealDisk
from triode.raft.simulated_disk import SimulatedDisk


@pytest.fixture(params=[RealDisk, SimulatedDisk])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    found: Disk = request.param()
    found.make_dir(tmp_path / "dir")
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dir" / "file"


def test_writing_and_reading(disk: Disk, path: Path) -> None:
    file = disk.open(path, create=True)
    file.write_at(0, b"abc")
    file.write_at(5, b"de")
    assert disk.read(path) == b"abc\0\0de"
    file.write_at(1, b"X")
    file.fdatasync()
    assert disk.read(path) == b"aXc\0\0de"
    assert file.size() == 7
    file.truncate(2)
    file.preallocate(4)
    file.preallocate(1)
    assert disk.read(path) == b"aX\0\0"
    file.truncate(0)
    file.truncate(3)
    assert disk.read(path) == bytes(3)
    file.close()
    file.close()
    disk.open(path, create=True).close()
    assert disk.read(path) == bytes(3)


def test_names(disk: Disk, path: Path) -> None:
    directory = path.parent
    assert not disk.exists(path)
    assert disk.list_dir(directory / "absent") == []
    for name in ("b", "a"):
        disk.open(directory / name, create=True).close()
    disk.make_dir(directory / "sub" / "subsub")
    disk.make_dir(directory / "sub")
    assert disk.list_dir(directory) == ["a", "b", "sub"]
    disk.rename(directory / "a", directory / "b")
    disk.fsync_dir(directory)
    assert disk.list_dir(directory) == ["b", "sub"]
    disk.remove(directory / "b")
    disk.make_dir(directory / "empty")
    disk.rename(directory / "sub", directory / "empty")
    assert disk.list_dir(directory) == ["empty"]
    assert disk.list_dir(directory / "empty") == ["subsub"]
    disk.remove_tree(directory / "empty")
    disk.remove_tree(directory / "empty")
    assert disk.list_dir(directory) == []


def test_faults_name_the_file(disk: Disk, path: Path) -> None:
    calls: list[Callable[[], object]] = [
        lambda: disk.open(path),
        lambda: disk.read(path),
        lambda: disk.remove(path),
        lambda: disk.fsync_dir(path),
        lambda: disk.rename(path, path.with_name("other")),
    ]
    for call in calls:
        with pytest.raises(StorageError, match=str(path.parent)) as caught:
            call()
        assert not isinstance(caught.value, DiskFull)
    file = disk.open(path, create=True)
    with pytest.raises(StorageError, match=str(path)):
        disk.make_dir(path / "below a file")
    file.close()
    with pytest.raises(StorageError, match=str(path)):
        file.write_at(0, b"x")


def test_a_directory_that_holds_something_is_not_replaced(disk: Disk, path: Path) -> None:
    disk.make_dir(path / "inner")
    disk.make_dir(path.with_name("new"))
    with pytest.raises(StorageError):
        disk.rename(path.with_name("new"), path)


def _raising(number: int) -> Callable[..., int]:
    def call(*_arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    return call


def test_a_real_disk_without_space(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = RealDisk()
    disk.make_dir(path.parent)
    file = disk.open(path, create=True)
    calls: list[tuple[str, Callable[[], object]]] = [
        ("pwrite", lambda: file.write_at(0, b"x")),
        ("posix_fallocate", lambda: file.preallocate(4096)),
        ("ftruncate", lambda: file.truncate(4096)),
        ("fdatasync", file.fdatasync),
    ]
    for name, call in calls:
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            monkeypatch.setattr(os, name, _raising(number))
            with pytest.raises(StorageError, match=str(path)) as caught:
                call()
            assert isinstance(caught.value, DiskFull) == (number != errno.EIO)
        monkeypatch.undo()


def test_a_short_write_is_continued(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = RealDisk()
    disk.make_dir(path.parent)
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: write(fd, data[:3], offset))
    disk.open(path, create=True).write_at(2, b"0123456789")
    assert disk.read(path) == b"\0\x000123456789"


def test_a_file_system_that_cannot_preallocate(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = RealDisk()
    disk.make_dir(path.parent)
    monkeypatch.setattr(os, "posix_fallocate", _raising(errno.EOPNOTSUPP))
    disk.open(path, create=True).preallocate(5000)
    assert disk.read(path) == bytes(5000)


def test_without_fsync_nothing_is_synced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, _raising(errno.EIO))
    disk = RealDisk(fsync=False)
    disk.make_dir(path.parent)
    disk.open(path, create=True).fdatasync()
    disk.fsync_dir(path.parent)


# --- The simulated disk ---------------------------------------------------------------------------

PATH = Path("/file")


def _oldest(_versions: int) -> int:
    return 0


def _outcomes(prepare: Callable[[SimulatedDisk], None]) -> set[bytes | None]:
    """What a file may hold after a crash: every sequence of choices is taken once."""
    found: set[bytes | None] = set()
    answers: list[int] = []
    limits: list[int] = []

    def choose(versions: int) -> int:
        limits.append(versions)
        if len(answers) < len(limits):
            answers.append(0)
        return answers[len(limits) - 1]

    while True:
        limits.clear()
        disk = SimulatedDisk(choose=choose)
        prepare(disk)
        disk.crash()
        found.add(disk.read(PATH) if disk.exists(PATH) else None)
        assert len(limits) == len(answers)
        while answers and answers[-1] + 1 == limits[len(answers) - 1]:
            answers.pop()
        if not answers:
            return found
        answers[-1] += 1


def test_synced_data_stays() -> None:
    def prepare(disk: SimulatedDisk) -> None:
        file = disk.open(PATH, create=True)
        file.write_at(0, b"abc")
        file.fdatasync()
        disk.fsync_dir(PATH.parent)

    assert _outcomes(prepare) == {b"abc"}


def test_a_name_that_was_not_synced_may_be_gone() -> None:
    def prepare(disk: SimulatedDisk) -> None:
        file = disk.open(PATH, create=True)
        file.write_at(0, b"abc")
        file.fdatasync()

    assert _outcomes(prepare) == {b"abc", None}


def test_each_sector_is_old_or_new() -> None:
    def prepare(disk: SimulatedDisk) -> None:
        file = disk.open(PATH, create=True)
        file.preallocate(1024)
        file.fdatasync()
        disk.fsync_dir(PATH.parent)
        file.write_at(500, b"a" * 20)
        file.write_at(520, b"b")

    def content(*parts: tuple[int, bytes]) -> bytes:
        out = bytearray(1024)
        for offset, data in parts:
            out[offset : offset + len(data)] = data
        return bytes(out)

    left, right, later = (500, b"a" * 12), (512, b"a" * 8), (520, b"b")
    assert _outcomes(prepare) == {
        content(),
        content(left),
        content(right),
        content(right, later),
        content(left, right),
        content(left, right, later),
    }


def test_a_longer_file_may_keep_its_old_length() -> None:
    def prepare(disk: SimulatedDisk) -> None:
        file = disk.open(PATH, create=True)
        file.write_at(0, b"old")
        file.fdatasync()
        disk.fsync_dir(PATH.parent)
        file.write_at(3, b"new")

    assert _outcomes(prepare) == {b"old", b"old\0\0\0", b"oldnew"}


def test_a_rename_happens_or_not() -> None:
    def prepare(disk: SimulatedDisk) -> None:
        for path, data in ((PATH, b"old"), (PATH.with_name("new"), b"new")):
            file = disk.open(path, create=True)
            file.write_at(0, data)
            file.fdatasync()
        disk.fsync_dir(PATH.parent)
        disk.rename(PATH.with_name("new"), PATH)

    assert _outcomes(prepare) == {b"old", b"new"}


def test_a_failed_fdatasync_has_lost_the_data() -> None:
    def prepare(disk: SimulatedDisk) -> None:
        file = disk.open(PATH, create=True)
        disk.fsync_dir(PATH.parent)

        def fail(operation: str, _path: Path) -> None:
            if operation == "fdatasync":
                raise StorageError("Input/output error")

        file.write_at(0, b"lost")
        disk.before = fail
        with pytest.raises(StorageError):
            file.fdatasync()
        disk.before = lambda _operation, _path: None
        assert disk.read(PATH) == b"lost"
        file.fdatasync()

    assert _outcomes(prepare) == {b""}


def test_open_files_do_not_survive_a_crash() -> None:
    disk = SimulatedDisk()
    file = disk.open(PATH, create=True)
    disk.fsync_dir(PATH.parent)
    disk.crash()
    with pytest.raises(StorageError, match="/file"):
        file.write_at(0, b"x")
    disk.open(PATH).write_at(0, b"x")


def test_a_full_simulated_disk_writes_what_fits() -> None:
    disk = SimulatedDisk(capacity_bytes=10)
    file = disk.open(PATH, create=True)
    file.preallocate(4)
    with pytest.raises(DiskFull, match="/file"):
        file.preallocate(11)
    with pytest.raises(DiskFull, match="/file"):
        file.write_at(2, b"0123456789")
    assert disk.read(PATH) == b"\0\x0001234567"
    file.write_at(0, b"in place")
    with pytest.raises(DiskFull):
        file.write_at(100, b"x")
    assert disk.used_bytes == 10


def test_a_flipped_bit_stays() -> None:
    disk = SimulatedDisk(choose=_oldest)
    file = disk.open(PATH, create=True)
    disk.fsync_dir(PATH.parent)
    file.preallocate(3)
    disk.flip(PATH, 1, 3)
    disk.crash()
    assert disk.read(PATH) == b"\0\x08\0"
