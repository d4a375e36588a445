"""Which part of a node tells which metric. The names are in `metrics`; here they get their sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..version import SERVER_VERSION
from .grpc_metrics import GrpcMetrics
from .metrics import Metrics, page

if TYPE_CHECKING:
    from .node import Node

__all__ = ["Observer"]

ALARM_NAMES = {1: "NOSPACE", 2: "CORRUPT"}


class Observer:
    """The metrics of one node. Nothing is global: another node in the program has its own."""

    def __init__(self, node: Node, metrics: Metrics) -> None:
        self._node = node
        self.metrics = metrics
        self.grpc = GrpcMetrics()
        self._set_cluster()
        self._set_store()
        self._set_watches_and_leases()

    def page(self) -> bytes:
        """The metrics page, up to date."""
        node, metrics = self._node, self.metrics
        traffic = node.dispatcher.traffic
        traffic.fill(self.grpc)
        metrics.client_received_bytes = traffic.received_bytes
        metrics.client_sent_bytes = traffic.sent_bytes
        metrics.leader_changes = node.peer.leader_changes
        metrics.proposals_failed = node.peer.proposals_failed
        metrics.slow_applies = node.applier.slow_total
        metrics.cluster_version.clear()
        if node.context.membership.version:
            metrics.cluster_version[(node.context.membership.version,)] = 1
        metrics.alarms.clear()
        for alarm in node.context.alarms.get():
            metrics.alarms[(f"{alarm.member_id:x}", ALARM_NAMES.get(alarm.kind, "UNKNOWN"))] = 1
        return page(metrics, self.grpc)

    def _set_cluster(self) -> None:
        node, metrics = self._node, self.metrics
        peer, context = node.peer, node.context
        metrics.has_leader = lambda: int(peer.leader != 0)
        metrics.is_leader = lambda: int(peer.is_leader)
        metrics.version[(SERVER_VERSION,)] = 1
        metrics.server_id[(f"{context.member_id:x}",)] = 1
        metrics.proposals_committed = lambda: peer.commit_index
        metrics.proposals_applied = lambda: node.applier.applied_index
        metrics.proposals_pending = lambda: len(peer.pending)
        metrics.quota_backend_bytes = context.quota.limit_bytes
        node.wal_writer.on_fsync = metrics.wal_fsync.observe
        node.applier.on_commit = metrics.backend_commit.observe

    def _set_store(self) -> None:
        metrics, context = self.metrics, self._node.context
        store, backend = context.store, context.backend
        metrics.db_size = backend.size
        metrics.db_size_in_use = backend.size_in_use
        metrics.current_revision = lambda: store.revision
        metrics.compact_revision = lambda: store.compact_revision
        metrics.keys = lambda: len(store.index.keys)

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
