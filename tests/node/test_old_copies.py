"""Backends and logs that do not belong to the same moment: read on exactly once, or refused."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from triode.actors.node import Node, open_node
from triode.config import Config
from triode.errors import CorruptData
from triode.rpc.pb.rpc_pb2 import (
    CompactionRequest,
    DefragmentRequest,
    DeleteRangeRequest,
    HashKVRequest,
    HashRequest,
    PutRequest,
    SnapshotRequest,
)

Machines = Callable[[int], Any]


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triode.actors.storage.SEGMENT_BYTES", 4096)


def config_of(data_dir: Path, **settings: Any) -> Config:
    return Config(
        data_dir=data_dir,
        listen_client_urls=(),
        backend_batch_interval=0.002,
        **{"snapshot_count": 10_000, **settings},
    )


async def write(node: Node, count: int) -> None:
    """Puts, txns that read what they change, and deletes: doing one of them twice would show."""
    for number in range(count):
        key = b"%d" % (number % 7)
        await node.local.call("KV/Put", PutRequest(key=key, value=b"%d" % number))
        if number % 5 == 0:
            await node.local.call("KV/DeleteRange", DeleteRangeRequest(key=b"3"))


async def state_of(node: Node, hash_of: Any) -> tuple[Any, ...]:
    kvs = (await node.local.get(b"\0", b"\0")).kvs
    versions = [(kv.key, kv.value, kv.version, kv.create_revision, kv.mod_revision) for kv in kvs]
    return (versions, *await hash_of(node))


def consistent_index(node: Node) -> bytes | None:
    """As it is committed."""
    return node.opened.backend.engine.get("meta", b"consistent_index")


def index_in(snap_dir: Path) -> bytes:
    with closing(sqlite3.connect(snap_dir / "db.sqlite")) as connection:
        ((value,),) = connection.execute("SELECT v FROM meta WHERE k = ?", (b"consistent_index",))
    return bytes(value)


def copy_database(data_dir: Path, to: Path) -> None:
    """A copy between two commits, as nothing else runs meanwhile."""
    shutil.copytree(data_dir / "member" / "snap", to, dirs_exist_ok=True)


def restore_database(data_dir: Path, copy: Path) -> None:
    shutil.rmtree(data_dir / "member" / "snap")
    shutil.copytree(copy, data_dir / "member" / "snap")


async def test_old_databases_catch_up_exactly_once(tmp_path: Path, crash_tools: Any) -> None:
    """A loss of power may take the backend back to any commit since the log's beginning."""
    data_dir, copies = tmp_path / "data", tmp_path / "copies"
    async with open_node(config_of(data_dir)) as node:
        before = None
        for number in range(8):
            while consistent_index(node) == before:
                await write(node, 6)
            await write(node, 3)
            copy_database(data_dir, copies / str(number))
            before = index_in(copies / str(number))
        expected = await state_of(node, crash_tools.hash_of)
    indexes = set()
    for number in range(8):
        restore_database(data_dir, copies / str(number))
        indexes.add(index_in(data_dir / "member" / "snap"))
        async with open_node(config_of(data_dir)) as node:
            assert await state_of(node, crash_tools.hash_of) == expected
    assert len(indexes) == 8, "the copies were of different moments"


async def test_database_older_than_the_log_is_refused(tmp_path: Path) -> None:
    data_dir, copy = tmp_path / "data", tmp_path / "copy"
    config = config_of(data_dir, snapshot_count=20, max_wals=1)
    async with open_node(config_of(data_dir)) as node:
        await write(node, 10)
        copy_database(data_dir, copy)
    async with open_node(config) as node:
        await write(node, 60)
    kept = tmp_path / "kept"
    copy_database(data_dir, kept)
    restore_database(data_dir, copy)
    with pytest.raises(
        CorruptData, match=r"the backend ends at log index \d+, but the log in .* begins at \d+"
    ):
        await enter(config)
    restore_database(data_dir, kept)
    async with open_node(config) as node:
        assert node.context.store.revision > 60


async def enter(config: Config) -> None:
    async with open_node(config):
        pytest.fail("it must not start")


async def test_log_older_than_the_database_is_refused(tmp_path: Path) -> None:
    data_dir, copy = tmp_path / "data", tmp_path / "copy"
    config = config_of(data_dir)
    async with open_node(config) as node:
        await write(node, 10)
    shutil.copytree(data_dir / "member" / "wal", copy)
    async with open_node(config) as node:
        await write(node, 10)
    shutil.rmtree(data_dir / "member" / "wal")
    shutil.copytree(copy, data_dir / "member" / "wal")
    with pytest.raises(
        CorruptData, match=r"the backend is at log index \d+, but the log in .* ends at \d+"
    ):
        await enter(config)


async def test_graceful_stop_leaves_nothing_to_read_back(tmp_path: Path) -> None:
    """The backend has everything then: the next start is as quick as it can be."""
    config = config_of(tmp_path)
    async with open_node(config) as node:
        await write(node, 10)
        last = node.applier.applied_index
    async with open_node(config) as node:
        index = consistent_index(node)
        assert index is not None
        assert int.from_bytes(index, "big") >= last


async def test_maintenance_under_load(tmp_path: Path, crash_tools: Any) -> None:
    """Defragmenting, hashing, backups, compactions and snapshots of the log at once, and nobody fails."""
    config = config_of(tmp_path, snapshot_count=20, max_wals=1)
    async with open_node(config) as node:
        async with trio.open_nursery() as nursery:

            async def again_and_again(method: str, request: Any) -> None:
                while True:
                    await node.local.call(method, request)
                    await trio.lowlevel.checkpoint()

            async def back_up() -> None:
                while True:
                    async with node.local.stream("Maintenance/Snapshot") as stream:
                        await stream.send(SnapshotRequest())
                        async for _ in stream:
                            pass

            nursery.start_soon(again_and_again, "Maintenance/Defragment", DefragmentRequest())
            nursery.start_soon(again_and_again, "Maintenance/HashKV", HashKVRequest())
            nursery.start_soon(again_and_again, "Maintenance/Hash", HashRequest())
            nursery.start_soon(back_up)
            for _ in range(8):
                await write(node, 20)
                revision = node.context.store.revision
                await node.local.call("KV/Compact", CompactionRequest(revision=revision))
            nursery.cancel_scope.cancel()
        expected = await state_of(node, crash_tools.hash_of)
    async with open_node(config) as node:
        assert await state_of(node, crash_tools.hash_of) == expected


@pytest.mark.parametrize("power_lost", [False, True])
async def test_revision_stays_after_a_compaction_of_everything(
    machine_of: Machines, crash_tools: Any, power_lost: bool
) -> None:
    """Every key is deleted and swept away; no revision is given a second time."""
    for operation in range(1, 40):
        machine = machine_of(operation)
        await crash_tools.until_dark(machine, compact_all(machine, operation))
        machine.restart(power_lost=power_lost)
        async with open_node(machine.config(), world=machine.world()) as node:
            revision = node.context.store.revision
            assert revision >= 12
            assert node.context.store.compact_revision == 12
            assert (await node.local.put(b"a", b"")).header.revision == revision + 1
            await node.local.delete(b"z")
            last = (await node.local.delete(b"a")).header.revision
            await node.local.call("KV/Compact", CompactionRequest(revision=last, physical=True))
            rows = node.opened.backend.range("key", b"", None)
            assert len(rows) == 1, "a watch from the compact revision shows the delete"
        machine.restart(power_lost=power_lost)
        async with open_node(machine.config(), world=machine.world()) as node:
            assert node.context.store.revision == last


def compact_all(machine: Any, operation: int) -> Callable[[Node], Any]:
    async def work(node: Node) -> None:
        for number in range(10):
            await node.local.put(b"%d" % number, b"")
        await node.local.delete(b"\0", b"\0")
        await node.local.call("KV/Compact", CompactionRequest(revision=12))
        machine.dies_at = machine.operations + operation
        while machine.operations < machine.dies_at:
            await node.local.put(b"z", b"")
            await node.local.delete(b"z")

    return work
