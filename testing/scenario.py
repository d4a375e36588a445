"""The frame of a simulated run: a cluster and faults from a plan, and peace at the end.

At the end every fault is healed, and then a healthy cluster is owed: a leader, and members that have all applied the
same. That is judged as strictly as what was promised during the faults. What clients do meanwhile, and how their
history is judged, is the workload's part: `workload/simulated.py`.
"""

from __future__ import annotations

import logging
import time
import traceback
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import attrs
import trio

from .cluster import Cluster
from .determinism import run
from .faults.nemesis import Nemesis
from .machine import Machine
from .plan import Plan
from .trace import Trace, TraceHandler

__all__ = ["Result", "Scenario", "simulate"]

START_SECONDS_MAX = 60.0
PEACE_SECONDS_MAX = 60.0
_POLL_SECONDS = 0.1


@attrs.define
class Result:
    """What came of a run.

    Attributes:
        violations: promises that were not kept, in words; empty if all is well.
        digest: the fingerprint of the trace: equal for equal runs.
        seconds: how long it took, in real time; `virtual_seconds` in the simulated one.
    """

    plan: Plan
    violations: list[str] = attrs.Factory(list)
    digest: str = ""
    events: int = 0
    seconds: float = 0.0
    virtual_seconds: float = 0.0
    answered: int = 0
    faults: Counter[str] = attrs.Factory(Counter)


def simulate(plan: Plan, trace: Trace, kind: Callable[[Plan, Trace, Result], Scenario]) -> Result:
    """Run a plan to its end, with the workload of `kind`."""
    result = Result(plan)
    started = time.perf_counter()
    with _logs_into(trace):
        try:
            run(kind(plan, trace, result).run, seed=plan.seed)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
            result.violations.append(f"the run broke off: {_told(error)}")
    result.seconds = time.perf_counter() - started
    result.digest = trace.digest()
    result.events = trace.events
    return result


@contextmanager
def _logs_into(trace: Trace) -> Iterator[None]:
    """Take the log lines of all nodes into the trace, and keep them from everywhere else."""
    logger = logging.getLogger("triode")
    handler = TraceHandler(trace)
    level, propagate, handlers = logger.level, logger.propagate, logger.handlers
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def _told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).strip()


class Scenario(ABC):
    """One run: `scenario` is what happens in it."""

    def __init__(self, plan: Plan, trace: Trace, result: Result) -> None:
        self.plan = plan
        self.trace = trace
        self.result = result
        self.random = Random(f"run {plan.seed}")

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            self.cluster = Cluster(
                nursery,
                self.random,
                self.trace,
                usual=self.plan.conditions,
                settings=self.plan.settings,
            )
            self.nemesis = Nemesis(self.cluster, self.plan, Random(self.random.getrandbits(64)))
            try:
                await self.scenario()
            finally:
                self.result.virtual_seconds = trio.current_time()
                self.result.violations += self.nemesis.unexpected
                self.result.faults = self.nemesis.counts
                with trio.CancelScope(shield=True):
                    for machine in self.cluster.machines.values():
                        machine.on_failed = lambda _machine, _error: None
                        await machine.kill()
                        machine.dispose()
                nursery.cancel_scope.cancel()

    @abstractmethod
    async def scenario(self) -> None:
        """Start the cluster, load it while the nemesis runs, and judge."""

    def _machine(self, number: int) -> Machine:
        machine = self.cluster.new_machine()
        machine.clock.rate = self.plan.clock_rates[number]
        machine.clock.offset = self.random.uniform(0.0, 1e6)
        machine.checkpoint_seconds = self.plan.checkpoint_seconds
        if self.plan.sqlite:
            machine.use_sqlite()
        return machine

    # --- the end --------------------------------------------------------------------------------

    async def _peace(self) -> bool:
        """Heal everything, and wait until every member has applied the same and nothing is left to do."""
        await self.nemesis.heal()
        end = trio.current_time() + PEACE_SECONDS_MAX * self.plan.scale
        why = ""
        while trio.current_time() < end:
            await trio.sleep(_POLL_SECONDS * self.plan.scale)
            self.cluster.reconcile()
            await self.calm()
            why = self._unsettled()
            if not why:
                return True
        self.result.violations.append(f"no peace, as {why}: {self._state()}")
        return False

    @abstractmethod
    async def calm(self) -> None:
        """Take back what was begun and stands in the way of peace; called now and then."""

    def _unsettled(self) -> str:
        """What a healthy cluster at rest still lacks, in words; empty if nothing."""
        found = [self.cluster.machines[name].node for name in self.cluster.expected]
        nodes = [node for node in found if node is not None]
        if len(nodes) != len(found) or not nodes:
            return "somebody is down"
        leaders = {node.peer.leader for node in nodes}
        if len(leaders) != 1 or 0 in leaders:
            return "they do not agree on a leader"
        applied = {node.applier.applied_index for node in nodes}
        if len(applied) != 1 or applied != {node.peer.last_index for node in nodes}:
            return "they have not applied the same"
        primaries = {node.member_id for node in nodes if node.lessor.primary}
        if primaries != leaders:
            return "the leader does not count the time of leases"
        if any(node.store.sweeping for node in nodes):
            return "a compaction is not swept"
        return ""

    def _state(self) -> str:
        told = []
        for name in self.cluster.expected:
            machine = self.cluster.machines[name]
            node = machine.node
            told.append(
                f"{name}: {'starting' if machine.up else 'down'} {machine.failure!r}"
                if node is None
                else f"{name}: term {node.peer.term} leader {node.peer.leader:x} applied"
                f" {node.applier.applied_index} of {node.peer.last_index}"
            )
        return "; ".join(told)
