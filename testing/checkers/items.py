"""A history made ready for the search: who must be placed, who may be, and where an answer says it belongs."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator

import attrs

from .evidence import Evidence
from .history import Operation, changes_something
from .requests import (
    Compacted,
    Grant,
    Granted,
    KeepAlive,
    KeptAlive,
    Put,
    Refused,
    Request,
    Response,
    Revoke,
    Revoked,
    is_read,
    is_serializable,
    leases_of,
    ops,
)

__all__ = ["Item", "Kind", "prepare"]

SERVER = -1  # the client number of what members do of their own accord


class Kind(enum.Enum):
    """How an operation moves the state, judged by its answer."""

    PURE = enum.auto()  # changes nothing: a read, a refusal, a txn whose branch only read
    EFFECT = enum.auto()  # makes the revision that its answer names
    SIDE = enum.auto()  # changes the state but makes no revision: Grant, Compact
    MAYBE = (
        enum.auto()
    )  # Revoke: makes a revision if the lease had keys, which the answer does not tell
    OPTIONAL = enum.auto()  # of unknown result: it may be placed, once, or never
    SEEN = enum.auto()  # no operation: by this time somebody had seen this revision


@attrs.frozen(eq=False)
class Item:
    """One operation in the search.

    Attributes:
        number: its place in the list, and its bit in masks.
        revision: the header's revision, exact; 0 if unknown. For SEEN, the least that was reached.
        response: what the model must answer; None if nothing is known.
    """

    number: int
    kind: Kind
    operation: Operation
    request: Request
    call: int
    returned: int | None
    revision: int
    response: Response | None
    leases: frozenset[int]
    bit: int


@attrs.define
class Prepared:
    """Items in the order of their calls, and how they hang together."""

    items: list[Item] = attrs.Factory(list)
    optional: list[Item] = attrs.Factory(list)
    owners: dict[int, list[Item]] = attrs.Factory(dict)


def prepare(operations: Iterable[Operation], evidence: Evidence, until: int | None) -> Prepared:
    """Sort out a history.

    Args:
        operations: all of them.
        evidence: what was seen of single revisions.
        until: judge only what was answered up to this stamp; of what was called before it and answered
            later, nothing must have happened yet, and what happened must fit its answer.
    """
    everything = [op for op in operations if not op.failed]
    pins = _pins(everything, evidence)
    rows: list[tuple[int, int | None, Kind, Operation]] = []
    for op in everything:
        rows += _rows(op, until)
    for stamp, revision in evidence.reached:
        seen = Operation(SERVER, Put(b""), stamp - 1, stamp, revision=revision)
        rows.append((stamp - 1, stamp, Kind.SEEN, seen))
    rows.sort(key=lambda row: row[0])
    done = Prepared()
    for number, (call, returned, kind, op) in enumerate(rows):
        request, response = _normal(op)
        revision = op.revision or pins.get(id(op), 0)
        lease_set = frozenset(leases_of(request))
        item = Item(
            number, kind, op, request, call, returned, revision, response, lease_set, 1 << number
        )
        done.items.append(item)
        if kind is Kind.OPTIONAL:
            done.optional.append(item)
        elif kind is Kind.EFFECT and revision:
            done.owners.setdefault(revision, []).append(item)
    return done


def _rows(op: Operation, until: int | None) -> Iterator[tuple[int, int | None, Kind, Operation]]:
    """An operation as it enters the search; and the expiry of a lease that it granted."""
    if until is not None and op.call > until:
        return
    if isinstance(op.request, KeepAlive) or is_serializable(op.request):
        return
    late = op.returned is None or (until is not None and op.returned > until)
    if late and not is_read(op.request) and not isinstance(op.response, Refused):
        if isinstance(op.request, Grant) and not op.known and not op.request.lease:
            return  # nobody can use a lease whose ID was never told
        yield op.call, None, Kind.OPTIONAL, op
    elif not late:
        yield op.call, op.returned, _kind(op), op
    if isinstance(op.request, Grant) and not isinstance(op.response, Refused):
        lease = op.response.lease if isinstance(op.response, Granted) else op.request.lease
        expiry = Operation(SERVER, Revoke(lease), op.call)
        yield op.call, None, Kind.OPTIONAL, expiry


def _kind(op: Operation) -> Kind:
    if isinstance(op.response, Granted | Compacted):
        return Kind.SIDE
    if isinstance(op.response, Revoked):
        return Kind.MAYBE
    return Kind.EFFECT if changes_something(op.response) else Kind.PURE


def _normal(op: Operation) -> tuple[Request, Response | None]:
    """The request with what the server chose, so that the model need not guess it."""
    if isinstance(op.request, Grant) and isinstance(op.response, Granted):
        return Grant(op.response.lease, op.response.ttl), op.response
    assert not isinstance(op.response, KeptAlive)
    return op.request, op.response


def _pins(operations: list[Operation], evidence: Evidence) -> dict[int, int]:
    """By id of an operation of unknown result: its revision, if a value that only it wrote was seen."""
    writers = Counter(pair for op in operations for pair in set(_written(op)))
    seen = {
        (key, kv.value): revision
        for revision, shown in evidence.shown.items()
        for key, kv in shown.items()
        if kv is not None
    }
    return {
        id(op): seen[pair]
        for op in operations
        if not op.known
        for pair in _written(op)
        if pair in seen and writers[pair] == 1
    }


def _written(op: Operation) -> Iterator[tuple[bytes, bytes]]:
    for one in ops(op.request):
        if isinstance(one, Put) and not one.ignore_value:
            yield one.key, one.value
