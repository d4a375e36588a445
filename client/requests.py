"""The requests of the KV service, from the words of the client's API. Pure; keys are mapped by the namespace."""

from __future__ import annotations

from typing import Final, Literal

from ..rpc.pb.rpc_pb2 import DeleteRangeRequest, PutRequest, RangeRequest
from .keys import KeyLike, KeysLike, as_bytes
from .namespace import Namespace

__all__ = ["SortBy", "delete_request", "put_request", "range_request"]

SortBy = Literal["key", "version", "create_revision", "mod_revision", "value"]
_TARGETS: Final = {
    "key": RangeRequest.KEY,
    "version": RangeRequest.VERSION,
    "create_revision": RangeRequest.CREATE,
    "mod_revision": RangeRequest.MOD,
    "value": RangeRequest.VALUE,
}


def put_request(
    space: Namespace,
    key: KeyLike,
    value: KeyLike,
    *,
    lease: int = 0,
    prev_kv: bool = False,
    ignore_value: bool = False,
    ignore_lease: bool = False,
) -> PutRequest:
    """A put; see `KVCalls.put`."""
    request = PutRequest(key=space.full(key), value=as_bytes(value))
    if lease or prev_kv or ignore_value or ignore_lease:
        request.lease = lease
        request.prev_kv = prev_kv
        request.ignore_value = ignore_value
        request.ignore_lease = ignore_lease
    return request


def range_request(
    space: Namespace,
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
) -> RangeRequest:
    """A range; see `KVCalls.range`.

    Raises:
        ValueError: `sort_by` is not one of the five.
    """
    wanted = space.full_range(keys)
    request = RangeRequest(
        key=wanted.key,
        range_end=wanted.range_end,
        limit=limit,
        revision=revision,
        serializable=serializable,
        keys_only=keys_only,
        count_only=count_only,
        min_mod_revision=min_mod_revision,
        max_mod_revision=max_mod_revision,
        min_create_revision=min_create_revision,
        max_create_revision=max_create_revision,
    )
    if sort_by is not None or descending:
        target = _TARGETS.get(sort_by or "key")
        if target is None:
            raise ValueError(f"sort_by is one of {', '.join(_TARGETS)}, not {sort_by!r}")
        request.sort_target = target
        request.sort_order = RangeRequest.DESCEND if descending else RangeRequest.ASCEND
    return request


def delete_request(
    space: Namespace, keys: KeysLike, *, prev_kv: bool = False
) -> DeleteRangeRequest:
    """A deletion; see `KVCalls.delete`."""
    wanted = space.full_range(keys)
    return DeleteRangeRequest(key=wanted.key, range_end=wanted.range_end, prev_kv=prev_kv)
