"""Response messages, built as bytes.

The store hands out key-values that are already framed (tag, length, message), so a response is a join
of parts that exist. Building the generated classes instead costs ten times as much for a range.
Field numbers: `rpc/proto/rpc.proto`; the tests compare each function with the generated class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..mvcc.ranges import RangeResult
from ..mvcc.store import DeleteResult, PutResult
from ..mvcc.txn import TxnResult
from ..protowire import bytes_field, int_field, varint

__all__ = ["Header", "delete_response", "put_response", "range_response", "txn_response"]

_HEADER = b"\x0a"
_PREV_KV = b"\x12"
_KVS = 0x12
_PREV_KVS = b"\x1a"
_MORE = b"\x18\x01"
_COUNT = b"\x20"
_DELETED = b"\x10"
_REVISION = b"\x18"
_SUCCEEDED = b"\x10\x01"


class Header:
    """The ResponseHeader (cluster_id 1, member_id 2, revision 3, raft_term 4) of one member."""

    __slots__ = ("_last", "_prefix", "_revision", "_suffix", "cluster_id", "member_id", "term")

    def __init__(self, cluster_id: int, member_id: int) -> None:
        self.cluster_id = cluster_id
        self.member_id = member_id
        self._prefix = int_field(1, cluster_id) + int_field(2, member_id)
        self.term = 0
        self._suffix = b""
        self._revision = -1
        self._last = b""

    def set_term(self, term: int) -> None:
        """From now on answer with this raft term."""
        if term != self.term:
            self.term = term
            self._suffix = int_field(4, term)
            self._revision = -1

    def message(self, revision: int) -> bytes:
        """The bare ResponseHeader message."""
        return self._prefix + (_REVISION + varint(revision) if revision else b"") + self._suffix

    def framed(self, revision: int) -> bytes:
        """The header as field 1 of a response; the last one is kept, as reads repeat revisions."""
        if revision != self._revision:
            message = self.message(revision)
            self._last = _HEADER + varint(len(message)) + message
            self._revision = revision
        return self._last


def _range_body(result: RangeResult) -> bytes:
    parts = result.kvs
    tail = _MORE if result.more else b""
    if result.count:
        tail += _COUNT + varint(result.count)
    if len(parts) == 1:
        return parts[0] + tail
    return b"".join(parts) + tail


def range_response(header: bytes, result: RangeResult) -> bytes:
    """RangeResponse: header 1, kvs 2, more 3, count 4."""
    return header + _range_body(result)


def put_response(header: bytes, result: PutResult) -> bytes:
    """PutResponse: header 1, prev_kv 2."""
    return header + result.prev_kv if result.prev_kv is not None else header


def _delete_body(result: DeleteResult) -> bytes:
    body = _DELETED + varint(result.deleted) if result.deleted else b""
    if result.prev_kvs:
        # the same frame under field number 3 instead of 2
        body += b"".join([_PREV_KVS + kv[1:] for kv in result.prev_kvs])
    return body


def delete_response(header: bytes, result: DeleteResult) -> bytes:
    """DeleteRangeResponse: header 1, deleted 2, prev_kvs 3."""
    return header + _delete_body(result)


def _txn_body(result: TxnResult, header: Callable[[int], bytes]) -> bytes:
    parts = [_SUCCEEDED] if result.succeeded else []
    for response in result.responses:
        number, body = _response_op(response, header)
        parts.append(bytes_field(3, bytes_field(number, body)))
    return b"".join(parts)


def _inner_header(revision: int) -> bytes:
    # etcd fills nothing but the revision into the headers of a transaction's responses
    return bytes_field(1, int_field(3, revision))


def _response_op(response: Any, header: Callable[[int], bytes]) -> tuple[int, bytes]:
    if type(response) is RangeResult:
        return 1, header(response.revision) + _range_body(response)
    if type(response) is PutResult:
        return 2, put_response(header(response.revision), response)
    if type(response) is DeleteResult:
        return 3, delete_response(header(response.revision), response)
    assert type(response) is TxnResult
    return 4, header(response.revision) + _txn_body(response, header)


def txn_response(header: bytes, result: TxnResult) -> bytes:
    """TxnResponse: header 1, succeeded 2, responses 3; inner headers carry only the revision."""
    return header + _txn_body(result, _inner_header)
