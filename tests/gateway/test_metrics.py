"""The metrics page."""

from __future__ import annotations

import http.client
import re
from collections import defaultdict

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from triode.actors.grpc_metrics import CODE_NAMES, LABELS, GrpcMetrics
from triode.actors.metrics import Metrics, PrometheusCollector, page
from triode.rpc.metrics_text import Histogram, doubling, families, text

# What etcd shows and we do not: Go's own, bbolt's inside, the removed v2 store, the proxy's.
NOT_OURS = re.compile(
    r"go_|promhttp_|etcd_grpc_proxy_|etcd_debugging_store_|etcd_debugging_snap_save_"
    r"|etcd_debugging_disk_backend_commit_|etcd_server_go_version|etcd_debugging_mvcc_range_total"
    r"|process_virtual_memory_max_bytes"
)


def lines(*sets: object) -> set[str]:
    return set(page(*sets).decode().splitlines())


def test_counting_is_adding_to_attributes() -> None:
    metrics = Metrics()
    metrics.puts = 3
    metrics.peer_sent_bytes["8e9e05c52164694d",] += 10
    metrics.has_leader = lambda: True
    metrics.db_size = 20480
    metrics.version["3.6.1",] = 1
    shown = lines(metrics)
    assert shown >= {
        "# TYPE etcd_mvcc_put_total counter",
        "etcd_mvcc_put_total 3",
        'etcd_network_peer_sent_bytes_total{To="8e9e05c52164694d"} 10',
        "# TYPE etcd_server_has_leader gauge",
        "etcd_server_has_leader 1",
        "etcd_mvcc_db_total_size_in_bytes 20480",
        'etcd_server_version{server_version="3.6.1"} 1',
    }
    assert any(line.startswith("process_resident_memory_bytes ") for line in shown)
    assert any(line.startswith("os_fd_used ") for line in shown)


def test_nodes_do_not_share_anything() -> None:
    first, second = Metrics(), Metrics()
    first.puts = 1
    first.wal_fsync.observe(1)
    first.peer_sent_bytes["a",] += 1
    assert "etcd_mvcc_put_total 0" in lines(second)
    assert "etcd_disk_wal_fsync_duration_seconds_count 0" in lines(second)
    assert not second.peer_sent_bytes


def test_histograms() -> None:
    metrics = Metrics()
    for seconds in (0.0005, 0.001, 0.0011, 100):
        metrics.wal_fsync.observe(seconds)
    metrics.peer_round_trip["b",].observe(0.00015)
    name = "etcd_disk_wal_fsync_duration_seconds"
    assert lines(metrics) >= {
        f'{name}_bucket{{le="0.001"}} 2',
        f'{name}_bucket{{le="0.002"}} 3',
        f'{name}_bucket{{le="8.192"}} 3',
        f'{name}_bucket{{le="+Inf"}} 4',
        f"{name}_sum 100.0026",
        f"{name}_count 4",
        'etcd_debugging_lease_ttl_total_bucket{le="524288"} 0',
        'etcd_debugging_lease_ttl_total_bucket{le="1.048576e+06"} 0',
        'etcd_network_peer_round_trip_time_seconds_bucket{To="b",le="0.0002"} 1',
    }
    assert doubling(0.5, 3) == (0.5, 1, 2)
    assert Histogram((1, 2)).counts == [0, 0, 0]


def test_label_values_are_escaped() -> None:
    metrics = Metrics()
    metrics.client_requests["unary", 'a"\\\n'] += 1
    expected = 'etcd_server_client_requests_total{type="unary",client_api_version="a\\"\\\\\\n"} 1'
    assert expected in lines(metrics)
    (family,) = [
        each
        for each in text_string_to_metric_families(text(families(metrics)).decode())
        if each.name == "etcd_server_client_requests"
    ]
    assert family.samples[0].labels["client_api_version"] == 'a"\\\n'


def test_grpc_series_exist_from_the_start() -> None:
    grpc = GrpcMetrics()
    put = LABELS["/etcdserverpb.KV/Put"]
    grpc.started[put] += 1
    grpc.handled[(CODE_NAMES[5], *put)] += 1
    labels = 'grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"'
    watch = 'grpc_method="Watch",grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream"'
    assert lines(grpc) >= {
        f"grpc_server_started_total{{{labels}}} 1",
        f'grpc_server_handled_total{{grpc_code="NotFound",{labels}}} 1',
        f'grpc_server_handled_total{{grpc_code="OK",{labels}}} 0',
        f"grpc_server_msg_sent_total{{{watch}}} 0",
    }
    assert not any("grpc_server_handling_seconds" in line for line in lines(grpc))
    grpc.handling[put].observe(0.02)
    assert f'grpc_server_handling_seconds_bucket{{{labels},le="0.025"}} 1' in lines(grpc)


def test_an_embedding_program_can_collect_them_in_its_own_registry() -> None:
    metrics, grpc = Metrics(), GrpcMetrics()
    metrics.puts = 2
    metrics.health_success += 1
    metrics.wal_fsync.observe(0.5)
    registry = CollectorRegistry()
    registry.register(PrometheusCollector(metrics, grpc))
    shown = generate_latest(registry).decode().splitlines()
    assert "etcd_mvcc_put_total 2.0" in shown
    assert "etcd_server_health_success 1.0" in shown
    assert 'etcd_disk_wal_fsync_duration_seconds_bucket{le="0.512"} 1.0' in shown


def shape(page_text: str) -> dict[str, tuple[str, frozenset[str], tuple[str, ...]]]:
    """Name -> type, label names, bucket edges."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page_text, re.MULTILINE))
    labels: dict[str, set[str]] = defaultdict(set)
    edges: dict[str, dict[str, None]] = defaultdict(dict)
    for name, inner in re.findall(r"^(\w+)(?:\{(.*)\})? \S+$", page_text, re.MULTILINE):
        base = name if name in kinds else re.sub(r"_(bucket|sum|count)$", "", name)
        for key, value in re.findall(r'(\w+)="([^"]*)"', inner):
            if key == "le":
                edges[base][value] = None
            else:
                labels[base].add(key)
    return {
        name: (kind, frozenset(labels[name]), tuple(edges[name])) for name, kind in kinds.items()
    }


@pytest.mark.etcd
def test_names_types_labels_and_edges_are_those_of_etcd(etcd: str) -> None:
    connection = http.client.HTTPConnection(etcd, timeout=10)
    connection.request("GET", "/metrics")
    theirs = shape(connection.getresponse().read().decode())
    connection.close()
    metrics = Metrics()
    metrics.version["3.6.1",] = metrics.cluster_version["3.6",] = metrics.server_id["1",] = 1
    metrics.apply_duration["v3", "Put", "true"].observe(1)
    metrics.client_requests["unary", "3.5"] = 1
    ours = shape(page(metrics, GrpcMetrics()).decode())
    expected = {name: each for name, each in theirs.items() if not NOT_OURS.match(name)}
    assert len(expected) > 60
    assert {name: ours.get(name) for name in expected} == expected
