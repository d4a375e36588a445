"""The nemesis: makes faults from a plan, one after the other or at once, and heals everything at the end.

It keeps within what Raft promises to survive. Any number of machines may lose power, as long as their disks keep what
was synced; a disk that loses what was synced is lost for good, and at most a minority of the members is. A member
that ends for a reason that the nemesis has given is started again; any other end is a bug.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import trio

from ..errors import ConfigError, CorruptData, JoinRefused, MemberRemoved, StorageError
from .cluster import Cluster
from .machine import Machine
from .member_changes import MemberChanges
from .plan import Plan

__all__ = ["Nemesis"]

SPACE_LEFT_MAX = 20_000  # bytes, of a disk that is about to be full


class Nemesis:
    """Does harm to `cluster` as `plan` says."""

    def __init__(self, cluster: Cluster, plan: Plan, random: Random) -> None:
        self.cluster = cluster
        self.random = random
        self.counts: Counter[str] = Counter()
        self.unexpected: list[str] = []
        self.changes = MemberChanges(cluster, random)
        self._plan = plan
        self._lost: set[str] = set()
        self._may_fail: set[str] = set()
        self._busy: set[str] = set()
        cluster.on_failed = self.failed
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """Make faults until the plan's time is over; then let those that are under way end."""
        plan, random = self._plan, self.random
        end = trio.current_time() + plan.seconds
        async with trio.open_nursery() as self._nursery:
            while plan.faults:
                await trio.sleep(random.uniform(*plan.fault_every))
                if trio.current_time() >= end:
                    break
                name = random.choice(plan.faults)
                self._nursery.start_soon(self._make, name)
            await trio.sleep_until(end)
            self._nursery.cancel_scope.cancel()

    async def _make(self, name: str) -> None:
        self.counts[name] += 1
        fault: Callable[[], Awaitable[None]] = getattr(self, name)
        await fault()

    # --- machines that go down --------------------------------------------------------------------

    async def crash(self) -> None:
        """One machine loses power for a while."""
        machine = self._pick()
        if machine is not None:
            await self._down(machine, machine.crash)

    async def crash_at_operation(self) -> None:
        """A machine loses power in the middle of what it does on disk."""
        machine = self._pick()
        if machine is None:
            return
        self._busy.add(machine.name)
        machine.crash_at_operation(self.random.randrange(1, 40))
        with trio.move_on_after(2.0):
            await machine.wait_down()
        await self._down(machine, machine.crash)

    async def kill(self) -> None:
        """One member's process is killed."""
        machine = self._pick()
        if machine is not None:
            await self._down(machine, machine.kill)

    async def stop(self) -> None:
        """One member is stopped gracefully."""
        machine = self._pick()
        if machine is not None:
            await self._down(machine, machine.stop)

    async def power_cut(self) -> None:
        """All machines lose power."""
        async with trio.open_nursery() as nursery:
            while (machine := self._pick()) is not None:
                self._busy.add(machine.name)
                nursery.start_soon(self._down, machine, machine.crash)

    async def pause(self) -> None:
        """A member is stopped where it is, and goes on later."""
        machine = self._pick()
        if machine is None:
            return
        self._busy.add(machine.name)
        machine.pause()
        self._note(machine, "paused")
        await trio.sleep(self.random.uniform(0.1, 3.0))
        self._note(machine, "resumed")
        machine.resume()
        self._busy.discard(machine.name)

    async def _down(self, machine: Machine, way: Callable[[], Awaitable[None]]) -> None:
        self._busy.add(machine.name)
        await way()
        await trio.sleep(self.random.choice((0.05, 0.5, 3.0)) * self.random.uniform(0.5, 1.0))
        if not machine.up:
            self.cluster.start(machine)
        self._busy.discard(machine.name)

    # --- the network ------------------------------------------------------------------------------

    async def partition(self) -> None:
        """Two groups do not reach each other."""
        machines = list(self.cluster.machines.values())
        if len(machines) > 1:
            side = self.random.sample(machines, self.random.randrange(1, len(machines)))
            self.cluster.partition(side)
            await self._heal_later()

    async def isolate_leader(self) -> None:
        """The leader is alone, or so it seems."""
        leader = self.cluster.leader_now()
        if leader is not None:
            self.cluster.partition([leader])
            await self._heal_later()

    async def one_way(self) -> None:
        """Nothing gets from one side to the other, but all the way back."""
        machines = list(self.cluster.machines.values())
        if len(machines) > 1:
            mixed = self.random.sample(machines, len(machines))
            cut = self.random.randrange(1, len(machines))
            self.cluster.partition_one_way(mixed[:cut], mixed[cut:])
            await self._heal_later()

    async def flaky_links(self) -> None:
        """Messages are lost, doubled and overtaken."""
        random = self.random
        await self._links(
            drop=random.choice((0.02, 0.2)),
            duplicate=random.choice((0.0, 0.1, 0.3)),
            reorder=random.choice((0.0, 0.3)),
            snapshot_failure=0.5,
        )

    async def slow_links(self) -> None:
        """Messages take long, snapshots very long."""
        slowest = self.random.choice((0.1, 0.5, 1.5))
        await self._links(delay_max=slowest, snapshot_bytes_per_second=20_000.0)

    async def _links(self, **changes: float) -> None:
        """Change all links, or some."""
        network = self.cluster.network
        members = sorted(network.names)
        some = self.random.random() < 0.5
        for source in members:
            for target in members:
                if source != target and not (some and self.random.random() < 0.5):
                    link = network.conditions[source, target]
                    for name, value in changes.items():
                        setattr(link, name, value)
        self.cluster.trace.event("net", f"links: {changes}")
        await self._heal_later()

    async def _heal_later(self) -> None:
        await trio.sleep(self.random.choice((0.3, 1.5, 4.0)) * self.random.uniform(0.5, 1.0))
        self.cluster.heal()

    # --- disks ------------------------------------------------------------------------------------

    async def fsync_failure(self) -> None:
        """An fsync fails, and its data are lost: the member must end, and comes back with what was synced."""
        machine = self._pick()
        if machine is None:
            return
        self._busy.add(machine.name)
        self._may_fail.add(machine.name)
        left = self.random.randrange(1, 10)

        def fault(operation: str, path: Path) -> None:
            nonlocal left
            if operation in ("fdatasync", "sync"):
                left -= 1
                if left <= 0:
                    raise StorageError(f"cannot sync {path}: Input/output error")

        machine.fault = fault
        self._note(machine, "fsync will fail")
        with trio.move_on_after(2.0):
            await machine.wait_down()
        machine.disarm()
        await self._down(machine, machine.crash)
        self._may_fail.discard(machine.name)

    async def full_disk(self) -> None:
        """There is no space left for a while; after it has been made, the member is restarted."""
        machine = self._pick(lasting=True)
        if machine is None:
            return
        self._busy.add(machine.name)
        self._may_fail.add(machine.name)
        self._fill(machine, self.random.randrange(SPACE_LEFT_MAX))
        self._note(machine, "disk is full")
        await trio.sleep(self.random.uniform(0.5, 4.0))
        self._free(machine)
        await self._down(machine, machine.kill)
        self._may_fail.discard(machine.name)

    @staticmethod
    def _fill(machine: Machine, left: int) -> None:
        machine.disk.capacity_bytes = machine.disk.used_bytes + left
        machine.platter.capacity_bytes = left

    @staticmethod
    def _free(machine: Machine) -> None:
        machine.disk.capacity_bytes = None
        machine.platter.capacity_bytes = None

    async def corrupt_disk(self) -> None:
        """Bits of a log flip: the machine is lost for good, and must not do harm to the others."""
        machine = self._pick(lasting=True)
        if machine is None:
            return
        self._busy.add(machine.name)
        self._lost.add(machine.name)
        self._may_fail.add(machine.name)
        await machine.kill()
        for _ in range(self.random.randrange(1, 4)):
            machine.flip(Path(f"/{machine.name}/member/wal"), ".wal")
        self._note(machine, "disk is corrupt")
        # What a corrupt log says was never promised: nobody may hear it.
        self.cluster.forget(machine)
        await self.changes.replace(machine)

    async def date_jump(self) -> None:
        """Somebody sets the date of a machine."""
        machine = self._pick()
        if machine is not None:
            machine.clock.date_offset += self.random.choice((-3600.0, -1.0, 1.0, 3600.0))
            self._note(machine, "date jumps")

    # --- the cluster ------------------------------------------------------------------------------

    async def move_leader(self) -> None:
        """The leader hands over."""
        with trio.move_on_after(3.0):
            await self.changes.move_leader()

    async def grow(self) -> None:
        """A voter is added."""
        await self.changes.add(learner=False)

    async def learner(self) -> None:
        """A learner is added, and promoted when it has caught up."""
        await self.changes.add(learner=True)

    async def shrink(self) -> None:
        """A voter is removed."""
        if self._majority_works(removed=1):
            await self.changes.remove(self._busy)

    # --- the end ----------------------------------------------------------------------------------

    async def heal(self) -> None:
        """Make everything whole that can be, and start who is down."""
        self.cluster.heal()
        for machine in self.cluster.machines.values():
            machine.disarm()
            self._may_fail &= self._lost
            machine.resume()
            if machine.disk.capacity_bytes is not None:
                self._free(machine)
                await (
                    machine.kill()
                )  # one that has met a full disk takes no writes before its next start
            if not machine.up and machine.name in self.cluster.expected:
                self.cluster.start(machine)
        self._busy.clear()

    def failed(self, machine: Machine, error: BaseException) -> None:
        """A member has ended by itself."""
        name = machine.name
        broken = name in self._may_fail and _leaf(error, StorageError)
        explained = (
            (machine.leaving and _leaf(error, MemberRemoved))
            or (broken and (name in self._lost or not _leaf(error, CorruptData)))
            or (not machine.served and _leaf(error, (JoinRefused, ConfigError)))
        )
        if not explained:
            self.unexpected.append(f"the member on {machine.name} failed: {error!r}")

    def _pick(self, *, lasting: bool = False) -> Machine | None:
        """A machine that is up and that no other fault has in its hands; None if there is none.

        A fault is `lasting` if the machine does not come back by itself: a majority stays without one.
        """
        free = [
            machine
            for name, machine in self.cluster.machines.items()
            if name in self.cluster.expected and machine.up and name not in self._busy
        ]
        if lasting and not self._majority_works(lost=1):
            return None
        return self.random.choice(free) if free else None

    def _majority_works(self, *, lost: int = 0, removed: int = 0) -> bool:
        """Whether it does if `lost` more machines are lost, or `removed` more members that work are removed.

        A removal whose result nobody knows may still come, and makes the majority smaller by a member that works.
        """
        newest = self.cluster.newest_node()
        if newest is None:
            return False
        voters = [
            self.cluster.machine_at(member.peer_urls[0])
            for member in newest.context.membership.voters()
        ]
        gone = self._lost | self._may_fail
        works = [one for one in voters if one is not None and one.name not in gone]
        leaving = sum(one.leaving for one in works) + removed
        return 2 * (len(works) - leaving - lost) > len(voters) - leaving

    def _note(self, machine: Machine, what: str) -> None:
        self.cluster.trace.event(machine.name, what)


Kinds = type[Exception] | tuple[type[Exception], ...]


def _leaf(error: BaseException | None, kind: Kinds) -> bool:
    """Whether an error, one of its causes or a part of it is of that kind."""
    while error is not None and not isinstance(error, kind):
        if isinstance(error, BaseExceptionGroup):
            return any(_leaf(each, kind) for each in error.exceptions)
        error = error.__cause__
    return error is not None
