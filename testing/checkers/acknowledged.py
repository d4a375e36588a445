"""What was acknowledged is there: every answered write is in the log of every member, whole, and only once."""

from __future__ import annotations

from collections.abc import Iterable

from .describe import describe_operation
from .evidence import Log
from .history import Operation, changes_something
from .requests import KeyValue, Put, Request, Response, Result, Txn, TxnDone
from .violation import Violation

__all__ = ["check_acknowledged"]

PROMISE = "acknowledged"


def check_acknowledged(operations: Iterable[Operation], log: Log) -> list[Violation]:
    """Look up each acknowledged write in a log.

    Args:
        operations: all operations of a history.
        log: the changes that a member's store tells at the end.
    """
    found = []
    makers: dict[int, Operation] = {}
    for op in operations:
        if not changes_something(op.response) or not op.revision:
            continue
        other = makers.setdefault(op.revision, op)
        text = "" if other is op else f"revision {op.revision} was acknowledged to two writes"
        text = text or _fault(op, log)
        if text:
            found.append(Violation(PROMISE, f"{text}\n  {describe_operation(op)}"))
    return found


def _fault(op: Operation, log: Log) -> str:
    if op.revision > log.last:
        return f"an acknowledged write is lost: the last revision is {log.last}"
    if not log.covers(op.revision):
        return ""
    made: dict[bytes, KeyValue | None] = dict(log.changes.get(op.revision, ()))
    for put in _puts(op.request, op.response):
        kv = made.get(put.key)
        if kv is None or (not put.ignore_value and kv.value != put.value):
            return f"revision {op.revision} is not the write that was acknowledged with it"
    return ""


def _puts(request: Request, response: Response | Result | None) -> Iterable[Put]:
    if isinstance(request, Put):
        yield request
    elif isinstance(request, Txn) and isinstance(response, TxnDone):
        chosen = request.success if response.succeeded else request.failure
        for op, result in zip(chosen, response.results, strict=True):
            yield from _puts(op, result)
