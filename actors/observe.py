"""Which part of a node tells which metric. The names are in `metrics`; here they get their sources.

Parts know nothing of metrics. They count in plain attributes, which are read when a scraper comes, or
call a hook (`on_fsync`, `on_defragment`), which is connected here to a histogram. What a metric means
is in docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from .. import features
from ..mvcc.alarm import NAMES as ALARM_NAMES
from ..mvcc.ranges import RangeResult
from ..mvcc.requests import RangeRequest
from ..version import SERVER_VERSION
from . import proposals
from .grpc_metrics import GrpcMetrics
from .metrics import Metrics, PrometheusCollector, page
from .services.auth import FIRST_AUTH_REVISION

if TYPE_CHECKING:
    from .node import Node
    from .peers.links import HttpPeers

__all__ = ["Observer"]

_APPLIED_AS: Final = {
    proposals.PUT: "Put",
    proposals.DELETE_RANGE: "DeleteRange",
    proposals.TXN: "Txn",
    proposals.COMPACTION: "Compaction",
    proposals.LEASE_GRANT: "LeaseGrant",
    proposals.LEASE_REVOKE: "LeaseRevoke",
    proposals.LEASE_CHECKPOINT: "LeaseCheckpoint",
    proposals.ALARM: "Alarm",
    proposals.CLUSTER_VERSION_SET: "ClusterVersionSet",
    proposals.CLUSTER_MEMBER_ATTR_SET: "ClusterMemberAttrSet",
    proposals.DOWNGRADE_INFO_SET: "DowngradeInfoSet",
}


class Observer:
    """The metrics of one node. Nothing is global: another node in the program has its own."""

    def __init__(self, node: Node, metrics: Metrics, grpc: GrpcMetrics) -> None:
        self._node = node
        self._show_peers: Callable[[], None] = lambda: None
        self.metrics = metrics
        self.grpc = grpc
        self._set_cluster()
        self._set_proposals()
        self._set_health()
        self._set_store()
        self._set_compaction()
        self._set_watches_and_leases()
        self._set_disk()
        self._set_peers()
        if node.config.metrics == "extensive":
            self._time_requests()

    def page(self) -> bytes:
        """The metrics page, up to date."""
        self.refresh()
        return page(self.metrics, self.grpc)

    def collector(self) -> PrometheusCollector:
        """For a registry of prometheus-client: its pages then show this node as it is."""
        return PrometheusCollector(self.metrics, self.grpc, refresh=self.refresh)

    def refresh(self) -> None:
        """Bring what has labels up to date; all else reads its source itself."""
        context, metrics = self._node.context, self.metrics
        traffic = self._node.dispatcher.traffic
        traffic.fill(self.grpc)
        metrics.client_requests.update(traffic.client_requests())
        metrics.stream_failures.update(traffic.stream_failures())
        metrics.cluster_version.clear()
        if context.membership.version:
            metrics.cluster_version[_major_minor(context.membership.version),] = 1
        metrics.learner_promote_failures.update(context.promotions.failures())
        self._show_peers()
        metrics.alarms.clear()
        for alarm in context.alarms.get():
            metrics.alarms[f"{alarm.member_id:x}", ALARM_NAMES.get(alarm.kind, "UNKNOWN")] = 1

    def _set_cluster(self) -> None:
        metrics, peer, context = self.metrics, self._node.peer, self._node.context
        metrics.has_leader = lambda: int(peer.leader != 0)
        metrics.is_leader = lambda: int(peer.is_leader)
        metrics.disk_full = lambda: int(peer.disk_full is not None)
        metrics.leader_changes = lambda: peer.leader_changes
        metrics.version[SERVER_VERSION,] = 1
        metrics.server_id[f"{context.member_id:x}",] = 1
        for name, (stage, on) in features.stages(context.config.feature_gates).items():
            metrics.feature_enabled[name, stage] = int(on)
        metrics.is_learner = lambda: int(context.membership.is_learner(context.member_id))
        metrics.learner_promoted = lambda: context.promotions.succeeded
        metrics.auth_revision = FIRST_AUTH_REVISION

    def _set_proposals(self) -> None:
        metrics, peer, applier = self.metrics, self._node.peer, self._node.applier
        metrics.proposals_committed = lambda: peer.commit_index
        metrics.proposals_applied = lambda: applier.applied_index
        metrics.proposals_pending = lambda: len(peer.proposing.pending)
        metrics.proposals_failed = lambda: peer.proposing.failed
        metrics.slow_applies = lambda: applier.slow_total
        metrics.read_indexes_failed = lambda: peer.reads_failed
        metrics.slow_read_indexes = lambda: peer.reads_late

    def _set_health(self) -> None:
        metrics, pages = self.metrics, self._node.pages

        def healthy(well: bool) -> None:
            if well:
                metrics.health_success += 1
            else:
                metrics.health_failures += 1

        def checked(page: str, name: str, passed: bool) -> None:
            metrics.healthcheck[page, name] = int(passed)
            metrics.healthchecks[page, name, "success" if passed else "error"] += 1

        pages.on_health = healthy
        pages.on_check = checked

    def _set_store(self) -> None:
        metrics, context = self.metrics, self._node.context
        store, backend, counts = context.store, context.backend, context.store.counts
        metrics.quota_backend_bytes = context.quota.limit_bytes
        metrics.db_size = backend.size
        metrics.db_size_in_use = backend.size_in_use
        metrics.db_open_reads = lambda: backend.open_views
        metrics.current_revision = lambda: store.revision
        metrics.compact_revision = lambda: store.compact_revision
        metrics.keys = lambda: len(store.index.keys) - len(store.index.dead)
        metrics.ranges = metrics.ranges_debugging = lambda: counts.ranges
        metrics.puts = lambda: counts.puts
        metrics.put_bytes = lambda: counts.put_bytes
        metrics.deletes = lambda: counts.deletes
        metrics.txns = lambda: counts.txns
        metrics.compacted_keys = lambda: counts.compacted
        maintenance = self._node.dispatcher.maintenance
        maintenance.on_hash = metrics.hash_duration.observe
        maintenance.on_hash_kv = metrics.hash_rev_duration.observe

    def _set_compaction(self) -> None:
        metrics, compactor = self.metrics, self._node.compactor
        clock = self._node.world.clock

        def swept(seconds: float) -> None:
            metrics.compaction_total_ms.observe(seconds * 1000)
            metrics.compaction_last = int(clock.wall())

        compactor.on_slice = lambda seconds: metrics.compaction_pause_ms.observe(seconds * 1000)
        compactor.on_swept = swept

    def _set_watches_and_leases(self) -> None:
        metrics, context = self.metrics, self._node.context
        watches, leases = context.hub.statistics, context.lessor.statistics
        metrics.watchers = lambda: watches().watchers
        metrics.watch_streams = lambda: watches().streams
        metrics.slow_watchers = lambda: watches().slow_watchers
        metrics.pending_events = lambda: watches().pending_events
        metrics.events = lambda: watches().events_total
        metrics.leases_granted = lambda: leases().granted_total
        metrics.leases_revoked = lambda: leases().revoked_total
        metrics.leases_renewed = lambda: leases().renewed_total
        metrics.leases_expired = lambda: leases().expired_total
        context.lessor.on_grant = metrics.lease_ttl.observe

    def _set_disk(self) -> None:
        node, metrics = self._node, self.metrics
        traffic, maintenance = node.dispatcher.traffic, node.dispatcher.maintenance
        wal = node.opened.log.wal
        if wal is not None:  # else nothing is written, and nothing waited for
            node.wal_writer.on_write = metrics.wal_write.observe
            node.wal_writer.on_fsync = metrics.wal_fsync.observe
            metrics.wal_write_bytes = lambda: wal.written_bytes
        node.applier.on_commit = metrics.backend_commit.observe
        maintenance.on_snapshot = metrics.backend_snapshot.observe
        maintenance.on_defragment = metrics.backend_defrag.observe
        metrics.defrag_inflight = lambda: int(maintenance.defragmenting)
        metrics.client_received_bytes = lambda: traffic.received_bytes
        metrics.client_sent_bytes = lambda: traffic.sent_bytes

    def _set_peers(self) -> None:
        if hasattr(self._node.peers, "traffic"):  # those of a simulation tell nothing
            peers = cast("HttpPeers", self._node.peers)
            from .peers.observe import connect, show

            connect(self.metrics, peers)
            member_id = self._node.context.member_id
            self._show_peers = lambda: show(self.metrics, peers, member_id)

    def _time_requests(self) -> None:
        """What costs time on every request; the calls are timed by `TimedDispatcher`."""
        node, metrics, now = self._node, self.metrics, self._node.world.clock.now
        store = node.context.store

        def applied(kind: int, succeeded: bool, seconds: float) -> None:
            labels = "v3", _APPLIED_AS[kind], str(succeeded).lower()
            metrics.apply_duration[labels].observe(seconds)

        def read(request: RangeRequest) -> RangeResult:
            started = now()
            try:
                result = store.range(request)
            except BaseException:
                metrics.range_duration["false",].observe(now() - started)
                raise
            metrics.range_duration["true",].observe(now() - started)
            return result

        node.executor.time_with(applied)
        node.dispatcher.kv.read = read


def _major_minor(version: str) -> str:
    """The label's form: "3.6" for 3.6.0."""
    return ".".join(version.split(".")[:2])
