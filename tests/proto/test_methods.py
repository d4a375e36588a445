"""The service table."""

from __future__ import annotations

from triode.rpc.methods import METHODS, REST_PATHS, UNARY_PATHS, find
from triode.rpc.pb import health_pb2, rpc_pb2, v3lock_pb2

STREAMING = {
    "/etcdserverpb.KV/RangeStream": (False, True),
    "/etcdserverpb.Lease/LeaseKeepAlive": (True, True),
    "/etcdserverpb.Maintenance/Snapshot": (False, True),
    "/etcdserverpb.Watch/Watch": (True, True),
    "/grpc.health.v1.Health/Watch": (False, True),
    "/v3electionpb.Election/Observe": (False, True),
}


def test_a_method_knows_its_classes() -> None:
    put = find("/etcdserverpb.KV/Put")
    assert put is not None
    assert (put.service, put.name) == ("etcdserverpb.KV", "Put")
    assert (put.request, put.response) == (rpc_pb2.PutRequest, rpc_pb2.PutResponse)
    lock = METHODS["/v3lockpb.Lock/Lock"]
    assert lock.response is v3lock_pb2.LockResponse
    assert METHODS["/grpc.health.v1.Health/Check"].request is health_pb2.HealthCheckRequest
    assert find("/etcdserverpb.KV/Nope") is None


def test_which_calls_stream() -> None:
    streaming = {
        path: (method.client_streaming, method.server_streaming)
        for path, method in METHODS.items()
        if not method.unary
    }
    assert streaming == STREAMING
    assert METHODS.keys() - UNARY_PATHS == STREAMING.keys()
    assert len(METHODS) == 51


def test_rest_paths() -> None:
    without = {path for path, method in METHODS.items() if not method.rest_paths}
    assert without == {
        "/etcdserverpb.KV/RangeStream",
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
    }
    assert REST_PATHS["/v3/kv/lease/revoke"] is REST_PATHS["/v3/lease/revoke"]
    assert all(path.startswith("/v3/") for path in REST_PATHS)
    assert len(REST_PATHS) == sum(len(method.rest_paths) for method in METHODS.values())
