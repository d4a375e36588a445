"""A simulated run with the full workload, judged by all checkers."""

from __future__ import annotations

import time
from random import Random

import trio

from ..checkers import History, Judgement, Peace, QueueSample, judge
from ..checkers.history import STAMPS_PER_SECOND
from ..cluster import Cluster
from ..determinism import run
from ..plan import Plan
from ..scenario import PEACE_SECONDS_MAX, START_SECONDS_MAX, Result, _logs_into, _Run, _told
from ..trace import Trace
from .client import Endpoint
from .recorder import Recorder
from .workload import Workload, hashes_of, log_of

__all__ = ["CheckedRun", "simulate_checked"]

LEASES_END_SECONDS = (
    12.0  # the longest TTL of the workload, on a slow clock, and the lateness allowed
)
CLOCK_SKEW = 0.2  # plans let clocks differ by 0.15


class CheckedRun(_Run):
    """One run; `history` and `judgement` can be looked at afterwards."""

    history: History
    judgement: Judgement | None = None
    judging_seconds = 0.0

    async def _scenario(self) -> None:
        names = [self._machine(number).name for number in range(self.plan.members)]
        self.cluster.bootstrap(names)
        with trio.fail_after(START_SECONDS_MAX):
            await self.cluster.leader()
        random = Random(self.random.getrandbits(64))
        recorder = Recorder(trio.current_time)
        self.history = recorder.history
        workload = Workload(recorder, lambda: _any(self.cluster, random), random)
        async with trio.open_nursery() as watching:
            watching.start_soon(workload.run_watchers)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(workload.run_clients)
                await self.nemesis.run()
                nursery.cancel_scope.cancel()
            self.trace.event("-", "peace")
            if await self._peace():
                await self._judge_workload(workload)
            watching.cancel_scope.cancel()
        self.result.answered = sum(client.answered for client in workload.clients)

    async def _judge_workload(self, workload: Workload) -> None:
        start = workload.recorder.stamp()
        members = [self.cluster.client(name) for name in self.cluster.expected]
        with trio.move_on_after(PEACE_SECONDS_MAX + LEASES_END_SECONDS) as scope:
            await trio.sleep(LEASES_END_SECONDS)
            await workload.settle(members)
            hashes = await hashes_of(members)
            log = await log_of(members[0])
        if scope.cancelled_caught:
            self.result.violations.append("no answers in peace, or a watch that never catches up")
            return
        began = time.perf_counter()
        judgement = judge(
            self.history,
            log=log,
            hashes=hashes,
            queues=self._queues(),
            peace=[Peace(start + 2 * STAMPS_PER_SECOND, workload.recorder.stamp())],
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
            machine = self.cluster.machines[name]
            assert machine.node is not None
            for _, actor in machine.node.supervisor.tree().walk():
                depth, bound = actor.mailbox_depth_max, actor.mailbox_messages_max
                samples.append(QueueSample(int(name[1:]), actor.name, depth, bound))
        return samples


def _any(cluster: Cluster, random: Random) -> tuple[int, Endpoint]:
    """A member at random, up or not."""
    machines = list(cluster.machines.values())
    place = random.randrange(len(machines))
    return place + 1, cluster.client(machines[place])


def simulate_checked(plan: Plan, trace: Trace | None = None) -> Result:
    """Run a plan with the full workload to its end."""
    trace = trace or Trace()
    result = Result(plan)
    started = time.perf_counter()
    with _logs_into(trace):
        try:
            run(CheckedRun(plan, trace, result).run, seed=plan.seed)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
            result.violations.append(f"the run broke off: {_told(error)}")
    result.seconds = time.perf_counter() - started
    result.digest = trace.digest()
    result.events = trace.events
    return result
