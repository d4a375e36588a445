"""What a transaction does: `put("k", "v")`, `get("k")`, `delete(prefix("job/"))`, and `nested(...)` transactions."""

from __future__ import annotations

from typing import Any, Protocol

import attrs

from ..rpc.pb.rpc_pb2 import RequestOp, TxnRequest
from .compares import Condition
from .keys import KeyLike, KeysLike
from .namespace import Namespace
from .requests import SortBy, delete_request, put_request, range_request

__all__ = ["Delete", "Get", "Nested", "Op", "Put", "delete", "get", "nested", "put", "txn_request"]


class Op(Protocol):
    """One operation of a transaction."""

    def encoded(self, space: Namespace) -> RequestOp:
        """The operation as etcd's requests say it."""


@attrs.frozen
class Put:
    """Sets a key. Made by `put`."""

    key: KeyLike
    value: KeyLike
    options: dict[str, Any]

    def encoded(self, space: Namespace) -> RequestOp:
        """See `Op`."""
        return RequestOp(request_put=put_request(space, self.key, self.value, **self.options))


@attrs.frozen
class Get:
    """Reads keys. Made by `get`."""

    keys: KeysLike
    options: dict[str, Any]

    def encoded(self, space: Namespace) -> RequestOp:
        """See `Op`."""
        return RequestOp(request_range=range_request(space, self.keys, **self.options))


@attrs.frozen
class Delete:
    """Deletes keys. Made by `delete`."""

    keys: KeysLike
    prev_kv: bool

    def encoded(self, space: Namespace) -> RequestOp:
        """See `Op`."""
        request = delete_request(space, self.keys, prev_kv=self.prev_kv)
        return RequestOp(request_delete_range=request)


@attrs.frozen
class Nested:
    """A transaction within one. Made by `nested`."""

    when: tuple[Condition, ...]
    then: tuple[Op, ...]
    otherwise: tuple[Op, ...]

    def encoded(self, space: Namespace) -> RequestOp:
        """See `Op`."""
        request = txn_request(space, self.when, self.then, self.otherwise)
        return RequestOp(request_txn=request)


def put(
    key: KeyLike,
    value: KeyLike = b"",
    *,
    lease: int = 0,
    prev_kv: bool = False,
    ignore_value: bool = False,
    ignore_lease: bool = False,
) -> Put:
    """Set a key; the arguments are those of `client.put`. A transaction may set a key once."""
    options = {
        "lease": lease,
        "prev_kv": prev_kv,
        "ignore_value": ignore_value,
        "ignore_lease": ignore_lease,
    }
    return Put(key, value, options)


def get(
    keys: KeysLike,
    *,
    revision: int = 0,
    limit: int = 0,
    sort_by: SortBy | None = None,
    descending: bool = False,
    keys_only: bool = False,
    count_only: bool = False,
    serializable: bool = False,
    min_mod_revision: int = 0,
    max_mod_revision: int = 0,
    min_create_revision: int = 0,
    max_create_revision: int = 0,
) -> Get:
    """Read keys; the arguments are those of `client.range`."""
    options = {name: value for name, value in locals().items() if name != "keys"}
    return Get(keys, options)


def delete(keys: KeysLike, *, prev_kv: bool = False) -> Delete:
    """Delete keys; the arguments are those of `client.delete`."""
    return Delete(keys, prev_kv)


def nested(
    *,
    when: tuple[Condition, ...] | list[Condition] = (),
    then: tuple[Op, ...] | list[Op] = (),
    otherwise: tuple[Op, ...] | list[Op] = (),
) -> Nested:
    """A transaction within one: its compares choose between its own two branches."""
    return Nested(tuple(when), tuple(then), tuple(otherwise))


def txn_request(
    space: Namespace,
    when: tuple[Condition, ...],
    then: tuple[Op, ...],
    otherwise: tuple[Op, ...],
) -> TxnRequest:
    """A transaction as etcd's requests say it."""
    return TxnRequest(
        compare=[one.encoded(space) for one in when],
        success=[one.encoded(space) for one in then],
        failure=[one.encoded(space) for one in otherwise],
    )
