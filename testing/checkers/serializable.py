"""Serializable reads: from the past perhaps, but from a past that there was.

A member answers them alone, so they may be stale. But what they show must be the one history's state at the
revision that they name, and a revision that some other client cannot have been ahead of must not come before it
was made.
"""

from __future__ import annotations

from collections.abc import Iterable

from .describe import describe_operation, describe_response
from .history import Operation
from .model import State, step
from .replay import Replay
from .requests import KeyValue, Refused, is_serializable
from .violation import Violation

__all__ = ["check_serializable"]

PROMISE = "serializable"


def check_serializable(operations: Iterable[Operation], replay: Replay) -> list[Violation]:
    """Replay each serializable read.

    Args:
        operations: all operations of a history; others than serializable reads are passed over.
        replay: the history that they are held against.
    """
    found = []
    for op in operations:
        if op.known and is_serializable(op.request) and not isinstance(op.response, Refused):
            text = _fault(op, replay)
            if text:
                found.append(Violation(PROMISE, f"{text}\n  {describe_operation(op)}"))
    return found


def _fault(op: Operation, replay: Replay) -> str:
    if op.revision > replay.last:
        return f"revision {op.revision} was answered, but {replay.last} was the last"
    if op.revision < replay.first:
        return ""
    state = State(op.revision, keys=replay.keys(op.revision))
    try:
        expected = step(state, op.request, lambda revision: _past(replay, revision)).response
    except LookupError:
        return ""
    if expected != op.response:
        return f"revision {op.revision} had to answer: {describe_response(expected)}"
    return ""


def _past(replay: Replay, revision: int) -> dict[bytes, KeyValue]:
    if revision < replay.first:
        raise LookupError(revision)
    return replay.keys(revision)
