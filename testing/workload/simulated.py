"""A simulated run with the full workload, judged by all checkers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from random import Random

import trio

from ...errors import EtcdError
from ...rpc.pb.rpc_pb2 import DowngradeRequest
from ..checkers import HashSample, History, Judgement, Log, Peace, QueueSample, judge
from ..checkers.history import STAMPS_PER_SECOND
from ..checkers.lease import LATENESS_SECONDS_MAX
from ..cluster import Cluster
from ..machine import Machine
from ..plan import Plan
from ..scenario import PEACE_SECONDS_MAX, START_SECONDS_MAX, Result, Scenario, simulate
from ..trace import Trace
from .admin import Admin
from .client import Endpoint, RecordingClient
from .lease_ends import live_through_leases
from .recorder import Recorder
from .traffic import MIXES, LongLeases
from .workload import Workload, hashes_of, log_of

__all__ = ["CheckedRun", "simulate_checked"]

LEASES_END_SECONDS_MIN = 3.0  # until then a request that lost its client may still be on its way
LEASES_POLL_SECONDS = 0.5
CALM_SECONDS_MAX = 2.0
FULL_LEADER_ELECTIONS_MAX = 8  # election timeouts that a leader with a full disk may stay in office
FULL_LEADER_POLL_SECONDS = 0.1
SERVING_SHARE = 0.9
CLIENTS_PER_MIX = 2
PAUSE_SECONDS = (0.01, 0.15)


class CheckedRun(Scenario):
    """One run; `history` and `judgement` can be looked at afterwards."""

    history: History
    _recorder: Recorder
    judgement: Judgement | None = None
    judging_seconds = 0.0
    _log: Log | None = None
    _hashes: Sequence[HashSample] = ()

    async def scenario(self) -> None:
        names = [self._machine(number).name for number in range(self.plan.members)]
        self.cluster.bootstrap(names)
        with trio.fail_after(START_SECONDS_MAX * self.plan.scale):
            await self.cluster.leader(seconds_max=START_SECONDS_MAX * self.plan.scale)
        random = Random(self.random.getrandbits(64))
        recorder = self._recorder = Recorder(self.cluster.now)
        self.history = recorder.history
        long_leases = (LongLeases,) if self.plan.long_leases else ()
        workload = Workload(
            recorder,
            lambda: _any(self.cluster, random),
            random,
            mixes=(*MIXES, *long_leases) * CLIENTS_PER_MIX,
            pause_seconds=PAUSE_SECONDS,
            scale=self.plan.scale,
        )
        client = RecordingClient(recorder, lambda: _any(self.cluster, random))
        admin = Admin(client, lambda: _any(self.cluster, random), random, self.plan.scale)
        async with trio.open_nursery() as watching:
            watching.start_soon(workload.run_watchers)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(workload.run_clients)
                nursery.start_soon(self._watch_full_leaders)
                if self.plan.admin:
                    nursery.start_soon(admin.run)
                await self.nemesis.run()
                nursery.cancel_scope.cancel()
            self.result.violations += admin.violations
            self.trace.event("-", "peace")
            peaceful = await self._peace()
            start = recorder.stamp()
            if peaceful:
                await self._look_at_members(workload)
            watching.cancel_scope.cancel()
        peace = [Peace(start + 2 * STAMPS_PER_SECOND, recorder.stamp())] if peaceful else []
        self.result.answered = sum(client.answered for client in workload.clients)
        if peaceful and self.plan.force_new and not self.result.violations:
            await self._force_new_cluster()
        self._judge_history(peace)

    def _machine(self, number: int) -> Machine:
        """As any, with a disk as slow as the plan says."""
        machine = super()._machine(number)
        slowest, longest = self.plan.disk_delay_max, self.plan.install_delay_max
        random = Random(self.random.getrandbits(64))
        if slowest:
            machine.disk_delay = lambda: random.uniform(0.0, slowest)
        if longest:
            machine.install_delay = lambda: random.uniform(0.0, longest)
        return machine

    async def calm(self) -> None:
        """No member may join while a downgrade is under way."""
        newest = self.cluster.newest_node()
        if newest is not None and newest.membership.downgrade[0] and self.cluster.leader_now():
            with suppress(EtcdError), trio.move_on_after(CALM_SECONDS_MAX):
                request = DowngradeRequest(action=DowngradeRequest.CANCEL)
                await self.cluster.client().call("Maintenance/Downgrade", request)

    async def _watch_full_leaders(self) -> None:
        """A leader that can write nothing hands over, if another member could lead as well."""
        since: dict[str, float] = {}
        seconds_max = FULL_LEADER_ELECTIONS_MAX * self.plan.settings["election_timeout"]
        while True:
            await trio.sleep(FULL_LEADER_POLL_SECONDS * self.plan.scale)
            leader = self.cluster.leader_now()
            if leader is None or not self._hands_over(leader):
                since.clear()
                continue
            began = since.setdefault(leader.name, trio.current_time())
            if trio.current_time() - began > seconds_max:
                self.result.violations.append(
                    f"{leader.name} leads for {seconds_max:g} s although its disk is full"
                )
                return

    def _hands_over(self, leader: Machine) -> bool:
        """Whether a leader refuses writes, and all others are well and reach each other."""
        others = [self.cluster.machines[name] for name in self.cluster.expected]
        well = all(
            one is leader or (one.node is not None and not one.paused and not one.disk_full)
            for one in others
        )
        node = leader.node
        if node is None or not well or len(others) < 2:  # it and another
            return False
        network = self.cluster.network
        blocked = any(link.blocked for link in network.conditions.values())
        return node.peer.proposing.refuses_writes and not blocked

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
        scale = self.plan.scale
        await trio.sleep(LEASES_END_SECONDS_MIN * scale)
        await live_through_leases(self.cluster, self._recorder, self.plan.clock_rates_between)
        with trio.move_on_after(self._lateness_seconds_max):
            while any(self._leases()):  # noqa: ASYNC110  # it is an outside look
                await trio.sleep(LEASES_POLL_SECONDS)

    async def _force_new_cluster(self) -> None:
        """All members but one are lost; that one goes on alone with what it has."""
        names = sorted(self.cluster.expected)
        whole = [name for name in names if name not in self.nemesis.lost]
        if not whole:
            return
        survivor = self.cluster.machines[self.random.choice(whole)]
        node = survivor.node
        if node is None:
            return
        before = node.store.revision, node.store.hash_kv().hash
        for name in names:
            await self.cluster.machines[name].kill()
            if name != survivor.name:
                self.cluster.forget(name)
        self.cluster.change_config(survivor, force_new_cluster=True)
        self.trace.event(survivor.name, "is forced to go on alone")
        with trio.move_on_after(PEACE_SECONDS_MAX * self.plan.scale):
            await self.cluster.restart(survivor)
            node = survivor.node
            after = node and (node.store.revision, node.store.hash_kv().hash)
            if after != before:
                self.result.violations.append(f"forced to go on from {before}, it has {after}")
            await self.cluster.client(survivor).get(b"alone")  # of a quorum of one
            return
        self.result.violations.append("forced to go on alone, it does not serve")

    @property
    def _lateness_seconds_max(self) -> float:
        election: float = self.plan.settings["election_timeout"]
        return LATENESS_SECONDS_MAX + 2 * election

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
            clock_rates=self.plan.clock_rates_between,
            lateness_seconds_max=self._lateness_seconds_max,
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
