from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from triode.raft.disk import RealDisk
from triode.raft.simulated_disk import SimulatedDisk
from triode.raft.types import ConfState, Entry, HardState
from triode.raft.wal import WAL, Metadata, WalSnapshot

METADATA = Metadata(node_id=0xBF9071F4639C75CC, cluster_id=0xCDF818194E3A8C32)


@pytest.fixture
def metadata() -> bytes:
    return METADATA.encode()


@pytest.fixture
def real_disk() -> RealDisk:
    return RealDisk()


@pytest.fixture
def simulated_disk() -> SimulatedDisk:
    return SimulatedDisk()


@pytest.fixture
def directory() -> Path:
    """Where logs lie on simulated disks."""
    return Path("/data/member/wal")


@pytest.fixture
def small_log(metadata: bytes) -> Callable[..., WAL]:
    """Make a log of small files with `saves` saves of three entries each, all synced."""

    def make(
        disk: SimulatedDisk | RealDisk, directory: Path, saves: int = 0, segment_bytes: int = 4096
    ) -> WAL:
        disk.make_dir(directory.parent)
        wal = WAL.create(disk, directory, metadata, segment_bytes=segment_bytes)
        _fill(wal, saves)
        return wal

    return make


def _fill(wal: WAL, saves: int) -> None:
    for _ in range(saves):
        first = wal.last_index + 1
        wal.save(
            HardState(1, 7, first - 1),
            [Entry(1, first + k, data=b"value %d" % (first + k)) for k in range(3)],
        )
        wal.sync()


@pytest.fixture
def fill() -> Callable[[WAL, int], None]:
    """Save some times three entries, as `small_log` does."""
    return _fill


@pytest.fixture
def snapshot_at() -> Callable[[int, int], WalSnapshot]:
    return lambda index, term: WalSnapshot(index, term, ConfState(voters=(7,)))


class EtcdServer:
    """The real etcd, started again and again on one data directory."""

    def __init__(self, launch: Callable[..., Any], directory: Path) -> None:
        self.directory = directory
        self._launch = launch
        self._server: Any = None

    def start(self) -> None:
        self._server = self._launch(data_dir=self.directory)

    def ctl(self, *arguments: str) -> str:
        result = self._server.ctl(*arguments)
        assert result.returncode == 0, result.stderr
        return str(result.stdout)

    def kill(self) -> None:
        """As `kill -9`: nothing is flushed or closed."""
        self._server.kill()


@pytest.fixture
def etcd(launch_etcd: Callable[..., Any], tmp_path: Path) -> EtcdServer:
    return EtcdServer(launch_etcd, tmp_path / "data")
