"""A simulated run with the full workload, judged by all checkers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from random import Random

import trio

from ..checkers import HashSample, History, Judgement, Log, Peace, QueueSample, judge
from ..checkers.history import STAMPS_PER_SECOND
from ..cluster import Cluster
from ..machine import Machine
from ..plan import Plan
from ..scenario import PEACE_SECONDS_MAX, START_SECONDS_MAX, Result, Scenario, simulate
from ..trace import Trace
from .client import Endpoint
from .recorder import Recorder
from .traffic import MIXES
from .workload import Workload, hashes_of, log_of

__all__ = ["CheckedRun", "simulate_checked"]

LEASES_END_SECONDS_MIN = 3.0  # until then a request that lost its client may still be on its way
LEASES_END_SECONDS_MAX = 12.0  # the longest TTL of the workload on a slow clock, and its lateness
LEASES_POLL_SECONDS = 0.5
SERVING_SHARE = 0.9
CLIENTS_PER_MIX = 2
PAUSE_SECONDS = (0.01, 0.15)
CLOCK_SKEW = 0.2  # plans let clocks differ by 0.15


class CheckedRun(Scenario):
    """One run; `history` and `judgement` can be looked at afterwards."""

    history: History
    judgement: Judgement | None = None
    judging_seconds = 0.0
    _log: Log | None = None
    _hashes: Sequence[HashSample] = ()

    async def scenario(self) -> None:
        names = [self._machine(number).name for number in range(self.plan.members)]
        self.cluster.bootstrap(names)
        with trio.fail_after(START_SECONDS_MAX):
            await self.cluster.leader()
        random = Random(self.random.getrandbits(64))
        recorder = Recorder(trio.current_time)
        self.history = recorder.history
        workload = Workload(
            recorder,
            lambda: _any(self.cluster, random),
            random,
            mixes=MIXES * CLIENTS_PER_MIX,
            pause_seconds=PAUSE_SECONDS,
        )
        async with trio.open_nursery() as watching:
            watching.start_soon(workload.run_watchers)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(workload.run_clients)
                await self.nemesis.run()
                nursery.cancel_scope.cancel()
            self.trace.event("-", "peace")
            peaceful = await self._peace()
            start = recorder.stamp()
            if peaceful:
                await self._look_at_members(workload)
            watching.cancel_scope.cancel()
        peace = [Peace(start + 2 * STAMPS_PER_SECOND, recorder.stamp())] if peaceful else []
        self.result.answered = sum(client.answered for client in workload.clients)
        self._judge_history(peace)

    def _machine(self, number: int) -> Machine:
        """As any, with a disk as slow as the plan says."""
        machine = super()._machine(number)
        slowest = self.plan.disk_delay_max
        if slowest:
            random = Random(self.random.getrandbits(64))
            machine.disk_delay = lambda: random.uniform(0.0, slowest)
        return machine

    async def _look_at_members(self, workload: Workload) -> None:
        """Wait until all leases have ended and all watches have caught up; then compare the members."""
        members = [self.cluster.client(name) for name in self.cluster.expected]
        await self._wait_without_leases()
        with trio.move_on_after(PEACE_SECONDS_MAX) as scope:
            await workload.settle(members)
        if scope.cancelled_caught:
            self.result.violations.append("no answers in peace, or a watch that never catches up")
        with trio.move_on_after(PEACE_SECONDS_MAX):
            self._hashes = await hashes_of(members)
            self._log = await log_of(members[0])

    async def _wait_without_leases(self) -> None:
        """Wait until no member knows a lease any more; those that live on too long are left to the checkers."""
        await trio.sleep(LEASES_END_SECONDS_MIN)
        with trio.move_on_after(LEASES_END_SECONDS_MAX - LEASES_END_SECONDS_MIN):
            while any(self._leases()):  # noqa: ASYNC110  # it is an outside look
                await trio.sleep(LEASES_POLL_SECONDS)

    def _leases(self) -> Iterator[bool]:
        """For each member, whether it knows any; one that is down may."""
        for name in self.cluster.expected:
            node = self.cluster.machines[name].node
            yield node is None or bool(node.lessor.leases())

    def _judge_history(self, peace: list[Peace]) -> None:
        began = time.perf_counter()
        judgement = judge(
            self.history,
            log=self._log,
            hashes=self._hashes,
            queues=self._queues(),
            peace=peace,
            clock_skew=CLOCK_SKEW,
        )
        self.judging_seconds = time.perf_counter() - began
        self.judgement = judgement
        self.result.violations += [str(one) for one in judgement.violations]
        if not judgement.decided:
            self.result.violations.append("the search for an order was given up")

    def _queues(self) -> list[QueueSample]:
        """The mailboxes of all actors: within their bounds, always and now."""
        samples = []
        for name in self.cluster.expected:
            node = self.cluster.machines[name].node
            if node is None:
                continue
            for _, actor in node.supervisor.tree().walk():
                depth, bound = actor.mailbox_depth_max, actor.mailbox_messages_max
                samples.append(QueueSample(int(name[1:]), actor.name, depth, bound))
        return samples


def _any(cluster: Cluster, random: Random) -> tuple[int, Endpoint]:
    """A member at random: mostly one that serves, sometimes one that may be down."""
    machines = cluster.serving if random.random() < SERVING_SHARE else []
    machines = machines or list(cluster.machines.values())
    place = random.randrange(len(machines))
    return int(machines[place].name[1:]), cluster.client(machines[place])


def simulate_checked(plan: Plan, trace: Trace | None = None) -> Result:
    """Run a plan with the full workload to its end."""
    return simulate(plan, trace or Trace(), CheckedRun)
