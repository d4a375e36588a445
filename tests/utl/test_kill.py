"""`kill -9` at every step of the commands that write: what was there stays whole, or what is new is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Utl = Callable[..., Any]
KILLED = -9
STEPS_MAX = 200
# SQLite's own; the next opening takes them:
BESIDE = {"db.sqlite-lock", "db.sqlite-wal", "db.sqlite-shm"}


@pytest.fixture(scope="module")
def killed() -> Iterator[Callable[..., int]]:
    """Run a tool which is killed at a step: its exit code, or -9."""
    program = Path(__file__).with_name("_dying.py")
    with subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as dying:
        assert dying.stdin
        assert dying.stdout
        stdin, stdout = dying.stdin, dying.stdout

        def run(step: int, tool: str, *words: object) -> int:
            print(json.dumps([tool, [str(word) for word in words], step]), file=stdin, flush=True)
            return int(stdout.readline())

        yield run
        stdin.close()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("log_elsewhere", [False, True])
def test_restore(
    killed: Callable[..., int],
    rows: Any,
    write_snapshot: Utl,
    tmp_path: Path,
    utl: Utl,
    log_elsewhere: bool,
) -> None:
    """There is a member with everything, or none; and the same command makes it, once a log that is in its way is gone."""
    snapshot = write_snapshot(rows)
    was = utl("hashkv", snapshot, "-w", "json").json
    where, log = tmp_path / "data", tmp_path / "log"
    logs = ["--wal-dir", log] if log_elsewhere else []
    words = ["snapshot", "restore", snapshot, "--data-dir", where, *logs]
    outcomes, seen = set(), set()
    for step in range(1, STEPS_MAX):
        code = killed(step, "triodeutl", *words)
        whole = (where / "member").exists()
        outcomes.add((code, whole))
        left = frozenset(where.rglob("*")), log.exists()
        if left not in seen:  # else only the size of a file differs that is of no use
            seen.add(left)
            if not whole:
                assert not where.exists() or names(where) <= {".lock", "member.part"}
                assert utl("check", where).code == 1, "nobody takes it for a member"
                if log.exists():
                    again = utl(*words)
                    assert again.code == 1
                    assert f'wal-dir "{log}" exists' in again.err
                    shutil.rmtree(log)
                assert utl(*words).code == 0
            assert utl("check", where, *logs).code == 0
            assert utl("hashkv", where, "-w", "json").json == was
            assert names(where) == {".lock", "member"}
        for each in (where, log):
            shutil.rmtree(each, ignore_errors=True)
        if code != KILLED:
            break
    assert outcomes == {(KILLED, False), (KILLED, True), (0, True)}


@pytest.mark.parametrize("command", ["defrag", "migrate"])
@pytest.mark.parametrize("whose", ["ours", "etcds"])
def test_a_database_is_written_anew(
    killed: Callable[..., int],
    restored: Path,
    rows: Any,
    write_snapshot: Utl,
    tmp_path: Path,
    utl: Utl,
    whose: str,
    command: str,
) -> None:
    """It holds what it held, and the same command completes what the first has begun."""
    if whose == "etcds":
        shutil.rmtree(restored / "member" / "snap")
        (restored / "member" / "snap").mkdir()
        shutil.copy(write_snapshot(rows), restored / "member" / "snap" / "db")
    was = utl("hashkv", restored, "-w", "json").json
    files = names(restored / "member" / "snap")
    codes = set()
    for step in range(1, STEPS_MAX):
        where = Path(shutil.copytree(restored, tmp_path / f"{step}"))
        words = [command, "--data-dir", where]
        words += ["--target-version", "3.6"] if command == "migrate" else []
        code = killed(step, "triodeutl", *words)
        codes.add(code)
        for _ in range(2):
            assert utl("hashkv", where, "-w", "json").json == was
            assert utl(*words).code == 0
        assert names(where / "member" / "snap") - BESIDE == files
        if command == "migrate":
            assert 'value="3.6.0"' in utl("backend", "dump", where, "meta").out
        if code != KILLED:
            break
    assert codes <= {KILLED, 0}
    assert 0 in codes
    assert whose == "ours" or KILLED in codes


@pytest.mark.etcd
def test_a_snapshot_is_saved(
    killed: Callable[..., int], launch_etcd: Callable[..., Any], tmp_path: Path, utl: Utl
) -> None:
    """The file is there when it is whole; one that was there stays until then."""
    etcd, folder = launch_etcd(), tmp_path / "saved"
    folder.mkdir()
    outcomes = set()
    for step in range(1, STEPS_MAX):
        path = folder / "today.db"
        path.write_bytes(b"of yesterday")
        code = killed(step, "triodectl", "--endpoints", etcd.url, "snapshot", "save", path)
        old = path.read_bytes() == b"of yesterday"
        outcomes.add((code, old))
        if not old:
            assert utl("snapshot", "status", path).code == 0
        assert names(folder) <= {path.name, f"{path.name}.part"}
        if code != KILLED:
            break
        (folder / "today.db.part").unlink(missing_ok=True)
    assert outcomes == {(KILLED, True), (KILLED, False), (0, False)}
    assert names(folder) == {path.name}
