"""The nemesis: makes faults from a plan, one after the other or at once, and heals everything at the end.

It keeps within what Raft promises to survive. Any number of machines may lose power, as long as their disks keep what
was synced; a disk that loses what was synced is lost for good, and at most a minority of the members is. A member
that ends for a reason that the nemesis has given is started again; any other end is a bug.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

import trio

from ...errors import ConfigError, CorruptData, JoinRefused, MemberRemoved, StorageError
from ..cluster import Cluster
from ..errors import caused_by
from ..machine import Machine
from ..plan import Plan
from .backends import BackendFaults
from .disks import DiskFaults
from .member_changes import MemberChanges
from .members import MemberFaults

__all__ = ["Nemesis"]

Fault = Callable[[], Awaitable[None]]


class Nemesis:
    """Does harm to `cluster` as `plan` says. Faults of disks and of the membership are in modules of their own.

    Attributes:
        busy: the machines that a fault has in its hands.
        may_fail: those whose member may end with an error of its storage.
        lost: those that are lost for good.
        refused: those whose next start is to be refused.
        unreadable: those whose backend has a page that cannot be read.
        unexpected: what should not have happened, in words.
    """

    def __init__(self, cluster: Cluster, plan: Plan, random: Random) -> None:
        self.cluster = cluster
        self.random = random
        self.counts: Counter[str] = Counter()
        self.unexpected: list[str] = []
        self.changes = MemberChanges(cluster, random)
        self.plan = plan
        self.lost: set[str] = set()
        self.may_fail: set[str] = set()
        self.busy: set[str] = set()
        self.refused: set[str] = set()
        self.unreadable: set[str] = set()
        self._rooms: tuple[object, ...] = (
            self,
            DiskFaults(self),
            BackendFaults(self),
            MemberFaults(self),
        )
        cluster.on_failed = self.failed
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """Make faults until the plan's time is over; then let those that are under way end."""
        plan, random = self.plan, self.random
        end = trio.current_time() + plan.seconds
        async with trio.open_nursery() as self._nursery:
            while plan.faults:
                await self.sleep(*plan.fault_every)
                if trio.current_time() >= end:
                    break
                name = random.choice(plan.faults)
                self._nursery.start_soon(self._make, name)
            await trio.sleep_until(end)
            self._nursery.cancel_scope.cancel()

    async def _make(self, name: str) -> None:
        self.counts[name] += 1
        await self._fault(name)()

    def _fault(self, name: str) -> Fault:
        """What makes a fault; raises LookupError."""
        for room in self._rooms:
            fault: Fault | None = getattr(room, name, None)
            if fault is not None:
                return fault
        raise LookupError(f"there is no fault {name!r}")

    async def sleep(self, low: float, high: float) -> None:
        """Let some time of the plan pass; in a slow plan it is long."""
        await trio.sleep(self.random.uniform(low, high) * self.plan.scale)

    # --- machines that go down --------------------------------------------------------------------

    async def crash(self) -> None:
        """One machine loses power for a while."""
        machine = self.pick()
        if machine is not None:
            await self.down(machine, machine.crash)

    async def crash_at_operation(self) -> None:
        """A machine loses power in the middle of what it does on disk."""
        machine = self.take()
        if machine is None:
            return
        machine.crash_at_operation(self.random.randrange(1, 40))
        with trio.move_on_after(2.0 * self.plan.scale):
            await machine.wait_down()
        await self.down(machine, machine.crash)

    async def kill(self) -> None:
        """One member's process is killed."""
        machine = self.pick()
        if machine is not None:
            await self.down(machine, machine.kill)

    async def stop(self) -> None:
        """One member is stopped gracefully."""
        machine = self.pick()
        if machine is not None:
            await self.down(machine, machine.stop)

    async def power_cut(self) -> None:
        """All machines lose power."""
        async with trio.open_nursery() as nursery:
            while (machine := self.take()) is not None:
                nursery.start_soon(self.down, machine, machine.crash)

    async def pause(self) -> None:
        """A member is stopped where it is, and goes on later."""
        await self._stopped("paused", stall=False)

    async def suspend(self) -> None:
        """A machine stands still, its clock too, and goes on later without noticing."""
        await self._stopped("suspended", stall=True)

    async def _stopped(self, how: str, *, stall: bool) -> None:
        leader = self.cluster.leader_now() if self.random.random() < 0.5 else None
        machine = self.pick() if leader is None or leader.name in self.busy else leader
        if machine is None:
            return
        self.busy.add(machine.name)
        machine.pause(stall=stall)
        self.note(machine, how)
        await self.sleep(0.1, 3.0)
        self.note(machine, "resumed")
        machine.resume()
        self.busy.discard(machine.name)

    async def down(self, machine: Machine, way: Callable[[], Awaitable[None]]) -> None:
        """Bring a machine down, and start its member again after a while."""
        self.busy.add(machine.name)
        await way()
        await self.sleep(*self.random.choice(((0.02, 0.05), (0.2, 0.5), (1.5, 3.0))))
        if not machine.up:
            self.cluster.start(machine)
        self.busy.discard(machine.name)

    # --- the network ------------------------------------------------------------------------------

    async def partition(self) -> None:
        """Two groups do not reach each other."""
        machines = list(self.cluster.machines.values())
        if len(machines) > 1:
            side = self.random.sample(machines, self.random.randrange(1, len(machines)))
            self.cluster.partition(side)
            await self.heal_later()

    async def isolate_leader(self) -> None:
        """The leader is alone, or so it seems."""
        leader = self.cluster.leader_now()
        if leader is not None:
            self.cluster.partition([leader])
            await self.heal_later()

    async def one_way(self) -> None:
        """Nothing gets from one side to the other, but all the way back."""
        machines = list(self.cluster.machines.values())
        if len(machines) > 1:
            mixed = self.random.sample(machines, len(machines))
            cut = self.random.randrange(1, len(machines))
            self.cluster.partition_one_way(mixed[:cut], mixed[cut:])
            await self.heal_later()

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
        await self.heal_later()

    async def heal_later(self) -> None:
        """Let the links be as they are for a while."""
        await self.sleep(*self.random.choice(((0.15, 0.3), (0.7, 1.5), (2.0, 4.0))))
        self.cluster.heal()

    # --- the end ----------------------------------------------------------------------------------

    async def heal(self) -> None:
        """Make everything whole that can be, and start who is down."""
        self.cluster.heal()
        for machine in self.cluster.machines.values():
            machine.disarm()
            machine.resume()
            machine.free_space()
            full = machine.node is not None and machine.node.peer.disk_full is not None
            if full or machine.name in self.may_fail - self.lost:
                await machine.kill()  # it takes no writes before its next start, or is about to end
            if not machine.up and machine.name in self.cluster.expected:
                self.cluster.start(machine)
        self.may_fail &= self.lost
        self.busy.clear()

    def failed(self, machine: Machine, error: BaseException) -> None:
        """A member has ended by itself."""
        name = machine.name
        broken = name in self.may_fail and caused_by(error, StorageError)
        refused = name in self.refused and caused_by(
            error, (ConfigError, StorageError, JoinRefused)
        )
        explained = (
            refused
            or (machine.leaving and caused_by(error, MemberRemoved))
            or (
                broken
                and (name in self.lost | self.unreadable or not caused_by(error, CorruptData))
            )
            or (not machine.served and caused_by(error, (JoinRefused, ConfigError)))
        )
        if not explained:
            self.unexpected.append(f"the member on {machine.name} failed: {error!r}")

    def pick(self, *, lasting: bool = False) -> Machine | None:
        """A machine that is up and that no other fault has in its hands; None if there is none.

        A fault is `lasting` if the machine does not come back by itself: a majority stays without one.
        """
        free = [
            machine
            for name, machine in self.cluster.machines.items()
            if name in self.cluster.expected and machine.up and name not in self.busy
        ]
        if lasting and not self.majority_works(lost=1):
            return None
        return self.random.choice(free) if free else None

    def take(self, *kinds: set[str], lasting: bool = False) -> Machine | None:
        """Pick a machine, and have it in this fault's hands; it belongs to these `kinds` of machines, too."""
        machine = self.pick(lasting=lasting)
        if machine is not None:
            for names in (self.busy, *kinds):
                names.add(machine.name)
        return machine

    def majority_works(self, *, lost: int = 0, removed: int = 0) -> bool:
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
        there = (
            self.cluster.expected.keys() - self.lost - self.may_fail
        )  # who was added may not be started
        works = [one for one in voters if one is not None and one.name in there and one.served]
        leaving = sum(one.leaving for one in works) + removed
        return 2 * (len(works) - leaving - lost) > len(voters) - leaving

    def note(self, machine: Machine, what: str) -> None:
        self.cluster.trace.event(machine.name, what)
