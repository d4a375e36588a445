"""A data directory is served by the engine that it belongs to, or not at all."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from triode.actors.engine_marker import Directory, check_identity, leave_mark
from triode.actors.node import Node, open_node
from triode.config import Config
from triode.errors import StorageError
from triode.raft.simulated_disk import PowerLoss, SimulatedDisk

MEMBERS = "a=http://127.0.0.1:1,b=http://127.0.0.1:2"


def config_of(data_dir: Path, **settings: Any) -> Config:
    return Config(data_dir=data_dir, listen_client_urls=(), **settings)


def files_in(folder: Path) -> dict[str, bytes]:
    """Everything that is on disk, but for locks and what SQLite tidies up."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("lock", "-shm"))
    }


async def serve(config: Config) -> tuple[int, bytes]:
    """Start; put a key; its revision, and what the key was before."""
    async with open_node(config) as node:
        before = await node.local.get(b"k")
        made = await node.local.put(b"k", b"v")
        return made.header.revision, before.kvs[0].value if before.kvs else b""


@pytest.mark.parametrize("own_log", [False, True])
async def test_memory_does_not_start_empty_under_the_identity_of_a_log(
    tmp_path: Path, own_log: bool
) -> None:
    places: dict[str, Any] = {"wal_dir": tmp_path / "wal"} if own_log else {}
    assert await serve(config_of(tmp_path / "data", **places)) == (2, b"")
    before = files_in(tmp_path)
    with pytest.raises(StorageError, match="belongs to the backend sqlite, not to memory") as error:
        await serve(config_of(tmp_path / "data", backend="memory", **places))
    assert "triodeutl snapshot restore" in str(error.value)
    assert files_in(tmp_path) == before
    assert await serve(config_of(tmp_path / "data", **places)) == (3, b"v")


async def test_another_durable_engine_grows_no_second_database(tmp_path: Path) -> None:
    """The file of an engine that this program does not even know is enough."""
    snap = tmp_path / "member" / "snap"
    snap.mkdir(parents=True)
    (snap / "db.lmdb").write_bytes(b"something")
    before = files_in(tmp_path)
    with pytest.raises(StorageError, match="belongs to the backend lmdb, not to sqlite"):
        await serve(config_of(tmp_path))
    assert files_in(tmp_path) == before


async def test_databases_of_two_engines_are_named(tmp_path: Path) -> None:
    assert await serve(config_of(tmp_path)) == (2, b"")
    other = tmp_path / "member" / "snap" / "db.lmdb"
    other.write_bytes(b"something")
    with pytest.raises(StorageError, match="databases of 2 engines, lmdb and sqlite"):
        await serve(config_of(tmp_path))
    other.unlink()
    assert await serve(config_of(tmp_path)) == (3, b"v")


async def test_a_member_that_kept_nothing_does_not_come_back(tmp_path: Path) -> None:
    """It would vote again in a term in which it has voted."""

    def config(**settings: Any) -> Config:
        return config_of(
            tmp_path,
            name="a",
            initial_cluster=MEMBERS,
            initial_advertise_peer_urls=("http://127.0.0.1:1",),
            listen_peer_urls=("http://127.0.0.1:0",),
            **settings,
        )

    class Began(Exception):
        pass

    async def begin(**settings: Any) -> None:
        def began(*_: object) -> None:
            raise Began

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Node, "__init__", began)  # it would wait for the other one
            async with open_node(config(**settings)):
                pytest.fail("it must not serve")

    with pytest.raises(Began):
        await begin(backend="memory")
    before = files_in(tmp_path)
    assert list(before) == ["member/forgetful.json"]
    for backend in ("memory", "sqlite"):
        with pytest.raises(StorageError, match="must not come back under its identity"):
            await begin(backend=backend)
        assert before.items() <= files_in(tmp_path).items()
    with pytest.raises(Began):  # another identity, as after it has been removed and added anew
        await begin(backend="memory", initial_cluster_token="another")


async def test_a_log_that_is_not_where_the_settings_say(tmp_path: Path) -> None:
    """Even when the backend has committed nothing yet, so that nothing else contradicts a new beginning."""
    assert await serve(config_of(tmp_path / "data")) == (2, b"")
    for name in ("db.sqlite", "db.sqlite-wal", "db.sqlite-shm"):
        (tmp_path / "data" / "member" / "snap" / name).unlink(missing_ok=True)
    before = files_in(tmp_path)
    with pytest.raises(StorageError, match="leave `wal-dir` out"):
        await serve(config_of(tmp_path / "data", wal_dir=tmp_path / "elsewhere"))
    assert files_in(tmp_path) == before
    assert await serve(config_of(tmp_path / "data")) == (3, b"v")


async def test_who_is_alone_and_keeps_nothing_leaves_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        assert await serve(config_of(tmp_path, backend="memory")) == (2, b"")
    assert files_in(tmp_path) == {}


@pytest.mark.parametrize("seed", range(40))
def test_a_mark_is_replaced_whole_or_not_at_all(seed: int) -> None:
    """Power is lost at each of its operations."""
    places = Directory(Path("/d"), Path("/d/member/wal"))
    config = config_of(Path("/d"), backend="memory")
    for operations in range(20):
        disk = SimulatedDisk(choose=Random(seed).randrange)
        leave_mark(disk, places, config, 7)
        left = operations

        def lose_power(_operation: str, _path: Path) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise PowerLoss("dark")

        disk.before = lose_power
        with suppress(PowerLoss):
            leave_mark(disk, places, config, 8)
        disk.before = lambda _operation, _path: None
        disk.crash()
        refused = [member for member in (7, 8) if is_refused(disk, places, member)]
        assert len(refused) == 1
    assert refused == [8]


def is_refused(disk: SimulatedDisk, places: Directory, member: int) -> bool:
    try:
        check_identity(disk, places, member)
    except StorageError as error:
        return "has run in /d" in str(error)
    return False
