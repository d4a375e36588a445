"""What clients ask and what they are told, as plain records: etcd's messages without protobuf.

They are immutable and comparable, so that a checker may compare an answer with the model's, hash states and keep
thousands of them. Field names and numbers of enumerations are etcd's. `workload.messages` makes them out of the
messages of the wire.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import attrs

__all__ = [
    "Compact",
    "Compare",
    "Compacted",
    "Delete",
    "Deleted",
    "Got",
    "Grant",
    "Granted",
    "KeepAlive",
    "KeptAlive",
    "KeyValue",
    "Op",
    "Put",
    "PutDone",
    "Range",
    "Refused",
    "Request",
    "Response",
    "Result",
    "Revoke",
    "Revoked",
    "Txn",
    "TxnDone",
    "is_read",
    "is_serializable",
    "leases_of",
    "within",
]

VERSION, CREATE, MOD, VALUE, LEASE = range(5)  # targets of a compare
EQUAL, GREATER, LESS, NOT_EQUAL = range(4)
ASCEND, DESCEND = 1, 2


class KeyValue(NamedTuple):
    """A key as it is at some revision. `lease` is 0 for none."""

    key: bytes
    create_revision: int
    mod_revision: int
    version: int
    value: bytes
    lease: int = 0


# --- requests -----------------------------------------------------------------------------------


@attrs.frozen
class Range:
    """Read keys. An empty `end` means the one key, a zero byte everything from `key` on.

    `revision` 0 is the present.
    """

    key: bytes
    end: bytes = b""
    revision: int = 0
    limit: int = 0
    serializable: bool = False
    keys_only: bool = False
    count_only: bool = False
    sort_order: int = 0
    sort_target: int = 0
    min_mod_revision: int = 0
    max_mod_revision: int = 0
    min_create_revision: int = 0
    max_create_revision: int = 0


@attrs.frozen
class Put:
    """Set a key."""

    key: bytes
    value: bytes = b""
    lease: int = 0
    prev_kv: bool = False
    ignore_value: bool = False
    ignore_lease: bool = False


@attrs.frozen
class Delete:
    """Delete a key or the keys of a range."""

    key: bytes
    end: bytes = b""
    prev_kv: bool = False


@attrs.frozen
class Compare:
    """One condition of a txn: `target` of the key (or of each key of the range) `result` `operand`."""

    key: bytes
    target: int
    result: int
    operand: int | bytes
    end: bytes = b""


@attrs.frozen
class Txn:
    """If all compares hold, `success`, else `failure`; in one revision."""

    compares: tuple[Compare, ...] = ()
    success: tuple[Op, ...] = ()
    failure: tuple[Op, ...] = ()


@attrs.frozen
class Grant:
    """Make a lease of `ttl` seconds. `lease` 0: the server chooses the ID, which the answer tells."""

    lease: int
    ttl: int


@attrs.frozen
class Revoke:
    """End a lease; its keys go with it, in one revision."""

    lease: int


@attrs.frozen
class KeepAlive:
    """Begin the lease's time anew. The leader's memory alone: no revision, not linearizable."""

    lease: int


@attrs.frozen
class Compact:
    """Forget what was before `revision`."""

    revision: int
    physical: bool = False


Op = Range | Put | Delete | Txn
Request = Range | Put | Delete | Txn | Grant | Revoke | KeepAlive | Compact


# --- answers ------------------------------------------------------------------------------------


@attrs.frozen
class Got:
    """Answers Range. `count` is that of the keys in the range, whatever the limit and the filters."""

    kvs: tuple[KeyValue, ...] = ()
    count: int = 0
    more: bool = False


@attrs.frozen
class PutDone:
    """Answers Put."""

    prev: KeyValue | None = None


@attrs.frozen
class Deleted:
    """Answers Delete."""

    count: int = 0
    prevs: tuple[KeyValue, ...] = ()


@attrs.frozen
class TxnDone:
    """Answers Txn."""

    succeeded: bool
    results: tuple[Result, ...] = ()


@attrs.frozen
class Granted:
    """Answers Grant, with the ID and the TTL in seconds that hold."""

    lease: int
    ttl: int


@attrs.frozen
class Revoked:
    """Answers Revoke."""


@attrs.frozen
class KeptAlive:
    """Answers KeepAlive. TTL 0: there is no such lease."""

    ttl: int


@attrs.frozen
class Compacted:
    """Answers Compact."""


@attrs.frozen
class Refused:
    """An error that is a result: the request was executed and had to fail so, in the state it met."""

    text: str


Result = Got | PutDone | Deleted | TxnDone
Response = Got | PutDone | Deleted | TxnDone | Granted | Revoked | KeptAlive | Compacted | Refused


# --- what one can say of them -------------------------------------------------------------------


def within(key: bytes, start: bytes, end: bytes) -> bool:
    """Whether a key is in a range, by etcd's rule for the end."""
    if not end:
        return key == start
    return key >= start and (end == b"\0" or key < end)


def is_read(request: Request) -> bool:
    """Whether a request can change nothing, whichever way its compares go (so it is never proposed)."""
    if isinstance(request, Range):
        return True
    if isinstance(request, Txn):
        return all(isinstance(op, Range) for op in request.success + request.failure)
    return False


def is_serializable(request: Request) -> bool:
    """Whether a read may be answered by one member alone, from its past."""
    if isinstance(request, Range):
        return request.serializable
    ranges = request.success + request.failure if isinstance(request, Txn) else ()
    return bool(ranges) and all(isinstance(op, Range) and op.serializable for op in ranges)


def ops(request: Request) -> Iterator[Request]:
    """The request itself, or all that a txn might do, whichever way its compares go."""
    if not isinstance(request, Txn):
        yield request
        return
    for op in request.success + request.failure:
        yield from ops(op)


def leases_of(request: Request) -> set[int]:
    """The leases that a request speaks of."""
    found: set[int] = set()
    for op in ops(request):
        if isinstance(op, Put | Grant | Revoke) and op.lease:
            found.add(op.lease)
    return found
