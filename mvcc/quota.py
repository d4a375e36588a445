"""The space quota: what a request may add to the backend, and whether there is room for it.

The costs are etcd's estimates. Deletes, ranges and compactions cost nothing and always pass, so that an
operator can get out of a full store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .requests import PutRequest, RequestOp, TxnRequest

__all__ = [
    "LEASE_COST",
    "QUOTA_BYTES",
    "QUOTA_BYTES_SUGGESTED_MAX",
    "Quota",
    "put_cost",
    "txn_cost",
]

QUOTA_BYTES = 2 << 30
QUOTA_BYTES_SUGGESTED_MAX = 8 << 30
LEASE_COST = 64
KEY_OVERHEAD = 256


def put_cost(request: PutRequest) -> int:
    """Bytes that a put may add."""
    return KEY_OVERHEAD + len(request.key) + len(request.value)


def txn_cost(request: TxnRequest) -> int:
    """Bytes that a txn may add: the dearer branch, nested txns included."""
    return max(_ops_cost(request.success), _ops_cost(request.failure))


def _ops_cost(ops: Iterable[RequestOp]) -> int:
    cost = 0
    for op in ops:
        kind = op.WhichOneof("request")
        if kind == "request_put":
            cost += put_cost(op.request_put)
        elif kind == "request_txn":
            cost += txn_cost(op.request_txn)
    return cost


class Quota:
    """A limit on the bytes that the backend has allocated.

    Args:
        limit_bytes: 0 for the default of 2 GiB, negative for no limit.
        size: tells the backend's size in bytes.
    """

    def __init__(self, limit_bytes: int, size: Callable[[], int]) -> None:
        self.limit_bytes = limit_bytes or QUOTA_BYTES
        self._size = size

    def available(self, cost: int) -> bool:
        """Whether a request of that cost fits; one without cost always does."""
        return cost == 0 or self.limit_bytes < 0 or self._size() + cost < self.limit_bytes

    @property
    def remaining(self) -> int:
        """Bytes left; negative when the limit is passed, 1 when there is no limit (as etcd reports)."""
        return 1 if self.limit_bytes < 0 else self.limit_bytes - self._size()
