"""What the nemesis does to the backend: reads that fail, and installs of snapshots that fail in the middle.

A snapshot that was received may be damaged before it is taken over: the member ends, at every start, and is replaced.

A page that cannot be read is met wherever a value is not cached: in a client's read, in the middle of executing a txn,
in a hash, on the way of a snapshot to another member, at a start. The member ends, and must not leave half an entry.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import trio

from ...actors.snapshot_files import SUFFIX
from ...errors import CorruptData, StorageError
from ...mvcc.store import Store
from ..machine import Machine

if TYPE_CHECKING:
    from .nemesis import Nemesis

__all__ = ["BackendFaults", "failing_reads", "forget_values"]

READS = ("get", "get_many", "range", "view")
"""The reads of an engine and of its views; see `Platter` and `SqliteDisk`."""
FAULT_SECONDS_MAX = 2.0
INSTALL_SECONDS_MAX = 4.0
LOOKS_MAX = 100
BUCKETS_MAX = 12  # about as many as a snapshot has


class BackendFaults:
    """The nemesis' room for backends."""

    def __init__(self, nemesis: Nemesis) -> None:
        self._nemesis = nemesis

    async def read_failure(self) -> None:
        """A page of the backend cannot be read: the call that wants it fails, and the member ends."""
        random = self._nemesis.random
        reads = tuple(random.sample(READS, random.choice((1, 1, 2, len(READS)))))
        fault = failing_reads(reads, random, reads_max=random.choice((1, 1, 3, 10, 30)))
        when = random.choice(
            (self._as_it_runs, self._after_start, self._at_start, self._while_executing)
        )
        await self._failing(lambda machine: when(machine, fault), FAULT_SECONDS_MAX)

    async def install_failure(self) -> None:
        """Taking over a snapshot from the leader fails in the middle: the next start finishes it, if it can."""
        random = self._nemesis.random
        if random.random() < 0.3:
            await self._damaged_snapshot()
            return
        fault = failing_reads(("replace",), random, reads_max=BUCKETS_MAX)

        async def far_behind(machine: Machine) -> None:
            await machine.kill()
            await self._nemesis.sleep(0.5, 2.0)
            await self._at_start(machine, fault)

        await self._failing(far_behind, INSTALL_SECONDS_MAX)

    async def _damaged_snapshot(self) -> None:
        """A bit flips of a snapshot on its way into the backend: the member ends, at each start, until it is replaced."""
        nemesis = self._nemesis
        machine = nemesis.take(nemesis.may_fail, lasting=True)
        if machine is None:
            return
        await machine.kill()
        await nemesis.sleep(0.5, 2.0)
        nemesis.cluster.start(machine)
        folder = Path(f"/{machine.name}/member/snap")
        for _ in range(LOOKS_MAX):
            if machine.flip(folder, SUFFIX):
                break
            await nemesis.sleep(0.01, 0.02)
        else:
            nemesis.may_fail.discard(machine.name)
            nemesis.busy.discard(machine.name)
            return
        nemesis.lost.add(machine.name)
        nemesis.note(machine, "snapshot is damaged")
        try:
            with trio.move_on_after(INSTALL_SECONDS_MAX * nemesis.plan.scale):
                await machine.wait_down()
                nemesis.cluster.start(machine)
                await machine.wait_down()
        finally:
            with trio.CancelScope(shield=True):
                await machine.kill()
            nemesis.cluster.forget(machine)
        await nemesis.changes.replace(machine)

    async def _failing(
        self, begin: Callable[[Machine], Awaitable[None]], seconds_max: float
    ) -> None:
        nemesis = self._nemesis
        machine = nemesis.take(nemesis.may_fail, nemesis.unreadable)
        if machine is None:
            return
        nemesis.note(machine, "reads of the backend will fail")
        await begin(machine)
        with trio.move_on_after(seconds_max * nemesis.plan.scale):
            await machine.wait_down()
        machine.disarm()
        way = machine.crash if nemesis.random.random() < 0.4 else machine.kill
        await nemesis.down(machine, way)
        nemesis.unreadable.discard(machine.name)
        nemesis.may_fail.discard(machine.name)

    async def _as_it_runs(self, machine: Machine, fault: Callable[[str, Path], None]) -> None:
        """Values are not cached any more, so that they are read."""
        machine.read_fault = fault
        if machine.node is not None:
            forget_values(machine.node.store)

    async def _while_executing(self, machine: Machine, fault: Callable[[str, Path], None]) -> None:
        """Only the reads of entries fail: of txns for the most part, often behind a write."""
        node = machine.node
        if node is None:
            return
        executor, executing = node.executor, False
        execute = executor.execute

        def watched(kind: int, request: Any, *, answered: bool = True) -> bytes:
            nonlocal executing
            executing = True
            try:
                return execute(kind, request, answered=answered)
            finally:
                executing = False

        def fails(operation: str, path: Path) -> None:
            if executing:
                fault(operation, path)

        executor.execute = watched  # type: ignore[method-assign]
        await self._as_it_runs(machine, fails)

    async def _after_start(self, machine: Machine, fault: Callable[[str, Path], None]) -> None:
        """Nothing is cached yet."""
        await machine.kill()
        self._nemesis.cluster.start(machine)
        with trio.move_on_after(FAULT_SECONDS_MAX * self._nemesis.plan.scale):
            await machine.wait_started()
        await self._as_it_runs(machine, fault)

    async def _at_start(self, machine: Machine, fault: Callable[[str, Path], None]) -> None:
        """A start reads everything."""
        await machine.kill()
        machine.read_fault = fault
        self._nemesis.cluster.start(machine)


def failing_reads(
    reads: tuple[str, ...], random: Random, *, reads_max: int
) -> Callable[[str, Path], None]:
    """A fault for `Machine.read_fault`: one of the next `reads_max` reads of these kinds fails, or all from there on."""
    left = random.randrange(reads_max) + 1
    lasting = random.random() < 0.5
    damaged = random.random() < 0.5

    def fault(operation: str, path: Path) -> None:
        nonlocal left
        if operation not in reads:
            return
        left -= 1
        if left == 0 or (lasting and left < 0):
            if damaged:
                raise CorruptData(f"{path}: a page is malformed")
            raise StorageError(f"cannot read {path}: Input/output error")

    return fault


def forget_values(store: Store) -> None:
    """Have no values cached, now and later: every read goes to the backend."""
    store.cache.budget_bytes = 0
    for entry in store.index.keys.values():
        store.cache.clear(entry)
