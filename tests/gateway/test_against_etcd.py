"""The same requests to etcd's gateway and through ours (with etcd's gRPC service behind it)."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from triode.errors import EtcdError
from triode.rpc import gateway, pages
from triode.rpc.http_reply import HttpReply
from triode.rpc.methods import Method
from triode.rpc.pb import rpc_pb2

pytestmark = pytest.mark.etcd

# Differ from call to call; their JSON type must not.
CHANGING = {"revision", "create_revision", "mod_revision", "version", "raft_term", "ID", "raftTerm"}
CHANGING |= {"raftIndex", "raftAppliedIndex", "dbSize", "dbSizeInUse", "hash", "token"}
TIMEOUT_S = 10


@pytest.fixture(scope="module")
def channel(etcd: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(etcd) as opened:
        yield opened


def theirs(etcd: str, verb: str, target: str, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(etcd, timeout=TIMEOUT_S)
    connection.request(verb, target, body)
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply.status, content


def ours(channel: grpc.Channel, verb: str, target: str, body: bytes) -> HttpReply:
    method = gateway.route(verb, target)
    if not isinstance(method, Method):
        assert method is not None
        return method
    try:
        request = gateway.decode_request(method.request, body)
    except EtcdError as error:
        return gateway.encode_error(error.status, error.message)
    call = channel.unary_unary(method.path, None, None)
    try:
        reply = call(request.SerializeToString(), timeout=TIMEOUT_S)
    except grpc.RpcError as error:
        return gateway.encode_error(error.code().value[0], error.details())
    return gateway.encode_reply(method.response, reply)


def settled(value: Any) -> Any:
    """Without what differs between two calls, and without 3.5's second copy of the error text."""
    if isinstance(value, list):
        return [settled(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "code" in value:
        value.pop("error", None)
    return {
        name: type(member) if name in CHANGING else settled(member)
        for name, member in value.items()
    }


TXN = """{
  "compare": [{"key": "Zm9v", "target": "VALUE", "result": "NOT_EQUAL", "value": ""}],
  "success": [{"requestRange": {"key": "Zm9v"}}, {"request_put": {"key": "YQ=="}}],
  "failure": [{"request_delete_range": {"key": "Zm9v"}}]
}"""
CALLS = [
    ("/v3/kv/put", '{"key":"Zm9v","value":"YmFy"}'),
    ("/v3/kv/put", '{"key":"Zm9v","value":"YmFy","prev_kv":true}'),
    ("/v3/kv/put", '{"key":"Zm9v","prevKv":true,"ignoreValue":true}'),
    ("/v3/kv/put", '{"key":"Zm9v","value":"YmF6","ignore_value":true}'),
    ("/v3/kv/put", '{"key":"Zm9v","lease":"99"}'),
    ("/v3/kv/range", '{"key":"Zm9v"}'),
    ("/v3beta/kv/range", '{"key":"Zm9v"}'),
    ("/v3/kv/range?x=1", '{"key":"Zm9v"} rest'),
    ("/v3/kv/range", '{"key":"AA==","rangeEnd":"AA==","limit":"1","sort_order":"DESCEND"}'),
    ("/v3/kv/range", '{"key":"AA==","range_end":"AA==","count_only":true,"sortTarget":2}'),
    ("/v3/kv/range", '{"key":"Zm9v","nope":[1,{"a":2}],"limit":null}'),
    ("/v3/kv/range", '{"key":"Zm9v","revision":"1000000"}'),
    ("/v3/kv/range", '{"key":"bm9uZQ=="}'),
    ("/v3/kv/range", ""),
    ("/v3/kv/range", "{}"),
    ("/v3/kv/deleterange", '{"key":"bm9uZQ==","prev_kv":true}'),
    ("/v3/kv/txn", TXN),
    ("/v3/kv/txn", '{"compare":[{"key":"Zm9v","target":1,"result":1,"createRevision":"0"}]}'),
    ("/v3/kv/txn", '{"success":[{}]}'),
    ("/v3/lease/grant", '{"TTL":100}'),
    ("/v3/lease/grant", '{"TTL":"99999999999"}'),
    ("/v3/lease/revoke", '{"ID":"123"}'),
    ("/v3/kv/lease/revoke", '{"ID":-123}'),
    ("/v3/lease/timetolive", '{"ID":123,"keys":true}'),
    ("/v3/cluster/member/list", '{"linearizable":true}'),
    ("/v3/cluster/member/remove", '{"ID":"18446744073709551615"}'),
    ("/v3/maintenance/status", "{}"),
    ("/v3/maintenance/alarm", '{"action":"GET"}'),
    ("/v3/maintenance/hash", ""),
    ("/v3/maintenance/defragment", "{}"),
    ("/v3/auth/status", "{}"),
    ("/v3/auth/user/add", '{"name":"","password":"p"}'),
    ("/v3/auth/role/get", '{"role":"nobody"}'),
    ("/v3/auth/authenticate", '{"name":"a","password":"b"}'),
    ("/v3/auth/enable", "{}"),
    ("/v3/election/leader", '{"name":"ZQ=="}'),
    ("/v3/election/proclaim", "{}"),
]
BAD_JSON = [
    "[]",
    "1",
    '{"key":',
    '{"key":"Zm9"',
    '{"key":"?"}',
    '{"key":"Zg="}',
    '{"key":1}',
    '{"limit":1.5}',
    '{"limit":"x"}',
    '{"limit":1e99}',
    '{"limit":9223372036854775808}',
    '{"limit":[1]}',
    '{"limit":NaN}',
    '{"serializable":1}',
    '{"sort_order":{}}',
    "\ufeff{}",
]


@pytest.mark.parametrize(("target", "body"), CALLS)
def test_same_reply(etcd: str, channel: grpc.Channel, target: str, body: str) -> None:
    status, content = theirs(etcd, "POST", target, body.encode())
    reply = ours(channel, "POST", target, body.encode())
    assert settled(json.loads(reply.body)) == settled(json.loads(content))
    assert reply.status == status
    assert list(json.loads(reply.body)) == [
        name for name in json.loads(content) if not (status != 200 and name == "error")
    ]


@pytest.mark.parametrize("body", BAD_JSON)
def test_both_refuse(etcd: str, channel: grpc.Channel, body: str) -> None:
    status, content = theirs(etcd, "POST", "/v3/kv/range", body.encode())
    reply = ours(channel, "POST", "/v3/kv/range", body.encode())
    assert (reply.status, json.loads(reply.body)["code"]) == (status, json.loads(content)["code"])
    assert (reply.status, json.loads(reply.body)["code"]) == (400, 3)


def test_watch_lines(etcd: str, channel: grpc.Channel) -> None:
    theirs(etcd, "POST", "/v3/kv/put", b'{"key":"dw==","value":"MQ=="}')
    body = b'{"create_request":{"key":"dw==","start_revision":"1"}}'
    connection = http.client.HTTPConnection(etcd, timeout=TIMEOUT_S)
    connection.request("POST", "/v3/watch", body)
    reply = connection.getresponse()
    expected = [reply.readline(), reply.readline()]
    reply.close()
    connection.close()

    stream = gateway.RequestStream(rpc_pb2.WatchRequest)
    requests = [request.SerializeToString() for request in stream.feed(body)]
    call = channel.stream_stream("/etcdserverpb.Watch/Watch", None, None)(iter(requests))
    got = [gateway.encode_item(rpc_pb2.WatchResponse, next(call)) for _ in expected]
    call.cancel()
    assert all(line.endswith(b"\n") for line in got)
    assert [settled(json.loads(line)) for line in got] == [
        settled(json.loads(line)) for line in expected
    ]


def test_pages(etcd: str) -> None:
    assert theirs(etcd, "GET", "/health", b"") == pages.health("")[::2]
    wrong = pages.health_query("POST", "/health")
    assert isinstance(wrong, HttpReply)
    assert theirs(etcd, "POST", "/health", b"") == wrong[::2]
    status, content = theirs(etcd, "GET", "/version", b"")
    page = pages.version("GET", server="3.5.1", cluster="3.5.0")
    assert status == page.status
    assert json.loads(content) == {  # 3.6 adds the third
        name: value for name, value in json.loads(page.body).items() if name != "storage"
    }
