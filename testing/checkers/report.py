"""Histories in the files of etcd's robustness tests, so that etcd's own validator can judge them.

A folder `client-N` per client holds `operations.json` and `watch.json`, each a stream of JSON objects (spec: etcd's
tests/robustness/report). etcd's model is smaller than ours: it knows puts and deletes of single keys, ranges, and
transactions that compare a mod revision or a version for equality. A read that it does not know is left out; a write
that it does not know raises `Inexpressible`, because a history without it would be wrong. Nor does it know that leases
end by themselves. It wants an empty store at the start, and a read of it there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .history import Event, History, Operation, Watch, WatchRequest
from .requests import (
    EQUAL,
    MOD,
    VERSION,
    Compact,
    Compare,
    Delete,
    Deleted,
    Got,
    Grant,
    Granted,
    KeepAlive,
    KeyValue,
    Put,
    Range,
    Refused,
    Request,
    Result,
    Revoke,
    Txn,
    TxnDone,
    is_read,
    is_serializable,
)

__all__ = ["Inexpressible", "save_report"]

HASHED_FROM_BYTES = 20  # etcd's files show shorter values, and hashes of longer ones
NO_REVISION = -1  # of answers whose revision etcd's model does not look at
Json = dict[str, Any]


class Inexpressible(ValueError):
    """The history has a write or a watch that etcd's model does not know."""


def save_report(history: History, folder: Path) -> None:
    """Write the files, into a folder that may exist."""
    operations: dict[int, list[Json]] = {}
    for op in sorted(history.operations, key=lambda op: op.call):
        made = _operation(op)
        if made is not None:
            operations.setdefault(op.client, []).append(made)
    watches: dict[int, list[Json]] = {}
    for watch in history.watches:
        watches.setdefault(watch.client, []).append(_watch(watch))
    for name, files in (("operations.json", operations), ("watch.json", watches)):
        for client, rows in files.items():
            place = folder / f"client-{client}"
            place.mkdir(parents=True, exist_ok=True)
            (place / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


# --- operations -----------------------------------------------------------------------------------


def _operation(op: Operation) -> Json | None:
    if op.failed or isinstance(op.request, KeepAlive) or is_serializable(op.request):
        return None
    if isinstance(op.request, Grant) and not op.known:
        return None  # etcd's clients do not know the ID then, so nobody can use the lease
    try:
        request = _request(op)
    except Inexpressible:
        if is_read(op.request):
            return None
        raise
    returned = op.call + 1 if op.returned is None else op.returned
    return {
        "ClientId": op.client,
        "Input": request,
        "Call": op.call,
        "Output": _output(op),
        "Return": returned,
    }


def _request(op: Operation) -> Json:
    match op.request:
        case Range() as request:
            ranged = {**_range(request), "Revision": request.revision}
            return {"Type": "range", "Range": ranged}
        case Put() | Delete():
            return {"Type": "txn", "Txn": _txn(Txn((), (op.request,)))}
        case Txn():
            return {"Type": "txn", "Txn": _txn(op.request)}
        case Grant():
            lease = op.response.lease if isinstance(op.response, Granted) else op.request.lease
            return {"Type": "leaseGrant", "LeaseGrant": {"LeaseID": lease}}
        case Revoke():
            return {"Type": "leaseRevoke", "LeaseRevoke": {"LeaseID": op.request.lease}}
        case Compact():
            return {"Type": "compact", "Compact": {"Revision": op.request.revision}}
        case _:
            raise Inexpressible(f"{op.request}")


def _range(request: Range) -> Json:
    plain = Range(
        request.key,
        request.end,
        request.revision,
        request.limit,
        keys_only=request.keys_only,
    )
    if request != plain or request.end == b"\0":
        raise Inexpressible(f"{request}")
    return {
        "Start": _text(request.key),
        "End": _text(request.end),
        "Limit": request.limit,
        "KeysOnly": request.keys_only,
    }


def _txn(request: Txn) -> Json:
    return {
        "Conditions": [_condition(compare) for compare in request.compares],
        "OperationsOnSuccess": [_step(op) for op in request.success],
        "OperationsOnFailure": [_step(op) for op in request.failure],
    }


def _condition(compare: Compare) -> Json:
    zero = compare.target == VERSION and compare.operand == 0
    if compare.end or compare.result != EQUAL or compare.target not in (MOD, VERSION):
        raise Inexpressible(f"{compare}")
    name = "ExpectedRevision" if compare.target == MOD or zero else "ExpectedVersion"
    return {"Key": _text(compare.key), name: compare.operand}


def _step(op: Request) -> Json:
    if isinstance(op, Range) and not op.revision:
        return {"Type": "range-operation", "Range": _range(op)}
    if isinstance(op, Put) and not (op.ignore_value or op.ignore_lease):
        put = {"Key": _text(op.key), "Value": _value(op.value), "LeaseID": op.lease}
        return {"Type": "put-operation", "Put": put}
    if isinstance(op, Delete) and not op.end:
        return {"Type": "delete-operation", "Delete": {"Key": _text(op.key)}}
    raise Inexpressible(f"{op}")


def _output(op: Operation) -> Json:
    match op.response:
        case None:
            return {"Error": op.error or "unknown"}
        case Refused(text=text) if isinstance(op.request, Compact):
            return {"ClientError": text.removeprefix("etcdserver: ")}
        case Refused(text=text):
            return {"Error": text}
        case Got() as got:
            return {"Range": _got(got), "Revision": op.revision}
        case TxnDone(succeeded=succeeded, results=results):
            txn = {"Failure": not succeeded, "Results": [_result(one) for one in results]}
            return {"Txn": txn, "Revision": op.revision}
        case Granted():
            return {"LeaseGrant": {}, "Revision": op.revision}
    if isinstance(op.request, Compact):
        return {"Compact": {}, "Revision": NO_REVISION}
    if isinstance(op.request, Revoke):
        return {"LeaseRevoke": {}, "Revision": op.revision}
    only: Any = op.response
    return {"Txn": {"Failure": False, "Results": [_result(only)]}, "Revision": op.revision}


def _result(result: Result) -> Json:
    if isinstance(result, Got):
        return _got(result)
    return {"Deleted": result.count} if isinstance(result, Deleted) else {}


def _got(got: Got) -> Json:
    return {"KVs": [{"Key": _text(kv.key), **_state(kv)} for kv in got.kvs], "Count": got.count}


def _state(kv: KeyValue) -> Json:
    return {"Value": _value(kv.value), "ModRevision": kv.mod_revision, "Version": kv.version}


# --- watches --------------------------------------------------------------------------------------


def _watch(watch: Watch) -> Json:
    responses = []
    for response in watch.responses:
        if response.created and not response.events:
            continue  # etcd's client does not show it
        responses.append(
            {
                "Events": [_event(event) for event in response.events],
                "IsProgressNotify": response.progress,
                "Revision": response.revision,
                "Time": response.stamp,
                "Error": "canceled" if response.canceled else "",
            }
        )
    return {"Request": _watch_request(watch.request), "Responses": responses}


def _watch_request(request: WatchRequest) -> Json:
    prefix = bool(request.end)
    if request.no_put or request.no_delete or (prefix and request.end != _after(request.key)):
        raise Inexpressible(f"{request}")
    return {
        "Key": _text(request.key),
        "Revision": request.start_revision,
        "WithPrefix": prefix,
        "WithProgressNotify": request.progress_notify,
        "WithPrevKV": request.prev_kv,
    }


def _after(prefix: bytes) -> bytes:
    """The end of the range of all keys with a prefix."""
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes([trimmed[-1] + 1]) if trimmed else b"\0"


def _event(event: Event) -> Json:
    made: Json = {
        "Type": "delete-operation" if event.deleted else "put-operation",
        "Key": _text(event.kv.key),
        "Value": _value(event.kv.value),
        "Revision": event.kv.mod_revision,
        "IsCreate": event.created,
    }
    if event.prev is not None:
        made["PrevValue"] = _state(event.prev)
    return made


# --- texts ----------------------------------------------------------------------------------------


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _value(value: bytes) -> Json:
    if len(value) < HASHED_FROM_BYTES:
        return {"Value": _text(value)}
    found = 0x811C9DC5  # FNV-1a, 32 bits
    for byte in value:
        found = (found ^ byte) * 0x01000193 & 0xFFFFFFFF
    return {"Hash": found}
