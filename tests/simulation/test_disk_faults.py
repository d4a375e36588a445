"""A kill is no loss of power, and a failed fsync is no loss of what is acknowledged later; damage is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

import triode.testing
from triode.errors import CorruptData, StorageError
from triode.testing import Machine


def fail_next_sync(machine: Machine) -> None:
    """The next fdatasync of the log fails, and no page of it is on the disk."""
    machine.disk.choose = lambda _versions: 0

    def fault(operation: str, path: Path) -> None:
        if operation == "fdatasync":
            machine.disarm()
            raise StorageError(f"cannot sync {path}: Input/output error")

    machine.fault = fault


async def test_a_kill_keeps_what_was_written_and_a_loss_of_power_need_not(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with triode.testing.cluster(1) as cluster:
        machine = await cluster.leader()
        path = Path(f"/{machine.name}/member/mark")
        with machine.looking() as disk:
            file = disk.open(path, create=True)
            disk.fsync_dir(path.parent)
            file.write_at(0, b"written")
        await cluster.kill(machine)
        await cluster.restart(machine)
        with machine.looking() as disk:
            assert disk.read(path) == b"written"
        machine.disk.choose = lambda _versions: 0
        await cluster.crash(machine)
        with machine.looking() as disk:
            assert disk.read(path) == b""


async def test_a_machine_whose_member_was_killed_loses_power(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The log was synced, and is there; commits of the backend were not, and come back from the log."""
    async with triode.testing.cluster(1, backend_batch_limit=1) as cluster:
        machine = await cluster.leader()
        for number in range(20):
            await cluster.client().put(b"%d" % number, b"")
        await cluster.kill(machine)
        machine.platter.choose = machine.disk.choose = lambda _states: 0
        await cluster.crash(machine)
        await cluster.restart(machine)
        assert (await cluster.client().get(b"\0", b"\0")).count == 20


@pytest.mark.parametrize("size", [10, 300, 3000])
async def test_what_is_acknowledged_after_a_failed_sync_survives_a_loss_of_power(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """The process alone is started again: it reads pages that are not on the disk."""
    monkeypatch.setattr("triode.testing.machine.SEGMENT_BYTES", 1 << 20)
    async with triode.testing.cluster(1) as cluster:
        machine = await cluster.leader()
        await cluster.client().put(b"before", b"")
        fail_next_sync(machine)
        with pytest.raises(Exception, match="gone"):
            await cluster.client(machine).put(b"failed", b"x" * size)
        await machine.wait_down()
        await cluster.restart(machine)
        await cluster.leader()
        for number in range(20):
            await cluster.client().put(b"acknowledged/%d" % number, b"y" * size)
        await cluster.crash(machine)
        await cluster.restart(machine)
        found = await cluster.client().get(b"acknowledged/", b"acknowledged0")
        assert found.count == 20


async def test_a_damaged_snapshot_is_not_installed(autojump_clock: trio.testing.MockClock) -> None:
    """A flipped bit within a value, which bbolt does not notice: the member ends, and refuses to start."""
    async with triode.testing.cluster(snapshot_count=5, snapshot_catchup_entries=1) as cluster:
        leader = await cluster.leader()
        slow = next(one for one in cluster.machines.values() if one is not leader)
        await cluster.crash(slow)
        value = b"a value that is easily found" * 10
        for number in range(30):
            await cluster.client(leader).put(b"%d" % number, value)

        def fault(operation: str, path: Path) -> None:
            if operation == "read" and path.name.endswith(".snap.db"):
                slow.disarm()
                with slow.looking() as disk:
                    disk.flip(path, disk.read(path).index(value), 0)

        slow.fault = fault
        cluster.start(slow)
        with trio.fail_after(20):
            await slow.wait_down()
        cluster.start(slow)
        with trio.fail_after(20):
            await slow.wait_down()
        assert isinstance(slow.failure, CorruptData)
        assert ".snap.db: the checksum is wrong" in str(slow.failure)
