"""Between the records of the checkers and etcd's messages, both ways."""

from __future__ import annotations

from typing import Any

from ...rpc.pb import kv_pb2
from ...rpc.pb import rpc_pb2 as pb
from ..checkers import requests as r
from ..checkers.history import Event, WatchRequest, WatchResponse

__all__ = ["METHODS", "answer_of", "message_of", "watch_message", "watch_response"]

METHODS: dict[type, str] = {
    r.Range: "KV/Range",
    r.Put: "KV/Put",
    r.Delete: "KV/DeleteRange",
    r.Txn: "KV/Txn",
    r.Compact: "KV/Compact",
    r.Grant: "Lease/LeaseGrant",
    r.Revoke: "Lease/LeaseRevoke",
    r.KeepAlive: "Lease/LeaseKeepAlive",
}
_OPERANDS = ("version", "create_revision", "mod_revision", "value", "lease")
PROGRESS_WATCH_ID = -1


# --- requests -----------------------------------------------------------------------------------


def message_of(request: r.Request) -> Any:
    """A request as etcd's message."""
    match request:
        case r.Range():
            return pb.RangeRequest(
                key=request.key,
                range_end=request.end,
                revision=request.revision,
                limit=request.limit,
                serializable=request.serializable,
                keys_only=request.keys_only,
                count_only=request.count_only,
                sort_order=request.sort_order,
                sort_target=request.sort_target,
                min_mod_revision=request.min_mod_revision,
                max_mod_revision=request.max_mod_revision,
                min_create_revision=request.min_create_revision,
                max_create_revision=request.max_create_revision,
            )
        case r.Put():
            return pb.PutRequest(
                key=request.key,
                value=request.value,
                lease=request.lease,
                prev_kv=request.prev_kv,
                ignore_value=request.ignore_value,
                ignore_lease=request.ignore_lease,
            )
        case r.Delete():
            return pb.DeleteRangeRequest(
                key=request.key, range_end=request.end, prev_kv=request.prev_kv
            )
        case r.Txn():
            return _txn(request)
        case r.Compact():
            return pb.CompactionRequest(revision=request.revision, physical=request.physical)
        case r.Grant():
            return pb.LeaseGrantRequest(ID=request.lease, TTL=request.ttl)
        case r.Revoke():
            return pb.LeaseRevokeRequest(ID=request.lease)
        case r.KeepAlive():
            return pb.LeaseKeepAliveRequest(ID=request.lease)


def _txn(request: r.Txn) -> pb.TxnRequest:
    message = pb.TxnRequest()
    for compare in request.compares:
        one = message.compare.add(
            key=compare.key,
            range_end=compare.end,
            target=compare.target,
            result=compare.result,
        )
        setattr(one, _OPERANDS[compare.target], compare.operand)
    for ops, wanted in ((message.success, request.success), (message.failure, request.failure)):
        for op in wanted:
            _fill(ops.add(), op)
    return message


def _fill(made: pb.RequestOp, op: r.Op) -> None:
    name = {
        r.Range: "request_range",
        r.Put: "request_put",
        r.Delete: "request_delete_range",
        r.Txn: "request_txn",
    }[type(op)]
    getattr(made, name).CopyFrom(message_of(op))
    getattr(made, name).SetInParent()  # an empty message counts as well


def watch_message(request: WatchRequest) -> pb.WatchRequest:
    """The message that creates a watch."""
    filters: list[Any] = [0] * request.no_put + [1] * request.no_delete
    create = pb.WatchCreateRequest(
        key=request.key,
        range_end=request.end,
        start_revision=request.start_revision,
        progress_notify=request.progress_notify,
        filters=filters,
        prev_kv=request.prev_kv,
        fragment=request.fragment,
    )
    return pb.WatchRequest(create_request=create)


# --- answers ------------------------------------------------------------------------------------


def answer_of(request: r.Request, message: Any) -> r.Response:
    """The answer to a request, out of etcd's message."""
    match request:
        case r.Grant():
            return r.Granted(message.ID, message.TTL)
        case r.Revoke():
            return r.Revoked()
        case r.KeepAlive():
            return r.KeptAlive(max(message.TTL, 0))
        case r.Compact():
            return r.Compacted()
        case _:
            return _result(message)


def _result(message: Any) -> r.Result:
    if isinstance(message, pb.RangeResponse):
        return r.Got(tuple(map(key_value, message.kvs)), message.count, message.more)
    if isinstance(message, pb.PutResponse):
        return r.PutDone(key_value(message.prev_kv) if message.HasField("prev_kv") else None)
    if isinstance(message, pb.DeleteRangeResponse):
        return r.Deleted(message.deleted, tuple(map(key_value, message.prev_kvs)))
    assert isinstance(message, pb.TxnResponse)
    results = [_result(getattr(op, op.WhichOneof("response") or "")) for op in message.responses]
    return r.TxnDone(message.succeeded, tuple(results))


def key_value(kv: kv_pb2.KeyValue) -> r.KeyValue:
    """A key-value out of etcd's message."""
    return r.KeyValue(kv.key, kv.create_revision, kv.mod_revision, kv.version, kv.value, kv.lease)


def watch_response(message: pb.WatchResponse, stamp: int) -> WatchResponse:
    """A watch's answer. Without events, and neither first nor last, it is a progress notification."""
    plain = not (message.created or message.canceled or message.events)
    return WatchResponse(
        stamp,
        message.header.revision,
        tuple(map(_event, message.events)),
        message.created,
        message.canceled,
        plain,
        message.fragment,
        message.compact_revision,
    )


def _event(event: kv_pb2.Event) -> Event:
    prev = key_value(event.prev_kv) if event.HasField("prev_kv") else None
    return Event(event.type == kv_pb2.Event.DELETE, key_value(event.kv), prev)
