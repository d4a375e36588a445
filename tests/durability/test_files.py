"""What a start makes of files that a crash or a person has left: repaired, or refused with a reason."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from triode.raft.disk import RealDisk
from triode.raft.wal import records
from triode.rpc.pb.rpc_pb2 import HashKVRequest, PutRequest, RangeRequest

EXIT_SECONDS_MAX = 20
PUTS = 30


@pytest.fixture(scope="module")
def killed(launch_triode_once: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a member that was killed after some puts, b"0" to b"29"."""
    data_dir = tmp_path_factory.mktemp("killed") / "data"
    server = launch_triode_once(data_dir=data_dir)
    with grpc.insecure_channel(server.address) as channel:
        put = channel.unary_unary("/etcdserverpb.KV/Put", PutRequest.SerializeToString)
        for number in range(PUTS):
            put(PutRequest(key=b"%d" % number, value=b"x" * 700))
        # which commits the backend first
        hashing = channel.unary_unary(
            "/etcdserverpb.Maintenance/HashKV", HashKVRequest.SerializeToString
        )
        hashing(HashKVRequest())
    server.kill()
    segment = last_segment(data_dir)
    with segment.open("r+b") as file:  # as if it had been preallocated to less
        file.truncate(65536)
    return data_dir


@pytest.fixture
def data_dir(killed: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(killed, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def refusal(tmp_path: Path) -> Callable[..., str]:
    """Start a daemon that must end by itself with exit code 1; returns the error that it logged."""

    def start(data_dir: Path, *before: str) -> str:
        words = [*before, sys.executable, "-m", "triode", "--data-dir", str(data_dir)]
        words += ["--listen-client-urls", "http://127.0.0.1:0"]
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=EXIT_SECONDS_MAX,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 1, done.stderr
        line = json.loads(done.stderr.splitlines()[-1])
        assert line["level"] == "error"
        assert line["msg"] == "stopped by an error"
        assert "Traceback" not in done.stderr
        return str(line["error"])

    return start


def wal_dir(data_dir: Path) -> Path:
    return data_dir / "member" / "wal"


def last_segment(data_dir: Path) -> Path:
    return max(wal_dir(data_dir).glob("*.wal"))


def database(data_dir: Path) -> Path:
    return data_dir / "member" / "snap" / "db.sqlite"


def record_offsets(data_dir: Path) -> list[int]:
    """Where the large records of the last segment begin, those of puts."""
    found = records(RealDisk(), wal_dir(data_dir))
    return [record.offset for _, record in found if len(record.data) > 700]


def flip(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        old = file.read(1)
        file.seek(offset)
        file.write(bytes((old[0] ^ 1,)))


def count(launch_triode: Any, connect: Any, data_dir: Path) -> tuple[int, str]:
    """How many keys a start finds, and what it logs."""
    server = launch_triode(data_dir=data_dir)
    found = connect(server.address).call("KV/Range", RangeRequest(key=b"0", range_end=b"\0"))
    log = server.log()
    server.kill()
    return int(found.count), log


@pytest.mark.parametrize("kept_bytes", [7, 300, 700])
def test_torn_end_is_repaired(
    launch_triode: Any, connect: Any, data_dir: Path, kept_bytes: int
) -> None:
    """The beginning of a write that power has cut off: it is cut away, kept aside, and told of."""
    path, offsets = last_segment(data_dir), record_offsets(data_dir)
    content = path.read_bytes()
    end = len(content.rstrip(b"\0")) + 7 & ~7
    longest = max(
        zip(offsets, [*offsets[1:], end], strict=True), key=lambda pair: pair[1] - pair[0]
    )
    torn = content[longest[0] : longest[0] + kept_bytes]
    path.write_bytes(content[:end] + torn)
    found, log = count(launch_triode, connect, data_dir)
    assert found == PUTS
    line = next(json.loads(line) for line in log.splitlines() if "repaired the torn end" in line)
    assert line["level"] == "warn"
    assert line["file"] == str(path)
    assert line["offset"] == end
    assert Path(line["backup"]).read_bytes() == content[:end] + torn
    assert count(launch_triode, connect, data_dir)[0] == PUTS


@pytest.mark.parametrize("where", [0.0, 0.5, 0.99])
def test_damage_in_the_log_is_refused(
    data_dir: Path, refusal: Callable[..., str], where: float
) -> None:
    path, offsets = last_segment(data_dir), record_offsets(data_dir)
    at = offsets[int(len(offsets) * where)]
    flip(path, at + 400)
    error = refusal(data_dir)
    assert str(path) in error
    assert f"corrupt at offset {at}" in error
    assert "restore this member from a snapshot" in error


def test_damaged_database_is_refused(data_dir: Path, refusal: Callable[..., str]) -> None:
    path = database(data_dir)
    path.with_name(path.name + "-wal").unlink()
    path.write_bytes(b"this is no database " * 1000)
    assert str(path) in refusal(data_dir)


def test_another_version_of_the_log_is_refused(
    launch_triode: Any, connect: Any, data_dir: Path, refusal: Callable[..., str], tmp_path: Path
) -> None:
    """A log that ends before the backend does has lost what was acknowledged."""
    shutil.copytree(wal_dir(data_dir), tmp_path / "old")
    server = launch_triode(data_dir=data_dir)
    client = connect(server.address)
    for _ in range(20):
        client.call("KV/Put", PutRequest(key=b"later"))
    assert server.stop() == 0
    shutil.rmtree(wal_dir(data_dir))
    shutil.copytree(tmp_path / "old", wal_dir(data_dir))
    error = refusal(data_dir)
    assert str(wal_dir(data_dir)) in error
    assert "the log was lost or is an old copy" in error


def test_missing_log_is_refused(data_dir: Path, refusal: Callable[..., str]) -> None:
    shutil.rmtree(wal_dir(data_dir))
    error = refusal(data_dir)
    assert f"there is no log in {wal_dir(data_dir)}" in error
    assert "bring the log back, or restore this member from a snapshot" in error


def test_missing_database_is_made_from_the_log(
    launch_triode: Any, connect: Any, data_dir: Path
) -> None:
    """As long as the log goes back to the beginning, everything is in it."""
    for path in database(data_dir).parent.glob("db.sqlite*"):
        path.unlink()
    assert count(launch_triode, connect, data_dir)[0] == PUTS


def test_missing_database_is_refused_after_a_snapshot(
    launch_triode: Any, connect: Any, data_dir: Path, refusal: Callable[..., str]
) -> None:
    server = launch_triode("--snapshot-count=5", data_dir=data_dir)
    client = connect(server.address)
    for _ in range(20):
        client.call("KV/Put", PutRequest(key=b"later"))
    assert server.stop() == 0
    for path in database(data_dir).parent.glob("db.sqlite*"):
        path.unlink()
    error = refusal(data_dir)
    assert str(wal_dir(data_dir)) in error
    assert "the backend was lost or is an old copy" in error


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[list[str]]:
    """The words that run a program as a user whom permissions bind; none if we are bound ourselves."""
    if os.geteuid() != 0:
        yield []
        return
    if shutil.which("setpriv") is None:
        pytest.skip("root is bound by no permissions")
    yield [
        "setpriv",
        "--bounding-set=-all",
        "--inh-caps=-all",
        "--reuid=0",
        "--securebits=+noroot,+keep_caps_locked",
    ]


@pytest.mark.parametrize("what", ["log", "database", "directory"])
def test_forbidden_files_are_named(
    data_dir: Path, refusal: Callable[..., str], unprivileged: list[str], what: str
) -> None:
    path = {
        "log": last_segment(data_dir),
        "database": database(data_dir),
        "directory": data_dir / "member",
    }[what]
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        error = refusal(data_dir, *unprivileged)
    finally:
        path.chmod(mode)
    assert str(path) in error
    assert "ermission denied" in error


def test_everything_is_for_its_owner_alone(data_dir: Path) -> None:
    """Keys and values may be secrets, whatever the umask is."""
    for path in data_dir.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
