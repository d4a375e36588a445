"""What mvcc expects of requests and of leases: structure, not classes.

Requests are read by etcd's proto field names, so that a protobuf message fits as it is and this
package needs no generated code. Fields are read-only to us. Enumerations are plain ints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

__all__ = [
    "Compare",
    "DeleteRangeRequest",
    "LeaseHooks",
    "NoLeases",
    "PutRequest",
    "RangeRequest",
    "RequestOp",
    "TxnRequest",
]


class RangeRequest(Protocol):
    """etcdserverpb.RangeRequest."""

    @property
    def key(self) -> bytes: ...
    @property
    def range_end(self) -> bytes: ...
    @property
    def limit(self) -> int: ...
    @property
    def revision(self) -> int: ...
    @property
    def sort_order(self) -> int: ...
    @property
    def sort_target(self) -> int: ...
    @property
    def serializable(self) -> bool: ...
    @property
    def keys_only(self) -> bool: ...
    @property
    def count_only(self) -> bool: ...
    @property
    def min_mod_revision(self) -> int: ...
    @property
    def max_mod_revision(self) -> int: ...
    @property
    def min_create_revision(self) -> int: ...
    @property
    def max_create_revision(self) -> int: ...


class PutRequest(Protocol):
    """etcdserverpb.PutRequest."""

    @property
    def key(self) -> bytes: ...
    @property
    def value(self) -> bytes: ...
    @property
    def lease(self) -> int: ...
    @property
    def prev_kv(self) -> bool: ...
    @property
    def ignore_value(self) -> bool: ...
    @property
    def ignore_lease(self) -> bool: ...


class DeleteRangeRequest(Protocol):
    """etcdserverpb.DeleteRangeRequest."""

    @property
    def key(self) -> bytes: ...
    @property
    def range_end(self) -> bytes: ...
    @property
    def prev_kv(self) -> bool: ...


class Compare(Protocol):
    """etcdserverpb.Compare; a member of the oneof that is not set reads as zero or empty."""

    @property
    def result(self) -> int: ...
    @property
    def target(self) -> int: ...
    @property
    def key(self) -> bytes: ...
    @property
    def range_end(self) -> bytes: ...
    @property
    def version(self) -> int: ...
    @property
    def create_revision(self) -> int: ...
    @property
    def mod_revision(self) -> int: ...
    @property
    def value(self) -> bytes: ...
    @property
    def lease(self) -> int: ...


class RequestOp(Protocol):
    """etcdserverpb.RequestOp, a oneof named `request`."""

    def WhichOneof(self, oneof_group: str, /) -> str | None: ...
    @property
    def request_range(self) -> RangeRequest: ...
    @property
    def request_put(self) -> PutRequest: ...
    @property
    def request_delete_range(self) -> DeleteRangeRequest: ...
    @property
    def request_txn(self) -> TxnRequest: ...


class TxnRequest(Protocol):
    """etcdserverpb.TxnRequest."""

    @property
    def compare(self) -> Sequence[Compare]: ...
    @property
    def success(self) -> Sequence[RequestOp]: ...
    @property
    def failure(self) -> Sequence[RequestOp]: ...


class LeaseHooks(Protocol):
    """What the store needs of the lessor.

    `attached` maps a key to its lease, for keys that have one; the store only reads it. `attach`
    raises LeaseNotFound for an unknown lease, which the store rules out beforehand for puts.
    """

    @property
    def attached(self) -> Mapping[bytes, int]: ...
    def exists(self, lease_id: int) -> bool: ...
    def attach(self, lease_id: int, key: bytes) -> None: ...
    def detach(self, lease_id: int, key: bytes) -> None: ...


class NoLeases:
    """A lessor that has no leases."""

    attached: Mapping[bytes, int] = {}

    def exists(self, lease_id: int) -> bool:  # noqa: ARG002
        return False

    def attach(self, lease_id: int, key: bytes) -> None:
        raise AssertionError(f"attach of {key!r} to unknown lease {lease_id}")

    def detach(self, lease_id: int, key: bytes) -> None:
        raise AssertionError(f"detach of {key!r} from unknown lease {lease_id}")
