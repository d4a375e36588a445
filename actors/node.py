"""One member, assembled: storage, state machine, actors, services. See docs/architecture.md for the picture.

Start order is the order of `_actors`: each actor starts after the one before it has; the stop is the reverse.
So the log and the applier are there before raft, raft leads before anybody is served, and the listeners close
first, then the connections drain, and the log is closed last.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import trio

from .. import features
from ..backends.contract import View
from ..config import Config
from ..errors import DiskFull
from ..mvcc.alarm import Alarms
from ..mvcc.autocompact import auto_compactor
from ..mvcc.lease import CHECKPOINT_INTERVAL_SECONDS, Lessor, ttl_seconds_min
from ..mvcc.quota import Quota
from ..mvcc.restore import Restored
from ..mvcc.store import Store
from ..mvcc.watch import WatchHub
from ..raft.config import Config as RaftConfig
from ..raft.raw_node import RawNode
from ..raft.types import ConfChange, Snapshot
from . import proposals
from .actor import Actor
from .answers import Header
from .applier import Applier, CommitBackend, ServeReads
from .bootstrap import Bootstrap, Initialized, plan
from .broadcaster import Broadcaster
from .call import Call
from .compactor import Compactor
from .context import NodeContext
from .departure import Departure
from .execute import Executor
from .grpc_metrics import GrpcMetrics
from .handover import Handover, hand_over
from .helpers import Periodic, Tasks
from .leading import Leading
from .listener import Bound, bind
from .local_client import LocalClient
from .log import Log
from .member import Member
from .membership import Membership
from .membership_v2 import members_v2
from .metrics import Metrics
from .monitors import InitialCheck, Monitors
from .observe import Observer
from .outbox import Outbox
from .pages import Pages
from .peer_owner import Owner
from .peer_requests import PeerRequests
from .peers.contract import PeerReply
from .proposer import REQUEST_SECONDS_BASE, Proposer
from .publication import Publication
from .quota import QuotaGuard
from .raft_mail import ProposeChange, Tick
from .raft_peer import RaftPeer
from .read_rounds import ReadIndex
from .reaper import Reaper
from .running import running
from .serving import ClientListener
from .slow import SlowRequests
from .snapshot_exchange import Position, SnapshotExchange
from .snapshotter import Snapshotter
from .storage import OpenedStorage, open_storage
from .supervisor import Supervisor
from .timed import make_dispatcher
from .wal_writer import NoLog, WalWriter
from .world import World

if TYPE_CHECKING:
    from ..client.client import Client

__all__ = ["Node", "open_node"]

log = Log("triode.node")
COMMITTED_BYTES_MAX = 64 << 20


class Node:
    """A running member. Made by `open_node`.

    Attributes:
        context: the parts, for services and for those who embed.
        dispatcher: the services by RPC path.
        local: a client in this program, without a socket.
        peers: the links to the other members.
        supervisor: the actors' tree; `start_child` hangs another actor into it.
    """

    def __init__(
        self,
        config: Config,
        world: World,
        opened: OpenedStorage,
        start: Bootstrap,
        listening: Sequence[Sequence[Bound]],
    ) -> None:
        self.config = config
        self.world = world
        self.opened = opened
        self.member_id = opened.log.member_id
        self.bound = listening[0]
        self.election_ticks = max(2, round(config.election_timeout / config.heartbeat_interval))
        self._make_state()
        self._make_raft(start)
        self._make_context()
        self._make_actors()
        self._make_links(start)
        grpc = GrpcMetrics()
        self.dispatcher = make_dispatcher(self.context, grpc)
        self.peer_requests = PeerRequests(self.context, self.dispatcher.maintenance)
        self.monitors = Monitors(self.context, self.dispatcher.maintenance)
        self.pages = Pages(self.context, self.dispatcher, self.metrics)
        self.clients = ClientListener(
            self.context,
            self.dispatcher,
            self.outbox,
            self.pages,
            *listening,
            root=lambda: self.supervisor,
        )
        self.observer = Observer(self, Metrics(), grpc)
        self.local = LocalClient(self.dispatcher, self.outbox)
        self._wire()
        self.supervisor = Supervisor("node", self._actors(), random=world.random)

    # --- assembly -------------------------------------------------------------------------------

    def _make_state(self) -> None:
        """What every member keeps alike."""
        config, world, opened = self.config, self.world, self.opened
        backend = opened.backend
        self.outbox = Outbox()
        self.tasks = Tasks()
        self.header = Header(opened.log.cluster_id, self.member_id)
        self.lessor = Lessor(
            backend,
            ttl_seconds_min=ttl_seconds_min(config.election_timeout),
            checkpoint_interval_seconds=world.checkpoint_seconds or CHECKPOINT_INTERVAL_SECONDS,
        )
        self.store = Store(backend, lease_hooks=self.lessor)
        self.membership = Membership(backend, opened.log.cluster_id)
        self.membership.follow_version()
        self.alarms = Alarms(backend)
        self.hub = WatchHub(
            self.store,
            header=self.header.message,
            on_lagging=lambda: self.broadcaster.wake(),  # noqa: PLW0108  # made later
            random=world.random.random,
            progress_interval_seconds=config.watch_progress_notify_interval,
        )
        self.executor = Executor(
            self.store, self.lessor, self.alarms, self.membership, self.header, world.clock
        )

    def _make_raft(self, start: Bootstrap) -> None:
        config, raft_log = self.config, self.opened.log
        if raft_log.applied_index:
            raft_log.storage.conf_state = self.membership.conf_state()
        node = RawNode(
            RaftConfig(
                id=self.member_id,
                storage=raft_log.storage,
                random_below=self.world.random.randrange,
                election_ticks=self.election_ticks,
                applied=raft_log.applied_index,
                committed_bytes_max=COMMITTED_BYTES_MAX,
                check_quorum=True,
                pre_vote=config.pre_vote,
                logger=Log("triode.raft"),
            )
        )
        if start.peers:
            node.bootstrap(start.peers)
        self.request_ids = proposals.RequestIds(self.member_id, int(self.world.clock.wall() * 1000))
        self.peer = RaftPeer(
            node,
            raft_log.storage,
            self.world,
            applied_index=lambda: self.applier.applied_index,
            request_ids=self.request_ids,
            request_seconds_max=REQUEST_SECONDS_BASE + 2 * config.election_timeout,
        )
        self.leading = Leading(self.peer, lambda: self.applier.applied_term)

    def _make_context(self) -> None:
        config, opened = self.config, self.opened
        proposer = Proposer(
            self.peer.offer,
            self.request_ids,
            request_bytes_max=config.max_request_bytes,
            election_seconds=config.election_timeout,
        )
        quota = Quota(config.quota_backend_bytes, opened.backend.size)
        self.context = NodeContext(
            config=config,
            world=self.world,
            data_dir=opened.data_dir,
            backend=opened.backend,
            store=self.store,
            lessor=self.lessor,
            alarms=self.alarms,
            membership=self.membership,
            header=self.header,
            hub=self.hub,
            proposer=proposer,
            quota=QuotaGuard(quota, self.member_id, proposer, self.tasks.spawn),
            raft=self.peer,
            leading=self.leading,
            applied_index=lambda: self.applier.applied_index,
            read_index=self._read_index,
            run_applied=lambda work: self.applier.run_between(work),  # noqa: PLW0108  # made later
            after_sweep=lambda then: self.compactor.after_sweep(then),  # noqa: PLW0108  # made later
            spawn=self.tasks.spawn,
            flush=self.outbox.flush,
            member_id=self.member_id,
            propose_change=self._propose_change,
            when_applied=self._when_applied,
            hand_over=self._hand_over,
        )

    def _position(self) -> Position:
        """What a snapshot for another member says of itself."""
        table = self.membership
        return Position(
            self.applier.applied_index,
            self.applier.applied_term,
            self.snapshotter.conf_state,
            members_v2(table.members.values(), table.removed, table.version),
        )

    def _make_links(self, start: Bootstrap) -> None:
        self.departure = Departure()
        self._serves = not start.removed
        if start.removed:
            self.departure.applied()
        self.exchange = SnapshotExchange(
            self.opened.backend,
            self.opened.snapshots,
            self.world,
            self._position,
            self.peer.step,
        )
        owner = Owner(
            self.peer,
            self.membership,
            self.exchange,
            self.departure,
            member_id=self.member_id,
            answer=self._answer_peer,
        )
        self.peers = self.world.peers(owner, self.config, self.world)
        self.context.peers = self.peers
        for member in (*start.members, *self.membership.members.values()):
            self._talk_to(member)

    async def _answer_peer(self, verb: str, target: str, body: bytes) -> PeerReply | None:
        return await self.peer_requests.answer(verb, target, body)

    def _make_actors(self) -> None:
        config, context, world = self.config, self.context, self.world
        self.applier = Applier(
            self.executor,
            world,
            self.peer.proposing.pending,
            applied_index=self.opened.log.applied_index,
            batch_limit=config.backend_batch_limit,
            warning_seconds=config.warning_apply_duration,
        )
        self.wal_writer = WalWriter(
            self.opened.log.wal or NoLog(),
            world,
            self.peer.take,
            max_wals=config.max_wals,
            fsync=not config.unsafe_no_fsync,
        )
        self.broadcaster = Broadcaster(
            context.hub,
            world.clock,
            self.outbox.flush,
            away=lambda: self.opened.backend.away,
        )
        self.reaper = Reaper(context)
        self.compactor = Compactor(
            context.store,
            context.proposer,
            self.leading,
            world.clock,
            auto=auto_compactor(config.auto_compaction_mode, config.auto_compaction_retention),
            slice_keys_max=config.compaction_batch_limit,
            pause_seconds=config.compaction_sleep_interval,
            commit=self.applier.commit,
            flush=self.outbox.flush,
        )
        self.snapshotter = Snapshotter(
            self.opened.backend,
            self.applier,
            self.peer,
            self.wal_writer,
            world,
            on_durable=self.opened.snapshots.remove_up_to,
            keep_from=lambda index: self.exchange.keep_from(index),  # noqa: PLW0108  # made later
            conf_state=self.opened.log.storage.initial_state()[1],
            last_index=self.opened.log.snapshot_index,
            snapshot_count=config.snapshot_count,
            catchup_entries=config.snapshot_catchup_entries,
        )
        self._led = trio.Event()
        self._never_led: DiskFull | None = None

    def _wire(self) -> None:
        membership = self.membership
        membership.on_added = membership.on_updated = self._known
        self.dispatcher.learner = membership.is_learner(self.member_id)
        membership.on_removed = self._part_with
        self.peer.send = self.peers.send
        self.peer.save = self.wal_writer.save
        self.peer.apply = self.applier.take
        self.peer.on_leader_change = self._leader_changed
        self.header.set_term(self.peer.term)
        self.peer.on_new_term = self._new_term
        self.leading.on_change = self._leading_changed
        self.peer.on_log_full = self._log_failed
        self.peer.on_disk_full = self._writes_refused
        self.applier.conf_change = self._conf_change
        self.applier.read_snapshot = self._read_snapshot
        self.applier.restore = self._restore
        self.applier.on_disk_full = self._disk_full
        self.applier.after_batch = self._after_batch
        self.applier.on_answered = SlowRequests(
            self.config.warning_unary_request_duration, self.context.proposer.timeout_seconds
        ).look
        self.snapshotter.on_disk_full = self._disk_full
        self.executor.on_compact = self.compactor.wake

    def _actors(self) -> list[Any]:
        config = self.config
        return [
            self.wal_writer,
            self.applier,
            Periodic(
                "committer",
                config.backend_batch_interval,
                lambda: self.applier.ref.tell(CommitBackend()),
            ),
            self.snapshotter,
            *([self.peers] if isinstance(self.peers, Actor) else []),
            *self._initial_check(),
            self.peer,
            Periodic("ticker", config.heartbeat_interval, self._tick),
            self.departure,
            self.compactor,
            self.broadcaster,
            self.tasks,
            *([Publication(self)] if self._serves else []),
            self.reaper,
            Periodic("leader-watch", config.election_timeout, self.dispatcher.led.look),
            *self.monitors.actors(),
            *([self.clients] if self._serves else []),
            Handover(
                self.peer,
                self.membership,
                self.peers,
                mine=self.member_id,
                seconds_max=config.election_timeout,
            ),
        ]

    def _initial_check(self) -> list[Actor[Any]]:
        wanted = features.enabled(self.config.feature_gates, features.INITIAL_CORRUPT_CHECK)
        if not wanted or not self.opened.log.applied_index:
            return []
        return [InitialCheck(self.context, self.monitors, self.dispatcher.maintenance)]

    # --- wiring ---------------------------------------------------------------------------------

    def _after_batch(self) -> None:
        """The applier has worked through its mailbox: watchers first, then those who asked."""
        context = self.context
        store = context.store
        if store.revision > context.hub.revision:
            if context.hub.watched:
                context.hub.notify(store.revision, store.take_events())
            else:
                store.drop_events()
                context.hub.notify(store.revision, ())
        self.outbox.flush()
        self.snapshotter.look()
        if self.leading.pending:
            self.leading.look()
        if not self._led.is_set() and self._is_led():
            self._led.set()

    def _is_led(self) -> bool:
        """Whether there is a leader, and this member has applied an entry of its term."""
        return self.peer.leader != 0 and self.applier.applied_term == self.peer.term

    def _leader_changed(self, leader: int, term: int) -> None:
        self.leading.look()
        if leader:
            log.info("elected leader", leader=f"{leader:x}", term=term)
        else:
            log.warning("lost leader", term=term)

    def _new_term(self, term: int) -> None:
        self.header.set_term(term)
        self.leading.look()

    def _leading_changed(self, active: bool) -> None:
        """What starts and stops at once; others look at `leading` by themselves."""
        if active:
            self.lessor.promote(self.world.clock.now(), self.config.election_timeout)
        else:
            self.lessor.demote()

    def _conf_change(self, change: ConfChange) -> None:
        self.snapshotter.set_conf_state(self.peer.apply_conf_change(change))

    def _known(self, member: Member) -> None:
        """A member is new, or is not as it was."""
        if member.id == self.member_id:
            self.dispatcher.learner = member.is_learner
        else:
            self._talk_to(member)

    def _talk_to(self, member: Member) -> None:
        if member.id != self.member_id:
            self.peers.add(member.id, member.peer_urls)

    def _part_with(self, member: Member) -> None:
        if member.id == self.member_id:
            self.departure.applied()
        else:
            self.peers.remove(member.id)

    def _read_snapshot(self, snapshot: Snapshot) -> View:
        return self.opened.snapshots.open(snapshot.metadata.index)

    def _restore(self, snapshot: Snapshot, state: Restored) -> None:
        """The backend's content is another: everything that was read from it is read again."""
        backend, index = self.opened.backend, snapshot.metadata.index
        self.lessor.restore(backend)
        self.store.restore(backend, state=state)
        self.alarms.restore(backend)
        self.executor.restrict()
        self.membership.reload()
        self.snapshotter.installed(index, snapshot.metadata.conf_state)
        self.hub.restore(self.store)
        self.broadcaster.wake()
        self.compactor.wake()

    def _disk_full(self, error: DiskFull) -> None:
        self.peer.refuse_writes(error)

    def _writes_refused(self) -> None:
        self.dispatcher.health.changed()
        self.outbox.flush()

    def _log_failed(self, error: DiskFull) -> None:
        if not self._led.is_set():
            self._never_led = error
            self._led.set()

    def _tick(self) -> None:
        self.peer.ref.tell(Tick())

    def _propose_change(self, change: ConfChange, call: Call) -> None:
        change = attrs.evolve(change, id=self.request_ids.number())
        self.peer.offer(ProposeChange(change, call))

    def _when_applied(self, index: int, then: Callable[[], None]) -> None:
        self.applier.take(ServeReads(index, [then]))

    async def _hand_over(self, to: int) -> None:
        await hand_over(self.peer, to, seconds_max=self.context.proposer.timeout_seconds)

    def _read_index(self, call: Call, then: Callable[[], None]) -> None:
        def read() -> None:
            try:
                then()
            except Exception as error:  # noqa: BLE001  # a read changes nothing: it fails for itself
                call.refuse(self.context.refusal_of(error))

        self.peer.offer(ReadIndex(call, read))

    # --- life -----------------------------------------------------------------------------------

    @property
    def client_urls(self) -> tuple[str, ...]:
        """Where clients reach this member.

        What is advertised, unless the system chose a port. If nothing was said about that, the sockets themselves; one
        that listens on every address is told as that of this machine.
        """
        advertised = self.config.advertise_client_urls
        default = attrs.fields(Config).advertise_client_urls.default
        chosen = any(one.url.endswith(":0") for one in self.bound)
        if chosen or advertised == default:
            return tuple(one.reachable_url for one in self.bound)
        return advertised

    async def wait_led(self) -> None:
        """Return when there is a leader and this member is up to date with it.

        Raises DiskFull if the log cannot even take the vote.
        """
        await self._led.wait()
        if self._never_led is not None:
            raise self._never_led

    def client(self) -> AbstractAsyncContextManager[Client]:
        """A client of this member in the same program, for the length of a block: no socket is used."""
        from .node_client import node_client  # a node on its own knows nothing of the client

        return node_client(self.dispatcher, self.outbox)

    def metrics(self) -> bytes:
        """The metrics page, as Prometheus reads it."""
        return self.observer.page()


@asynccontextmanager
async def open_node(
    config: Config | None = None, *, world: World | None = None
) -> AsyncIterator[Node]:
    """Run a member for the length of the block; it serves when the block begins.

    A member of a cluster serves when it has found a quorum: open the members of one program side by side. One that
    has been removed serves nobody: it runs until another member knows of that, and raises MemberRemoved.

    Raises:
        ConfigError: a setting is wrong.
        NodeError: this machine's fault: an address in use, a locked or corrupt data directory; or the cluster's:
            JoinRefused, and MemberRemoved, now or later.
    """
    config, world = config or Config(), world or World.real()
    with ExitStack() as stack:
        listening = [
            _bind(urls, stack)
            for urls in (
                config.listen_client_urls,
                config.listen_client_http_urls,
                config.listen_metrics_urls,
            )
        ]
        opened = open_storage(config, world)
        stack.callback(opened.close)
        start = await plan(config, world, _initialized(opened))
        if opened.found is None:
            opened.begin(start.member_id, start.cluster_id)
        node = Node(config, world, opened, start, listening)
        async with running(node.supervisor):
            yield node


def _bind(urls: Sequence[str], stack: ExitStack) -> list[Bound]:
    bound = bind(urls)
    for one in bound:
        stack.callback(one.close)
    return bound


def _initialized(opened: OpenedStorage) -> Initialized | None:
    """Who a member that has run before finds itself to be."""
    found = opened.found
    if found is None:
        return None
    table = Membership(opened.backend, found.cluster_id)
    return Initialized(
        found.member_id, found.cluster_id, table.members, table.removed, table.version
    )
