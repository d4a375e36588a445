"""One member, assembled: storage, state machine, actors, services. See docs/architecture.md for the picture.

Start order is the order of `_actors`: each actor starts after the one before it has; the stop is the reverse.
So the log and the applier are there before raft, raft leads before anybody is served, and the listeners close
first, then the connections drain, and the log is closed last.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any

import attrs
import trio

from ..config import Config
from ..errors import ConfigError, DiskFull, NoSpace
from ..mvcc.alarm import Alarms
from ..mvcc.autocompact import auto_compactor
from ..mvcc.lease import Lessor, ttl_seconds_min
from ..mvcc.quota import Quota
from ..mvcc.store import Store
from ..mvcc.watch import WatchHub
from ..raft.bootstrap import Peer
from ..raft.config import Config as RaftConfig
from ..raft.raw_node import RawNode
from ..raft.types import ConfChange, ConfState
from ..rpc.pb.membership_pb2 import (
    Attributes,
    ClusterMemberAttrSetRequest,
    ClusterVersionSetRequest,
)
from ..version import CLUSTER_VERSION
from . import proposals
from .actor import Actor, Restart
from .answers import Header
from .applier import Applier, CommitBackend
from .broadcaster import Broadcaster
from .call import Call
from .compactor import Compactor
from .context import NodeContext
from .errors import MailboxClosed
from .execute import Executor
from .grpc_metrics import GrpcMetrics
from .helpers import Periodic, Tasks
from .listener import Bound, bind
from .local_client import LocalClient
from .log import Log
from .membership import Member, Membership, cluster_id, member_id
from .metrics import Metrics
from .observe import Observer
from .outbox import Outbox
from .pages import Pages
from .proposer import REQUEST_SECONDS_BASE, Proposer
from .quota import QuotaGuard
from .raft_peer import ApplyConfChange, Campaign, RaftPeer, ReadIndex, Tick
from .reaper import Reaper
from .running import running
from .serving import ClientListener
from .slow import SlowRequests
from .snapshotter import Snapshotter
from .storage import open_storage
from .supervisor import Supervisor
from .timed import make_dispatcher
from .wal_writer import NoLog, WalWriter
from .world import World

__all__ = ["Node", "open_node"]

log = Log("triode.node")
COMMITTED_BYTES_MAX = 64 << 20


class Node:
    """A running member. Made by `open_node`.

    Attributes:
        context: the parts, for services and for those who embed.
        dispatcher: the services by RPC path.
        local: a client in this program, without a socket.
        supervisor: the actors' tree; `start_child` hangs another actor into it.
    """

    def __init__(self, config: Config, world: World) -> None:
        self.config = config
        self.world = world
        members = initial_members(config)
        mine = next(m for m in members if m.name == config.name)
        with ExitStack() as stack:
            self._listening = [
                self._bind(urls, stack)
                for urls in (
                    config.listen_client_urls,
                    config.listen_client_http_urls,
                    config.listen_metrics_urls,
                )
            ]
            self.bound = self._listening[0]
            self.opened = open_storage(config, world, mine.id, cluster_id(m.id for m in members))
            stack.callback(self.opened.close)
            if self.opened.log.fresh and config.initial_cluster_state == "existing":
                raise ConfigError(
                    "initial-cluster-state: joining an existing cluster is not supported yet; use 'new'"
                )
            self._assemble(mine)
            self._stack = stack.pop_all()

    @staticmethod
    def _bind(urls: Sequence[str], stack: ExitStack) -> list[Bound]:
        bound = bind(urls)
        for one in bound:
            stack.callback(one.close)
        return bound

    # --- assembly -------------------------------------------------------------------------------

    def _assemble(self, mine: Member) -> None:
        config, world, opened = self.config, self.world, self.opened
        raft_log = opened.log
        self.outbox = Outbox()
        self.tasks = Tasks()
        self.header = Header(raft_log.cluster_id, raft_log.member_id)
        lessor = Lessor(
            opened.backend,
            ttl_seconds_min=ttl_seconds_min(config.election_timeout),
        )
        store = Store(opened.backend, lease_hooks=lessor)
        membership = Membership(opened.backend, raft_log.cluster_id)
        alarms = Alarms(opened.backend)
        hub = WatchHub(
            store,
            header=self.header.message,
            on_lagging=lambda: self.broadcaster.wake(),  # noqa: PLW0108  # made later
            random=world.random.random,
            progress_interval_seconds=config.watch_progress_notify_interval,
        )
        self.executor = Executor(store, lessor, alarms, membership, self.header, world.clock)
        self.peer = self._make_peer(mine)
        ids = proposals.RequestIds(raft_log.member_id, int(world.clock.wall() * 1000))
        proposer = Proposer(
            self.peer.offer,
            ids,
            request_bytes_max=config.max_request_bytes,
            election_seconds=config.election_timeout,
        )
        quota = Quota(config.quota_backend_bytes, opened.backend.engine.size)
        self.context = NodeContext(
            config=config,
            world=world,
            data_dir=opened.data_dir,
            backend=opened.backend,
            store=store,
            lessor=lessor,
            alarms=alarms,
            membership=membership,
            header=self.header,
            hub=hub,
            proposer=proposer,
            quota=QuotaGuard(quota, raft_log.member_id, proposer, self.tasks.spawn),
            raft=self.peer,
            applied_index=lambda: self.applier.applied_index,
            read_index=self._read_index,
            run_applied=lambda work: self.applier.run_between(work),  # noqa: PLW0108  # made later
            after_sweep=lambda then: self.compactor.after_sweep(then),  # noqa: PLW0108  # made later
            spawn=self.tasks.spawn,
            flush=self.outbox.flush,
            member_id=raft_log.member_id,
        )
        self._make_actors()
        grpc = GrpcMetrics()
        self.dispatcher = make_dispatcher(self.context, grpc)
        self.pages = Pages(self.context, self.dispatcher, self.metrics)
        self.clients = ClientListener(
            self.context, self.dispatcher, self.outbox, self.pages, *self._listening
        )
        self.observer = Observer(self, Metrics(), grpc)
        self.local = LocalClient(self.dispatcher, self.outbox)
        self.supervisor = Supervisor("node", self._actors(), random=world.random)

    def _make_peer(self, mine: Member) -> RaftPeer:
        config, raft_log = self.config, self.opened.log
        ticks = max(2, round(config.election_timeout / config.heartbeat_interval))
        node = RawNode(
            RaftConfig(
                id=raft_log.member_id,
                storage=raft_log.storage,
                random_below=self.world.random.randrange,
                election_ticks=ticks,
                committed_bytes_max=COMMITTED_BYTES_MAX,
                check_quorum=True,
                pre_vote=config.pre_vote,
            )
        )
        if raft_log.fresh:
            context = attrs.evolve(mine, client_urls=()).to_json()
            node.bootstrap([Peer(raft_log.member_id, context)])
        return RaftPeer(
            node,
            raft_log.storage,
            self.world,
            applied_index=lambda: self.applier.applied_index,
            request_seconds_max=REQUEST_SECONDS_BASE + 2 * config.election_timeout,
        )

    def _make_actors(self) -> None:
        config, context, world = self.config, self.context, self.world
        self.applier = Applier(
            self.executor,
            world,
            lambda: self.peer.pending,
            applied_index=self.opened.log.snapshot_index,
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
        self.broadcaster = Broadcaster(context.hub, world.clock, self.outbox.flush)
        self.reaper = Reaper(context.lessor, context.proposer, world.clock)
        self.compactor = Compactor(
            context.store,
            context.proposer,
            self.peer,
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
            conf_state=self.opened.log.storage.initial_state()[1],
            last_index=self.opened.log.snapshot_index,
            snapshot_count=config.snapshot_count,
            catchup_entries=config.snapshot_catchup_entries,
        )
        self._leading = trio.Event()
        self._log_full: DiskFull | None = None
        self._wire()

    def _wire(self) -> None:
        self.peer.save = self.wal_writer.ref.tell
        self.peer.apply = self.applier.take
        self.peer.on_leader_change = self._leader_changed
        self.peer.on_log_full = self._log_failed
        self.applier.conf_change = self._conf_change
        self.applier.on_disk_full = self._disk_full
        self.applier.after_batch = self._after_batch
        self.applier.on_answered = SlowRequests(
            self.config.warning_unary_request_duration, self.context.proposer.timeout_seconds
        ).look
        self.snapshotter.on_disk_full = self._disk_full
        self.executor.on_compact = self.compactor.wake

    def _actors(self) -> list[Any]:
        config = self.config
        interval = config.backend_batch_interval
        return [
            self.wal_writer,
            self.applier,
            Periodic("committer", interval, lambda: self.applier.ref.tell(CommitBackend())),
            self.snapshotter,
            self.peer,
            Periodic("ticker", config.heartbeat_interval, lambda: self.peer.ref.tell(Tick())),
            self.compactor,
            self.broadcaster,
            self.tasks,
            _Election(self),
            self.reaper,
            self.clients,
        ]

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
        if not self._leading.is_set() and self._leads():
            self._leading.set()

    def _leads(self) -> bool:
        """Whether this member leads and has applied an entry of its own term."""
        return self.peer.is_leader and self.applier.applied_term == self.peer.term

    def _leader_changed(self, leader: int, term: int) -> None:
        self.header.set_term(term)
        lessor, now = self.context.lessor, self.world.clock.now()
        if self.peer.is_leader:
            lessor.promote(now, self.config.election_timeout)
        else:
            lessor.demote()
        if leader:
            log.info("elected leader", leader=f"{leader:x}", term=term)
        else:
            log.warning("lost leader", term=term)

    def _conf_change(self, change: ConfChange) -> None:
        def applied(conf_state: ConfState) -> None:
            self.snapshotter.set_conf_state(conf_state)

        self.snapshotter.conf_change_applied()
        with suppress(MailboxClosed):  # raft has been stopped: the next start applies it again
            self.peer.ref.tell(ApplyConfChange(change, applied))

    def _disk_full(self, error: DiskFull) -> None:
        self.peer.refuse_writes(error)

    def _log_failed(self, error: DiskFull) -> None:
        self._log_full = error
        self._leading.set()

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

        What is advertised; but a port that the system chose, or sockets that nothing was said about, are
        told as they are.
        """
        listened = tuple(
            one.url.replace(":0", f":{one.port}") if one.url.endswith(":0") else one.url
            for one in self.bound
        )
        config, default = self.config, attrs.fields(Config).advertise_client_urls.default
        chosen = any(one.url.endswith(":0") for one in self.bound)
        if chosen or (config.advertise_client_urls == default and not self.bound):
            return listened
        return config.advertise_client_urls

    async def wait_leading(self) -> None:
        """Return when this member leads and can answer; raises DiskFull if it cannot even be elected."""
        was_leading = self._leading.is_set()
        await self._leading.wait()
        if self._log_full is not None and not was_leading:
            raise self._log_full

    def metrics(self) -> bytes:
        """The metrics page, as Prometheus reads it."""
        return self.observer.page()

    def close(self) -> None:
        """Close what is open; after the actors have stopped."""
        self._stack.close()

    async def publish(self) -> None:
        """Tell the cluster this member's name and client URLs, and its version if there is none."""
        config, context = self.config, self.context
        mine = context.membership.members.get(context.member_id)
        client_urls = self.client_urls
        if mine is None or (mine.name, mine.client_urls) != (config.name, client_urls):
            await context.proposer.ask(
                proposals.CLUSTER_MEMBER_ATTR_SET,
                ClusterMemberAttrSetRequest(
                    member_ID=context.member_id,
                    member_attributes=Attributes(name=config.name, client_urls=client_urls),
                ),
            )
            log.info(
                "published local member to cluster through raft",
                local_member_id=f"{context.member_id:x}",
                name=config.name,
                client_urls=list(client_urls),
            )
        if context.membership.version is None:
            await context.proposer.ask(
                proposals.CLUSTER_VERSION_SET, ClusterVersionSetRequest(ver=CLUSTER_VERSION)
            )


class _Election(Actor[None]):
    """Starts when this member leads and has published itself; nobody is served before."""

    restart = Restart.TEMPORARY
    mailbox_messages_max = 1

    def __init__(self, node: Node) -> None:
        super().__init__(name="election")
        self._node = node

    async def started(self) -> None:
        self._node.peer.ref.tell(Campaign())
        await self._node.wait_leading()
        try:
            await self._node.publish()
        except NoSpace:  # the disk is full: what is there can be read all the same
            log.warning("cannot publish this member's client URLs, as writes are refused")

    async def run(self) -> None:
        await trio.sleep_forever()


@asynccontextmanager
async def open_node(
    config: Config | None = None, *, world: World | None = None
) -> AsyncIterator[Node]:
    """Run a member for the length of the block; it serves when the block begins.

    Raises:
        ConfigError: a setting is wrong.
        NodeError: this machine's fault: an address in use, a locked or corrupt data directory.
    """
    node = Node(config or Config(), world or World.real())
    try:
        async with running(node.supervisor):
            yield node
    finally:
        node.close()


def initial_members(config: Config) -> list[Member]:
    """The members of `initial-cluster`; several URLs of a member are several pairs of its name."""
    text = config.initial_cluster or ",".join(
        f"{config.name}={url}" for url in config.initial_advertise_peer_urls
    )
    urls: dict[str, list[str]] = {}
    for pair in text.split(","):
        name, equals, url = pair.partition("=")
        if not equals or not url:
            raise ConfigError(f"initial-cluster: {pair!r} is not NAME=URL")
        urls.setdefault(name.strip(), []).append(url.strip())
    if config.name not in urls:
        raise ConfigError(
            f"initial-cluster: there is no member {config.name!r} in {text!r};"
            " add NAME=URL for it or set `name`"
        )
    if len(urls) > 1:
        raise ConfigError("initial-cluster: clusters of several members are not supported yet")
    token = config.initial_cluster_token
    return [
        Member(id=member_id(of, token), peer_urls=tuple(sorted(of)), name=name)
        for name, of in urls.items()
    ]
