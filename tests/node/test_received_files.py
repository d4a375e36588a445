"""A snapshot that came from the leader, on disk until it is installed: damage is noticed, wherever it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from triode.actors.snapshot_files import SnapshotFiles
from triode.backends.bbolt_image import image
from triode.backends.contract import Batch
from triode.backends.memory import MemoryEngine
from triode.errors import CorruptData
from triode.raft.simulated_disk import SimulatedDisk

DIRECTORY = Path("/data/member/snap")
INDEX = 7
PATH = DIRECTORY / f"{INDEX:016x}.snap.db"


@pytest.fixture
def content() -> MemoryEngine:
    engine = MemoryEngine()
    engine.commit(Batch({"key": {b"%d" % number: b"value" * 40 for number in range(50)}}))
    return engine


@pytest.fixture
def disk(content: MemoryEngine) -> SimulatedDisk:
    """A disk on which it has arrived."""
    disk = SimulatedDisk()
    disk.make_dir(DIRECTORY)
    received = SnapshotFiles(disk, DIRECTORY).create(INDEX)
    for chunk in image(content.snapshot())[1]:
        for at in range(0, len(chunk), 1000):
            received.write(chunk[at : at + 1000])
    received.finish()
    return disk


@pytest.fixture
def installed() -> Callable[[SimulatedDisk], list[tuple[bytes, bytes]]]:
    """Install it; returns the keys."""

    def install(disk: SimulatedDisk) -> list[tuple[bytes, bytes]]:
        engine = MemoryEngine()
        with SnapshotFiles(disk, DIRECTORY).open(INDEX) as view:
            engine.replace(view)
        return engine.range("key", b"", None)

    return install


Installed = Callable[[SimulatedDisk], list[tuple[bytes, bytes]]]


def test_what_arrived_is_installed(
    disk: SimulatedDisk, content: MemoryEngine, installed: Installed
) -> None:
    assert installed(disk) == content.range("key", b"", None)


def test_any_flipped_bit_is_noticed(disk: SimulatedDisk, installed: Installed) -> None:
    size = len(disk.read(PATH))
    for number, offset in enumerate([*range(0, size, 97), *range(size - 12, size)]):
        disk.flip(PATH, offset, number % 8)
        with pytest.raises(CorruptData, match=str(PATH)):
            installed(disk)
        disk.flip(PATH, offset, number % 8)


def test_a_file_of_a_version_without_checksums_is_installed(
    disk: SimulatedDisk, content: MemoryEngine, installed: Installed
) -> None:
    """A start after an upgrade may have to finish what the older version has begun."""
    disk.open(PATH).truncate(len(disk.read(PATH)) - 12)
    assert installed(disk) == content.range("key", b"", None)
