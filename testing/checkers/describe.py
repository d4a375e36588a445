"""Requests, answers and operations in the words of a person."""

from __future__ import annotations

from .history import Event, Operation, seconds
from .model import State
from .requests import (
    Compact,
    Compare,
    Delete,
    Deleted,
    Got,
    Grant,
    Granted,
    KeepAlive,
    KeptAlive,
    KeyValue,
    Put,
    PutDone,
    Range,
    Refused,
    Request,
    Response,
    Result,
    Revoke,
    Txn,
    TxnDone,
)

__all__ = ["describe_event", "describe_operation", "describe_state"]

SHOWN_BYTES_MAX = 24
SHOWN_ITEMS_MAX = 12
_RESULTS = ("=", ">", "<", "!=")
_TARGETS = ("version", "create", "mod", "value", "lease")


def text_of(data: bytes) -> str:
    """Bytes, shortened."""
    text = data.decode("utf-8", "backslashreplace")
    return text if len(text) <= SHOWN_BYTES_MAX else f"{text[:SHOWN_BYTES_MAX]}…({len(data)} bytes)"


def _span(key: bytes, end: bytes) -> str:
    if not end:
        return text_of(key)
    return f"[{text_of(key)}, {'∞' if end == bytes(1) else text_of(end)})"


def describe_kv(kv: KeyValue) -> str:
    """A key-value with what tells it from others."""
    lease = f" lease {kv.lease:x}" if kv.lease else ""
    life = f"mod {kv.mod_revision} create {kv.create_revision} v{kv.version}"
    return f"{text_of(kv.key)}={text_of(kv.value)} ({life}{lease})"


def describe_request(request: Request) -> str:
    """What was asked."""
    match request:
        case Range():
            at = f" at {request.revision}" if request.revision else ""
            local = " serializable" if request.serializable else ""
            limit = f" limit {request.limit}" if request.limit else ""
            return f"get {_span(request.key, request.end)}{at}{limit}{local}"
        case Put():
            lease = f" lease {request.lease:x}" if request.lease else ""
            return f"put {text_of(request.key)}={text_of(request.value)}{lease}"
        case Delete():
            return f"delete {_span(request.key, request.end)}"
        case Txn():
            when = " and ".join(_compare(one) for one in request.compares) or "true"
            then = "; ".join(describe_request(op) for op in request.success)
            other = "; ".join(describe_request(op) for op in request.failure)
            return f"txn if {when} then {{{then}}} else {{{other}}}"
        case Grant():
            return f"grant lease {request.lease:x} ttl {request.ttl}"
        case Revoke():
            return f"revoke lease {request.lease:x}"
        case KeepAlive():
            return f"keep alive {request.lease:x}"
        case Compact():
            return f"compact {request.revision}"


def _compare(compare: Compare) -> str:
    operand = compare.operand
    shown = text_of(operand) if isinstance(operand, bytes) else operand
    span = _span(compare.key, compare.end)
    return f"{_TARGETS[compare.target]}({span}) {_RESULTS[compare.result]} {shown}"


def describe_response(response: Response | Result | None) -> str:
    """What was answered."""
    match response:
        case None:
            return "no answer"
        case Refused():
            return f"refused: {response.text}"
        case Got():
            some = [describe_kv(kv) for kv in response.kvs[:SHOWN_ITEMS_MAX]]
            more = ["…"] if len(response.kvs) > SHOWN_ITEMS_MAX else []
            return f"{response.count} keys [{', '.join(some + more)}]"
        case PutDone():
            return f"done, before {describe_kv(response.prev)}" if response.prev else "done"
        case Deleted():
            return f"{response.count} deleted"
        case TxnDone():
            results = "; ".join(describe_response(result) for result in response.results)
            return f"{'succeeded' if response.succeeded else 'failed'} {{{results}}}"
        case Granted():
            return f"lease {response.lease:x} ttl {response.ttl}"
        case KeptAlive():
            return f"ttl {response.ttl}"
        case _:
            return "done"


def describe_operation(operation: Operation) -> str:
    """One line: who, when, what, and what came of it."""
    if operation.returned is None:
        until, answer = "?", f"unknown ({operation.error})" if operation.error else "unknown"
    else:
        until = f"{seconds(operation.returned):.6f}"
        answer = describe_response(operation.response)
    at = f" @{operation.revision}" if operation.revision else ""
    request = describe_request(operation.request)
    return (
        f"client {operation.client} {seconds(operation.call):.6f}-{until}: {request} → {answer}{at}"
    )


def describe_event(event: Event) -> str:
    """What a watch told."""
    if event.deleted:
        return f"DELETE {text_of(event.kv.key)} (mod {event.kv.mod_revision})"
    return f"PUT {describe_kv(event.kv)}"


def describe_state(state: State) -> str:
    """A state, shortened."""
    keys = [describe_kv(state.keys[key]) for key in sorted(state.keys)]
    more = ["…"] if len(keys) > SHOWN_ITEMS_MAX else []
    compact = f", compacted at {state.compact_revision}" if state.compact_revision >= 0 else ""
    leases = (
        f", leases {', '.join(f'{one:x}' for one in sorted(state.leases))}" if state.leases else ""
    )
    shown = "; ".join(keys[:SHOWN_ITEMS_MAX] + more)
    return f"revision {state.revision}{compact}{leases}: {shown or 'no keys'}"
