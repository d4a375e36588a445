"""Routing, replies and errors of the JSON gateway."""

from __future__ import annotations

import json

import pytest

from triode import errors
from triode.errors import Code, EtcdError
from triode.rpc.gateway import (
    HTTP_STATUS,
    encode_error,
    encode_item,
    encode_reply,
    encode_stream_error,
    route,
)
from triode.rpc.http_reply import HttpReply
from triode.rpc.methods import METHODS
from triode.rpc.pb import kv_pb2, rpc_pb2

JSON = ("Content-Type", "application/json")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/v3/kv/range", "/etcdserverpb.KV/Range"),
        ("/v3/kv/range?pretty=1", "/etcdserverpb.KV/Range"),
        ("/v3/kv/%72ange", "/etcdserverpb.KV/Range"),
        ("/v3beta/kv/range", "/etcdserverpb.KV/Range"),
        ("/v3/kv/lease/revoke", "/etcdserverpb.Lease/LeaseRevoke"),
        ("/v3/watch", "/etcdserverpb.Watch/Watch"),
        ("/v3/maintenance/transfer-leadership", "/etcdserverpb.Maintenance/MoveLeader"),
        ("/v3/auth/user/changepw", "/etcdserverpb.Auth/UserChangePassword"),
        ("/v3/election/observe", "/v3electionpb.Election/Observe"),
    ],
)
def test_routes(target: str, path: str) -> None:
    assert route("POST", target) is METHODS[path]


@pytest.mark.parametrize("target", ["/", "/health", "/v3", "/v3alpha/kv/range", "v3/kv/range", ""])
def test_other_paths_are_not_ours(target: str) -> None:
    assert route("POST", target) is None


@pytest.mark.parametrize("target", ["/v3/", "/v3/nope", "/v3/kv/range/", "/v3/KV/range", "/v3//"])
def test_unknown_gateway_paths(target: str) -> None:
    assert route("POST", target) == HttpReply(404, [JSON], b'{"code":5,"message":"Not Found"}')


@pytest.mark.parametrize("verb", ["GET", "PUT", "DELETE", "HEAD"])
def test_only_post(verb: str) -> None:
    expected = HttpReply(501, [JSON], b'{"code":12,"message":"Method Not Allowed"}')
    assert route(verb, "/v3/kv/range") == expected


def test_replies() -> None:
    put = METHODS["/etcdserverpb.KV/Put"]
    assert encode_reply(put.response, b"") == HttpReply(200, [JSON], b"{}")
    reply = rpc_pb2.PutResponse(header=rpc_pb2.ResponseHeader(revision=7))
    assert encode_reply(put.response, reply.SerializeToString()).body == (
        b'{"header":{"revision":"7"}}'
    )
    event = kv_pb2.Event(type=kv_pb2.Event.DELETE, kv=kv_pb2.KeyValue(key=b"<k>", mod_revision=3))
    item = rpc_pb2.WatchResponse(watch_id=1, events=[event])
    assert encode_item(rpc_pb2.WatchResponse, item.SerializeToString()) == (
        b'{"result":{"watch_id":"1","events":[{"type":"DELETE",'
        b'"kv":{"key":"PGs+","mod_revision":"3"}}]}}\n'
    )


def test_errors() -> None:
    text = "etcdserver: requested lease not found"
    assert encode_error(Code.NOT_FOUND, text) == HttpReply(
        404, [JSON], b'{"code":5,"message":"etcdserver: requested lease not found"}'
    )
    unauthenticated = encode_error(Code.UNAUTHENTICATED, "etcdserver: invalid auth token")
    assert unauthenticated.status == 401
    assert ("WWW-Authenticate", "etcdserver: invalid auth token") in unauthenticated.headers
    assert encode_error(99, "x").status == 500
    stream = encode_stream_error(Code.PERMISSION_DENIED, "etcdserver: permission denied")
    assert stream == HttpReply(
        403, [JSON], b'{"error":{"code":7,"message":"etcdserver: permission denied"}}\n'
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.EmptyKey, 400),
        (errors.Compacted, 400),
        (errors.NoSpace, 429),
        (errors.TooManyRequests, 500),
        (errors.LeaseNotFound, 404),
        (errors.LeaseExist, 400),
        (errors.PermissionDenied, 403),
        (errors.InvalidAuthToken, 401),
        (errors.RequestCanceled, 499),
        (errors.DeadlineExceeded, 504),
        (errors.Corrupt, 500),
        (errors.NoLeader, 503),
    ],
)
def test_status_of_etcd_errors(error: type[EtcdError], status: int) -> None:
    reply = encode_error(error.code, error.text)
    assert reply.status == status
    assert json.loads(reply.body) == {"code": int(error.code), "message": error.text}


def test_every_code_has_a_status() -> None:
    assert HTTP_STATUS.keys() == set(Code)
