"""Reads of the backend that fail: the member ends, comes back, and has nothing by halves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import trio
import trio.testing

import triode.testing
from triode.errors import CorruptData, EtcdError, StorageError
from triode.rpc.pb.rpc_pb2 import (
    HashKVRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from triode.testing import Machine
from triode.testing.faults.backends import failing_reads, forget_values

ENGINES = pytest.mark.parametrize("sqlite", [False, True], ids=["simulated", "sqlite"])


def failing(*operations: str) -> Callable[[str, Path], None]:
    def fault(operation: str, path: Path) -> None:
        if operation in operations:
            raise CorruptData(f"{path}: a page is malformed")

    return fault


async def break_reads(machine: Machine, *operations: str) -> None:
    """From now on such reads fail, and there are some."""
    assert machine.node is not None
    await trio.sleep(1.0)  # what is buffered is not read
    forget_values(machine.node.store)
    machine.read_fault = failing(*operations)


async def end_and_come_back(cluster: triode.testing.Cluster, machine: Machine) -> None:
    with trio.fail_after(5.0):
        await machine.wait_down()
    assert "a page is malformed" in repr(machine.failure)
    machine.disarm()
    await cluster.restart(machine)
    await cluster.leader()


@ENGINES
async def test_a_clients_read(autojump_clock: trio.testing.MockClock, sqlite: bool) -> None:
    async with triode.testing.cluster(1, sqlite=sqlite) as cluster:
        machine, client = cluster.machine(1), cluster.client()
        await client.put(b"key", b"value")
        await break_reads(machine, "get", "get_many")
        with pytest.raises(EtcdError):
            await client.get(b"key")
        await end_and_come_back(cluster, machine)
        assert (await client.get(b"key")).kvs[0].value == b"value"


@ENGINES
async def test_a_hash(autojump_clock: trio.testing.MockClock, sqlite: bool) -> None:
    """Which reads a view, on a thread."""
    async with triode.testing.cluster(1, sqlite=sqlite) as cluster:
        machine, client = cluster.machine(1), cluster.client()
        await client.put(b"key", b"value")
        await break_reads(machine, "view")
        with pytest.raises(EtcdError):
            await client.call("Maintenance/HashKV", HashKVRequest())
        await end_and_come_back(cluster, machine)
        assert (await client.call("Maintenance/HashKV", HashKVRequest())).hash


@ENGINES
async def test_the_middle_of_a_txn(autojump_clock: trio.testing.MockClock, sqlite: bool) -> None:
    """The entry is in the log: the next start executes it, as a whole."""
    async with triode.testing.cluster(1, sqlite=sqlite) as cluster:
        machine, client = cluster.machine(1), cluster.client()
        await client.put(b"old", b"value")
        await break_reads(machine, "get", "get_many")
        txn = TxnRequest(
            success=[
                RequestOp(request_put=PutRequest(key=b"one", value=b"1")),
                RequestOp(request_range=RangeRequest(key=b"old")),
                RequestOp(request_put=PutRequest(key=b"two", value=b"2")),
            ]
        )
        with pytest.raises(EtcdError):
            await client.call("KV/Txn", txn)
        await end_and_come_back(cluster, machine)
        found = (await client.get(b"\0", b"\0")).kvs
        assert [(kv.key, kv.mod_revision) for kv in found] == [
            (b"old", 2),
            (b"one", 3),
            (b"two", 3),
        ]


@ENGINES
@pytest.mark.parametrize("bucket", [1, 4, 7])
async def test_the_middle_of_an_install(
    autojump_clock: trio.testing.MockClock, sqlite: bool, bucket: int
) -> None:
    """The member ends, with its old state or the new; a start finishes it, unless it fails again."""
    async with triode.testing.cluster(
        sqlite=sqlite, snapshot_count=5, snapshot_catchup_entries=1
    ) as cluster:
        leader = await cluster.leader()
        behind = next(one for one in cluster.machines.values() if one is not leader)
        await cluster.kill(behind)
        for number in range(40):
            await cluster.client(leader).put(b"%d" % number, b"")
        reads = 0

        def fault(operation: str, path: Path) -> None:
            nonlocal reads
            if operation == "replace":
                reads += 1
                if reads % bucket == 0:
                    raise StorageError(f"cannot read {path}: Input/output error")

        behind.read_fault = fault
        for _ in range(2):  # as it arrives, and at the next start
            cluster.start(behind)
            with trio.fail_after(10.0):
                await behind.wait_down()
            assert "Input/output error" in repr(behind.failure)
        behind.disarm()
        await cluster.restart(behind)
        await trio.sleep(5.0)
        hashes = {
            (await cluster.client(one).call("Maintenance/HashKV", HashKVRequest())).hash
            for one in cluster.machines.values()
        }
        assert len(hashes) == 1


def test_faults_come_once_or_last() -> None:
    def times(seed: int) -> int:
        fault = failing_reads(("get",), Random(seed), reads_max=3)
        raised = 0
        for operation in ("view", "get", "get", "range", "get", "get", "get", "get"):
            try:
                fault(operation, Path("/db"))
            except StorageError:
                raised += 1
        return raised

    found = [times(seed) for seed in range(40)]
    assert min(found) == 1
    assert max(found) > 3
