"""The real etcd opens what we write, works on it, and we read what it leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import google_crc32c
import pytest

from triode.backends.bbolt_file import BboltView
from triode.backends.bbolt_image import snapshot_file
from triode.backends.contract import Batch, Engine
from triode.backends.registry import open_engine

pytestmark = pytest.mark.etcd

Ctl = Callable[..., str]
Etcd = Callable[[Path], AbstractContextManager[str]]
LARGE = b"large" * 50_000


def revision(n: int) -> bytes:
    return n.to_bytes(8, "big") + b"_" + bytes(8)


def user_keys(count: int) -> dict[bytes, bytes]:
    """Keys of users: many small ones and, in their midst, values of several pages."""
    rows = {b"k%06d" % n: b"value %d" % n for n in range(count)}
    rows[b"k%06d" % (count // 2)] = LARGE
    rows[b"k%06d" % (count - 1)] = bytes(range(97, 123)) * 400
    return rows


@pytest.fixture(params=["memory", "sqlite"])
def filled(
    request: pytest.FixtureRequest, tmp_path: Path, key_value: Callable[..., bytes]
) -> Iterator[Engine]:
    engine = open_engine(request.param, tmp_path / "engine")
    rows = enumerate(user_keys(20_000).items(), start=2)
    batch = {revision(n): key_value(key, value, n) for n, (key, value) in rows}
    engine.commit(Batch({"key": {**batch}, "lease": {}, "meta": {b"term": (1).to_bytes(8, "big")}}))
    with closing(engine):
        yield engine


def save(engine: Engine, path: Path) -> Path:
    with engine.snapshot() as view, path.open("wb") as file:
        size, chunks = snapshot_file(view)
        file.writelines(chunks)
    assert path.stat().st_size == size
    return path


def test_snapshot_status_agrees(filled: Engine, tmp_path: Path, etcdctl: Ctl) -> None:
    path = save(filled, tmp_path / "snapshot")
    status = json.loads(etcdctl("snapshot", "status", path, "-w", "json"))
    crc = 0
    with BboltView(path) as view:
        for name in view.buckets():
            crc = google_crc32c.extend(crc, name.encode())
            for key, value in view.scan(name):
                crc = google_crc32c.extend(crc, key + value)
    assert status["hash"] == crc
    assert status["revision"] == 20_001
    assert status["totalKey"] == 20_000 + 1


def test_etcd_restores_serves_and_changes_it(
    filled: Engine, tmp_path: Path, etcdctl: Ctl, etcd: Etcd
) -> None:
    data_dir = tmp_path / "restored"
    etcdctl("snapshot", "restore", save(filled, tmp_path / "snapshot"), "--data-dir", data_dir)
    with etcd(data_dir) as url:

        def ctl(*args: object) -> str:
            return etcdctl("--endpoints", url, *args)

        got = ctl("get", "", "--from-key", "--keys-only").split()
        assert got == [key.decode() for key in user_keys(20_000)]
        assert ctl("get", "k000007", "--print-value-only") == "value 7\n"
        assert ctl("get", "k010000", "--print-value-only").encode() == LARGE + b"\n"
        ctl("put", "after", "restore")
        # Removing nearly every row makes bbolt merge the pages we wrote.
        assert ctl("del", "k000100", "k019990") == "19890\n"
        head = json.loads(ctl("get", "after", "-w", "json"))["header"]["revision"]
        ctl("compact", head, "--physical")
        ctl("put", "after", "compaction")
        ctl("defrag")
        assert '"Count" : 110' in ctl("get", "k", "--prefix", "--count-only", "-w", "fields")
        ctl("endpoint", "health")
    with BboltView(data_dir / "member" / "snap" / "db") as view:
        # 110 live keys, "after" twice at most; the deletion's marks went with the compaction.
        assert 111 <= sum(1 for _ in view.scan("key")) <= 112


def test_what_etcd_saves_is_read(tmp_path: Path, etcdctl: Ctl, etcd: Etcd) -> None:
    path = tmp_path / "snapshot"
    with etcd(tmp_path / "etcd") as url:
        for n in range(30):
            etcdctl("--endpoints", url, "put", f"key{n:02}", f"value{n}" * 300)
        etcdctl("--endpoints", url, "snapshot", "save", path)
    with BboltView(path) as view, closing(open_engine("sqlite", tmp_path / "copy")) as engine:
        rows = view.range("key", b"", None)
        assert [key for key, _ in rows] == [revision(n) for n in range(2, 32)]
        assert all(f"value{n}".encode() * 300 in value for n, (_, value) in enumerate(rows))
        assert view.get("meta", b"consistent_index") is not None
        engine.commit(Batch({name: {**dict(view.scan(name))} for name in view.buckets()}))
        again = save(engine, tmp_path / "again")
    before, after = (
        json.loads(etcdctl("snapshot", "status", each, "-w", "json")) for each in (path, again)
    )
    assert {**before, "totalSize": 0} == {**after, "totalSize": 0}
