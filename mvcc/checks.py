"""What is refused at the API, before a request is proposed: malformed requests.

These checks look at the request alone, so every member would come to the same answer; what depends on
the store (revisions, leases, ignore_value on an absent key) is checked when the request is applied.

A txn may change a key only once. `check_txn` refuses two puts of one key, and a put inside the range
of a delete, on any path that could be executed together, nested txns included; the two branches of
one txn exclude each other and may overlap, and deletes may overlap deletes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable

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

__all__ = ["TXN_DEPTH_MAX", "TXN_OPS_MAX", "check_delete", "check_put", "check_range", "check_txn"]

TXN_OPS_MAX = 128  # etcd's --max-txn-ops
TXN_DEPTH_MAX = 40  # txns in each other; protobuf's C parser reads 100 nested messages, 2 per txn
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
    for branch in _check_shape(request, ops_max, TXN_DEPTH_MAX):
        if branch.nested or (branch.puts and (branch.deletes or len(branch.puts) > 1)):
            _check_overlap(branch)


class _Branch:
    """What one list of operations writes: puts, deletes as (start, end), and nested txns."""

    __slots__ = ("deletes", "nested", "puts")

    def __init__(self) -> None:
        self.puts: list[bytes] = []
        self.deletes: list[tuple[bytes, bytes]] = []
        self.nested: list[tuple[_Branch, _Branch]] = []


def _check_shape(request: TxnRequest, ops_max: int, depth_max: int) -> tuple[_Branch, _Branch]:
    compares, success, failure = request.compare, request.success, request.failure
    ops = max(len(compares), len(success), len(failure))
    if ops > ops_max or not depth_max:
        raise TooManyOps
    for compare in compares:
        if not compare.key:
            raise EmptyKey
    left = ops_max - ops
    return _check_ops(success, left, depth_max - 1), _check_ops(failure, left, depth_max - 1)


def _check_ops(ops: Iterable[RequestOp], ops_max: int, depth_max: int) -> _Branch:
    branch = _Branch()
    for op in ops:
        kind = op.WhichOneof("request")
        if kind == "request_put":
            put = op.request_put
            check_put(put)
            branch.puts.append(put.key)
        elif kind == "request_range":
            check_range(op.request_range)
        elif kind == "request_delete_range":
            delete = op.request_delete_range
            check_delete(delete)
            branch.deletes.append((delete.key, delete.range_end or delete.key + b"\0"))
        elif kind == "request_txn":
            branch.nested.append(_check_shape(op.request_txn, ops_max, depth_max))
        else:
            raise KeyNotFound
    return branch


class _Deletes:
    """The union of the ranges that a branch may delete.

    A range that ends before it starts is empty. So is, here, the one that ends with a zero byte and in
    fact deletes "the key and all after it": etcd does not look at those, so we must not refuse more.
    """

    def __init__(self, ranges: Iterable[tuple[bytes, bytes]]) -> None:
        self._ranges: list[tuple[bytes, bytes]] = []  # [start, end), sorted by start, disjoint
        self._starts: list[bytes] = []
        self._loose = [one for one in ranges if one[0] < one[1]]  # not merged yet

    def __bool__(self) -> bool:
        return bool(self._ranges or self._loose)

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


def _check_overlap(branch: _Branch) -> tuple[set[bytes], _Deletes]:
    """The keys that a branch may put and the ranges that it may delete; raises DuplicateKey."""
    deletes = _Deletes(branch.deletes)
    puts: set[bytes] = set()
    for then, otherwise in branch.nested:
        then_puts, then_deletes = _check_overlap(then)
        else_puts, else_deletes = _check_overlap(otherwise)
        _add_puts(then_puts | else_puts, puts, deletes)
        deletes.update(then_deletes)
        deletes.update(else_deletes)
    _add_puts(branch.puts, puts, deletes)
    return puts, deletes


def _add_puts(new: Collection[bytes], puts: set[bytes], deletes: _Deletes) -> None:
    before = len(puts)
    puts.update(new)
    if len(puts) < before + len(new):
        raise DuplicateKey
    if deletes and any(key in deletes for key in new):
        raise DuplicateKey
