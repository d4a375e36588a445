"""What `make-mirror` writes at the destination for what happened at the source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...rpc.pb.kv_pb2 import Event
from ...rpc.pb.rpc_pb2 import DeleteRangeRequest, PutRequest, RequestOp

__all__ = ["Renaming", "batches_of"]


class Renaming:
    """Where a key goes.

    Args:
        prefix: of the keys that are mirrored.
        to: takes its place.
    """

    def __init__(self, prefix: bytes, to: bytes) -> None:
        self._prefix = prefix
        self._to = to

    def __call__(self, key: bytes) -> bytes:
        return self._to + key.removeprefix(self._prefix)


def batches_of(
    events: Iterable[Event], rename: Renaming, operations_max: int
) -> Iterator[list[RequestOp]]:
    """Transactions that repeat the events, in order.

    What happened in one revision stays together unless it is more than `operations_max`; no transaction
    holds changes of two revisions, since a key may be written in both.
    """
    batch: list[RequestOp] = []
    revision = 0
    for event in events:
        if batch and (event.kv.mod_revision != revision or len(batch) == operations_max):
            yield batch
            batch = []
        revision = event.kv.mod_revision
        batch.append(_operation(event, rename))
    if batch:
        yield batch


def _operation(event: Event, rename: Renaming) -> RequestOp:
    key = rename(event.kv.key)
    if event.type == Event.DELETE:
        return RequestOp(request_delete_range=DeleteRangeRequest(key=key))
    return RequestOp(request_put=PutRequest(key=key, value=event.kv.value))
