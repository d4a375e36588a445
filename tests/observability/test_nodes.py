"""The page and the collector of one node among several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import triode

Samples = dict[str, float]


def memory(name: str) -> triode.Config:
    return triode.Config(name=name, backend="memory", listen_client_urls=())


async def test_two_nodes_do_not_mix(parse: Callable[[bytes], Samples]) -> None:
    async with triode.open_node(memory("a")) as one, triode.open_node(memory("b")) as other:
        await one.local.put(b"key", b"value")
        first, second = parse(one.metrics()), parse(other.metrics())
    assert (first["etcd_mvcc_put_total"], second["etcd_mvcc_put_total"]) == (1, 0)
    started = (
        'grpc_server_started_total{grpc_method="Put",grpc_service="etcdserverpb.KV",'
        'grpc_type="unary"}'
    )
    assert (first[started], second[started]) == (1, 0)
    assert first["etcd_debugging_mvcc_current_revision"] == 2
    assert second["etcd_debugging_mvcc_current_revision"] == 1


async def test_a_collector_in_a_registry_of_ones_own() -> None:
    """It is always up to date, and its page is one that Prometheus' own parser takes."""
    async with triode.open_node(memory("a")) as node:
        registry = CollectorRegistry()
        registry.register(node.observer.collector())
        await node.local.put(b"key", b"value")
        shown = generate_latest(registry).decode()
        await node.local.put(b"key", b"value")
        later = generate_latest(registry).decode()
    assert "\netcd_mvcc_put_total 1.0\n" in shown
    assert "\netcd_mvcc_put_total 2.0\n" in later
    requests = 'etcd_server_client_requests_total{client_api_version="unknown",type="unary"} 2.0'
    assert requests in later
    assert len(list(text_string_to_metric_families(later))) > 50


async def test_the_page_is_well_formed(tmp_path: Path) -> None:
    """Every line parses, and no series is there twice."""
    config = triode.Config(data_dir=tmp_path, listen_client_urls=(), metrics="extensive")
    async with triode.open_node(config) as node:
        await node.local.put(b"key", b"value")
        page = node.metrics().decode()
    samples = [
        (sample.name, tuple(sorted(sample.labels.items())))
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    ]
    assert len(samples) == len(set(samples)) > 1000


async def test_a_memory_node_writes_no_log(parse: Callable[[bytes], Samples]) -> None:
    """No fsync is shown where none happens."""
    async with triode.open_node(memory("a")) as node:
        await node.local.put(b"key", b"value")
        samples = parse(node.metrics())
    assert samples["etcd_disk_wal_fsync_duration_seconds_count"] == 0
    assert samples["etcd_disk_wal_write_bytes_total"] == 0
