"""Transactions: conditions, and what is done at once when they hold and when they do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..rpc.pb.rpc_pb2 import ResponseOp, TxnResponse
from .call import Caller
from .compares import Condition
from .namespace import Namespace
from .ops import Op, txn_request

__all__ = ["Txn", "TxnCalls", "TxnResult"]


class TxnResult:
    """What a transaction has done. True if its conditions held.

    `result[0]` is the response of the first operation of the branch that was taken: a `PutResponse`,
    `RangeResponse`, `DeleteRangeResponse`, or the `TxnResult` of a nested transaction.

    Attributes:
        response: the message, with the keys of the namespace.
    """

    __slots__ = ("_responses", "response")

    def __init__(self, response: TxnResponse) -> None:
        self.response = response
        self._responses = [_inner(one) for one in response.responses]

    @property
    def succeeded(self) -> bool:
        """The conditions held, and `then` was done; otherwise `otherwise` was."""
        return self.response.succeeded

    @property
    def revision(self) -> int:
        """The revision of the store afterwards."""
        return self.response.header.revision

    def __bool__(self) -> bool:
        return self.response.succeeded

    def __len__(self) -> int:
        return len(self._responses)

    def __getitem__(self, index: int) -> Any:
        return self._responses[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._responses)

    def __repr__(self) -> str:
        return f"TxnResult(succeeded={self.succeeded}, revision={self.revision}, {self._responses})"


class Txn:
    """A transaction that is being put together; nothing happens until `commit`.

    Calls add to what was said before. Without conditions, `then` is done.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._when: tuple[Condition, ...] = ()
        self._then: tuple[Op, ...] = ()
        self._otherwise: tuple[Op, ...] = ()

    def when(self, *compares: Condition) -> Txn:
        """Conditions that must all hold."""
        self._when += compares
        return self

    def then(self, *ops: Op) -> Txn:
        """What is done when they hold."""
        self._then += ops
        return self

    def otherwise(self, *ops: Op) -> Txn:
        """What is done when one of them does not."""
        self._otherwise += ops
        return self

    async def commit(self) -> TxnResult:
        """Do it, at one revision.

        Raises:
            DuplicateKey: a key is set twice.
            TooManyOps: more operations than the server takes.
            EtcdError: as of the operations.
        """
        space = self._caller.keyspace
        request = txn_request(space, self._when, self._then, self._otherwise)
        response: TxnResponse = await self._caller.call("KV/Txn", request)
        if space:
            _strip(space, response)
        return TxnResult(response)


class TxnCalls(Caller):
    """The part of a client that makes transactions."""

    def txn(self) -> Txn:
        """A transaction: `await client.txn().when(...).then(...).otherwise(...).commit()`."""
        return Txn(self)


def _inner(response: ResponseOp) -> Any:
    name = response.WhichOneof("response")
    if name == "response_txn":
        return TxnResult(response.response_txn)
    return getattr(response, name) if name else None


def _strip(space: Namespace, response: TxnResponse) -> None:
    """Give all pairs their local names."""
    for one in response.responses:
        kind = one.WhichOneof("response")
        if kind == "response_range":
            space.strip(one.response_range.kvs)
        elif kind == "response_put":
            if one.response_put.HasField("prev_kv"):
                space.strip((one.response_put.prev_kv,))
        elif kind == "response_delete_range":
            space.strip(one.response_delete_range.prev_kvs)
        elif kind == "response_txn":
            _strip(space, one.response_txn)
