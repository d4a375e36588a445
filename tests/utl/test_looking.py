"""Looking at files that others have left, or are looking at as well."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from triode.backends import registry
from triode.backends.contract import Batch
from triode.backends.registry import open_engine
from triode.backends.sqlite import SqliteEngine
from triode.backends.sqlite_file import SqliteFileView

Utl = Callable[..., Any]


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """A database whose last commits are in its -wal file only, as a crash leaves it."""
    path = tmp_path / "db.sqlite"
    (tmp_path / "crashed").mkdir()
    with closing(open_engine("sqlite", path)) as engine:
        engine.commit(Batch({"key": {b"old": b"1"}}))
        engine.sync()
        engine.commit(Batch({"key": {b"new": b"2"}, "meta": {b"a": b"b"}}))
        for name in ("db.sqlite", "db.sqlite-wal"):
            shutil.copy(tmp_path / name, tmp_path / "crashed" / name)
    return tmp_path / "crashed" / "db.sqlite"


def test_what_a_crash_has_left_is_read_and_stays(crashed: Path) -> None:
    before = {path.name: path.read_bytes() for path in crashed.parent.iterdir()}
    with SqliteFileView(crashed) as view:
        assert view.range("key", b"", None) == [(b"new", b"2"), (b"old", b"1")]
        assert view.get("meta", b"a") == b"b"
        assert view.problems() == []
        assert view.total_bytes > 0
    assert {path.name: path.read_bytes() for path in crashed.parent.iterdir()} == before


def test_a_sound_file_gets_no_company(crashed: Path) -> None:
    with closing(open_engine("sqlite", crashed)):
        pass  # takes the -wal file over
    (crashed.parent / "db.sqlite-lock").unlink()
    with SqliteFileView(crashed) as view:
        assert view.buckets() == ["key", "meta"]
        assert [path.name for path in crashed.parent.iterdir()] == ["db.sqlite"]


def test_readers_share_and_keep_writers_out(
    restored: Path, utl: Utl, rows: Any, write_snapshot: Utl, tmp_path: Path
) -> None:
    """Of etcd's directories and of ours."""
    etcds = tmp_path / "made.etcd" / "member" / "snap"
    etcds.mkdir(parents=True)
    shutil.move(write_snapshot(rows), etcds / "db")
    for data_dir, locked in (
        (tmp_path / "made.etcd", etcds / "db"),
        (restored, restored / ".lock"),
    ):
        with locked.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            assert utl("hashkv", data_dir).code == 0
            done = utl("defrag", "--data-dir", data_dir, "--timeout", "50ms")
            assert done.code == 1
            assert "is in use" in done.err
        assert utl("defrag", "--data-dir", data_dir).code == 0


class OtherEngine(SqliteEngine):
    """Stands for a third party's: another name, and a file that only it knows how to open."""

    name = "other"


def test_another_engine(
    rows: Any, write_snapshot: Utl, tmp_path: Path, utl: Utl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its database is opened by itself, and all commands work on it."""
    known = registry.engine_class
    monkeypatch.setattr(
        registry, "engine_class", lambda name: OtherEngine if name == "other" else known(name)
    )
    where = tmp_path / "data"
    snapshot = write_snapshot(rows)
    words = ["snapshot", "restore", snapshot, "--data-dir", where]
    refused = utl(*words, "--backend", "memory")
    assert refused.code == 1
    assert "keeps nothing on disk" in refused.err
    assert "there is no backend 'odd'" in utl(*words, "--backend", "odd").err
    assert not where.exists()
    assert utl(*words, "--backend", "other").code == 0
    assert (where / "member" / "snap" / "db.other").exists()
    assert utl("check", where).code == 0
    assert utl("metadata", where, "-w", "json").json["backend"] == "other"
    assert utl("hashkv", where, "-w", "json").json == utl("hashkv", snapshot, "-w", "json").json
    assert utl("defrag", "--data-dir", where).code == 0
    assert utl("migrate", "--data-dir", where, "--target-version", "3.6").code == 0
    assert 'value="3.6.0"' in utl("backend", "dump", where, "meta").out


def test_what_a_dead_restore_has_left_is_no_obstacle(
    rows: Any, write_snapshot: Utl, tmp_path: Path, utl: Utl
) -> None:
    """After `kill -9` in its midst there is a half-made part, and a lock that nobody has."""
    where = tmp_path / "data"
    (where / "member.part" / "snap").mkdir(parents=True)
    (where / "member.part" / "snap" / "db.sqlite").write_bytes(b"half")
    (where / ".lock").touch()
    assert utl("snapshot", "restore", write_snapshot(rows), "--data-dir", where).code == 0
    assert sorted(path.name for path in where.iterdir()) == [".lock", "member"]
    assert utl("check", where).code == 0
    again = utl("snapshot", "restore", write_snapshot(rows), "--data-dir", where)
    assert again.code == 1
    assert "not empty or could not be read" in again.err
