"""Headers as metadata, origins and host names."""

from __future__ import annotations

import pytest

from triode.errors import Code, EtcdError
from triode.rpc.gateway_access import call_options, cors, host_of, host_refusal


def test_headers_become_metadata() -> None:
    options = call_options(
        [
            (b"Host", b"localhost:2379"),
            (b"Authorization", b"abc.17"),
            (b"authorization", b"second"),
            (b"Grpc-Metadata-HasLeader", b"true"),
            (b"grpc-metadata-token", b" t "),
            (b"Grpc-Metadata-Trace-Bin", b"AAH/"),
            (b"Grpc-Metadata-Short-Bin", b"AA"),
            (b"Grpc-Metadata-", b"x"),
            (b"Grpc-Metadata-a!b", b"x"),
            (b"Grpc-Metadata-text", "ü".encode()),
            (b"Grpc-Timeout", b"150m"),
        ]
    )
    assert options.timeout_ns == 150_000_000
    assert options.metadata == {
        "authorization": "abc.17",
        "hasleader": "true",
        "token": "t",
        "trace-bin": b"\0\1\xff",
        "short-bin": b"\0",
    }


@pytest.mark.parametrize(
    ("value", "timeout_ns"),
    [("1H", 3600 * 10**9), ("2M", 120 * 10**9), ("3S", 3 * 10**9), ("4u", 4000), ("5n", 5)],
)
def test_timeouts(value: str, timeout_ns: int) -> None:
    assert call_options([(b"grpc-timeout", value.encode())]).timeout_ns == timeout_ns


@pytest.mark.parametrize(
    "header",
    [
        (b"Grpc-Timeout", b"5"),
        (b"Grpc-Timeout", b"S"),
        (b"Grpc-Timeout", b"-1S"),
        (b"Grpc-Timeout", b"1s"),
        (b"Grpc-Timeout", "\u0665S".encode()),
        (b"Grpc-Metadata-x-bin", b"?"),
    ],
)
def test_wrong_headers(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(EtcdError) as caught:
        call_options([header])
    assert caught.value.status == Code.INVALID_ARGUMENT


def test_no_deadline() -> None:
    assert call_options([(b"Grpc-Timeout", b"")]) == ({}, None)


def test_cors() -> None:
    everyone = [
        ("Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE"),
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Headers", "accept, content-type, authorization"),
    ]
    assert cors([], "http://a") == everyone
    assert cors(["*", "http://a"], "http://b") == everyone
    assert cors(["http://a"], "http://a")[1] == ("Access-Control-Allow-Origin", "http://a")
    assert cors(["http://a"], "http://b") == []
    assert cors(["http://a"], "") == []


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("localhost:2379", "localhost"),
        ("localhost", "localhost"),
        ("[::1]:2379", "::1"),
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("", ""),
    ],
)
def test_host_names(authority: str, host: str) -> None:
    assert host_of(authority) == host


def test_hosts() -> None:
    for allowed in ([], ["*"], ["db.local"]):
        assert host_refusal(allowed, "db.local:2379") is None
    refusal = host_refusal(["db.local"], "evil.example:2379")
    assert refusal is not None
    assert refusal.status == 421
    assert b"'evil.example'" in refusal.body
