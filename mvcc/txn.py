"""Transactions: compare, then execute one of two lists of operations, in one revision.

A txn runs in three steps, so that a failure changes nothing:

1. *choose*: all compares, those of nested txns on the chosen path too, are evaluated against the state
   before the txn. The outcome is a tree of what is to be done.
2. *check*: every operation on the chosen path that could fail is checked against that same state
   (range revisions, leases, ignore_value and ignore_lease on absent keys).
3. *execute*: in order, writes taking sub revisions 0, 1, 2, … of the new main revision. Reads see the
   txn's own earlier writes. Nothing can fail any more except this machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ..errors import Compacted, FutureRev, KeyNotFound, LeaseNotFound
from .index import KeyIndex
from .keyvalue import lease_of, value_of
from .ranges import RangeResult, open_end, run_range
from .requests import (
    Compare,
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from .revision import MAIN_SHIFT

if TYPE_CHECKING:
    from .store import DeleteResult, PutResult, Store

__all__ = ["TxnResult", "is_read_only", "is_serializable", "run_txn"]

RANGE, PUT, TXN = "request_range", "request_put", "request_txn"
EQUAL, GREATER, LESS, NOT_EQUAL = 0, 1, 2, 3
VERSION, CREATE, MOD, VALUE, LEASE = 0, 1, 2, 3, 4


class TxnResult(NamedTuple):
    """The answer to a txn: `revision` is the store's after it; one response per operation, in order.

    The revision of a nested txn's answer is 0: etcd sends its header, but empty.
    """

    revision: int
    succeeded: bool
    responses: list[Response]


if TYPE_CHECKING:
    Response: TypeAlias = PutResult | DeleteResult | RangeResult | TxnResult


class Plan(NamedTuple):
    """Which branch a txn takes, and what there is to do in it: (kind, request), (TXN, Plan) for nested."""

    succeeded: bool
    steps: list[tuple[str, Any]]


def is_read_only(request: TxnRequest) -> bool:
    """Whether the txn is made of ranges only, so that it need not go through the log.

    A nested txn counts as a write whatever is in it.
    """
    for ops in (request.success, request.failure):  # plain loops: each txn comes through here
        for op in ops:
            if op.WhichOneof("request") != RANGE:
                return False
    return True


def is_serializable(request: TxnRequest) -> bool:
    """Whether every operation is a serializable range: the txn may be answered from local state."""
    return all(
        op.WhichOneof("request") == RANGE and op.request_range.serializable for op in _both(request)
    )


def _both(request: TxnRequest) -> Iterator[RequestOp]:
    yield from request.success
    yield from request.failure


def run_txn(store: Store, request: TxnRequest, answered: bool) -> TxnResult:
    """Run a txn whose shape was checked at the API (`checks.check_txn`).

    With `answered` False the ranges in it are not executed: a member that replies to nobody need not
    read. Raises Compacted, FutureRev, LeaseNotFound, KeyNotFound; nothing is changed then.
    """
    counts = store.counts
    start = counts.ranges
    plan = _choose(store, request)
    _check(store, plan, [])
    chosen, written = counts.ranges, counts.puts + counts.deletes
    responses = _execute(store, plan, answered)
    written = counts.puts + counts.deletes - written
    if written + counts.ranges - (chosen if written else start) > 1:
        counts.txns += 1  # as etcd counts: comparisons belong to it if it only reads
    return TxnResult(store.latest, plan.succeeded, responses)


# --- choose ---------------------------------------------------------------------------------------


def _choose(store: Store, request: TxnRequest) -> Plan:
    succeeded = all(_holds(store, compare) for compare in request.compare)
    steps: list[tuple[str, Any]] = []
    for op in request.success if succeeded else request.failure:
        kind = op.WhichOneof("request")
        if kind is None:
            raise KeyNotFound
        chosen: Any = getattr(op, kind)
        steps.append((kind, _choose(store, chosen) if kind == TXN else chosen))
    return Plan(succeeded, steps)


def _holds(store: Store, compare: Compare) -> bool:
    """Whether every key in the range satisfies the compare; an absent one counts as all zeros.

    An absent key has no value, so a compare of its value is false whatever the operator.
    """
    store.counts.ranges += 1
    keys: Iterable[KeyIndex]
    range_end = compare.range_end
    if range_end:
        visited = store.index.visit(compare.key, open_end(range_end))
        keys = [entry for entry in visited if entry.version]
    else:
        entry = store.index.keys.get(compare.key)
        keys = (entry,) if entry is not None and entry.version else ()
    if keys:
        return all(_compares(store, compare, entry) for entry in keys)
    return compare.target != VALUE and _satisfies(compare.result, 0, _wanted(compare))


def _compares(store: Store, compare: Compare, entry: KeyIndex) -> bool:
    target = compare.target
    if target == VALUE:
        have = value_of(store.load(entry, entry.modified))
        return _satisfies(compare.result, have, compare.value)
    if target == MOD:
        number = entry.modified >> MAIN_SHIFT
    elif target == CREATE:
        number = entry.created
    elif target == VERSION:
        number = entry.version
    elif target == LEASE:
        number = lease_of(store.load(entry, entry.modified))
    else:
        number = 0
    return _satisfies(compare.result, number, _wanted(compare))


def _wanted(compare: Compare) -> int:
    """The number to compare with; a union member of another target reads as zero."""
    target = compare.target
    if target == MOD:
        return compare.mod_revision
    if target == CREATE:
        return compare.create_revision
    if target == VERSION:
        return compare.version
    if target == LEASE:
        return compare.lease
    return 0


def _satisfies(result: int, have: int | bytes, want: int | bytes) -> bool:
    if result == EQUAL:
        return have == want
    if result == NOT_EQUAL:
        return have != want
    if result == GREATER:
        return have > want  # type: ignore[operator]  # both are of the same kind
    if result == LESS:
        return have < want  # type: ignore[operator]
    return True  # as etcd does for an operator that it does not know


# --- check ----------------------------------------------------------------------------------------


def _check(store: Store, plan: Plan, deletes: list[DeleteRangeRequest]) -> None:
    """Check in the order of execution; `deletes` are those that will have been executed by then."""
    for kind, request in plan.steps:
        if kind == PUT:
            _check_put(store, request, deletes)
        elif kind == RANGE:
            _check_range(store, request)
        elif kind == TXN:
            _check(store, request, deletes)
        else:
            deletes.append(request)


def _check_range(store: Store, request: RangeRequest) -> None:
    revision = request.revision
    if revision > store.revision:
        raise FutureRev
    if revision and revision < store.compact_revision:  # negative ones too, unlike outside of a txn
        raise Compacted


def _check_put(store: Store, request: PutRequest, deletes: list[DeleteRangeRequest]) -> None:
    lease = request.lease
    if request.ignore_value or request.ignore_lease:
        key = request.key
        entry = store.index.keys.get(key)
        if entry is None or not entry.version or any(_covers(d, key) for d in deletes):
            raise KeyNotFound
        if request.ignore_lease:
            lease = lease_of(store.load(entry, entry.modified))
    if lease and not store.leases.exists(lease):
        raise LeaseNotFound


def _covers(request: DeleteRangeRequest, key: bytes) -> bool:
    """Whether a delete takes `key`. Only an open end can get here, see `checks`; etcd would panic."""
    end = open_end(request.range_end)
    return request.key == key if end == b"" else request.key <= key and (end is None or key < end)


# --- execute --------------------------------------------------------------------------------------


def _execute(store: Store, plan: Plan, answered: bool) -> list[Response]:
    responses: list[Response] = []
    for kind, request in plan.steps:
        if kind == PUT:
            responses.append(store.apply_put(request))
        elif kind == RANGE:
            if answered:
                responses.append(run_range(store, request))
            else:
                responses.append(RangeResult(store.latest, [], 0, False))
        elif kind == TXN:
            inner = _execute(store, request, answered)
            responses.append(TxnResult(0, request.succeeded, inner))
        else:
            responses.append(store.apply_delete(request))
    return responses
