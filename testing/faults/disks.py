"""What the nemesis does to disks: failed calls, no space, damage.

After a call has failed the member ends by itself. What follows decides what is left: its process alone is started
again and finds the page cache; or the machine loses power as well, at once or later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from ...errors import DiskFull, StorageError
from ..machine import Machine

if TYPE_CHECKING:
    from .nemesis import Nemesis

__all__ = ["DiskFaults"]

SPACE_LEFT_MAX = 20_000  # bytes, of a disk that is about to be full
SYNCS = ("fdatasync", "sync")
CALLS = (
    *SYNCS,
    "write to",
    "commit",
    "rename",
    "open",
    "read",
    "list",
    "make",
    "remove",
    "preallocate",
    "truncate",
    "look at",
    "close",
)
"""All that is done to a disk; see `SimulatedDisk` and `Platter`."""
GROWING = ("write to", "commit", "preallocate", "make", "open")
FAULT_SECONDS_MAX = 2.0


class DiskFaults:
    """The nemesis' room for disks."""

    def __init__(self, nemesis: Nemesis) -> None:
        self._nemesis = nemesis

    async def fsync_failure(self) -> None:
        """An fsync fails, and its data are lost: the member must end, and comes back with what was synced."""
        await self._failing(SYNCS, 10)

    async def io_error(self) -> None:
        """Some call fails, at any place where the disk is used, also while the member starts."""
        random = self._nemesis.random
        kinds = tuple(random.sample(CALLS, random.choice((1, 1, 3, len(CALLS)))))
        await self._failing(kinds, random.choice((2, 10, 40)), while_starting=random.random() < 0.5)

    async def _failing(
        self, calls: tuple[str, ...], calls_max: int, *, while_starting: bool = False
    ) -> None:
        nemesis, random = self._nemesis, self._nemesis.random
        machine = nemesis.take(nemesis.may_fail)
        if machine is None:
            return
        if while_starting:
            await machine.kill()
        full = random.random() < 0.2
        left = random.randrange(1, calls_max)

        def fault(operation: str, path: Path) -> None:
            nonlocal left
            if operation in calls:
                left -= 1
                if left <= 0:
                    if full and operation in GROWING:
                        raise DiskFull(f"cannot {operation} {path}: No space left on device")
                    raise StorageError(f"cannot {operation} {path}: Input/output error")

        machine.fault = fault
        nemesis.note(machine, f"calls will fail: {', '.join(calls)}")
        if while_starting:
            nemesis.cluster.start(machine)
        with trio.move_on_after(FAULT_SECONDS_MAX * nemesis.plan.scale):
            await machine.wait_down()
        machine.disarm()
        await self.afterwards(machine)
        nemesis.may_fail.discard(machine.name)

    async def afterwards(self, machine: Machine) -> None:
        """The member has ended, or met no fault: restart it, with or without a loss of power, or leave it alone."""
        nemesis, random = self._nemesis, self._nemesis.random
        follow: Callable[[], Awaitable[None]] = machine.kill
        if random.random() < 0.4:
            follow = machine.crash
        elif random.random() < 0.2:
            await nemesis.sleep(1.0, 5.0)
        await nemesis.down(machine, follow)

    async def full_disk(self) -> None:
        """There is no space left for a while; after it has been made, the member is restarted."""
        nemesis = self._nemesis
        machine = nemesis.take(nemesis.may_fail, lasting=True)
        if machine is None:
            return
        machine.fill_disk(nemesis.random.randrange(SPACE_LEFT_MAX))
        nemesis.note(machine, "disk is full")
        await nemesis.sleep(0.5, 6.0)
        machine.free_space()
        await nemesis.down(machine, machine.kill)
        nemesis.may_fail.discard(machine.name)

    async def corrupt_disk(self) -> None:
        """Bits of a log flip: the machine is lost for good, and must not do harm to the others."""
        nemesis = self._nemesis
        machine = nemesis.take(nemesis.lost, nemesis.may_fail, lasting=True)
        if machine is None:
            return
        await machine.kill()
        self._flip_log(machine)
        nemesis.note(machine, "disk is corrupt")
        # What a corrupt log says was never promised: nobody may hear it.
        nemesis.cluster.forget(machine)
        await nemesis.changes.replace(machine)

    async def damage(self) -> None:
        """Bits of a log flip under a member that runs, and goes on: it is noticed at the next start, or never.

        The next start refuses the log, or takes the damage for a torn end: then the member has lost what it had
        acknowledged. So it is replaced, as by its administrator, before it is started again.
        """
        nemesis = self._nemesis
        machine = nemesis.take(nemesis.lost, nemesis.may_fail, lasting=True)
        if machine is None:
            return
        self._flip_log(machine)
        nemesis.note(machine, "log is damaged")
        await nemesis.sleep(0.5, 4.0)
        await nemesis.changes.replace(machine)
        await nemesis.sleep(0.5, 2.0)
        await machine.kill()
        nemesis.cluster.forget(machine)

    def _flip_log(self, machine: Machine) -> None:
        for _ in range(self._nemesis.random.randrange(1, 4)):
            machine.flip(Path(f"/{machine.name}/member/wal"), ".wal")

    async def date_jump(self) -> None:
        """Somebody sets the date of a machine."""
        nemesis = self._nemesis
        machine = nemesis.pick()
        if machine is not None:
            machine.clock.date_offset += nemesis.random.choice((-3600.0, -1.0, 1.0, 3600.0))
            nemesis.note(machine, "date jumps")
