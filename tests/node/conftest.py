"""A machine that loses power at a chosen operation, a ledger of what its clients were told, and a load.

`Machine` has a simulated disk for the log and `PlatterEngine` for the backend: an engine that keeps every
state since its last `sync`, any of which a loss of power may leave. So all orders in which two disks may forget
are tried, in milliseconds.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Self

import attrs
import pytest
import trio

from triode.actors.errors import TreeFailed
from triode.actors.node import Node, open_node
from triode.actors.world import RealClock, TcpNetwork, World
from triode.backends.contract import Batch, EngineOptions
from triode.backends.lock import Lock
from triode.backends.mirror import ModelEngine
from triode.config import Config
from triode.mvcc.keyvalue import value_of
from triode.raft.simulated_disk import SimulatedDisk
from triode.rpc.pb.rpc_pb2 import (
    CompactionRequest,
    DeleteRangeRequest,
    HashKVRequest,
    LeaseGrantRequest,
    PutRequest,
    RequestOp,
    TxnRequest,
)

SEGMENT_BYTES = 2048
Changes = dict[bytes, "bytes | None"]


class PowerLoss(Exception):
    """The machine is without power: nothing that it does has an effect any more."""


class NoLock(Lock):
    """Held by whoever asks: its file would be on the real disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1


class NoLocks:
    """A machine of this test has one node at a time."""

    def directory(self, path: Path) -> Lock:
        return NoLock(path)

    def file(self, path: Path) -> Lock:
        return NoLock(path)


class Machine:
    """A computer with two disks. `dies_at` is the operation (counted from 1) at which it goes dark."""

    def __init__(self, data_dir: Path, seed: int) -> None:
        self.data_dir = data_dir
        self.random = Random(seed)
        self.disk = SimulatedDisk(choose=self.random.randrange)
        self.disk.before = self.operation
        self.states: list[dict[str, dict[bytes, bytes]]] = [{}]
        self.operations = 0
        self.dies_at: int | None = None
        self.dark = False
        self.log: list[str] = []
        self.fault: Callable[[str, Path], None] = lambda _operation, _path: None

    def operation(self, name: str, path: Path) -> None:
        """Something is about to be done to a disk."""
        self.operations += 1
        self.dark = self.dark or self.operations == self.dies_at
        if self.dark:
            raise PowerLoss(f"operation {self.operations}: {name} {path}")
        self.log.append(f"{name} {path.name}")
        self.fault(name, path)

    def restart(self, *, power_lost: bool) -> None:
        """After a loss of power, or after a `kill -9`, which leaves what was written."""
        if power_lost:
            self.disk.crash()
            self.states = [self.states[self.random.randrange(len(self.states))]]
        else:
            self.disk.end_process()
        self.dark = False
        self.dies_at = None
        self.operations = 0

    def world(self) -> World:
        return World(
            RealClock(),
            Random(self.random.random()),
            self.disk,
            TcpNetwork(),
            locks=NoLocks(),
            engine_class=lambda _name: PlatterEngine,
        )

    def config(self, **settings: Any) -> Config:
        return Config(
            data_dir=self.data_dir,
            backend="platter",
            **{
                "listen_client_urls": (),
                "heartbeat_interval": 0.01,
                "election_timeout": 0.1,  # who has lost power before it was a voter waits for it
                "snapshot_count": 7,
                "snapshot_catchup_entries": 3,
                "max_wals": 1,
                "backend_batch_interval": 0.001,
                "compaction_batch_limit": 3,
                "compaction_sleep_interval": 0.0,
                **settings,
            },
        )


class PlatterEngine(ModelEngine):
    """Commits are states of the machine; `sync` makes the newest one the only one."""

    name: ClassVar[str] = "platter"
    durable: ClassVar[bool] = True
    machine: ClassVar[Machine]
    _failed = False

    @classmethod
    def open(cls, path: Path | None = None, options: EngineOptions | None = None) -> Self:
        del path, options
        cls.machine.operation("open", Path("db"))
        return cls(copy.deepcopy(cls.machine.states[-1]))

    def commit(self, batch: Batch) -> None:
        self.machine.operation("commit", Path("db"))
        super().commit(batch)
        self.machine.states.append(copy.deepcopy(self.data))

    def sync(self) -> None:
        newest = self.machine.states[-1]
        self._failed = True
        self.machine.operation("sync", Path("db"))
        self._failed = False
        states = self.machine.states
        del states[: next(i for i, state in enumerate(states) if state is newest)]

    def defragment(self) -> None:
        self.machine.operation("defragment", Path("db"))

    def close(self) -> None:
        if not (self.machine.dark or self._failed):
            self.sync()


@attrs.define
class Ledger:
    """What clients asked for and were told, and whether a store agrees."""

    told: dict[int, Changes] = attrs.Factory(dict)
    untold: list[Changes] = attrs.Factory(list)
    leases: set[int] = attrs.Factory(set)
    compacted: int = -1
    revision: int = 1

    def saw(self, revision: int, changes: Changes) -> None:
        assert revision not in self.told, "a revision is given once"
        assert revision > max(
            (r for r, c in self.told.items() if c.keys() & changes.keys()), default=0
        )
        self.told[revision] = changes
        self.revision = max(self.revision, revision)

    def check(self, node: Node) -> None:
        """Every write that was told is there as it was told; others are there as a whole or not."""
        store = node.context.store
        assert store.revision >= self.revision, "revisions never go back"
        assert store.compact_revision >= self.compacted
        self.compacted = store.compact_revision
        assert all(node.context.lessor.exists(lease) for lease in self.leases)
        start = max(store.compact_revision + 1, 2)
        found: dict[int, Changes] = {}
        for event in store.history(start, 1 << 30).events:
            value = None if event.kind else value_of(event.kv)
            found.setdefault(event.mod_revision, {})[event.key] = value
        assert sorted(found) == list(range(start, store.revision + 1)), "no revision is left out"
        untold = [dict(changes) for changes in self.untold]
        for revision, changes in found.items():
            if revision in self.told:
                assert changes == self.told[revision], f"revision {revision} is as it was told"
            else:
                assert changes in untold, f"revision {revision} was asked for as it is"
                untold.remove(changes)
                self.saw(revision, changes)
        self.untold = []
        self._check_present(store)

    def _check_present(self, store: Any) -> None:
        present: dict[bytes, bytes | None] = {}
        for _, changes in sorted(self.told.items()):
            present.update(changes)
        for key, value in present.items():
            entry = store.index.keys.get(key)
            there = entry is not None and entry.version > 0
            assert there == (value is not None), key
            if entry is not None and there:
                assert value_of(store.load(entry, entry.modified)) == value


class Load:
    """Clients that write to keys of their own, each one thing after the other."""

    def __init__(self, seed: int, ledger: Ledger) -> None:
        self.random = Random(seed)
        self.ledger = ledger
        self.written = 0

    async def run(self, node: Node, *, clients: int = 3, writes: int = 14) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(clients):
                nursery.start_soon(self.client, node, b"%d" % number, writes)

    async def client(self, node: Node, name: bytes, writes: int) -> None:
        mine = sorted(k for c in self.ledger.told.values() for k in c if k.startswith(name))
        for _ in range(writes):
            self.written += 1
            value = b"%s-%d" % (name, self.written)
            kind = self.random.randrange(10)
            if kind == 0 and mine:
                key = self.random.choice(mine)
                await self.write(node, "KV/DeleteRange", DeleteRangeRequest(key=key), {key: None})
            elif kind == 1:
                await self.grant(node)
            elif kind == 2 and name == b"0" and self.ledger.revision > 4:
                await self.compact(node, self.ledger.revision - self.random.randrange(3))
            elif kind < 6:
                keys = [b"%s/%d" % (name, self.random.randrange(4)) for _ in range(3)]
                changes: Changes = dict.fromkeys(keys, value)
                await self.write(node, "KV/Txn", _txn(changes), changes)
                mine += changes
            else:
                key = b"%s/%d" % (name, self.random.randrange(4))
                await self.write(node, "KV/Put", PutRequest(key=key, value=value), {key: value})
                mine.append(key)

    async def write(self, node: Node, method: str, request: Any, changes: Changes) -> None:
        self.ledger.untold.append(changes)
        before = self.ledger.revision
        response = await node.local.call(method, request)
        self.ledger.untold.remove(changes)
        revision = response.header.revision
        if getattr(response, "deleted", 1):
            assert revision > before, "an answer is newer than what was answered before the request"
            self.ledger.saw(revision, changes)

    async def grant(self, node: Node) -> None:
        lease = self.random.randrange(1, 1 << 40)
        await node.local.call("Lease/LeaseGrant", LeaseGrantRequest(ID=lease, TTL=5000))
        self.ledger.leases.add(lease)

    async def compact(self, node: Node, revision: int) -> None:
        if revision > self.ledger.compacted:
            await node.local.call("KV/Compact", CompactionRequest(revision=revision))
            self.ledger.compacted = revision


def _txn(changes: Changes) -> TxnRequest:
    puts = [
        RequestOp(request_put=PutRequest(key=key, value=value)) for key, value in changes.items()
    ]
    return TxnRequest(success=puts)


async def until_dark(machine: Machine, work: Callable[[Node], Any], **settings: Any) -> bool:
    """Run a node and `work` with it; whether the machine went dark on the way."""
    try:
        async with open_node(machine.config(**settings), world=machine.world()) as node:
            await work(node)
    except (PowerLoss, TreeFailed, BaseExceptionGroup):
        if not machine.dark:
            raise
    return machine.dark


async def hash_of(node: Node, revision: int = 0) -> tuple[int, int, int]:
    """(hash, compact revision, revision)."""
    found = await node.local.call("Maintenance/HashKV", HashKVRequest(revision=revision))
    return found.hash, found.compact_revision, found.header.revision


@pytest.fixture
def machine_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Machine]:
    """Make the machine of a test: its WAL has segments of 2 KiB, so that they are cut and purged."""
    monkeypatch.setattr("triode.actors.storage.SEGMENT_BYTES", SEGMENT_BYTES)

    def make(seed: int) -> Machine:
        PlatterEngine.machine = Machine(tmp_path / f"machine-{seed}", seed)
        return PlatterEngine.machine

    return make


@pytest.fixture
def crash_tools() -> Any:
    """The parts above, for tests: modules of tests do not import each other."""

    class Tools:
        machine = Machine
        ledger = Ledger
        load = Load
        until_dark = staticmethod(until_dark)
        hash_of = staticmethod(hash_of)
        power_loss = PowerLoss

    return Tools
