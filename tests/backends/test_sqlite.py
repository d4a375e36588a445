"""What only the sqlite engine has: its file, its faults, its argument about loss of power."""

from __future__ import annotations

import random
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from triode.backends.buffer import Backend
from triode.backends.contract import Batch, EngineOptions
from triode.backends.sqlite import WAL_BYTES_DUE, SqliteEngine
from triode.errors import CorruptData, DiskFull, StorageError

OPTIONS = EngineOptions()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


@pytest.fixture
def engine(path: Path) -> Iterator[SqliteEngine]:
    with closing(SqliteEngine.open(path, OPTIONS)) as opened:
        yield opened


def test_the_file_is_its_owners_and_plain_sqlite(engine: SqliteEngine, path: Path) -> None:
    engine.commit(Batch({"key": {b"a": b"1"}}))
    engine.sync()
    for name in ("db", "db-wal", "db-lock"):
        assert stat.S_IMODE(path.with_name(name).stat().st_mode) == 0o600, name
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
        assert reader.execute("SELECT k, v FROM key").fetchall() == [(b"a", b"1")]


@pytest.mark.parametrize(
    "content", [b"this is not a database" * 100, b"SQLite format 3\0" + b"x" * 9000]
)
def test_a_file_of_something_else_is_corrupt(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CorruptData, match=str(path)):
        SqliteEngine.open(path, OPTIONS)
    assert path.read_bytes() == content


def test_a_file_of_etcd_is_named_as_such(path: Path) -> None:
    path.write_bytes(bytes(16) + (0xED0CDAED).to_bytes(4, "little") + bytes(9000))
    with pytest.raises(StorageError, match="bbolt"):
        SqliteEngine.open(path, OPTIONS)


def test_a_damaged_page_is_corrupt_data_when_it_is_read(path: Path) -> None:
    rows: dict[bytes, bytes | None] = {b"%05d" % n: bytes(500) for n in range(2000)}
    with closing(SqliteEngine.open(path, OPTIONS)) as engine:
        engine.commit(Batch({"key": rows}))
    content = bytearray(path.read_bytes())
    for at in range(3 * 16384, len(content), 16384):
        content[at : at + 200] = b"\x5a" * 200
    path.write_bytes(content)
    with (
        closing(SqliteEngine.open(path, OPTIONS)) as engine,
        pytest.raises(CorruptData, match=str(path)),
    ):
        engine.range("key", b"", None)


def test_a_missing_folder_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        SqliteEngine.open(tmp_path / "nowhere" / "db", OPTIONS)


def test_a_failed_open_gives_the_lock_back(path: Path) -> None:
    path.write_bytes(b"x" * 5000)
    with pytest.raises(CorruptData):
        SqliteEngine.open(path, OPTIONS)
    path.unlink()
    SqliteEngine.open(path, OPTIONS).close()


def test_a_full_disk_loses_nothing_and_can_still_be_read(engine: SqliteEngine, path: Path) -> None:
    backend = Backend(engine)
    backend.put("key", b"a", b"committed")
    backend.commit()
    before = engine.size()
    engine._connection.execute(f"PRAGMA max_page_count = {before // 16384 + 2}")
    backend.put("key", b"b", bytes(200_000))
    backend.put("auth", b"new", b"bucket")
    with pytest.raises(DiskFull, match=str(path)):
        backend.commit()
    assert engine.range("key", b"", None) == [(b"a", b"committed")]
    assert engine.buckets() == ["key"]
    assert engine.size() == before
    assert backend.get("key", b"b") == bytes(200_000)
    engine._connection.execute("PRAGMA max_page_count = 1000000")
    backend.commit()
    assert engine.get("key", b"b") == bytes(200_000)
    assert engine.get("auth", b"new") == b"bucket"


def test_size_is_the_file_after_a_sync(engine: SqliteEngine, path: Path) -> None:
    engine.commit(Batch({"key": {b"%d" % n: bytes(900) for n in range(1000)}}))
    engine.sync()
    assert engine.size() == path.stat().st_size
    engine.commit(Batch({"key": {b"%d" % n: None for n in range(1000)}}))
    assert engine.size_in_use() < engine.size() // 4


def test_background_syncs_keep_the_wal_short(engine: SqliteEngine, path: Path) -> None:
    wal = path.with_name("db-wal")
    asked = 0
    for n in range(60):
        engine.commit(Batch({"key": {b"%d" % n: bytes(1 << 20)}}))
        if engine.sync_due:
            asked += 1
            engine.sync()
            assert not engine.sync_due
    assert 4 <= asked <= 8
    assert wal.stat().st_size < 2 * WAL_BYTES_DUE


def test_a_long_view_does_not_leave_a_long_wal(engine: SqliteEngine, path: Path) -> None:
    with engine.snapshot():
        for n in range(20):
            engine.commit(Batch({"key": {b"%d" % n: bytes(1 << 20)}}))
            engine.sync()
    engine.sync()
    engine.commit(Batch({"key": {b"after": b""}}))
    assert path.with_name("db-wal").stat().st_size <= WAL_BYTES_DUE


def test_many_small_commits_are_worth_a_sync_too(engine: SqliteEngine, path: Path) -> None:
    n = 0
    while not engine.sync_due:
        engine.commit(Batch({"meta": {b"n": b"%d" % n}}))
        n += 1
    assert n < 1000
    assert path.with_name("db-wal").stat().st_size < 2 * WAL_BYTES_DUE


def test_after_a_loss_of_power_a_whole_batch_is_found(tmp_path: Path) -> None:
    """What was not synced may be lost, torn or garbled; what opens is one batch, and the synced one at least."""
    seeded = random.Random(7)
    path = tmp_path / "db"
    with closing(SqliteEngine.open(path, OPTIONS)) as engine:
        for n in range(1, 31):
            batch: dict[bytes, bytes | None] = {b"%d" % k: b"%d" % n * 500 for k in range(n)}
            batch[b"%d" % (n * 31 % 17)] = None
            engine.commit(Batch({"key": batch, "meta": {b"n": b"%d" % n}}))
            if n == 10:
                engine.sync()
        files = {name: path.with_name(name).read_bytes() for name in ("db", "db-wal")}
    assert len(files["db-wal"]) > 100_000

    def state(n: int) -> list[tuple[bytes, bytes]]:
        rows = {b"%d" % k: b"%d" % n * 500 for k in range(n)}
        rows.pop(b"%d" % (n * 31 % 17), None)
        return sorted(rows.items())

    found = set()
    for round_ in range(40):
        copy = tmp_path / f"copy{round_}"
        copy.mkdir()
        wal = bytearray(files["db-wal"])
        at = seeded.randrange(len(wal))
        if round_ % 2:
            del wal[at:]
        else:  # the file has its length, but from here on some sectors never arrived
            for sector in range(at // 512, len(wal) // 512):
                if seeded.random() < 0.3:
                    wal[sector * 512 : sector * 512 + 512] = bytes(512)
        (copy / "db").write_bytes(files["db"])
        (copy / "db-wal").write_bytes(wal)
        with closing(SqliteEngine.open(copy / "db", OPTIONS)) as engine:
            n = int(engine.get("meta", b"n") or b"0")
            assert engine.range("key", b"", None) == state(n)
            found.add(n)
        shutil.rmtree(copy)
    assert min(found) >= 10
    assert max(found) > 10
