"""A disk that is full, a disk that fails, and a member that cannot follow the log."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from triode.actors.errors import ActorFailed, TreeFailed
from triode.actors.node import Node, open_node
from triode.actors.proposals import TXN
from triode.errors import CorruptData, DiskFull, EtcdError, NoSpace, RequestTimeout, StorageError
from triode.rpc.pb.rpc_pb2 import (
    DefragmentRequest,
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    PutRequest,
    RequestOp,
    SnapshotRequest,
    TxnRequest,
)

Machines = Callable[[int], Any]


async def write_until_refused(node: Node, ledger: Any, clients: int = 4) -> list[EtcdError]:
    """Put from several tasks, each until it is refused; returns the refusals."""
    refusals: list[EtcdError] = []

    async def client(name: bytes) -> None:
        for number in range(1000):
            changes = {b"%s/%d" % (name, number % 5): b"%d" % number + bytes(40)}
            ((key, value),) = changes.items()
            ledger.untold.append(changes)
            try:
                response = await node.local.put(key, value)
            except EtcdError as error:
                refusals.append(error)
                return
            ledger.untold.remove(changes)
            ledger.saw(response.header.revision, changes)

    async with trio.open_nursery() as nursery:
        for number in range(clients):
            nursery.start_soon(client, b"%d" % number)
    return refusals


async def check_only_writes_are_refused(node: Node, lease: int) -> None:
    revision = node.context.store.revision
    for _ in range(2):
        with pytest.raises(NoSpace, match="etcdserver: mvcc: database space exceeded"):
            await node.local.put(b"more", b"")
    assert (await node.local.get(b"0/0")).kvs
    assert (await node.local.get(b"0/0", serializable=True)).kvs
    async with node.local.watch(b"0", b"1", start_revision=1) as responses:
        seen = 0
        async for response in responses:
            seen += len(response.events)
            if response.header.revision >= revision and seen:
                break
    await ask_for_a_snapshot(node)
    async with node.local.stream("Lease/LeaseKeepAlive") as stream:
        await stream.send(LeaseKeepAliveRequest(ID=lease))
        assert (await stream.receive()).TTL == 500
    assert node.context.store.revision == revision


async def ask_for_a_snapshot(node: Node) -> None:
    """What operators do when a disk is full; it needs a commit, so it may be refused, but no more."""
    async with node.local.stream("Maintenance/Snapshot") as stream:
        await stream.send(SnapshotRequest())
        with suppress(NoSpace):
            async for _ in stream:
                pass


async def check_after_restart(tools: Any, machine: Any, ledger: Any) -> None:
    """Everything that was acknowledged is there, and there is space for more."""
    machine.disk.capacity_bytes = None
    machine.fault = lambda _operation, _path: None
    machine.restart(power_lost=False)
    async with open_node(machine.config(), world=machine.world()) as node:
        ledger.check(node)
        await node.local.put(b"more", b"")


@pytest.mark.parametrize("spare_bytes", [0, 100, 4096, 6000, 9000])
async def test_log_full(
    machine_of: Machines, crash_tools: Any, spare_bytes: int, caplog: pytest.LogCaptureFixture
) -> None:
    """At a new segment or in the middle of a write: writes are refused, all else goes on."""
    machine, ledger = machine_of(1), crash_tools.ledger()
    with trio.fail_after(4):  # less than the time after which a request is given up
        async with open_node(machine.config(max_wals=0), world=machine.world()) as node:
            await fill_log(machine, node, ledger, spare_bytes)
    assert "the disk is full: writes are refused" in caplog.text
    await check_after_restart(crash_tools, machine, ledger)


async def fill_log(machine: Any, node: Node, ledger: Any, spare_bytes: int) -> None:
    lease = (await node.local.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=500))).ID
    await node.local.put(b"0/0", b"")
    ledger.saw(2, {b"0/0": b""})
    async with node.local.watch(b"0", b"1") as responses:
        machine.disk.capacity_bytes = machine.disk.used_bytes + spare_bytes
        refusals = await write_until_refused(node, ledger)
        assert {type(error) for error in refusals} <= {NoSpace, RequestTimeout}
        await check_only_writes_are_refused(node, lease)
        if len(ledger.told) > 1:
            assert (await anext(responses)).events


@pytest.mark.parametrize("operation", ["commit", "sync"])
async def test_backend_full(
    machine_of: Machines, crash_tools: Any, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What is in the log already is executed and answered; the next start gives it to the backend."""
    machine, ledger = machine_of(1), crash_tools.ledger()
    async with open_node(machine.config(), world=machine.world()) as node:
        lease = (await node.local.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=500))).ID
        await node.local.put(b"0/0", b"")
        ledger.saw(2, {b"0/0": b""})

        def fault(name: str, path: Path) -> None:
            if (name, path.name) == (operation, "db"):
                raise DiskFull(f"{path}: database or disk is full")

        machine.fault = fault
        refusals = await write_until_refused(node, ledger)
        assert {type(error) for error in refusals} == {NoSpace}, "a refusal means: it never happens"
        ledger.untold.clear()
        await check_only_writes_are_refused(node, lease)
    assert "the disk is full: writes are refused" in caplog.text
    await check_after_restart(crash_tools, machine, ledger)


async def test_no_space_to_defragment(machine_of: Machines) -> None:
    """The caller is told; everything goes on as before."""
    machine = machine_of(1)
    async with open_node(machine.config(), world=machine.world()) as node:

        def fault(name: str, path: Path) -> None:
            if name == "defragment":
                raise DiskFull(f"{path}: database or disk is full")

        machine.fault = fault
        with pytest.raises(NoSpace):
            await node.local.call("Maintenance/Defragment", DefragmentRequest())
        await node.local.put(b"a", b"")


async def test_full_disk_at_start(machine_of: Machines, crash_tools: Any) -> None:
    """A member that cannot write its own election does not start, and says which file it is."""
    machine = machine_of(1)
    async with open_node(machine.config(), world=machine.world()) as node:
        await node.local.put(b"a", b"")

    writes = 0

    def fault(name: str, path: Path) -> None:
        nonlocal writes
        writes += name == "write to"
        if (
            name == "write to" and writes > 1
        ):  # the first write takes no space: it is of what is there
            raise DiskFull(f"cannot write to {path}: No space left on device")

    machine.fault = fault
    with trio.fail_after(10), pytest.raises(TreeFailed) as caught:
        async with open_node(machine.config(), world=machine.world()):
            pytest.fail("it must not serve")
    assert isinstance(caught.value.__cause__, DiskFull)
    assert ".wal" in str(caught.value.__cause__)
    machine.fault = lambda _operation, _path: None
    async with open_node(machine.config(), world=machine.world()) as node:
        assert (await node.local.get(b"a")).count == 1


@pytest.mark.parametrize("operation", ["fdatasync", "write to", "sync", "commit"])
async def test_failed_write_or_sync_ends_the_node(
    machine_of: Machines, crash_tools: Any, operation: str
) -> None:
    """Nothing is tried again, nobody is told that it worked, and the error names the file."""
    machine, ledger = machine_of(1), crash_tools.ledger()
    failed: list[tuple[str, str]] = []

    def fault(name: str, path: Path) -> None:
        assert (name, path.name) not in failed, "a failed operation is not tried again"
        if name == operation and (path.name == "db") == (name in ("sync", "commit")):
            failed.append((name, path.name))
            raise StorageError(f"cannot {name} {path}: Input/output error")

    async def run() -> None:
        async with open_node(machine.config(), world=machine.world()) as node:
            await crash_tools.load(1, ledger).run(node, writes=3)
            machine.fault = fault
            await crash_tools.load(2, ledger).run(node, writes=1000)

    with trio.fail_after(10), pytest.raises(ActorFailed) as caught:
        await run()
    assert len(failed) == 1
    assert isinstance(caught.value.__cause__, StorageError)
    assert "Input/output error" in str(caught.value.__cause__)
    assert failed[0][1] in str(caught.value.__cause__)
    machine.fault = lambda _operation, _path: None
    machine.restart(power_lost=True)
    async with open_node(machine.config(), world=machine.world()) as node:
        ledger.check(node)


async def test_damage_found_by_a_read_ends_the_node(
    machine_of: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call fails, and then the node: what else it has may be wrong as well."""
    machine = machine_of(1)

    async def run() -> None:
        async with open_node(machine.config(), world=machine.world()) as node:
            await node.local.put(b"a", b"1")
            await node.local.put(b"a", b"2")
            node.applier.commit()

            def damaged(*_: object) -> None:
                raise CorruptData("db: database disk image is malformed")

            for name in ("get", "get_many"):
                monkeypatch.setattr(node.opened.backend.engine, name, damaged)
            with pytest.raises(EtcdError, match="internal error"):
                await node.local.get(b"a", revision=2)
            await trio.sleep_forever()

    with trio.fail_after(5), pytest.raises(ActorFailed) as caught:
        await run()
    assert isinstance(caught.value.__cause__, CorruptData)


async def test_failed_disk_during_start_ends_the_start(machine_of: Machines) -> None:
    """The log's writer dies while others wait for an election that will not come."""
    machine = machine_of(1)

    def fault(name: str, path: Path) -> None:
        if name == "fdatasync" and len(machine.log) > 14:
            raise StorageError(f"cannot sync {path}: Input/output error")

    machine.fault = fault
    with trio.fail_after(10), pytest.raises(ActorFailed, match="Input/output error"):
        async with open_node(machine.config(), world=machine.world()):
            pytest.fail("it must not serve")


async def test_failure_in_the_middle_of_an_entry(machine_of: Machines) -> None:
    """The half that was executed is dropped with the buffer; the next start executes all of it."""
    machine = machine_of(1)
    puts = [RequestOp(request_put=PutRequest(key=key)) for key in (b"a", b"b")]

    async def run() -> None:
        config = machine.config(backend_batch_interval=60.0)
        async with open_node(config, world=machine.world()) as node:
            await node.local.put(b"z", b"")

            def half(request: TxnRequest) -> bytes:
                node.context.store.apply_put(request.success[0].request_put)
                raise RuntimeError("halfway")

            node.executor._active[TXN] = half
            await node.local.txn(TxnRequest(success=puts))

    with pytest.raises(ActorFailed, match="halfway"):
        await run()
    async with open_node(machine.config(), world=machine.world()) as node:
        found = await node.local.get(b"a", b"c")
        assert [(kv.key, kv.mod_revision, kv.version) for kv in found.kvs] == [
            (b"a", 3, 1),
            (b"b", 3, 1),
        ]


async def test_a_log_that_fails_before_anybody_waits_for_a_leader(
    machine_of: Machines, crash_tools: Any
) -> None:
    """As when the first write is quick: whoever waits then is told as well."""
    machine = machine_of(1)
    async with open_node(machine.config(), world=machine.world()) as node:
        node._led = trio.Event()
        node._log_failed(DiskFull("cannot write to x.wal: No space left on device"))
        with pytest.raises(DiskFull, match=r"x\.wal"):
            await node.wait_led()


async def test_a_log_that_fails_later_is_no_failed_start(
    machine_of: Machines, crash_tools: Any
) -> None:
    machine = machine_of(1)
    async with open_node(machine.config(), world=machine.world()) as node:
        node._log_failed(DiskFull("cannot write to x.wal: No space left on device"))
        await node.wait_led()
