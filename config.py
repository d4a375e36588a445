"""The settings of a node: etcd's flags as one frozen record.

`Config` is the only place that knows a setting: its name (etcd's flag with `_` for `-`), default, kind of
value and help. The daemon's flags, the keys of its TOML file, the `TRIODE_*` variables and the reference in
`docs/configuration.md` are all made from it. Durations are seconds (float), sizes are bytes.

Embedding programs build a `Config` directly; `settings` reads the texts that people write.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import attrs

from . import features, readings
from .errors import ConfigError

__all__ = ["Bytes", "Config", "Milliseconds", "Seconds", "Urls", "parse_initial_cluster"]

Seconds = Annotated[float, "duration"]
"""A duration, written with a unit: "100ms", "10m"."""
Milliseconds = Annotated[float, "duration in milliseconds"]
"""A duration in seconds that etcd writes as a bare number of milliseconds; a unit is accepted too."""
Bytes = Annotated[int, "size"]
"""A size: a number of bytes, or with a unit such as "2GiB"."""
Urls = Annotated[tuple[str, ...], "URLs"]
"""URLs, comma-separated where one text holds them all."""

CLIENT_URL = "http://localhost:2379"
PEER_URL = "http://localhost:2380"
ELECTION_SECONDS_MAX = 50.0
ELECTION_PER_HEARTBEAT_MIN = 5
PROGRESS_SECONDS_MIN = 0.1

MEMBER, CLUSTERING, SECURITY, LOGGING, FEATURES, UNSAFE = (
    "Member",
    "Clustering",
    "Security",
    "Logging and monitoring",
    "Features",
    "Unsafe",
)


def _setting(
    default: Any,
    section: str,
    help: str,
    *choices: str,
) -> Any:
    return attrs.field(
        default=default, metadata={"section": section, "help": help, "choices": choices}
    )


def _path(value: Any) -> Path | None:
    return value if value is None or isinstance(value, Path) else readings.path(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    "Seconds": readings.number_of_seconds,
    "Milliseconds": readings.number_of_seconds,
    "Bytes": readings.size,
    "Urls": readings.urls,
    "int": readings.integer,
    "bool": readings.boolean,
    "str": readings.text,
    "Path | None": _path,
}
"""By annotation. Texts mean here what they mean in a TOML file; numbers of durations are seconds."""


def _reading(_: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """Have each field read its value, and name itself when that cannot be."""

    def reader(field: attrs.Attribute[Any]) -> Callable[[Any], Any]:
        retention = field.name == "auto_compaction_retention"
        read = readings.retention if retention else _READERS[str(field.type)]

        def named(value: Any) -> Any:
            try:
                return read(value)
            except ValueError as error:
                raise ConfigError(f"{field.name.replace('_', '-')}: {error}") from None

        return named

    return [field.evolve(converter=reader(field)) for field in fields]


@attrs.frozen(kw_only=True, field_transformer=_reading)
class Config:
    """What one member is, where it listens and keeps its data, and its limits."""

    name: str = _setting("default", MEMBER, "Human-readable name for this member.")
    data_dir: Path | None = _setting(
        None, MEMBER, "Path to the data directory; by default NAME.triode."
    )
    wal_dir: Path | None = _setting(
        None,
        MEMBER,
        "Path to a dedicated directory for the log; by default inside the data directory.",
    )
    backend: str = _setting(
        "sqlite",
        MEMBER,
        "Storage engine: sqlite (durable), memory (keeps nothing), or a third party's.",
    )
    snapshot_count: int = _setting(
        10_000, MEMBER, "Committed transactions that trigger a snapshot of the log."
    )
    heartbeat_interval: Milliseconds = _setting(
        0.1, MEMBER, "Time of a heartbeat interval, in milliseconds."
    )
    election_timeout: Milliseconds = _setting(
        1.0, MEMBER, "Time for an election to time out, in milliseconds."
    )
    listen_peer_urls: Urls = _setting(
        (),
        MEMBER,
        "URLs to listen on for peer traffic. The daemon listens on http://localhost:2380 if it is not told; an"
        " embedded node, which most often is alone, only if it is.",
    )
    listen_client_urls: Urls = _setting(
        (CLIENT_URL,), MEMBER, "URLs to listen on for client traffic, gRPC and HTTP."
    )
    listen_client_http_urls: Urls = _setting(
        (), MEMBER, "URLs to listen on for HTTP only; the client URLs then speak gRPC only."
    )
    raft_read_timeout: Seconds = _setting(
        5.0, MEMBER, "Longest silence of a connection to a peer, at least 5s."
    )
    raft_write_timeout: Seconds = _setting(
        5.0, MEMBER, "Longest time that a write to a peer may take, at least 5s."
    )
    max_wals: int = _setting(5, MEMBER, "Log files to keep; 0 keeps all.")
    quota_backend_bytes: Bytes = _setting(
        0, MEMBER, "Raise an alarm when the backend exceeds this; 0 means 2 GiB, negative no limit."
    )
    backend_batch_interval: Seconds = _setting(
        0.1, MEMBER, "Longest time before the backend's transaction is committed."
    )
    backend_batch_limit: int = _setting(
        10_000, MEMBER, "Most operations before the backend's transaction is committed."
    )
    max_txn_ops: int = _setting(128, MEMBER, "Most operations permitted in a transaction.")
    max_request_bytes: Bytes = _setting(
        1_572_864, MEMBER, "Largest client request the server accepts."
    )
    max_concurrent_streams: int = _setting(
        (1 << 32) - 1, MEMBER, "Most concurrent streams that each client connection can open."
    )
    grpc_keepalive_min_time: Seconds = _setting(
        5.0, MEMBER, "Shortest interval a client should wait before pinging the server."
    )
    grpc_keepalive_interval: Seconds = _setting(
        7200.0,
        MEMBER,
        "Time of server-to-client pings that check a connection is alive; 0 disables.",
    )
    grpc_keepalive_timeout: Seconds = _setting(
        20.0,
        MEMBER,
        "Wait this long for the answer to a ping before closing the connection; 0 disables.",
    )
    enable_grpc_gateway: bool = _setting(True, MEMBER, "Serve the JSON gateway.")

    initial_advertise_peer_urls: Urls = _setting(
        (PEER_URL,), CLUSTERING, "This member's peer URLs to advertise to the rest of the cluster."
    )
    initial_cluster: str = _setting(
        "",
        CLUSTERING,
        "Initial members for bootstrapping: NAME=URL, ...; by default this one alone.",
    )
    initial_cluster_state: str = _setting(
        "new",
        CLUSTERING,
        "Begin a new cluster, or join an existing one; a restart ignores it.",
        "new",
        "existing",
    )
    initial_cluster_token: str = _setting(
        "etcd-cluster", CLUSTERING, "Initial cluster token for the cluster during bootstrap."
    )
    discovery_srv: str = _setting(
        "", CLUSTERING, "DNS domain whose SRV records name the initial members."
    )
    discovery_srv_name: str = _setting(
        "", CLUSTERING, "Suffix to the DNS service name when bootstrapping with discovery-srv."
    )
    advertise_client_urls: Urls = _setting(
        (CLIENT_URL,), CLUSTERING, "This member's client URLs to advertise to the public."
    )
    strict_reconfig_check: bool = _setting(
        True,
        CLUSTERING,
        "Reject reconfiguration that would cause quorum loss.",
    )
    pre_vote: bool = _setting(
        True,
        CLUSTERING,
        "Ask before an election whether it can be won.",
    )
    initial_election_tick_advance: bool = _setting(
        True, CLUSTERING, "Wait for the first election at start for a shorter time."
    )
    auto_compaction_mode: str = _setting(
        "periodic", CLUSTERING, "Interpret auto-compaction-retention as.", "periodic", "revision"
    )
    auto_compaction_retention: str = _setting(
        "0", CLUSTERING, "Auto compaction retention: a duration, hours, or revisions; 0 disables."
    )

    cors: str = _setting("*", SECURITY, "Origins that browsers may call from, comma-separated.")
    host_whitelist: str = _setting("*", SECURITY, "Host names that HTTP requests may name.")
    ui: str = _setting(
        "read-only",
        SECURITY,
        "Serve a page for people at /ui: off, read-only (it shows), or read-write (it changes things, too).",
        "off",
        "read-only",
        "read-write",
    )

    log_level: str = _setting(
        "info",
        LOGGING,
        "Lines below this level are not written.",
        "debug",
        "info",
        "warn",
        "error",
        "panic",
        "fatal",
    )
    log_format: str = _setting(
        "json",
        LOGGING,
        "How lines are written; where stderr is a terminal, console by default.",
        "json",
        "console",
    )
    log_outputs: str = _setting(
        "default", LOGGING, "Where lines go: default, stderr, stdout or paths, comma-separated."
    )
    logger: str = _setting("zap", LOGGING, "etcd's only value, accepted.", "zap")
    metrics: str = _setting(
        "basic", LOGGING, "Level of detail of the metrics.", "basic", "extensive"
    )
    listen_metrics_urls: Urls = _setting(
        (), LOGGING, "URLs to listen on for the metrics and health pages."
    )
    warning_unary_request_duration: Seconds = _setting(
        0.3, LOGGING, "A warning is logged for a unary request that takes longer."
    )

    compaction_batch_limit: int = _setting(
        1_000, FEATURES, "Most keys swept in one step of a compaction."
    )
    compaction_sleep_interval: Seconds = _setting(
        0.01, FEATURES, "Pause between the steps of a compaction."
    )
    watch_progress_notify_interval: Seconds = _setting(
        600.0, FEATURES, "Interval of periodic progress notifications."
    )
    warning_apply_duration: Seconds = _setting(
        0.1, FEATURES, "A warning is logged when applying a batch takes longer."
    )
    bootstrap_defrag_threshold_megabytes: int = _setting(
        0, FEATURES, "Defragment at start if that frees so many megabytes; 0 disables."
    )
    max_learners: int = _setting(1, FEATURES, "Most learner members of the cluster.")
    corrupt_check_time: Seconds = _setting(
        0.0, FEATURES, "Interval at which the leader compares all members' hashes; 0 disables."
    )
    compact_hash_check_time: Seconds = _setting(
        60.0,
        FEATURES,
        "Interval at which the leader compares hashes of compactions, with CompactHashCheck.",
    )
    downgrade_check_time: Seconds = _setting(
        5.0, FEATURES, "Interval at which the leader looks whether a downgrade is done; 0 disables."
    )
    feature_gates: str = _setting(
        "", FEATURES, "Feature gates: NAME=true|false, ...; CompactHashCheck, InitialCorruptCheck."
    )
    snapshot_catchup_entries: int = _setting(
        5_000, FEATURES, "Entries kept after a snapshot for a slow follower to catch up."
    )

    force_new_cluster: bool = _setting(
        False, UNSAFE, "Start as the only member of a new cluster with the data that is here."
    )
    unsafe_no_fsync: bool = _setting(
        False, UNSAFE, "Do not wait for the disk: a loss of power may lose acknowledged writes."
    )

    def __attrs_post_init__(self) -> None:
        """Raises ConfigError: each check names the setting and says what is right."""
        for check in _CHECKS:
            check(self)


def _check_name(config: Config) -> None:
    if not config.name:
        raise ConfigError("name: it must not be empty")


def _check_timing(config: Config) -> None:
    heartbeat, election = config.heartbeat_interval, config.election_timeout
    if heartbeat <= 0:
        raise ConfigError("heartbeat-interval: it must be positive")
    if election < ELECTION_PER_HEARTBEAT_MIN * heartbeat:
        raise ConfigError(
            f"election-timeout: {election * 1000:g} ms is less than"
            f" {ELECTION_PER_HEARTBEAT_MIN} times heartbeat-interval ({heartbeat * 1000:g} ms)"
        )
    if election > ELECTION_SECONDS_MAX:
        raise ConfigError(
            f"election-timeout: {election * 1000:g} ms is more than"
            f" {ELECTION_SECONDS_MAX * 1000:g} ms"
        )


def _check_limits(config: Config) -> None:
    for name in (
        "snapshot_count",
        "backend_batch_interval",
        "backend_batch_limit",
        "max_txn_ops",
        "max_request_bytes",
        "max_concurrent_streams",
        "compaction_batch_limit",
        "snapshot_catchup_entries",
        "compact_hash_check_time",
        "raft_read_timeout",
        "raft_write_timeout",
    ):
        if getattr(config, name) <= 0:
            raise ConfigError(f"{name.replace('_', '-')}: it must be positive")
    if config.max_wals < 0:
        raise ConfigError("max-wals: it must not be negative; 0 keeps all files")
    if config.max_learners < 0:
        raise ConfigError("max-learners: it must not be negative; 0 allows none")
    if config.watch_progress_notify_interval < PROGRESS_SECONDS_MIN:
        raise ConfigError("watch-progress-notify-interval: it must be at least 100ms")


def _check_choices(config: Config) -> None:
    for field in attrs.fields(Config):
        choices = field.metadata["choices"]
        value = getattr(config, field.name)
        if choices and value not in choices:
            raise ConfigError(
                f"{field.name.replace('_', '-')}: {value!r} is none of {', '.join(choices)}"
            )


def _check_urls(config: Config) -> None:
    for field in attrs.fields(Config):
        if not field.name.endswith("_urls"):
            continue
        for url in getattr(config, field.name):
            _check_url(field.name.replace("_", "-"), url, listen=field.name.startswith("listen"))


def _check_url(name: str, url: str, *, listen: bool) -> None:
    parts = urlsplit(url)
    if listen and parts.scheme in ("https", "unixs"):
        raise ConfigError(f"{name}: {url!r}: TLS is not supported yet")
    if parts.scheme in ("unix", "unixs"):
        return
    if parts.scheme not in ("http", "https"):
        raise ConfigError(f"{name}: {url!r} must begin with http://, https:// or unix://")
    try:
        port = parts.port
    except ValueError:
        port = None
    if not parts.hostname or port is None:
        raise ConfigError(f"{name}: {url!r} needs a host and a port, such as http://127.0.0.1:2379")
    if parts.path:
        raise ConfigError(f"{name}: {url!r} must not have a path")
    if listen and parts.hostname != "localhost" and not _is_address(parts.hostname):
        raise ConfigError(f"{name}: {url!r} needs an IP address to listen on, not a host name")


def parse_initial_cluster(text: str, name: str = "initial-cluster") -> dict[str, tuple[str, ...]]:
    """The sorted peer URLs of each member; several URLs of a member are several pairs of its name.

    `name` is the setting that the message of a ConfigError begins with.
    """
    urls: dict[str, list[str]] = {}
    for pair in filter(None, text.split(",")):
        member, equals, url = (part.strip() for part in pair.partition("="))
        if not equals or not member or not url:
            raise ConfigError(f"{name}: {pair!r} is not NAME=URL")
        url = url.rstrip("/") if "//" in url else url
        _check_url(name, url, listen=False)
        urls.setdefault(member, []).append(url)
    return {member: tuple(sorted(of)) for member, of in urls.items()}


def _check_cluster(config: Config) -> None:
    parse_initial_cluster(config.initial_cluster)
    if config.initial_cluster and config.discovery_srv:
        raise ConfigError(
            "initial-cluster: multiple discovery or bootstrap flags are set."
            ' Choose one of "initial-cluster" or "discovery-srv"'
        )
    if not config.initial_advertise_peer_urls:
        raise ConfigError("initial-advertise-peer-urls: there must be at least one")
    features.parse(config.feature_gates)


def _is_address(host: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


_CHECKS: tuple[Callable[[Config], None], ...] = (
    _check_name,
    _check_timing,
    _check_limits,
    _check_choices,
    _check_urls,
    _check_cluster,
)
