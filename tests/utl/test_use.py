"""The tool in people's hands: help, mistakes, places that are in use, full or forbidden."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from triode.cli.utl.main import PROGRAM
from triode.cli.utl.places import find_member
from triode.cli.utl.progress import progress

Utl = Callable[..., Any]
TOOL = [sys.executable, "-m", "triode.cli.utl"]


def test_version(utl: Utl) -> None:
    """The form that tools read."""
    assert utl("version").out.splitlines()[:2] == ["etcdutl version: 3.6.0", "API version: 3.6"]


def test_every_command_has_help_with_an_example(utl: Utl) -> None:
    for command in PROGRAM.commands():
        if command.run is None or command.path in {"version", "help", "completion"}:
            continue
        said = utl(*command.path.split(), "--help").out
        assert "Examples:\n  triodeutl " in said, command.path
        for flag in command.flags:
            assert f"--{flag.name}" in said
    top = utl("--help").out
    assert "snapshot restore" in top
    assert "--timeout=10s" in top
    assert utl("snapshot").out.startswith("NAME:\n  snapshot - ")


def test_unique_beginnings_are_enough(utl: Utl, restored: Path) -> None:
    assert utl("meta", restored).code == 0
    assert utl("back", "list-b", restored).out.startswith("alarm\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion(shell: str, utl: Utl) -> None:
    assert "triodeutl" in utl("completion", shell).out


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["bogus"], 1, 'unknown command "bogus" for "triodeutl"'),
        (["snapshot", "status", "--bogus", "x"], 1, "unknown flag: --bogus"),
        (["snapshot", "status"], 128, "snapshot status requires exactly one argument"),
        (["snapshot", "restore"], 128, "snapshot restore requires exactly one argument"),
        (["hashkv"], 1, "accepts 1 arg(s), received 0"),
        (["defrag"], 1, 'required flag(s) "data-dir" not set'),
        (["migrate"], 1, 'required flag(s) "data-dir", "target-version" not set'),
        (["migrate", "--data-dir", "x", "--target-version", "3"], 128, 'expected "X.Y", got "3"'),
        (["migrate", "--data-dir", "x", "--target-version", "3.a"], 128, "failed to parse"),
        (["migrate", "--data-dir", "x", "--target-version", "3.4"], 128, 'Minimal "3.5"'),
        (["snapshot", "status", "nowhere"], 1, "stat nowhere: no such file or directory"),
        (["defrag", "--data-dir", "nowhere"], 1, "Failed to defragment etcd data[nowhere] (stat "),
        (["check", "nowhere"], 1, "stat nowhere: no such file or directory"),
        (["wal", "dump"], 128, "a data directory is needed, or --wal-dir"),
        (["wal", "dump", "--wal-dir", "x", "--entry-type", "Normal,Odd"], 128, "'Odd' is none of"),
        (["snapshot", "status", "x", "-w", "xyz"], 4, "unsupported output format"),
        (["snapshot", "status", "x", "-w", "protobuf"], 4, "protobuf not supported"),
        (["check", "x", "-w", "table"], 4, "table not supported as output format"),
        (["check", "x", "--timeout", "soon"], 1, 'invalid argument "soon" for "--timeout" flag'),
        (["snapshot", "restore", "x", "--bump-revision", "-1"], 1, "invalid argument"),
        (["snapshot", "restore", "x", "--initial-cluster", "odd"], 1, "is not NAME=URL"),
        (["snapshot", "restore", "x", "--initial-advertise-peer-urls", "odd"], 1, "must begin with"),
    ],
)  # fmt: skip
def test_mistakes(
    words: list[str], code: int, text: str, utl: Utl, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    done = utl(*words)
    assert (done.code, text in done.err) == (code, True), done
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"junk\n", bytes(8192), b"SQLite format 3\0" + bytes(2000), b"\x1f\x8b" + bytes(50)],
)
def test_what_is_no_database(content: bytes, utl: Utl, tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    path.write_bytes(content)
    for words in (["snapshot", "status", path], ["hashkv", path], ["backend", "dump", path, "key"]):
        done = utl(*words)
        assert done.code == 1
        assert str(path) in done.err
    words = ["snapshot", "restore", path, "--skip-hash-check", "--data-dir", tmp_path / "to"]
    assert utl(*words).code == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["odd.db"]


def test_a_pipe_is_no_database(utl: Utl, tmp_path: Path) -> None:
    """Opening it would wait for a writer."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for words in (["snapshot", "status"], ["hashkv"], ["snapshot", "restore", "--skip-hash-check"]):
        done = utl(*words, pipe)
        assert done.code == 1
        assert "is no regular file" in done.err
    assert "is no regular file" in utl("snapshot", "status", "/dev/null").err


def test_somebody_elses_sqlite_file(utl: Utl, tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE people (name TEXT)")
    connection.commit()
    connection.close()
    done = utl("snapshot", "status", path)
    assert done.code == 1
    assert "not a database of Triode: table 'people' is no bucket" in done.err


def test_directories_that_are_none(utl: Utl, tmp_path: Path) -> None:
    (tmp_path / "member" / "snap").mkdir(parents=True)
    done = utl("check", tmp_path)
    assert done.code == 1
    assert "has no database: neither" in done.err
    assert "is a directory, not a snapshot" in utl("snapshot", "status", tmp_path).err
    (tmp_path / "member" / "snap" / "db").touch()
    (tmp_path / "member" / "snap" / "db.sqlite").touch()
    assert "has several databases (bbolt, sqlite)" in utl("check", tmp_path).err


def test_a_directory_without_its_log(restored: Path, utl: Utl) -> None:
    import shutil

    shutil.rmtree(restored / "member" / "wal")
    done = utl("check", restored)
    assert done.code == 1
    assert "there is no log in" in done.out
    done = utl("metadata", restored)
    assert done.code == 1
    assert "there is no log in" in done.err


@pytest.fixture
def crashed(launch_triode: Callable[..., Any]) -> Path:
    """The directory of a node that was killed."""
    server = launch_triode()
    for number in range(8):
        server.ctl("put", f"k{number}", "v")
    server.kill()
    data_dir: Path = server.data_dir
    return data_dir


def test_a_node_that_was_killed(crashed: Path, utl: Utl) -> None:
    """It is sound, and looking at it changes nothing, though SQLite has left files beside the database."""

    def content() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in sorted(crashed.rglob("*")) if p.is_file()}

    before = content()
    assert utl("check", crashed).code == 0
    assert utl("wal", "verify", crashed).code == 0
    assert 'key:"k7"' in utl("wal", "dump", crashed).out
    after = content()
    assert after.keys() == before.keys()
    changed = {Path(name).name for name in before if before[name] != after[name]}
    assert changed <= {
        "db.sqlite-shm"
    }  # an index of the -wal file, which is made anew by whoever opens it


def test_a_running_node_is_left_alone(
    launch_triode: Callable[..., Any], utl: Utl, tmp_path: Path
) -> None:
    server = launch_triode()
    server.ctl("put", "a", "1")
    where = server.data_dir
    database = where / "member" / "snap" / "db.sqlite"
    for words in (
        ["defrag", "--data-dir", where],
        ["migrate", "--data-dir", where, "--target-version", "3.6"],
        ["check", where],
        ["metadata", where],
        ["hashkv", where],
        ["hashkv", database],
        ["snapshot", "status", database],
        ["snapshot", "restore", database, "--skip-hash-check", "--data-dir", tmp_path / "to"],
        ["wal", "verify", where],
        ["wal", "dump", where],
        ["backend", "list-buckets", where],
    ):
        done = utl(*words, "--timeout", "60ms")
        assert done.code == 1, words
        assert f"is in use by a running member (process {server.process.pid})" in done.err or (
            f"is in use by another node (process {server.process.pid})" in done.err
        )
        assert "stop it first (waited 0.06s, see --timeout)" in done.err
    assert server.ctl("get", "a").stdout == "a\n1\n"
    assert not (tmp_path / "to").exists()


def test_defrag_and_migrate_ours(launch_triode: Callable[..., Any], utl: Utl) -> None:
    server = launch_triode()
    for number in range(16):
        server.ctl("put", f"k{number % 2}", "v" * 100_000)
    server.ctl("compact", "17", "--physical")
    server.stop()
    where = server.data_dir
    before = utl("metadata", where, "-w", "json").json
    hashed = utl("hashkv", where, "-w", "json").json
    assert before["database-free-bytes"] > 1_000_000
    done = utl("defrag", "--data-dir", where)
    assert done.code == 0
    after = utl("metadata", where, "-w", "json").json
    assert after["database-bytes"] < before["database-bytes"] - 1_000_000
    assert after["database-free-bytes"] == 0
    assert before["storage-version"] == after["storage-version"] == "3.6"
    for target, says in (
        ("3.5", "updated storage version"),
        ("3.5", "up-to-date"),
        ("3.6", "updated"),
    ):
        done = utl("migrate", "--data-dir", where, "--target-version", target)
        assert done.code == 0
        assert says in done.err
        assert utl("metadata", where, "-w", "json").json["storage-version"] == target
        assert utl("check", where).code == 0
    refused = utl("migrate", "--data-dir", where, "--target-version", "3.7")
    assert refused.code == 1
    assert 'cannot create migration plan: version "3.7.0" is not supported' in refused.err
    other = utl("migrate", "--data-dir", where, "--target-version", "4.0")
    assert "changing major storage version is not supported" in other.err
    forced = utl("migrate", "--data-dir", where, "--target-version", "3.7", "--force")
    assert forced.code == 0
    assert utl("metadata", where, "-w", "json").json["storage-version"] == "3.7"
    assert utl("migrate", "--data-dir", where, "--target-version", "3.5", "--force").code == 0
    assert utl("hashkv", where, "-w", "json").json == hashed
    again = launch_triode(data_dir=where)
    assert again.ctl("get", "k1", "--print-value-only").stdout == "v" * 100_000 + "\n"


def test_a_log_that_needs_a_newer_etcd(restored: Path, utl: Utl, write_rows: Utl) -> None:
    """An entry that 3.5 does not know keeps the storage from going back to it."""
    from triode.raft.disk import RealDisk
    from triode.raft.types import Entry, HardState
    from triode.raft.wal import WAL
    from triode.rpc.pb.raft_internal_pb2 import InternalRaftRequest

    member = find_member(restored)
    wal = WAL.open(RealDisk(), member.wal_dir)
    wal.read_all()
    request = InternalRaftRequest()
    request.downgrade_version_test.ver = "3.6.0"
    wal.save(HardState(1, 0, 2), [Entry(1, 2, data=request.SerializeToString())])
    wal.sync()
    wal.close()
    write_rows(member.db, {"meta": {b"storageVersion": b"3.6.0"}})
    done = utl("migrate", "--data-dir", restored, "--target-version", "3.5")
    assert done.code == 1
    assert "cannot downgrade storage, WAL contains newer entries" in done.err
    assert "(3.5.0) is lower than the version (3.6.0)" in done.err


def test_a_version_that_cannot_be_told(restored: Path, utl: Utl, write_rows: Utl) -> None:
    write_rows(find_member(restored).db, {"meta": {b"confState": None}})
    done = utl("migrate", "--data-dir", restored, "--target-version", "3.6")
    assert done.code == 1
    assert "cannot detect storage schema version: missing confstate information" in done.err


# --- places that do not take what we write ----------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """A file system of so many kilobytes; `remount` changes its options."""
    where = tmp_path / "disk"

    def mount(options: str) -> Path:
        where.mkdir(exist_ok=True)
        words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(where)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"may not mount a small file system: {done.stderr.strip()}")
        return where

    yield mount
    subprocess.run(["umount", "--lazy", str(where)], capture_output=True)


@pytest.mark.parametrize("kilobytes", [200, 3000])
def test_a_full_disk(
    kilobytes: int, small_disk: Callable[..., Path], rows: Any, write_snapshot: Utl, utl: Utl
) -> None:
    """There is no room for the database, or none for the log: nothing is left of either."""
    disk = small_disk(f"size={kilobytes}k")
    where = disk / "data"
    done = utl("snapshot", "restore", write_snapshot(rows), "--data-dir", where)
    assert done.code == 1
    assert "full" in done.err or "No space left" in done.err
    assert not where.exists()


def test_a_full_disk_while_defragmenting(
    small_disk: Callable[..., Path], restored: Path, utl: Utl, rows: Any, write_snapshot: Utl
) -> None:
    """The database stays as it was."""
    import shutil

    rows["key"][(7).to_bytes(8, "big") + b"_" + bytes(8)] = (
        b"\x0a\1z\x10\7\x18\7\x20\1\x2a\xc0\x84\x3d" + bytes(1_000_000)
    )
    disk = small_disk("size=1500k")
    where = disk / "data.etcd"
    (where / "member" / "snap").mkdir(parents=True)
    shutil.copy(write_snapshot(rows), where / "member" / "snap" / "db")
    before = utl("hashkv", where, "-w", "json").json
    done = utl("defrag", "--data-dir", where)
    assert done.code == 1
    assert "Failed to defragment" in done.err
    assert "No space left" in done.err
    assert utl("hashkv", where, "-w", "json").json == before
    assert [each.name for each in (where / "member" / "snap").iterdir()] == ["db"]


def test_a_file_system_that_cannot_be_written(
    small_disk: Callable[..., Path], restored: Path, utl: Utl, tmp_path: Path
) -> None:
    """Looking needs no writing; a restore says what is in its way."""
    import shutil

    disk = small_disk("size=9000k")
    shutil.copytree(restored, disk / "data")
    small_disk("remount,ro")
    for words in (
        ["check"],
        ["metadata"],
        ["hashkv"],
        ["wal", "verify"],
        ["backend", "list-buckets"],
    ):
        done = utl(*words, disk / "data")
        assert done.code == 0, done.err
    done = utl("defrag", "--data-dir", disk / "data")
    assert done.code == 1
    assert "Read-only file system" in done.err
    database = restored / "member" / "snap" / "db.sqlite"
    done = utl("snapshot", "restore", database, "--skip-hash-check", "--data-dir", disk / "to")
    assert "Read-only file system" in done.err


def test_a_directory_that_may_not_be_read(restored: Path) -> None:
    """Asked by somebody who is not root."""
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    for path in (restored, *restored.parents):
        if path == Path("/tmp"):
            break
        path.chmod(0o755)
    (restored / "member").chmod(0o700)
    program = (
        "import os, sys\n"
        "from triode.cli.utl import main\n"
        "main.PROGRAM.commands()\n"  # everything is loaded before the rights are gone
        "from triode.cli.common import complete, errors, help\n"
        "os.setuid(65534)\n"
        "main.main()\n"
    )
    for words in (["check", restored], ["defrag", "--data-dir", restored], ["metadata", restored]):
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, words)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1
        assert "Permission denied" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_closed_pipe(restored: Path) -> None:
    """`| head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    words = [*TOOL, "wal", "dump", str(restored)]
    done = subprocess.run(words, stdout=writing, stderr=subprocess.PIPE, timeout=60)
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode == -13  # SIGPIPE, as any tool of Unix ends


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """A bar appears when it takes long, and goes away; elsewhere nothing is written."""
    monkeypatch.setattr("triode.cli.utl.progress.QUIET_SECONDS", 0.0)
    with progress("reading", 10) as step:
        step(5)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress("reading rows", 10) as step:
        step(5)
        step(5)
    assert "reading rows" in capsys.readouterr().err


def test_start_up_is_quick(restored: Path) -> None:
    """Nothing is loaded that a command does not need: no Trio, no rich."""
    program = (
        "import sys\n"
        "from triode.cli.utl.main import PROGRAM\n"
        "from triode.cli.common.run import execute\n"
        "from triode.cli.common.output import Output\n"
        f"execute(PROGRAM, ['snapshot', 'status', {str(restored / 'member/snap/db.sqlite')!r}], Output(sys.stdout.buffer))\n"
        "print(*sorted({'trio', 'rich', 'click', 'google.protobuf'} & sys.modules.keys()))\n"
    )
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert time.monotonic() - begun < 10
    assert done.stdout.splitlines()[1:] == [""], done
