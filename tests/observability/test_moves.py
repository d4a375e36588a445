"""Each metric moves when what it tells of happens, and by how much."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

import triode
from triode.actors.metrics import Metrics
from triode.actors.node import Node
from triode.errors import EtcdError
from triode.rpc.metrics_text import families
from triode.rpc.pb.rpc_pb2 import (
    AlarmRequest,
    AlarmType,
    CompactionRequest,
    Compare,
    DefragmentRequest,
    DeleteRangeRequest,
    HashKVRequest,
    HashRequest,
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseRevokeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    SnapshotRequest,
    SnapshotResponse,
    TxnRequest,
    WatchCreateRequest,
    WatchRequest,
    WatchResponse,
)

Samples = dict[str, float]
Parse = Callable[[bytes], Samples]

# --- what is done ---------------------------------------------------------------------------------


async def put(node: Node) -> None:
    await node.local.put(b"key", b"value")


async def put_unknown_lease(node: Node) -> None:
    with pytest.raises(EtcdError):
        await node.local.put(b"key", b"value", lease=404)


async def get(node: Node) -> None:
    await node.local.get(b"key")


async def get_from_the_future(node: Node) -> None:
    with pytest.raises(EtcdError):
        await node.local.get(b"key", revision=1_000_000)


async def delete(node: Node) -> None:
    await node.local.call("KV/DeleteRange", DeleteRangeRequest(key=b"seed"))


async def txn(node: Node) -> None:
    await node.local.txn(
        TxnRequest(
            compare=[Compare(key=b"seed", target=Compare.VERSION, version=1)],
            success=[
                RequestOp(request_put=PutRequest(key=b"a", value=b"123")),
                RequestOp(request_range=RangeRequest(key=b"a")),
                RequestOp(request_delete_range=DeleteRangeRequest(key=b"b")),
            ],
        )
    )


async def txn_of_one(node: Node) -> None:
    """As in etcd, it takes two operations to make a transaction worth counting."""
    op = RequestOp(request_put=PutRequest(key=b"key", value=b"value"))
    await node.local.txn(TxnRequest(success=[op]))


async def compact(node: Node) -> None:
    await node.local.put(b"seed", b"2")
    await node.local.call("KV/Compact", CompactionRequest(revision=3, physical=True))


async def grant(node: Node) -> None:
    await node.local.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=60, ID=7))


async def grant_and_revoke(node: Node) -> None:
    await grant(node)
    await node.local.call("Lease/LeaseRevoke", LeaseRevokeRequest(ID=7))


async def keep_alive(node: Node) -> None:
    await grant(node)
    async with node.local.stream("Lease/LeaseKeepAlive") as stream:
        await stream.send(LeaseKeepAliveRequest(ID=7))
        response = await stream.receive()
        assert isinstance(response, LeaseKeepAliveResponse)
        assert response.TTL == 60


async def watch(node: Node) -> None:
    async with node.local.stream("Watch/Watch") as stream:
        await stream.send(WatchRequest(create_request=WatchCreateRequest(key=b"key")))
        await stream.receive()
        await node.local.put(b"key", b"value")
        response = await stream.receive()
        assert isinstance(response, WatchResponse)
        assert response.events


async def hash_kv(node: Node) -> None:
    await node.local.call("Maintenance/HashKV", HashKVRequest())


async def hash_all(node: Node) -> None:
    await node.local.call("Maintenance/Hash", HashRequest())


async def defragment(node: Node) -> None:
    await node.local.call("Maintenance/Defragment", DefragmentRequest())


async def snapshot(node: Node) -> None:
    async with node.local.stream("Maintenance/Snapshot") as stream:
        await stream.send(SnapshotRequest())
        async for part in stream:
            assert isinstance(part, SnapshotResponse)


async def alarm(node: Node) -> None:
    await node.local.call(
        "Maintenance/Alarm",
        AlarmRequest(
            action=AlarmRequest.ACTIVATE,
            memberID=node.context.member_id,
            alarm=AlarmType.Value("NOSPACE"),
        ),
    )


async def healthy(node: Node) -> None:
    page = await node.pages.answer("GET", "/health")
    assert page is not None
    assert page.status == 200


async def unhealthy(node: Node) -> None:
    await alarm(node)
    page = await node.pages.answer("GET", "/health")
    assert page is not None
    assert page.status == 503


async def ready(node: Node) -> None:
    await node.pages.answer("GET", "/readyz")


async def alive(node: Node) -> None:
    await node.pages.answer("GET", "/livez/serializable_read")


async def not_ready(node: Node) -> None:
    await node.local.call(
        "Maintenance/Alarm",
        AlarmRequest(action=AlarmRequest.ACTIVATE, alarm=AlarmType.Value("CORRUPT")),
    )
    await node.pages.answer("GET", "/readyz/data_corruption")


async def versions(node: Node) -> None:
    for metadata in ({"client-api-version": "3.5"}, {"client-api-version": "3.5"}, {}):
        await node.local.call("KV/Range", RangeRequest(key=b"key"), metadata=metadata)


async def bad_keep_alive(node: Node) -> None:
    node.dispatcher.traffic.counter("/etcdserverpb.Lease/LeaseKeepAlive").ended[8] += 1


async def slow_apply(node: Node) -> None:
    node.applier.slow_total += 1


async def reads_without_leader(node: Node) -> None:
    node.peer.reads_failed += 1
    node.peer.reads_late += 2
    node.peer.proposing.failed += 3


# --- what moves -----------------------------------------------------------------------------------

WRITE = {
    "etcd_server_proposals_committed_total": 1,
    "etcd_server_proposals_applied_total": 1,
    "etcd_disk_wal_fsync_duration_seconds_count": 1,
    "etcd_disk_wal_write_bytes_total": None,  # None: more than before
    "etcd_disk_wal_write_duration_seconds_count": None,
}
STREAM = 'client_api_version="unknown",type="stream"'
UNARY = 'client_api_version="unknown",type="unary"'
REVISION = {"etcd_debugging_mvcc_current_revision": 1}
READ = {"etcd_mvcc_range_total": 1, "etcd_debugging_mvcc_range_total": 1}


def rpc(service: str, method: str, *, code: str = "OK", count: int = 1) -> dict[str, float]:
    """The series of one unary call."""
    labels = f'grpc_method="{method}",grpc_service="etcdserverpb.{service}",grpc_type="unary"'
    names = ("started", "msg_received") if code != "OK" else ("started", "msg_received", "msg_sent")
    moved: dict[str, float] = {f"grpc_server_{name}_total{{{labels}}}": count for name in names}
    moved[f'grpc_server_handled_total{{grpc_code="{code}",{labels}}}'] = count
    moved[f"etcd_server_client_requests_total{{{UNARY}}}"] = count
    return moved


def check(page: str, name: str, status: str) -> dict[str, float]:
    labels = f'name="{name}",'
    moved: dict[str, float] = {
        f'etcd_server_healthchecks_total{{{labels}status="{status}",type="{page}"}}': 1
    }
    if status == "success":
        moved[f'etcd_server_healthcheck{{{labels}type="{page}"}}'] = 1
    return moved


PUT: Mapping[str, float | None] = {
    **WRITE,
    **REVISION,
    "etcd_mvcc_put_total": 1,
    "etcd_debugging_mvcc_total_put_size_in_bytes": len(b"keyvalue"),
    "etcd_debugging_mvcc_keys_total": 1,
}
GRANT: Mapping[str, float | None] = {
    **rpc("Lease", "LeaseGrant"),
    "etcd_debugging_lease_granted_total": 1,
    "etcd_debugging_lease_ttl_total_count": 1,
    "etcd_debugging_lease_ttl_total_sum": 60,
}
MEMBER = 'server_id="8e9e05c52164694d"'
TABLE: list[tuple[Callable[[Node], Awaitable[None]], Mapping[str, float | None]]] = [
    (put, {**PUT, **rpc("KV", "Put")}),
    (put_unknown_lease, {**WRITE, **rpc("KV", "Put", code="NotFound")}),
    (get, {**READ, **rpc("KV", "Range")}),
    (get_from_the_future, {**READ, **rpc("KV", "Range", code="OutOfRange")}),
    (
        delete,
        {
            **WRITE,
            **REVISION,
            **rpc("KV", "DeleteRange"),
            "etcd_mvcc_delete_total": 1,
            "etcd_debugging_mvcc_keys_total": -1,
        },
    ),
    (
        txn,
        {
            **WRITE,
            **REVISION,
            **rpc("KV", "Txn"),
            "etcd_mvcc_put_total": 1,
            "etcd_mvcc_delete_total": 1,
            "etcd_mvcc_range_total": 2,
            "etcd_debugging_mvcc_range_total": 2,
            "etcd_mvcc_txn_total": 1,
            "etcd_debugging_mvcc_total_put_size_in_bytes": len(b"a123"),
            "etcd_debugging_mvcc_keys_total": 1,
        },
    ),
    (txn_of_one, {**PUT, **rpc("KV", "Txn")}),
    (
        compact,
        {
            **rpc("KV", "Compact"),
            f"etcd_server_client_requests_total{{{UNARY}}}": 2,
            "etcd_debugging_mvcc_compact_revision": 4,  # from -1 to 3
            "etcd_debugging_mvcc_db_compaction_keys_total": 1,
            "etcd_debugging_mvcc_db_compaction_last": None,
            "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds_count": 1,
            "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds_count": 1,
            "etcd_disk_backend_commit_duration_seconds_count": None,
        },
    ),
    (grant, {**WRITE, **GRANT}),
    (
        grant_and_revoke,
        {**GRANT, **rpc("Lease", "LeaseRevoke"), "etcd_debugging_lease_revoked_total": 1}
        | {f"etcd_server_client_requests_total{{{UNARY}}}": 2},
    ),
    (
        keep_alive,
        {
            **GRANT,
            "etcd_debugging_lease_renewed_total": 1,
            f"etcd_server_client_requests_total{{{STREAM}}}": 1,
        },
    ),
    (
        watch,
        {
            **PUT,
            **rpc("KV", "Put"),
            "etcd_debugging_mvcc_events_total": 1,
            f"etcd_server_client_requests_total{{{STREAM}}}": 1,
        },
    ),
    (hash_kv, {**rpc("Maintenance", "HashKV"), "etcd_mvcc_hash_rev_duration_seconds_count": 1}),
    (hash_all, {**rpc("Maintenance", "Hash"), "etcd_mvcc_hash_duration_seconds_count": 1}),
    (
        defragment,
        {
            **rpc("Maintenance", "Defragment"),
            "etcd_disk_backend_defrag_duration_seconds_count": 1,
        },
    ),
    (
        snapshot,
        {
            "etcd_disk_backend_snapshot_duration_seconds_count": 1,
            f"etcd_server_client_requests_total{{{STREAM}}}": 1,
        },
    ),
    (
        alarm,
        {
            **WRITE,
            **rpc("Maintenance", "Alarm"),
            f'etcd_debugging_server_alarms{{alarm_type="NOSPACE",{MEMBER}}}': 1,
        },
    ),
    (healthy, {**READ, "etcd_server_health_success": 1}),
    (unhealthy, {"etcd_server_health_failures": 1}),
    (
        ready,
        {
            **check("readyz", "data_corruption", "success"),
            **check("readyz", "serializable_read", "success"),
            **check("readyz", "linearizable_read", "success"),
            **check("readyz", "non_learner", "success"),
            "etcd_mvcc_range_total": 2,
        },
    ),
    (alive, {**READ, **check("livez", "serializable_read", "success")}),
    (not_ready, check("readyz", "data_corruption", "error")),
    (
        versions,
        {
            'etcd_server_client_requests_total{client_api_version="3.5",type="unary"}': 2,
            'etcd_server_client_requests_total{client_api_version="unknown",type="unary"}': 1,
        },
    ),
    (
        bad_keep_alive,
        {'etcd_network_server_stream_failures_total{API="lease-keepalive",Type="receive"}': 1},
    ),
    (slow_apply, {"etcd_server_slow_apply_total": 1}),
    (
        reads_without_leader,
        {
            "etcd_server_read_indexes_failed_total": 1,
            "etcd_server_slow_read_indexes_total": 2,
            "etcd_server_proposals_failed_total": 3,
        },
    ),
]
# Whatever is done, these may move too: time passes, and every call has a status.
ALWAYS = re.compile(
    r"process_|os_fd_|etcd_mvcc_db_total_size|etcd_disk_backend_commit_|.*_bucket\{|.*_seconds_sum$"
    r"|.*_milliseconds_sum$|etcd_disk_wal_|etcd_server_proposals_|grpc_server_"
    r"|etcd_server_slow_apply_total"
)


@asynccontextmanager
async def seeded(data_dir: Path, **settings: str) -> AsyncIterator[Node]:
    """A durable node with one key, that listens nowhere."""
    config = triode.Config(data_dir=data_dir, listen_client_urls=(), **settings)  # type: ignore[arg-type]  # texts
    async with triode.open_node(config) as node:
        await node.local.put(b"seed", b"1")
        yield node


def moved(before: Samples, after: Samples) -> Samples:
    return {
        name: value - before.get(name, 0)
        for name, value in after.items()
        if value != before.get(name, 0)
    }


@pytest.mark.parametrize(("action", "expected"), TABLE, ids=[row[0].__name__ for row in TABLE])
async def test_what_moves(
    action: Callable[[Node], Awaitable[None]],
    expected: Mapping[str, float | None],
    tmp_path: Path,
    parse: Parse,
) -> None:
    """What is expected moves by exactly so much, and nothing else that stands for an event does."""
    async with seeded(tmp_path) as node:
        before = parse(node.metrics())
        await action(node)
        changes = moved(before, parse(node.metrics()))
    for name, amount in expected.items():
        if amount is None:
            assert changes.get(name, 0) > 0, name
        else:
            assert changes.get(name, 0) == amount, name
    if len(expected) > len(WRITE) and action not in LOOSE:
        others = {name for name in changes if not ALWAYS.match(name)}
        assert others <= expected.keys()


LOOSE = {compact, grant_and_revoke, ready}  # they do more than what they are here for


async def test_what_is_there_while_it_lasts(tmp_path: Path, parse: Parse) -> None:
    """Gauges go up and down again."""
    async with seeded(tmp_path) as node:
        async with node.local.stream("Watch/Watch") as stream:
            await stream.send(WatchRequest(create_request=WatchCreateRequest(key=b"key")))
            await stream.receive()
            with node.context.backend.snapshot() as view:
                during = parse(node.metrics())
        after = parse(node.metrics())
        del view  # only now: it is closed that counts
    for name in (
        "etcd_debugging_mvcc_watcher_total",
        "etcd_debugging_mvcc_watch_stream_total",
        "etcd_mvcc_db_open_read_transactions",
    ):
        assert (during[name], after[name]) == (1, 0), name


async def test_lease_expiry(
    tmp_path: Path, parse: Parse, autojump_clock: trio.testing.MockClock
) -> None:
    async with seeded(tmp_path, backend="memory") as node:
        await node.local.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=60))
        await trio.sleep(62)
        samples = parse(node.metrics())
    assert samples["etcd_debugging_server_lease_expired_total"] == 1
    assert samples["etcd_debugging_lease_revoked_total"] == 1


async def test_extensive(tmp_path: Path, parse: Parse) -> None:
    """With --metrics=extensive every call is timed; without, there is no trace of it."""
    async with seeded(tmp_path / "basic") as node:
        for action in (put, get):
            await action(node)
        basic = parse(node.metrics())
    timed = re.compile(r"grpc_server_handling_seconds|etcd_server_(apply|range)_duration_seconds")
    assert not [name for name in basic if timed.match(name)]
    async with seeded(tmp_path / "extensive", metrics="extensive") as node:
        for action in (put, get, get_from_the_future, put_unknown_lease, watch, snapshot):
            await action(node)
        samples = parse(node.metrics())
    put_labels = 'grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"'
    assert samples[f"grpc_server_handling_seconds_count{{{put_labels}}}"] == 4
    assert samples[f"grpc_server_handling_seconds_sum{{{put_labels}}}"] > 0
    watched = 'grpc_method="Watch",grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream"'
    assert samples[f"grpc_server_handling_seconds_count{{{watched}}}"] == 1
    saved = (
        'grpc_method="Snapshot",grpc_service="etcdserverpb.Maintenance",grpc_type="server_stream"'
    )
    assert samples[f"grpc_server_handling_seconds_count{{{saved}}}"] == 1
    unused = 'grpc_method="Txn",grpc_service="etcdserverpb.KV",grpc_type="unary"'
    assert samples[f"grpc_server_handling_seconds_count{{{unused}}}"] == 0
    apply_name = "etcd_server_apply_duration_seconds_count"
    assert samples[f'{apply_name}{{op="Put",success="true",version="v3"}}'] == 3
    assert samples[f'{apply_name}{{op="Put",success="false",version="v3"}}'] == 1
    assert samples['etcd_server_range_duration_seconds_count{success="true"}'] == 1
    assert samples['etcd_server_range_duration_seconds_count{success="false"}'] == 1


async def test_labels_do_not_fill_the_memory(tmp_path: Path, parse: Parse) -> None:
    """What clients say of themselves is told apart up to a bound, and counted beyond it."""
    async with seeded(tmp_path) as node:
        for number in range(200):
            metadata = {"client-api-version": f"version {number}"}
            await node.local.call("KV/Range", RangeRequest(key=b"key"), metadata=metadata)
        samples = parse(node.metrics())
    counted = {
        name: value
        for name, value in samples.items()
        if name.startswith("etcd_server_client_requests_total")
    }
    assert len(counted) < 100
    assert sum(counted.values()) == 200 + 1  # and the seed


NEVER = {
    # of members that there are not yet; see docs/metrics.md
    "etcd_server_is_learner",
    "triode_disk_full",
    "etcd_server_learner_promote_successes",
    "etcd_server_heartbeat_send_failures_total",
    "etcd_server_snapshot_apply_in_progress_total",
    "etcd_snap_fsync_duration_seconds",
    "etcd_snap_db_fsync_duration_seconds",
    "etcd_snap_db_save_total_duration_seconds",
    # of work that is part of other work here, or that nobody can look at meanwhile
    "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds",
    "etcd_disk_defrag_inflight",
    # that took more than one operation to bring about
    "etcd_debugging_mvcc_slow_watcher_total",
    "etcd_debugging_mvcc_pending_events_total",
}
SET_AT_START = re.compile(
    r"etcd_server_(has_leader|is_leader|leader_changes_seen_total|quota_backend_bytes|version|id"
    r"|feature_enabled|proposals_pending)$|etcd_cluster_version$|etcd_debugging_auth_revision$"
    r"|etcd_mvcc_db_total_size|etcd_network_client_grpc_"
)


def test_the_table_is_complete() -> None:
    """Every unlabelled metric is in the table, or set at the start, or known not to move."""
    shown = [family.name for family in families(Metrics()) if family.samples]
    tested = " ".join(name for _, expected in TABLE for name in expected)
    tested += Path(__file__).read_text().partition("NEVER =")[0]
    missing = [
        name
        for name in shown
        if name not in NEVER and name not in tested and not SET_AT_START.match(name)
    ]
    assert missing == []
