"""The daemon on a disk that fills up, and on one that fails."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from triode.rpc.pb.rpc_pb2 import PutRequest, RangeRequest

NO_SPACE = "etcdserver: mvcc: database space exceeded"
PUTS_MAX = 2000
EXIT_SECONDS_MAX = 10
FAILING_SYNC = """
import errno, os
real = os.fdatasync
def fdatasync(fd):
    if os.path.exists({flag!r}):
        with open({flag!r}, "a") as file:
            print(os.readlink(f"/proc/self/fd/{{fd}}"), file=file)
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    real(fd)
os.fdatasync = fdatasync
"""


class SmallDisk:
    """A file system of a few megabytes."""

    def __init__(self, path: Path, kilobytes: int) -> None:
        self.path = path
        path.mkdir()
        self.mount(f"size={kilobytes}k")

    def mount(self, options: str) -> None:
        words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.path)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"may not mount a small file system: {done.stderr.strip()}")

    def grow(self, kilobytes: int) -> None:
        self.mount(f"remount,size={kilobytes}k")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], SmallDisk]]:
    made: list[SmallDisk] = []

    def make(kilobytes: int) -> SmallDisk:
        made.append(SmallDisk(tmp_path / "disk", kilobytes))
        return made[-1]

    yield make
    for disk in made:
        subprocess.run(["umount", "--lazy", str(disk.path)], check=True)


def put_until_refused(client: Any) -> tuple[dict[bytes, int], grpc.RpcError]:
    """The revision of each key that was acknowledged, and the refusal."""
    told: dict[bytes, int] = {}
    for number in range(PUTS_MAX):
        key = b"%05d" % number
        try:
            response = client.call("KV/Put", PutRequest(key=key, value=os.urandom(20_000)))
        except grpc.RpcError as error:
            return told, error
        told[key] = response.header.revision
    pytest.fail("the disk was never full")


def present(client: Any) -> dict[bytes, int]:
    found = client.call("KV/Range", RangeRequest(key=b"0", range_end=b"\0", keys_only=True))
    return {kv.key: kv.mod_revision for kv in found.kvs}


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("kilobytes", [1500, 2200, 4000])
def test_full_disk(
    launch_triode: Any, connect: Any, small_disk: Callable[[int], SmallDisk], kilobytes: int
) -> None:
    """Whichever file has no space first: writes are refused, reads go on, nothing told is lost."""
    disk = small_disk(kilobytes)
    arguments = ("--max-wals=0", "--snapshot-count=20")
    server = launch_triode(*arguments, data_dir=disk.path)
    client = connect(server.address)
    told, _ = put_until_refused(client)
    for _ in range(3):
        with pytest.raises(grpc.RpcError) as caught:
            client.call("KV/Put", PutRequest(key=b"more"))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert caught.value.details() == NO_SPACE
        assert present(client).items() >= told.items()
    log = server.log()
    assert "the disk is full: writes are refused" in log
    assert str(disk.path) in log[log.index("the disk is full") :]
    found = set(present(client).items())
    assert server.stop() == 0
    check_restart_without_space(launch_triode, connect, disk.path, found)
    disk.grow(kilobytes + 200_000)
    server = launch_triode(*arguments, data_dir=disk.path)
    client = connect(server.address)
    assert present(client).items() >= found
    client.call("KV/Put", PutRequest(key=b"more"))


def check_restart_without_space(
    launch_triode: Any, connect: Any, data_dir: Path, found: set[tuple[bytes, int]]
) -> None:
    """It serves what is there, or says which file it has no space for."""
    try:
        server = launch_triode("--max-wals=0", "--snapshot-count=20", data_dir=data_dir)
    except AssertionError as error:
        line = json.loads(str(error).splitlines()[-1])
        assert line["msg"] == "stopped by an error"
        assert str(data_dir) in line["error"]
        return
    assert present(connect(server.address)).items() >= found
    assert server.stop() == 0


def test_full_disk_at_the_first_start(
    launch_triode: Any, small_disk: Callable[[int], SmallDisk]
) -> None:
    """No space for the log's first file: the start fails and says so."""
    disk = small_disk(1000)
    with pytest.raises(AssertionError, match="No space left on device"):
        launch_triode(data_dir=disk.path)
    disk.grow(200_000)
    assert launch_triode(data_dir=disk.path).stop() == 0


def test_failed_sync(
    launch_triode: Any,
    connect: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The write is not acknowledged, the daemon ends, names the file, and syncs it no second time."""
    flag = tmp_path / "fail"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(FAILING_SYNC.format(flag=str(flag)))
    paths = [str(tmp_path / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    server = launch_triode()
    client = connect(server.address)
    client.call("KV/Put", PutRequest(key=b"0"))
    flag.touch()
    with pytest.raises(grpc.RpcError) as caught:
        client.call("KV/Put", PutRequest(key=b"1"))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert server.process.wait(EXIT_SECONDS_MAX) == 1
    line = json.loads(server.log().splitlines()[-1])
    (segment,) = (server.data_dir / "member" / "wal").glob("*.wal")
    assert line["msg"] == "stopped by an error"
    assert line["error"] == f"cannot sync {segment}: Input/output error"
    assert flag.read_text().splitlines() == [str(segment)]
    flag.unlink()
    server = launch_triode(data_dir=server.data_dir)
    assert present(connect(server.address)).keys() >= {b"0"}
