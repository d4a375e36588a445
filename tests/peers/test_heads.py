"""What peers say of themselves, and who is refused."""

from __future__ import annotations

import pytest

from triode.rpc.peer_heads import (
    CLUSTER_MISMATCH,
    INCOMPATIBLE,
    Identity,
    headers_of,
    incompatible,
    parse_id,
    sender_of,
)

CLUSTER = 0xCDF818194E3A8C32
GOOD = {
    "x-server-version": "3.5.1",
    "x-min-cluster-version": "3.0.0",
    "x-etcd-cluster-id": "cdf818194e3a8c32",
}


def test_a_request_names_the_sender_as_etcd_does() -> None:
    me = Identity(0xAB, CLUSTER, "3.6.0", ("http://a:1", "http://b:2"))
    assert me.headers(0x1F) == [
        ("X-Server-From", "ab"),
        ("X-Server-Version", "3.6.0"),
        ("X-Min-Cluster-Version", "3.0.0"),
        ("X-Etcd-Cluster-ID", "cdf818194e3a8c32"),
        ("X-Raft-To", "1f"),
        ("X-PeerURLs", "http://a:1,http://b:2"),
    ]
    received = headers_of([(n.encode(), v.encode()) for n, v in me.headers()])
    assert incompatible(received, CLUSTER, "3.6.0") is None
    assert sender_of(received) == (0xAB, ("http://a:1", "http://b:2"))


@pytest.mark.parametrize("version", ["3.0.0", "3.8.0-alpha.0", "3.5.21+git", "4.0.0", "v3.6.1"])
def test_versions_that_fit(version: str) -> None:
    assert incompatible({**GOOD, "x-server-version": version}, CLUSTER, "3.6.0") is None


@pytest.mark.parametrize(
    ("name", "value", "refusal"),
    [
        ("x-server-version", "2.3.8", INCOMPATIBLE),
        ("x-server-version", "", INCOMPATIBLE),
        ("x-server-version", "three", INCOMPATIBLE),
        ("x-server-version", "3.5", INCOMPATIBLE),
        ("x-server-version", "9" * 5000, INCOMPATIBLE),
        ("x-min-cluster-version", "3.7.0", INCOMPATIBLE),
        ("x-min-cluster-version", "3.6.9", None),
        ("x-etcd-cluster-id", "cdf818194e3a8c33", CLUSTER_MISMATCH),
        ("x-etcd-cluster-id", "", CLUSTER_MISMATCH),
    ],
)
def test_who_is_refused(name: str, value: str, refusal: str | None) -> None:
    assert incompatible({**GOOD, name: value}, CLUSTER, "3.6.0") == refusal


def test_nobody_is_refused_for_a_header_that_is_missing_but_not_needed() -> None:
    without = {k: v for k, v in GOOD.items() if k != "x-min-cluster-version"}
    assert incompatible(without, CLUSTER, "3.6.0") is None


@pytest.mark.parametrize("text", ["", "xyz", "-1", "0x1f", "1" * 17, " 1f", "1_f", "\u0661"])
def test_what_is_no_id(text: str) -> None:
    assert parse_id(text) is None


@pytest.mark.parametrize("urls", ["", ",,", ",".join(["http://a:1"] * 33)])
def test_a_sender_without_usable_urls_is_none(urls: str) -> None:
    assert sender_of({"x-server-from": "a", "x-peerurls": urls}) is None
