"""The versions that a member's data bear: of the cluster, and of the backend's schema."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from triode.actors.membership import Membership
from triode.actors.node import Node, open_node
from triode.backends.bbolt_image import image
from triode.backends.buffer import Backend
from triode.backends.contract import EngineOptions
from triode.backends.memory import MemoryEngine
from triode.backends.sqlite import SqliteEngine
from triode.config import Config
from triode.errors import JoinRefused
from triode.rpc.pb.rpc_pb2 import StatusRequest
from triode.version import CLUSTER_VERSION, STORAGE_VERSION


def config_of(data_dir: Path, **settings: Any) -> Config:
    return Config(data_dir=data_dir, listen_client_urls=(), **settings)


def stored(node: Node) -> bytes | None:
    return node.opened.backend.get("meta", b"storageVersion")


async def told(node: Node) -> tuple[str, str]:
    status = await node.local.call("Maintenance/Status", StatusRequest())
    reply = await node.pages.answer("GET", "/version")
    assert reply is not None
    return status.storageVersion, reply.body.decode()


def change(data_dir: Path, bucket: str, key: bytes, value: bytes) -> None:
    """Behind the back of a member that is down."""
    path = data_dir / "member" / "snap" / "db.sqlite"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f'INSERT OR REPLACE INTO "{bucket}" (k, v) VALUES (?, ?)', (key, value))


async def test_a_new_member_marks_its_schema(tmp_path: Path) -> None:
    for _ in range(2):
        async with open_node(config_of(tmp_path)) as node:
            assert stored(node) == STORAGE_VERSION.encode()
            version, page = await told(node)
            assert version == STORAGE_VERSION
            assert f'"storage":"{STORAGE_VERSION}"' in page


@pytest.mark.parametrize(
    ("cluster", "mark"),
    [
        (None, None),
        ("3.0.0", None),
        ("3.5.0", None),
        ("3.6.0", b"3.6.0"),
        ("9.9.0", STORAGE_VERSION.encode()),
    ],
)
@pytest.mark.parametrize("before", [None, b"3.6.0", b"3.9.0"])
def test_the_mark_follows_the_cluster(
    cluster: str | None, mark: bytes | None, before: bytes | None
) -> None:
    backend = Backend(MemoryEngine.open(None, EngineOptions()))
    if before is not None:
        backend.put("meta", b"storageVersion", before)
    membership = Membership(backend, 1)
    if cluster is not None:
        membership.set_version(cluster)
    membership.follow_version()
    assert backend.get("meta", b"storageVersion") == mark
    assert membership.storage_version == (mark.decode() if mark else "3.5.0")


async def test_data_of_a_newer_cluster_are_not_served(tmp_path: Path) -> None:
    """An older server may not know what a newer one has written."""
    async with open_node(config_of(tmp_path)) as node:
        await node.local.put(b"k", b"v")
    change(tmp_path, "cluster", b"clusterVersion", b"3.99.0")
    with pytest.raises(
        JoinRefused, match="server version is lower than determined cluster version"
    ):
        async with open_node(config_of(tmp_path)):
            pytest.fail("it must not serve")
    change(tmp_path, "cluster", b"clusterVersion", CLUSTER_VERSION.encode())
    async with open_node(config_of(tmp_path)) as node:
        assert (await node.local.get(b"k")).count == 1


def restore(old: Path, new: Path, scratch: Path) -> None:
    """Make a snapshot of a member that is down, and restore it into a new directory."""
    snapshot = scratch / "snapshot.db"
    engine = SqliteEngine.open(old / "member" / "snap" / "db.sqlite", EngineOptions())
    with engine.snapshot() as view:
        _, chunks = image(view)
        snapshot.write_bytes(b"".join(chunks))
    engine.close()
    words = [sys.executable, "-m", "triode.cli.utl", "snapshot", "restore", str(snapshot)]
    words += ["--data-dir", str(new), "--skip-hash-check"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "newer cluster" in done.stderr


async def test_a_snapshot_of_a_newer_cluster_is_restored_as_one_of_this_version(
    tmp_path: Path,
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    async with open_node(config_of(old)) as node:
        await node.local.put(b"k", b"v")
    for key, value in (
        (b"clusterVersion", b"3.99.0"),
        (b"downgrade", b'{"target-version":"3.98.0","enabled":true}'),
    ):
        change(old, "cluster", key, value)
    change(old, "meta", b"storageVersion", b"3.99.0")
    restore(old, new, tmp_path)
    async with open_node(config_of(new)) as node:
        assert (await node.local.get(b"k")).count == 1
        assert node.membership.version == CLUSTER_VERSION
        assert node.membership.downgrade == (False, "")
        assert (await told(node))[0] == STORAGE_VERSION
