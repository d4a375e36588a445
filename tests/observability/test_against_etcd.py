"""Metrics beside those of the real etcd: the same names, types and labels, and the same movements."""

from __future__ import annotations

import re
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.etcd

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
Launch = Callable[..., Any]
Parse = Callable[[bytes], dict[str, float]]
Shape = dict[str, tuple[str, frozenset[str]]]


def page_of(server: Any) -> bytes:
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as response:
        page: bytes = response.read()
    return page


def shape(page: bytes) -> Shape:
    """Name -> type and label names."""
    text = page.decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    labels: dict[str, set[str]] = defaultdict(set)
    for name, inner in re.findall(r"^(\w+)\{(.*)\} \S+$", text, re.MULTILINE):
        base = name if name in kinds else re.sub(r"_(bucket|sum|count)$", "", name)
        labels[base].update(re.findall(r'(\w+)="', inner))
    return {name: (kind, frozenset(labels[name])) for name, kind in kinds.items()}


def listed(heading: str) -> set[str]:
    """The metrics in the table under a heading of the documentation; `go_*` stands for all of them."""
    section = DOCS.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([a-z_*]+)`", section, re.MULTILINE))


# Two operations of each kind, in etcdctl's words; what is typed is for `txn`.
DONE: list[tuple[list[str], str]] = [
    (["put", "a", "1"], ""),
    (["put", "a", "22"], ""),
    (["get", "a"], ""),
    (["get", "", "--prefix", "--keys-only"], ""),
    (["txn"], 'value("a") = "22"\n\nput b 1\nget a\n\nput c 1\n\n'),
    (["txn"], 'value("a") = "1"\n\nput b 1\n\nput c 1\n\n'),
    (["txn"], 'value("a") = "1"\n\nget a\n\nget b\n\n'),
    (["del", "c"], ""),
    (["del", "nothing"], ""),
    (["lease", "grant", "100"], ""),
    (["lease", "revoke", "7"], ""),  # there is none
    (["endpoint", "hashkv"], ""),
    (["endpoint", "status"], ""),
]
# What they must agree on, to the last digit.
AGREED = re.compile(
    r"etcd_mvcc_(put|delete|range|txn)_total$|etcd_debugging_mvcc_(keys_total|range_total"
    r"|current_revision|total_put_size_in_bytes)$|etcd_debugging_lease_(granted|revoked)_total$"
    r"|etcd_debugging_lease_ttl_total_(bucket|sum|count)|etcd_mvcc_hash_rev_duration_seconds_count"
    r"|etcd_server_client_requests_total|etcd_server_proposals_applied_total"
    r"|etcd_server_apply_duration_seconds_count|grpc_server_(started|handled|msg_\w+)_total"
    r"|grpc_server_handling_seconds_count"
)


def test_names_types_labels_and_movements(
    launch_etcd: Launch, launch_triode: Launch, parse: Parse
) -> None:
    servers = launch_etcd("--metrics", "extensive"), launch_triode("--metrics", "extensive")
    before = [parse(page_of(server)) for server in servers]
    for words, typed in DONE:
        for server in servers:
            server.ctl(*words, input=typed)
    pages = [page_of(server) for server in servers]
    theirs, ours = (
        {
            name: value - start.get(name, 0)
            for name, value in parse(page).items()
            if AGREED.match(name) and value != start.get(name, 0)
        }
        for page, start in zip(pages, before, strict=True)
    )
    assert len(theirs) > 30
    assert ours == theirs
    their_shape, our_shape = (shape(page) for page in pages)
    missing = {re.sub(r"^(go|promhttp)_.*", r"\1_*", n) for n in their_shape.keys() - our_shape}
    assert missing == listed("What etcd shows and Triode does not")
    common = their_shape.keys() & our_shape
    assert len(common) > 60
    assert {n: our_shape[n] for n in common} == {n: their_shape[n] for n in common}
    newer = listed("What is newer than etcd 3.5")
    assert our_shape.keys() - their_shape <= newer
