from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

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
    """The real etcd on a data directory, with two free ports of this machine."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.client, self.peer = (f"http://127.0.0.1:{port}" for port in _free_ports(2))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        binary = Path(sys.executable).with_name("etcd")
        with (self.directory.parent / "etcd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    binary,
                    f"--data-dir={self.directory}",
                    f"--listen-client-urls={self.client}",
                    f"--advertise-client-urls={self.client}",
                    f"--listen-peer-urls={self.peer}",
                    f"--initial-advertise-peer-urls={self.peer}",
                    f"--initial-cluster=default={self.peer}",
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 20
        while self._call("endpoint", "health").returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                pytest.fail((self.directory.parent / "etcd.log").read_text()[-3000:])

    def ctl(self, *arguments: str) -> str:
        result = self._call(*arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("etcdctl"), f"--endpoints={self.client}", *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            env={"ETCDCTL_API": "3"},
        )

    def kill(self) -> None:
        """As `kill -9`: nothing is flushed or closed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdServer]:
    if shutil.which(str(Path(sys.executable).with_name("etcd"))) is None:
        pytest.skip("the real etcd is not installed")
    server = EtcdServer(tmp_path / "data")
    try:
        yield server
    finally:
        server.kill()
