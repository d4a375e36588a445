"""Too few members are left: nothing is decided, nothing is promised, and everything comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from triode.rpc.pb.rpc_pb2 import PutRequest, RangeRequest


@pytest.fixture
def alone(make_cluster: Callable[..., Any], until: Any) -> Any:
    """A cluster of which one member is left, which knows that it has no leader; `a` is `x`."""
    cluster = make_cluster()
    last = cluster.followers()[0]
    cluster.leader().client.put(b"a", b"x")
    cluster.settled()
    for daemon in cluster.members:
        if daemon is not last:
            daemon.kill()
    until(lambda: last.client.status().leader == 0, "it sees that there is no leader")
    return cluster


@pytest.mark.long
def test_without_a_quorum(alone: Any, until: Any) -> None:
    """Local reads are served; others and writes wait and fail; the pages say so; then all is well again."""
    (last,) = alone.running
    assert last.client.get(b"a", serializable=True) == b"x"
    write = last.client.begin("KV/Put", PutRequest(key=b"b", value=b"x"), 1.5)
    with pytest.raises(grpc.RpcError) as raised:
        last.client.get(b"a", seconds=1.5)
    assert raised.value.code() in (
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNAVAILABLE,
    )
    assert write.exception() is not None
    status, body = last.page("/health")
    assert (status, json.loads(body)) == (503, {"health": "false", "reason": "RAFT NO LEADER"})
    if last.program.pages_of_36:
        status, body = last.page("/readyz")
        assert status == 503
        assert "[-]linearizable_read failed" in body
        assert "[+]serializable_read ok" in body
        assert last.page("/livez") == (200, "ok\n")
    assert "\netcd_server_has_leader 0\n" in last.page("/metrics")[1]
    for daemon in alone.members:
        if daemon is not last:
            daemon.spawn()
    until(lambda: last.client.get(b"a", seconds=1.0) == b"x", "it is well again")
    until(lambda: last.page("/health")[0] == 200, "it says so")
    alone.same_hashes()


@pytest.mark.long
def test_has_no_leader_is_told_to_those_who_ask_for_one(alone: Any, until: Any) -> None:
    """A client that says `hasleader` is refused at once instead of waiting."""
    (last,) = alone.running
    stub = last.client.channel.unary_unary(
        "/etcdserverpb.KV/Range",
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=lambda data: data,
    )

    def refused() -> bool:
        with pytest.raises(grpc.RpcError) as raised:
            stub(RangeRequest(key=b"a"), timeout=1, metadata=[("hasleader", "true")])
        return bool(raised.value.details() == "etcdserver: no leader")

    until(refused, "it says that there is no leader", 10)
