"""Nodes are objects: many in one program, and nothing of one is left when it is gone."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import attrs
import pytest
import trio

from triode.actors.node import Node, open_node
from triode.actors.world import World
from triode.config import Config
from triode.errors import AddressInUse, DataDirLocked, NodeError, StorageError
from triode.raft.disk import DiskFile, RealDisk
from triode.rpc.pb.rpc_pb2 import DefragmentRequest, SnapshotRequest

TIMES = 50
THREADS_MAX = 4  # trio keeps idle workers for ten seconds


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading 64 MB of zeros at each start takes a while."""
    monkeypatch.setattr("triode.actors.storage.SEGMENT_BYTES", 65536)


def descriptors() -> dict[int, str]:
    """What this process has open."""
    found = {}
    for link in Path("/proc/self/fd").iterdir():
        try:
            found[int(link.name)] = str(link.readlink())
        except FileNotFoundError:
            continue  # that of the listing itself
    return found


def tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


def config_of(folder: Path, backend: str, *, listen: bool = True) -> Config:
    urls = ("http://127.0.0.1:0",) if listen else ()
    return Config(
        data_dir=folder, backend=backend, listen_client_urls=urls, snapshot_count=5, max_wals=1
    )


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
async def test_starts_and_stops_leave_nothing(tmp_path: Path, backend: str) -> None:
    """Fifty lives of a member: no task, thread, file or socket is left, and no key is lost."""
    config = config_of(tmp_path / "data", backend)
    for turn in range(TIMES):
        async with open_node(config) as node:
            await node.local.put(b"%d" % turn, b"")
            revision = (await node.local.get(b"0")).header.revision
            assert revision == (2 if backend == "memory" else 2 + turn)
            stream = await trio.open_tcp_stream("127.0.0.1", node.clients.ports[0])
            await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            await stream.aclose()
        if turn == 2:
            gc.collect()
            before = descriptors(), tasks()
    gc.collect()
    assert sorted(descriptors()) == sorted(before[0])
    assert tasks() == before[1]
    assert threading.active_count() <= THREADS_MAX


async def test_several_nodes_in_one_program(tmp_path: Path) -> None:
    """They share nothing: each has keys, revisions and ports of its own."""
    async with trio.open_nursery() as nursery:
        done = trio.Event()

        async def run(number: int, task_status: trio.TaskStatus[Node]) -> None:
            backend = "sqlite" if number % 2 else "memory"
            async with open_node(config_of(tmp_path / str(number), backend)) as node:
                for _ in range(number + 1):
                    await node.local.put(b"%d" % number, b"")
                task_status.started(node)
                await done.wait()

        started: list[Node] = [await nursery.start(run, number) for number in range(6)]
        revisions = []
        for node in started:
            found = await node.local.get(b"\0", b"\0")
            assert len(found.kvs) == 1
            revisions.append(found.header.revision)
        assert sorted(revisions) == [2, 3, 4, 5, 6, 7]
        assert len({port for node in started for port in node.clients.ports}) == 6
        done.set()


async def test_one_data_directory_one_node(tmp_path: Path) -> None:
    config = config_of(tmp_path, "sqlite")
    async with open_node(config) as node:
        await node.local.put(b"a", b"")
        with pytest.raises(DataDirLocked, match=str(tmp_path)):
            await enter(config)
        await node.local.put(b"b", b"")


async def test_one_log_one_node(tmp_path: Path) -> None:
    """Two members whose `wal-dir` is the same by mistake would write into one log."""
    config = attrs.evolve(config_of(tmp_path / "a", "sqlite"), wal_dir=tmp_path / "fast" / "wal")
    async with open_node(config) as node:
        await node.local.put(b"a", b"")
        with pytest.raises(DataDirLocked, match=str(tmp_path / "fast" / "wal")):
            await enter(attrs.evolve(config, data_dir=tmp_path / "b"))
    async with open_node(config) as node:
        assert (await node.local.get(b"a")).count == 1


async def enter(config: Config) -> None:
    async with open_node(config):
        pytest.fail("it must not start")


async def test_abandoned_snapshots_leave_nothing(tmp_path: Path) -> None:
    """A client that goes away in the middle of a backup."""
    gc.collect()
    before = descriptors()
    async with open_node(config_of(tmp_path, "sqlite")) as node:
        for number in range(100):
            await node.local.put(b"%d" % number, bytes(20_000))
        for _ in range(5):
            async with node.local.stream("Maintenance/Snapshot") as stream:
                await stream.send(SnapshotRequest())
                assert (await stream.receive()).blob
            await node.local.put(b"a", b"")
        await node.local.call("Maintenance/Defragment", DefragmentRequest())
    gc.collect()
    assert sorted(descriptors()) == sorted(before)


class CancelAfter(trio.abc.Instrument):
    """Cancels a scope at the n-th step of any task: between two turns, as a signal would."""

    def __init__(self, steps: int, scope: trio.CancelScope) -> None:
        self.left = steps
        self.scope = scope

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        del task
        self.left -= 1
        if self.left == 0:
            self.scope.cancel()


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
async def test_cancelled_start_leaves_nothing(tmp_path: Path, backend: str) -> None:
    """Wherever the start is cancelled, all is closed, and the next start finds nothing in its way."""
    config = config_of(tmp_path, backend)
    async with open_node(config):
        pass
    gc.collect()
    before, living = descriptors(), tasks()
    entered = False
    steps = 0
    while not entered:
        steps += 1
        with trio.CancelScope() as scope:
            instrument = CancelAfter(steps, scope)
            trio.lowlevel.add_instrument(instrument)
            try:
                async with open_node(config):
                    entered = True
            finally:
                trio.lowlevel.remove_instrument(instrument)
        assert descriptors() == before
        assert tasks() == living
    assert steps > 20
    async with open_node(config) as node:
        await node.local.put(b"a", b"")


class FailingDisk(RealDisk):
    """Fails at the n-th operation on names and directories; files themselves are as they are."""

    def __init__(self, fails_at: int) -> None:
        super().__init__()
        self.left = fails_at

    def _count(self, path: Path) -> None:
        self.left -= 1
        if self.left == 0:
            raise StorageError(f"cannot use {path}: Input/output error")

    def open(self, path: Path, *, create: bool = False) -> DiskFile:
        self._count(path)
        return super().open(path, create=create)

    def read(self, path: Path) -> bytes:
        self._count(path)
        return super().read(path)

    def list_dir(self, path: Path) -> list[str]:
        self._count(path)
        return super().list_dir(path)

    def rename(self, old: Path, new: Path) -> None:
        self._count(new)
        super().rename(old, new)

    def fsync_dir(self, path: Path) -> None:
        self._count(path)
        super().fsync_dir(path)


@pytest.mark.parametrize("restart", [False, True])
async def test_failing_disk_at_the_start_leaves_nothing(tmp_path: Path, restart: bool) -> None:
    """Whichever operation fails, for a new member and for an old one."""
    gc.collect()
    before = descriptors()
    failures, entered = 0, False
    while not entered:
        config = config_of(tmp_path / ("data" if restart else f"data-{failures}"), "sqlite")
        if restart and not failures:
            async with open_node(config) as node:
                await node.local.put(b"a", b"")
        disk = FailingDisk(failures + 1)
        world = attrs.evolve(World.real(), disk=disk)
        with suppress(NodeError):
            async with open_node(config, world=world):
                entered = True
        failures += not entered
        assert sorted(descriptors()) == sorted(before)
    assert failures >= 4


@pytest.mark.parametrize("wrong", ["port", "wal", "database", "directory"])
async def test_failed_start_leaves_nothing(tmp_path: Path, wrong: str) -> None:
    """A start that fails half-way closes what it had opened, and works when the reason is gone."""
    config = config_of(tmp_path / "data", "sqlite")
    async with open_node(config) as node:
        await node.local.put(b"a", b"")
    gc.collect()
    before = descriptors()
    undo = BREAK[wrong](tmp_path / "data")
    if wrong == "port":
        other = open_node(config_of(tmp_path / "other", "memory"))
        node = await other.__aenter__()
        url = f"http://127.0.0.1:{node.clients.ports[0]}"
        with pytest.raises(AddressInUse, match=str(node.clients.ports[0])):
            await enter(Config(data_dir=tmp_path / "data", listen_client_urls=(url,)))
        await other.__aexit__(None, None, None)
    else:
        with pytest.raises(NodeError, match=str(tmp_path / "data")):
            await enter(config)
    gc.collect()
    assert sorted(descriptors()) == sorted(before)
    undo()
    async with open_node(config) as node:
        assert (await node.local.get(b"a")).count == 1


def _nothing(_data: Path) -> Callable[[], object]:
    return lambda: None


def _swap(name: str, content: bytes) -> Callable[[Path], Callable[[], object]]:
    """Put a wrong file in the place of the newest one that has that name."""

    def swap(data: Path) -> Callable[[], object]:
        path = max(data.rglob(name))
        good = path.read_bytes()
        path.write_bytes(content)
        return lambda: path.write_bytes(good)

    return swap


def _file_as_directory(data: Path) -> Callable[[], object]:
    wal, aside = data / "member" / "wal", data / "aside"
    wal.rename(aside)
    wal.write_bytes(b"a file")

    def undo() -> None:
        wal.unlink()
        aside.rename(wal)

    return undo


BREAK: dict[str, Callable[[Path], Callable[[], object]]] = {
    "port": _nothing,
    "wal": _swap("*.wal", b"\x01" * 4096),
    "database": _swap("db.sqlite", b"no database" * 1000),
    "directory": _file_as_directory,
}
