"""What is refused at the API, before a request is proposed: malformed requests.

These checks look at the request alone, so every member would come to the same answer; what depends on
the store (revisions, leases, ignore_value on an absent key) is checked when the request is applied.

A txn may change a key only once. `check_txn` refuses two puts of one key, and a put inside the range
of a delete, on any path that could be executed together, nested txns included; the two branches of
one txn exclude each other and may overlap, and deletes may overlap deletes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from ..errors import (
    DuplicateKey,
    EmptyKey,
    InvalidSortOption,
    KeyNotFound,
    LeaseProvided,
    TooManyOps,
    ValueProvided,
)
from .requests import DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest

__all__ = ["TXN_OPS_MAX", "check_delete", "check_put", "check_range", "check_txn"]

TXN_OPS_MAX = 128  # etcd's --max-txn-ops
SORT_ORDER_MAX = 2
SORT_TARGET_MAX = 4


def check_range(request: RangeRequest) -> None:
    """Raises EmptyKey, InvalidSortOption."""
    if not request.key:
        raise EmptyKey
    if not 0 <= request.sort_order <= SORT_ORDER_MAX:
        raise InvalidSortOption
    if not 0 <= request.sort_target <= SORT_TARGET_MAX:
        raise InvalidSortOption


def check_put(request: PutRequest) -> None:
    """Raises EmptyKey, ValueProvided, LeaseProvided."""
    if not request.key:
        raise EmptyKey
    if request.ignore_value and request.value:
        raise ValueProvided
    if request.ignore_lease and request.lease:
        raise LeaseProvided


def check_delete(request: DeleteRangeRequest) -> None:
    """Raises EmptyKey."""
    if not request.key:
        raise EmptyKey


def check_txn(request: TxnRequest, ops_max: int = TXN_OPS_MAX) -> None:
    """Raises TooManyOps, DuplicateKey, KeyNotFound (an empty op) and what its operations raise.

    `ops_max` bounds the longest of the three lists; nested txns share what is left of it.
    """
    _check_shape(request, ops_max)
    _check_overlap(request.success)
    _check_overlap(request.failure)


def _check_shape(request: TxnRequest, ops_max: int) -> None:
    ops = max(len(request.compare), len(request.success), len(request.failure))
    if ops > ops_max:
        raise TooManyOps
    for compare in request.compare:
        if not compare.key:
            raise EmptyKey
    for op in request.success:
        _check_op(op, ops_max - ops)
    for op in request.failure:
        _check_op(op, ops_max - ops)


def _check_op(op: RequestOp, ops_max: int) -> None:
    kind = op.WhichOneof("request")
    if kind == "request_put":
        check_put(op.request_put)
    elif kind == "request_range":
        check_range(op.request_range)
    elif kind == "request_delete_range":
        check_delete(op.request_delete_range)
    elif kind == "request_txn":
        _check_shape(op.request_txn, ops_max)
    else:
        raise KeyNotFound


class _Deletes:
    """The union of the ranges that a list of operations may delete."""

    def __init__(self) -> None:
        self._ranges: list[tuple[bytes, bytes]] = []  # [start, end), sorted by start, disjoint
        self._starts: list[bytes] = []
        self._loose: list[tuple[bytes, bytes]] = []  # not merged yet

    def add(self, start: bytes, end: bytes) -> None:
        if start < end:
            self._loose.append((start, end))

    def update(self, other: _Deletes) -> None:
        self._loose += other._ranges
        self._loose += other._loose

    def __contains__(self, key: bytes) -> bool:
        if self._loose:
            self._merge()
        at = bisect_right(self._starts, key) - 1
        return at >= 0 and key < self._ranges[at][1]

    def _merge(self) -> None:
        merged: list[tuple[bytes, bytes]] = []
        for start, end in sorted(self._ranges + self._loose):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        self._ranges = merged
        self._starts = [start for start, _ in merged]
        self._loose = []


def _check_overlap(ops: Sequence[RequestOp]) -> tuple[set[bytes], _Deletes]:
    """The keys that `ops` may put and the ranges that they may delete; raises DuplicateKey."""
    deletes = _Deletes()
    nested: list[TxnRequest] = []
    own: list[bytes] = []
    for op in ops:
        kind = op.WhichOneof("request")
        if kind == "request_put":
            own.append(op.request_put.key)
        elif kind == "request_delete_range":
            start, end = op.request_delete_range.key, op.request_delete_range.range_end
            deletes.add(start, end or start + b"\0")
        elif kind == "request_txn":
            nested.append(op.request_txn)
    puts: set[bytes] = set()
    for txn in nested:
        then_puts, then_deletes = _check_overlap(txn.success)
        else_puts, else_deletes = _check_overlap(txn.failure)
        _add_puts(then_puts | else_puts, puts, deletes)
        deletes.update(then_deletes)
        deletes.update(else_deletes)
    for key in own:
        _add_puts((key,), puts, deletes)
    return puts, deletes


def _add_puts(new: Iterable[bytes], puts: set[bytes], deletes: _Deletes) -> None:
    for key in new:
        if key in puts or key in deletes:
            raise DuplicateKey
        puts.add(key)
