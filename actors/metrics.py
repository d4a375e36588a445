"""etcd's metrics for one node, and the page that shows them.

The names, types and labels are etcd's: its alerts and dashboards must work unchanged, so some
"_total"s are gauges here too. A `Metrics` belongs to one node; nothing is global. A value is a number
that somebody adds to (`metrics.health_success += 1`), or a function that reads what a part keeps
anyway when a scraper comes (`metrics.has_leader = lambda: ...`). Who tells what is in `observe`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from ..rpc.metrics_text import (
    Family,
    Gauge,
    Histogram,
    Histograms,
    Labelled,
    MetricSet,
    counter,
    counters,
    doubling,
    families,
    gauge,
    gauges,
    histogram,
    histograms,
    text,
)

if TYPE_CHECKING:
    from prometheus_client import Metric

__all__ = ["Metrics", "PrometheusCollector", "page", "process_families"]

FAST: Final = doubling(0.0001, 20)  # seconds; edges as etcd's
DISK: Final = doubling(0.001, 14)
HASH: Final = doubling(0.01, 15)
SNAPSHOT: Final = doubling(0.01, 17)
TRANSFER: Final = doubling(0.1, 10)


class Metrics(MetricSet):
    """The metrics of one node."""

    # --- the cluster as this member sees it
    has_leader: Gauge = gauge("etcd_server_has_leader", "1 if a leader is known.")
    is_leader: Gauge = gauge("etcd_server_is_leader", "1 if this member leads.")
    disk_full: Gauge = gauge("triode_disk_full", "1 if writes are refused as the disk is full.")
    is_learner: Gauge = gauge("etcd_server_is_learner", "1 if this member has no vote yet.")
    leader_changes: Gauge = counter("etcd_server_leader_changes_seen_total", "New leaders seen.")
    learner_promoted: Gauge = counter(
        "etcd_server_learner_promote_successes", "Learners promoted while this member led."
    )
    learner_promote_failures: Labelled = counters(
        "etcd_server_learner_promote_failures", "Refused promotions, by reason.", "Reason"
    )
    heartbeat_send_failures: int = counter(
        "etcd_server_heartbeat_send_failures_total", "Heartbeats that the leader sent too late."
    )
    snapshot_apply_in_progress: Gauge = gauge(
        "etcd_server_snapshot_apply_in_progress_total", "1 while a received snapshot is applied."
    )
    version: Labelled = gauges("etcd_server_version", "1 for our version.", "server_version")
    cluster_version: Labelled = gauges(
        "etcd_cluster_version", "1 for the version that all members support.", "cluster_version"
    )
    server_id: Labelled = gauges("etcd_server_id", "1 for our member ID, in hex.", "server_id")
    feature_enabled: Labelled = gauges(
        "etcd_server_feature_enabled", "1 for a feature gate that is on.", "name", "stage"
    )

    # --- proposals and reads
    proposals_committed: Gauge = gauge(
        "etcd_server_proposals_committed_total", "Index of the last committed entry."
    )
    proposals_applied: Gauge = gauge(
        "etcd_server_proposals_applied_total", "Index of the last applied entry."
    )
    proposals_pending: Gauge = gauge(
        "etcd_server_proposals_pending", "Proposals of this member that wait for their result."
    )
    proposals_failed: Gauge = counter("etcd_server_proposals_failed_total", "Proposals given up.")
    slow_applies: Gauge = counter(
        "etcd_server_slow_apply_total", "Applies above the warning limit."
    )
    slow_read_indexes: Gauge = counter(
        "etcd_server_slow_read_indexes_total", "Read indexes that came late or not at all."
    )
    read_indexes_failed: Gauge = counter(
        "etcd_server_read_indexes_failed_total", "Read indexes that failed."
    )
    apply_duration: Histograms = histograms(
        "etcd_server_apply_duration_seconds", "Time to apply.", FAST, "version", "op", "success"
    )
    range_duration: Histograms = histograms(
        "etcd_server_range_duration_seconds", "Time of a Range.", FAST, "success"
    )
    client_requests: Labelled = counters(
        "etcd_server_client_requests_total", "Calls received.", "type", "client_api_version"
    )

    # --- health
    health_success: int = counter("etcd_server_health_success", "Times /health said true.")
    health_failures: int = counter("etcd_server_health_failures", "Times /health said false.")
    healthcheck: Labelled = gauges(
        "etcd_server_healthcheck", "1 if the check passed when last run.", "type", "name"
    )
    healthchecks: Labelled = counters(
        "etcd_server_healthchecks_total", "Runs of each check.", "type", "name", "status"
    )
    quota_backend_bytes: Gauge = gauge("etcd_server_quota_backend_bytes", "The storage quota.")
    alarms: Labelled = gauges(
        "etcd_debugging_server_alarms", "1 for an active alarm.", "server_id", "alarm_type"
    )
    auth_revision: Gauge = gauge("etcd_debugging_auth_revision", "Revision of the auth store.")

    # --- the store
    db_size: Gauge = gauge("etcd_mvcc_db_total_size_in_bytes", "Bytes that the backend allocated.")
    db_size_in_use: Gauge = gauge(
        "etcd_mvcc_db_total_size_in_use_in_bytes", "Bytes of them in use."
    )
    db_open_reads: Gauge = gauge("etcd_mvcc_db_open_read_transactions", "Open read views.")
    puts: Gauge = counter("etcd_mvcc_put_total", "Puts applied.")
    deletes: Gauge = counter("etcd_mvcc_delete_total", "Delete ranges applied.")
    ranges: Gauge = counter("etcd_mvcc_range_total", "Ranges read, comparisons of txns too.")
    ranges_debugging: Gauge = counter(
        "etcd_debugging_mvcc_range_total", "The same, under the name that it had before 3.5."
    )
    txns: Gauge = counter("etcd_mvcc_txn_total", "Txns of several operations.")
    hash_duration: Histogram = histogram("etcd_mvcc_hash_duration_seconds", "Time of Hash.", HASH)
    hash_rev_duration: Histogram = histogram(
        "etcd_mvcc_hash_rev_duration_seconds", "Time of HashKV.", HASH
    )
    keys: Gauge = gauge("etcd_debugging_mvcc_keys_total", "Keys alive.")
    current_revision: Gauge = gauge("etcd_debugging_mvcc_current_revision", "The revision.")
    compact_revision: Gauge = gauge(
        "etcd_debugging_mvcc_compact_revision", "The revision of the last compaction."
    )
    put_bytes: Gauge = gauge(
        "etcd_debugging_mvcc_total_put_size_in_bytes", "Bytes of keys and values put."
    )
    compacted_keys: Gauge = counter(
        "etcd_debugging_mvcc_db_compaction_keys_total", "Revisions removed by compaction."
    )
    compaction_last: Gauge = gauge(
        "etcd_debugging_mvcc_db_compaction_last", "Unix time of the last compaction since start."
    )
    compaction_pause_ms: Histogram = histogram(
        "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
        "Time of one slice of a compaction.",
        doubling(1, 13),
    )
    compaction_total_ms: Histogram = histogram(
        "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
        "Time of a whole compaction.",
        doubling(100, 14),
    )
    index_compaction_pause_ms: Histogram = histogram(
        "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds",
        "Time to compact the index.",
        doubling(0.5, 14),
    )

    # --- watches and leases
    watchers: Gauge = gauge("etcd_debugging_mvcc_watcher_total", "Watchers.")
    watch_streams: Gauge = gauge("etcd_debugging_mvcc_watch_stream_total", "Watch streams.")
    slow_watchers: Gauge = gauge("etcd_debugging_mvcc_slow_watcher_total", "Watchers catching up.")
    pending_events: Gauge = gauge("etcd_debugging_mvcc_pending_events_total", "Events to be sent.")
    events: Gauge = counter("etcd_debugging_mvcc_events_total", "Events sent.")
    leases_granted: Gauge = counter("etcd_debugging_lease_granted_total", "Leases granted.")
    leases_revoked: Gauge = counter("etcd_debugging_lease_revoked_total", "Leases revoked.")
    leases_renewed: Gauge = counter("etcd_debugging_lease_renewed_total", "Keep-alives served.")
    leases_expired: Gauge = counter("etcd_debugging_server_lease_expired_total", "Leases expired.")
    lease_ttl: Histogram = histogram(
        "etcd_debugging_lease_ttl_total", "TTLs granted, in seconds.", doubling(1, 24)
    )

    # --- the disk
    wal_fsync: Histogram = histogram(
        "etcd_disk_wal_fsync_duration_seconds", "Time of an fsync of the WAL.", DISK
    )
    wal_write: Histogram = histogram(
        "etcd_disk_wal_write_duration_seconds", "Time of a write to the WAL.", DISK
    )
    wal_write_bytes: Gauge = gauge("etcd_disk_wal_write_bytes_total", "Bytes written to the WAL.")
    backend_commit: Histogram = histogram(
        "etcd_disk_backend_commit_duration_seconds", "Time of a backend commit.", DISK
    )
    backend_snapshot: Histogram = histogram(
        "etcd_disk_backend_snapshot_duration_seconds", "Time to stream a snapshot.", SNAPSHOT
    )
    backend_defrag: Histogram = histogram(
        "etcd_disk_backend_defrag_duration_seconds", "Time of a defragmentation.", doubling(0.1, 13)
    )
    defrag_inflight: Gauge = gauge("etcd_disk_defrag_inflight", "1 while defragmenting.")
    snap_fsync: Histogram = histogram(
        "etcd_snap_fsync_duration_seconds", "Time of an fsync of a snapshot file.", DISK
    )
    snap_db_fsync: Histogram = histogram(
        "etcd_snap_db_fsync_duration_seconds", "Time of an fsync of a received database.", DISK
    )
    snap_db_save: Histogram = histogram(
        "etcd_snap_db_save_total_duration_seconds", "Time to save a received database.", TRANSFER
    )

    # --- the network
    client_sent_bytes: Gauge = counter(
        "etcd_network_client_grpc_sent_bytes_total", "Bytes of gRPC messages sent to clients."
    )
    client_received_bytes: Gauge = counter(
        "etcd_network_client_grpc_received_bytes_total", "Bytes received from them."
    )
    stream_failures: Labelled = counters(
        "etcd_network_server_stream_failures_total", "Streams that broke.", "Type", "API"
    )
    active_peers: Labelled = gauges(
        "etcd_network_active_peers", "1 for a peer that answers.", "Local", "Remote"
    )
    known_peers: Labelled = gauges(
        "etcd_network_known_peers", "1 for a peer that is talked to.", "Local", "Remote"
    )
    disconnected_peers: Labelled = counters(
        "etcd_network_disconnected_peers_total", "Peers lost.", "Local", "Remote"
    )
    peer_sent_bytes: Labelled = counters(
        "etcd_network_peer_sent_bytes_total", "Bytes sent to a peer.", "To"
    )
    peer_received_bytes: Labelled = counters(
        "etcd_network_peer_received_bytes_total", "Bytes received from a peer.", "From"
    )
    peer_sent_failures: Labelled = counters(
        "etcd_network_peer_sent_failures_total", "Messages that a peer did not take.", "To"
    )
    peer_received_failures: Labelled = counters(
        "etcd_network_peer_received_failures_total", "Messages that could not be read.", "From"
    )
    peer_round_trip: Histograms = histograms(
        "etcd_network_peer_round_trip_time_seconds", "Ping to a peer.", doubling(0.0001, 16), "To"
    )
    snapshot_send_success: Labelled = counters(
        "etcd_network_snapshot_send_success", "Snapshots sent.", "To"
    )
    snapshot_send_failures: Labelled = counters(
        "etcd_network_snapshot_send_failures", "Snapshots not sent.", "To"
    )
    snapshot_send_inflights: Labelled = gauges(
        "etcd_network_snapshot_send_inflights_total", "Snapshots being sent.", "To"
    )
    snapshot_send_duration: Histograms = histograms(
        "etcd_network_snapshot_send_total_duration_seconds", "Time to send one.", TRANSFER, "To"
    )
    snapshot_receive_success: Labelled = counters(
        "etcd_network_snapshot_receive_success", "Snapshots received.", "From"
    )
    snapshot_receive_failures: Labelled = counters(
        "etcd_network_snapshot_receive_failures", "Snapshots lost on the way.", "From"
    )
    snapshot_receive_inflights: Labelled = gauges(
        "etcd_network_snapshot_receive_inflights_total", "Snapshots being received.", "From"
    )
    snapshot_receive_duration: Histograms = histograms(
        "etcd_network_snapshot_receive_total_duration_seconds", "Its time.", TRANSFER, "From"
    )


class PrometheusCollector:
    """Shows sets of metrics in the registry of the embedding program.

    `registry.register(node.observer.collector())` for a node. `refresh` is called before reading.
    Two nodes in one registry clash by name: give each a registry of its own.
    """

    def __init__(self, *sets: Any, refresh: Callable[[], None] = lambda: None) -> None:
        self._sets = sets
        self._refresh = refresh

    def collect(self) -> Iterator[Metric]:
        """What prometheus-client asks a collector for."""
        from prometheus_client import Metric

        self._refresh()
        for family in (each for metrics in self._sets for each in families(metrics)):
            name, kind = family.name, family.kind
            if kind == "counter":  # that library knows only counters whose name ends in _total
                kind = "counter" if name.endswith("_total") else "unknown"
                name = name.removesuffix("_total")
            metric = Metric(name, family.help, kind)
            for suffix, labels, value in family.samples:
                metric.add_sample(family.name + suffix, labels, value)
            yield metric


def process_families() -> Iterator[Family]:
    """This process: memory, CPU time, start, file descriptors (the latter also as `os_fd_*`)."""
    from prometheus_client import ProcessCollector

    for metric in ProcessCollector(registry=None).collect():
        samples = [("", dict(sample.labels), sample.value) for sample in metric.samples]
        name = metric.samples[0].name if metric.samples else metric.name
        yield Family(name, metric.type, metric.documentation, samples)
        if name in _ALSO:
            yield Family(_ALSO[name], metric.type, metric.documentation, samples)


_ALSO: Final = {"process_open_fds": "os_fd_used", "process_max_fds": "os_fd_limit"}


def page(*sets: Any) -> bytes:
    """The body of GET /metrics (`rpc.metrics_text.CONTENT_TYPE`) for sets of metrics."""
    found = [family for metrics in sets for family in families(metrics)]
    return text([*found, *process_families()])
