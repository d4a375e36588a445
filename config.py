"""The settings of a node: etcd's flags as one frozen record.

Durations are seconds (float), sizes are bytes. The names are etcd's flags with `_` for `-`; the same
settings are flags of the daemon, keys of its TOML file and `TRIODE_*` variables.
"""

from __future__ import annotations

from pathlib import Path

import attrs

__all__ = ["Config"]

CLIENT_URL = "http://localhost:2379"
PEER_URL = "http://localhost:2380"
MIB = 1024 * 1024


@attrs.frozen(kw_only=True)
class Config:
    """What one member is, where it listens and keeps its data, and its limits."""

    name: str = "default"
    data_dir: Path | None = None
    wal_dir: Path | None = None
    backend: str = "sqlite"
    snapshot_count: int = 10_000
    snapshot_catchup_entries: int = 5_000
    heartbeat_interval: float = 0.1
    election_timeout: float = 1.0
    listen_client_urls: tuple[str, ...] = (CLIENT_URL,)
    listen_client_http_urls: tuple[str, ...] = ()
    listen_metrics_urls: tuple[str, ...] = ()
    listen_peer_urls: tuple[str, ...] = (PEER_URL,)
    advertise_client_urls: tuple[str, ...] = (CLIENT_URL,)
    initial_advertise_peer_urls: tuple[str, ...] = (PEER_URL,)
    initial_cluster: str = ""
    initial_cluster_token: str = "etcd-cluster"  # noqa: S105  # not a secret
    max_wals: int = 5
    quota_backend_bytes: int = 0
    backend_batch_interval: float = 0.1
    backend_batch_limit: int = 10_000
    max_txn_ops: int = 128
    max_request_bytes: int = 1_572_864
    max_concurrent_streams: int = (1 << 32) - 1
    enable_grpc_gateway: bool = True
    auto_compaction_mode: str = "periodic"
    auto_compaction_retention: str = "0"
    compaction_batch_limit: int = 1_000
    compaction_sleep_interval: float = 0.01
    watch_progress_notify_interval: float = 600.0
    warning_apply_duration: float = 0.1
    unsafe_no_fsync: bool = False
