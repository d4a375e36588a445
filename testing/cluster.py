"""A cluster inside one program: members on simulated machines, under Trio's clock.

    async with triode.testing.cluster(members=3) as cluster:
        client = cluster.client()
        await client.put(b"key", b"value")
        leader = await cluster.leader()
        await cluster.crash(leader)
        await cluster.leader()              # another one
        await client.get(b"key")

Under a `MockClock` (of `triode.testing.run`, or the fixture `autojump_clock` of pytest-trio) nothing ever waits for
real time to pass. Under the real clock all works the same, but elections take their time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import attrs
import trio
import trio.testing

from ..actors.member import Member, member_id
from ..actors.node import Node
from ..actors.peers.contract import PeerOwner
from ..client.block_nursery import block_nursery
from ..config import Config
from ..rpc.pb.rpc_pb2 import (
    MemberAddRequest,
    MemberPromoteRequest,
    MemberRemoveRequest,
    MoveLeaderRequest,
)
from .client import Client
from .conditions import Conditions
from .determinism import next_seed
from .errors import ConnectionLost, SimulationError
from .loopback import free_port
from .machine import Machine
from .network import Network
from .pause import Freezer
from .trace import Trace

if TYPE_CHECKING:
    from ..client import client as triode_client

__all__ = ["Cluster", "MachineLike", "cluster"]

MachineLike = Machine | str | int
"""A machine, its name ("m1"), or its number, from 1."""

LEADER_SECONDS_MAX = 60.0
KNOWN_SECONDS_MAX = 2.0
STRANGERS_FROM = 1000  # the number of the first machine of another cluster
_POLL_SECONDS = 0.02
_STEP_SECONDS = 0.05  # of a clock that does not jump by itself


class Cluster:
    """Made by `cluster`. All methods that name a machine take it, its name or its number.

    Attributes:
        machines: by name, in the order in which they joined.
        network: the links; its `conditions` may be changed at any time.
        settings: the `Config` fields that all members share.
        trace: what happens.
        on_failed: told when a member ends by itself, and why.
        expected: the names of the machines whose members belong to the cluster.
        skipped_seconds: the time that has passed by `skip_time`.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        random: Random,
        trace: Trace,
        *,
        usual: Conditions | None = None,
        settings: dict[str, Any] | None = None,
        real_network: bool = False,
        sqlite: bool = False,
    ) -> None:
        self.trace = trace
        self.settings = settings or {}
        self.network = Network(Random(random.getrandbits(64)), trace, usual)
        self.machines: dict[str, Machine] = {}
        self._real_network = real_network
        self._sqlite = sqlite
        self._random = random
        self._nursery = nursery
        self._freezer = Freezer()
        self.expected: dict[str, None] = {}
        self.on_failed: Callable[[Machine, BaseException], None] = lambda _machine, _error: None
        self._configs: dict[str, Config] = {}
        self._picks = 0
        self.skipped_seconds = 0.0
        self._strangers: dict[str, Machine] = {}
        self._strangers_total = 0
        nursery.start_soon(self.network.run, name="network")

    # --- machines -------------------------------------------------------------------------------

    def new_machine(self) -> Machine:
        """Another machine, without a member yet."""
        number = len(self.machines) + 1
        random = Random(self._random.getrandbits(64))
        port = free_port() if self._real_network else None
        machine = Machine(number, self.network, self._freezer, random, real_port=port)
        machine.find = self.machine_at
        machine.on_failed = self._failed
        if self._sqlite:
            machine.use_sqlite()
        self.machines[machine.name] = machine
        return machine

    def _failed(self, machine: Machine, error: BaseException) -> None:
        self.on_failed(machine, error)

    def machine(self, which: MachineLike) -> Machine:
        """The machine that is meant."""
        if isinstance(which, Machine):
            return which
        name = f"m{which}" if isinstance(which, int) else which
        if name not in self.machines:
            raise SimulationError(f"there is no machine {name!r}: {', '.join(self.machines)}")
        return self.machines[name]

    def machine_at(self, url: str) -> Machine | None:
        """The machine with that peer URL: another cluster's, if that has taken the address."""
        for machine in self._strangers.values():
            if machine.peer_url == url:
                return machine
        for machine in self.machines.values():
            if machine.peer_url == url:
                return machine
        return None

    def config_of(self, machine: Machine, initial_cluster: str, state: str = "new") -> Config:
        """The settings of the member on a machine; its clock's rate is in those that are ticks."""
        real = self._real_network
        settings: dict[str, Any] = {
            "heartbeat_interval": 0.02 if real else 0.1,
            "election_timeout": 0.2 if real else 1.0,
            "listen_client_urls": ("http://127.0.0.1:0",) if real else (),
            "listen_peer_urls": (machine.peer_url,) if real else (),
            "backend": "simulated",
            **self.settings,
        }
        for name in ("heartbeat_interval", "election_timeout"):
            settings[name] /= machine.clock.rate
        return Config(
            name=machine.name,
            data_dir=Path(f"/{machine.name}"),
            initial_advertise_peer_urls=(machine.peer_url,),
            initial_cluster=initial_cluster,
            initial_cluster_state=state,
            **settings,
        )

    def bootstrap(self, names: Iterable[str]) -> None:
        """Start a new cluster on these machines."""
        names = list(names)
        initial = ",".join(f"{name}={self.machines[name].peer_url}" for name in names)
        for name in names:
            machine = self.machines[name]
            self._configs[name] = config = self.config_of(machine, initial)
            identity = member_id(config.initial_advertise_peer_urls, config.initial_cluster_token)
            self.network.names[identity] = name
            self.expected[name] = None
            self.start(name)

    def start(self, which: MachineLike) -> Machine:
        """Start, or start again, the member of a machine, without waiting until it serves."""
        machine = self.machine(which)
        machine.start(self._nursery, self._configs[machine.name])
        return machine

    def config_now(self, which: MachineLike) -> Config:
        """The settings of the member on a machine at its next start."""
        return self._configs[self.machine(which).name]

    def change_config(self, which: MachineLike, **changes: Any) -> None:
        """Change settings of the member on a machine, for its next start."""
        name = self.machine(which).name
        self._configs[name] = attrs.evolve(self._configs[name], **changes)

    def forget_config(self, which: MachineLike) -> None:
        """The disks of a machine have been wiped: its next member is another one."""
        self._configs.pop(self.machine(which).name, None)

    def start_stranger(self, which: MachineLike) -> Machine:
        """Start the only member of another cluster at the address of a machine that is down."""
        machine = self.machine(which)
        number = STRANGERS_FROM + self._strangers_total
        self._strangers_total += 1
        random = Random(self._random.getrandbits(64))
        stranger = Machine(number, self.network, self._freezer, random)
        stranger.peer_url = machine.peer_url
        stranger.find = self.machine_at
        self._strangers[stranger.name] = stranger
        config = self.config_of(stranger, f"{stranger.name}={stranger.peer_url}")
        stranger.start(self._nursery, attrs.evolve(config, initial_cluster_token=stranger.name))
        self.network.strangers[self.member_id(machine)] = stranger
        return stranger

    async def stop_stranger(self, which: MachineLike, stranger: Machine) -> None:
        """Give the address back."""
        self.network.strangers.pop(self.member_id(which), None)
        await stranger.kill()
        del self._strangers[stranger.name]

    async def restart(self, which: MachineLike) -> Machine:
        """Start the member of a machine that is down, and wait until it serves."""
        machine = self.start(which)
        await machine.wait_ready()
        return machine

    async def crash(self, which: MachineLike) -> Machine:
        """The machine loses power: what was not synced may be lost, or torn."""
        machine = self.machine(which)
        await machine.crash()
        return machine

    async def kill(self, which: MachineLike) -> Machine:
        """The member's process is killed: what it has written stays."""
        machine = self.machine(which)
        await machine.kill()
        return machine

    async def stop(self, which: MachineLike) -> Machine:
        """Stop a member gracefully."""
        machine = self.machine(which)
        await machine.stop()
        return machine

    def pause(self, which: MachineLike) -> Machine:
        """Stop the member's tasks where they are, as SIGSTOP does; `resume` lets them go on."""
        machine = self.machine(which)
        machine.pause()
        return machine

    def resume(self, which: MachineLike) -> Machine:
        """Let a paused member go on."""
        machine = self.machine(which)
        machine.resume()
        return machine

    @property
    def serving(self) -> list[Machine]:
        """The machines whose members serve and are not paused."""
        return [m for m in self.machines.values() if m.node is not None and not m.paused]

    # --- the network ----------------------------------------------------------------------------

    def member_id(self, which: MachineLike) -> int:
        """The raft ID of the member on a machine that is, or was, up."""
        name = self.machine(which).name
        for member, known in reversed(self.network.names.items()):  # it may have had others
            if known == name:
                return member
        raise SimulationError(f"the member on {name} has never been up")

    def partition(self, *groups: MachineLike | Iterable[MachineLike]) -> None:
        """Cut the network into groups that do not reach each other; who is not named is one more group."""
        named = [self._group(group) for group in groups]
        rest = self._group(self.machines.values()).difference(*named)
        sides = [*named, rest]
        for side in sides:
            for other in sides:
                if side is not other:
                    self.network.block(sorted(side), sorted(other))
        self.trace.event("net", f"partition {[self._names(side) for side in sides]}")

    def partition_one_way(
        self,
        sources: MachineLike | Iterable[MachineLike],
        targets: MachineLike | Iterable[MachineLike],
    ) -> None:
        """Let nothing from the sources reach the targets, while the other direction works.

        Raises SimulationError on a real network, whose connections need both directions.
        """
        if self._real_network:
            raise SimulationError("on a real network both directions are cut: use `partition`")
        from_, to = self._group(sources), self._group(targets)
        self.network.block(sorted(from_), sorted(to))
        self.trace.event("net", f"no way from {self._names(from_)} to {self._names(to)}")

    def heal(self) -> None:
        """Make the network whole, and all links as they usually are."""
        self.network.heal()
        self.trace.event("net", "heals")

    def _group(self, group: MachineLike | Iterable[MachineLike]) -> set[int]:
        each = [group] if isinstance(group, Machine | str | int) else group
        return {
            member
            for which in each
            for member, name in self.network.names.items()
            if name == self.machine(which).name
        }

    def _names(self, members: Iterable[int]) -> str:
        return "+".join(sorted(self.network.names[member] for member in members)) or "nobody"

    # --- members --------------------------------------------------------------------------------

    async def add_member(
        self, which: MachineLike | None = None, *, learner: bool = False
    ) -> Machine:
        """Add a voter, or a learner, on a new machine and start it, without waiting until it serves.

        With `which` on a machine whose disks have been wiped. Raises EtcdError when the cluster refuses the change, or
        does not answer.
        """
        machine = self.new_machine() if which is None else self.machine(which)
        request = MemberAddRequest(peerURLs=[machine.peer_url], isLearner=learner)
        answer = await self.client().call("Cluster/MemberAdd", request)
        self.network.names.pop(answer.member.ID, None)
        self.network.names[answer.member.ID] = machine.name
        await self._known_to_all(answer.member.ID)
        return self._join(machine, [url for each in answer.members for url in each.peerURLs])

    async def _known_to_all(self, member: int) -> None:
        """Wait a little until all who serve know a member: whoever does not would refuse to let it join."""
        with trio.move_on_after(KNOWN_SECONDS_MAX):
            while True:
                nodes = [machine.node for machine in self.serving if machine.node is not None]
                if all(member in node.context.membership.members for node in nodes):
                    return
                await trio.sleep(_POLL_SECONDS)

    def _join(self, machine: Machine, urls: Iterable[str]) -> Machine:
        """Start the member on a machine that the cluster has been told of."""
        named = {url: found.name for url in urls if (found := self.machine_at(url))}
        initial = ",".join(f"{name}={url}" for url, name in named.items())
        self._configs[machine.name] = self.config_of(machine, initial, "existing")
        self.expected[machine.name] = None
        return self.start(machine)

    def newest_node(self) -> Node | None:
        """The member that has applied most, of those that are up: its table of members is the newest."""
        nodes = [m.node for m in self.machines.values() if m.node is not None]
        return max(nodes, key=lambda node: node.applier.applied_index, default=None)

    def members_now(self) -> list[Member]:
        """The members, as the newest table of them says; if nobody serves, that of those who are starting."""
        newest = self.newest_node()
        if newest is not None:
            return list(newest.context.membership.members.values())
        owners = [one.peers.owner for one in self.machines.values() if one.up and one.peers]
        told = {member.id for owner in owners for member in owner.members()}

        def known(owner: PeerOwner) -> int:
            ids = {member.id for member in owner.members()}
            return sum(each in ids or owner.is_removed(each) for each in told)

        found = max(owners, key=known, default=None)
        return [] if found is None else list(found.members())

    def reconcile(self) -> None:
        """Start who belongs to the cluster and is down; take for its members whom it takes for them.

        A change that nobody knows the outcome of may have happened, and left a member that was never started.
        """
        members = self.members_now()
        for each in members:
            machine = self.machine_at(each.peer_urls[0])
            if machine is not None:
                self.network.names[each.id] = machine.name
        urls = [url for each in members for url in each.peer_urls]
        there = {machine.name: machine for url in urls if (machine := self.machine_at(url))}
        if self.newest_node() is not None:
            for name in [name for name in self.expected if name not in there]:
                del self.expected[name]
        for name, machine in {**there, **{n: self.machines[n] for n in self.expected}}.items():
            if machine.unplugged or machine.left:
                continue
            self.expected[name] = None
            config = self._configs.get(name)
            if machine.up:
                continue
            if config is not None and (config.initial_cluster_state == "new" or name not in there):
                self.start(machine)
            else:  # as long as it has no log, it goes by the members that it is told of
                self._join(machine, urls)

    async def promote(self, which: MachineLike) -> None:
        """Make a voter of a learner. Raises EtcdError, for one when it is not ready."""
        request = MemberPromoteRequest(ID=self.member_id(which))
        await self.client().call("Cluster/MemberPromote", request)

    async def remove_member(self, which: MachineLike) -> Machine:
        """Remove a member; it stops by itself. Raises EtcdError."""
        machine = self.machine(which)
        request = MemberRemoveRequest(ID=self.member_id(machine))
        machine.leaving = True
        await self.client().call("Cluster/MemberRemove", request)
        self.expected.pop(machine.name, None)
        return machine

    async def move_leader(self, which: MachineLike) -> None:
        """Have the leader hand over to the member on a machine. Raises EtcdError."""
        leader = await self.leader()
        request = MoveLeaderRequest(targetID=self.member_id(which))
        await self.client(leader).call("Maintenance/MoveLeader", request)

    def forget(self, which: MachineLike) -> None:
        """A machine is lost for good: nobody hears of it any more, though its member is not removed."""
        machine = self.machine(which)
        self.expected.pop(machine.name, None)
        machine.unplugged = True

    # --- time and leadership --------------------------------------------------------------------

    async def advance_time(self, seconds: float) -> None:
        """Let virtual time pass, with all that happens in it.

        Raises SimulationError under the real clock, which nobody can advance.
        """
        clock = trio.lowlevel.current_clock()
        if not isinstance(clock, trio.testing.MockClock):
            raise SimulationError(
                "time is real here: run the test by triode.testing.run, or with pytest-trio's"
                " fixture `autojump_clock`"
            )
        if clock.autojump_threshold < float("inf") or clock.rate:
            await trio.sleep(seconds)
            return
        end = trio.current_time() + seconds
        while (left := end - trio.current_time()) > 0:
            await trio.testing.wait_all_tasks_blocked()
            clock.jump(min(left, _STEP_SECONDS))
        await trio.testing.wait_all_tasks_blocked()

    def now(self) -> float:
        """The time outside, in seconds: Trio's, and what was skipped."""
        return trio.current_time() + self.skipped_seconds

    def skip_time(self, seconds: float) -> None:
        """Let time pass for all machines at once, with nothing that happens in it, as if all had been suspended.

        Their clocks go on, timers do not. So an hour of a lease costs nothing.
        """
        self.skipped_seconds += seconds
        for machine in self.machines.values():
            machine.clock.skip(seconds)
        self.trace.event("-", f"{seconds:.3f} s are skipped")

    def leader_now(self) -> Machine | None:
        """The machine whose member leads in the newest term, as far as it knows itself."""
        leading = [m for m in self.serving if m.node is not None and m.node.peer.is_leader]
        return max(leading, key=lambda m: m.node.peer.term if m.node else 0, default=None)

    async def leader(self, *, seconds_max: float = LEADER_SECONDS_MAX) -> Machine:
        """The leader, once there is one that a majority of the members has heard of.

        Raises trio.TooSlowError after `seconds_max` without one: it says who is up, and who is cut off from whom.
        """
        with trio.move_on_after(seconds_max):
            while True:
                machine = self.leader_now()
                if machine is not None and machine.node is not None:
                    member = machine.node.context.member_id
                    voters = len(machine.node.context.membership.members)
                    heard = sum(
                        m.node is not None and m.node.peer.leader == member for m in self.serving
                    )
                    if 2 * heard > voters:
                        return machine
                await trio.sleep(_POLL_SECONDS)
        raise trio.TooSlowError(f"no leader within {seconds_max:g} s: {self.told()}")

    def told(self) -> str:
        """In words: what each member does, whom it takes for the leader, and which links are blocked."""
        words = []
        for name, machine in self.machines.items():
            node = machine.node
            if node is None:
                words.append(f"{name} is starting" if machine.up else f"{name} is down")
                continue
            leader = self.network.names.get(node.peer.leader, "nobody")
            paused = ", paused" if machine.paused else ""
            words.append(f"{name} is up{paused}, in term {node.peer.term}, led by {leader}")
        for (source, target), link in self.network.conditions.items():
            if link.blocked:
                there = [self.network.names.get(one, f"{one:x}") for one in (source, target)]
                words.append(f"{there[0]} does not reach {there[1]}")
        return "; ".join(words)

    # --- clients --------------------------------------------------------------------------------

    def client(self, which: MachineLike | None = None) -> Client:
        """A client of one member; of all in turn, those that are down left out, when none is named."""
        if which is None:
            return Client(self._next)
        machine = self.machine(which)
        return Client(lambda: machine)

    def connect(
        self, which: MachineLike | None = None
    ) -> AbstractAsyncContextManager[triode_client.Client]:
        """The client that programs use, for the length of a block: it fails over between the members.

        It is `triode.connect`'s, with the same retries, watches, leases and recipes, over simulated links.

        Args:
            which: keep to this machine; None: all members, in turn.
        """
        from .machines_channel import connected

        machine = None if which is None else self.machine(which)
        return connected(lambda: list(self.machines.values()) if machine is None else [machine])

    def _next(self) -> Machine:
        serving = self.serving
        if not serving:
            raise ConnectionLost("no member serves")
        self._picks += 1
        return serving[self._picks % len(serving)]


@asynccontextmanager
async def cluster(
    members: int = 3,
    *,
    seed: int | None = None,
    conditions: Conditions | None = None,
    trace: Trace | None = None,
    real_network: bool = False,
    sqlite: bool = False,
    **settings: Any,
) -> AsyncIterator[Cluster]:
    """Run a cluster for the length of the block; when the block begins, it has a leader.

    What the block raises comes out as it is, in no group.

    Args:
        members: how many voters there are at first.
        seed: of all chance in the cluster: elections, delays, what a crash leaves. By default it follows from that of
            `run`, so that one seed decides everything; outside of `run` it is 0.
        conditions: what links usually do to messages; they delay them a little by default.
        trace: where events are noted.
        real_network: the members speak etcd's protocol over the loopback, and clients may connect to the
            `client_urls` of their nodes; only under the real clock. `conditions` mean nothing then.
        sqlite: the members store on SQLite, in files that a kill and a loss of power leave as real ones; otherwise
            on a simulated engine, which is quicker.
        settings: fields of `Config` for all members, such as `election_timeout=0.5` or `snapshot_count=100`.
    """
    async with block_nursery() as nursery:
        made = Cluster(
            nursery,
            Random(next_seed() if seed is None else seed),
            trace or Trace(),
            usual=conditions and attrs.evolve(conditions),
            settings=settings,
            real_network=real_network,
            sqlite=sqlite,
        )
        names = [made.new_machine().name for _ in range(members)]
        made.bootstrap(names)
        for name in names:
            await made.machines[name].wait_ready()
        await made.leader()
        try:
            yield made
        finally:
            with trio.CancelScope(shield=True):
                for machine in made.machines.values():
                    await machine.kill()
                    machine.dispose()
