"""One simulated run: a cluster, clients and faults from a plan, peace at the end, and judgement.

At the end every fault is healed, and then a healthy cluster is owed: a leader, members that have all applied the
same, answers to all. That is judged as strictly as what was promised during the faults.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

import attrs
import trio

from ..rpc.pb.rpc_pb2 import HashKVRequest
from .cluster import Cluster
from .determinism import run
from .ledger import LedgerClient
from .machine import Machine
from .nemesis import Nemesis
from .plan import Plan
from .trace import Trace, TraceHandler

__all__ = ["Result", "simulate"]

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


def simulate(
    plan: Plan,
    trace: Trace | None = None,
    kind: Callable[[Plan, Trace, Result], _Run] | None = None,
) -> Result:
    """Run a plan to its end, with the workload of `kind`."""
    trace = trace or Trace()
    result = Result(plan)
    started = time.perf_counter()
    with _logs_into(trace):
        try:
            run((kind or _Run)(plan, trace, result).run, seed=plan.seed)
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


class _Run:
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
                await self._scenario()
            finally:
                self.result.virtual_seconds = trio.current_time()
                self.result.violations += self.nemesis.unexpected
                self.result.faults = self.nemesis.counts
                with trio.CancelScope(shield=True):
                    for machine in self.cluster.machines.values():
                        machine.on_failed = lambda _machine, _error: None
                        await machine.kill()
                nursery.cancel_scope.cancel()

    async def _scenario(self) -> None:
        names = [self._machine(number).name for number in range(self.plan.members)]
        self.cluster.bootstrap(names)
        with trio.fail_after(START_SECONDS_MAX):
            await self.cluster.leader()
        clients = [
            LedgerClient(self.cluster, n, Random(self.random.getrandbits(64))) for n in range(4)
        ]
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(client.run)
            await self.nemesis.run()
            nursery.cancel_scope.cancel()
        self.trace.event("-", "peace")
        if await self._peace():
            await self._judge(clients)

    def _machine(self, number: int) -> Machine:
        machine = self.cluster.new_machine()
        machine.clock.rate = self.plan.clock_rates[number]
        machine.clock.offset = self.random.uniform(0.0, 1e6)
        return machine

    # --- the end --------------------------------------------------------------------------------

    async def _peace(self) -> bool:
        """Heal everything, and wait until every member has applied the same."""
        await self.nemesis.heal()
        end = trio.current_time() + PEACE_SECONDS_MAX
        while trio.current_time() < end:
            await trio.sleep(_POLL_SECONDS)
            self.cluster.reconcile()
            if self._settled():
                return True
        self.result.violations.append(f"no peace after {PEACE_SECONDS_MAX:g} s: {self._state()}")
        return False

    def _settled(self) -> bool:
        nodes = [self.cluster.machines[name].node for name in self.cluster.expected]
        if None in nodes or not nodes:
            return False
        peers = [node.peer for node in nodes if node is not None]
        applied = {node.applier.applied_index for node in nodes if node is not None}
        leaders = {peer.leader for peer in peers}
        ends = {peer.last_index for peer in peers}
        return len(leaders) == 1 and 0 not in leaders and len(applied) == 1 and applied == ends

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

    async def _judge(self, clients: list[LedgerClient]) -> None:
        violations = self.result.violations
        with trio.move_on_after(PEACE_SECONDS_MAX) as scope:
            for client in clients:
                for name in self.cluster.expected:
                    await client.get(self.cluster.machines[name])
                violations += client.violations
                self.result.answered += client.answered
            await self._compare_hashes()
        if scope.cancelled_caught:
            violations.append(f"no answers in peace: {self._state()}")

    async def _compare_hashes(self) -> None:
        found: dict[tuple[int, int, int], list[str]] = {}
        for name in self.cluster.expected:
            told = await self.cluster.client(name).call("Maintenance/HashKV", HashKVRequest())
            key = told.hash, told.compact_revision, told.header.revision
            found.setdefault(key, []).append(name)
        if len(found) > 1:
            self.result.violations.append(f"members differ: {found}")
