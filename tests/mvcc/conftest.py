"""A store, a lessor and an API in front of them that speaks protobuf messages, as a node does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from triode.backends.buffer import Backend
from triode.backends.contract import EngineOptions
from triode.backends.memory import MemoryEngine
from triode.backends.sqlite import SqliteEngine
from triode.errors import Code, EtcdError
from triode.mvcc import checks
from triode.mvcc.lease import Lessor
from triode.mvcc.ranges import RangeResult
from triode.mvcc.store import DeleteResult, PutResult, Store
from triode.mvcc.txn import TxnResult
from triode.rpc.pb import rpc_pb2 as pb


def header(revision: int) -> pb.ResponseHeader:
    return pb.ResponseHeader(revision=revision)


def range_response(result: RangeResult) -> pb.RangeResponse:
    answer = pb.RangeResponse.FromString(b"".join(result.kvs))  # framed = field 2 = kvs
    answer.header.CopyFrom(header(result.revision))
    answer.count, answer.more = result.count, result.more
    return answer


def put_response(result: PutResult) -> pb.PutResponse:
    answer = pb.PutResponse.FromString(result.prev_kv or b"")
    answer.header.CopyFrom(header(result.revision))
    return answer


def delete_response(result: DeleteResult) -> pb.DeleteRangeResponse:
    kvs = pb.RangeResponse.FromString(b"".join(result.prev_kvs)).kvs
    return pb.DeleteRangeResponse(
        header=header(result.revision), deleted=result.deleted, prev_kvs=kvs
    )


def txn_response(result: TxnResult) -> pb.TxnResponse:
    answer = pb.TxnResponse(header=header(result.revision), succeeded=result.succeeded)
    for one in result.responses:
        op = answer.responses.add()
        if isinstance(one, RangeResult):
            op.response_range.CopyFrom(range_response(one))
        elif isinstance(one, PutResult):
            op.response_put.CopyFrom(put_response(one))
        elif isinstance(one, DeleteResult):
            op.response_delete_range.CopyFrom(delete_response(one))
        else:
            op.response_txn.CopyFrom(txn_response(one))
    return answer


class Api:
    """Checks a request as the server does, runs it, and answers with a message or (code, text)."""

    def __init__(self, backend: Backend, **options: Any) -> None:
        self.backend = backend
        self.options = options
        self.open()

    def open(self) -> None:
        self.backend.before_commit.clear()
        self.lessor = Lessor(self.backend)
        self.store = Store(self.backend, lease_hooks=self.lessor, **self.options)

    def call(self, request: Any) -> Any:
        try:
            return self._methods[type(request)](self, request)
        except EtcdError as error:
            return (Code(error.status).name, error.message)

    def _range(self, request: pb.RangeRequest) -> pb.RangeResponse:
        checks.check_range(request)
        return range_response(self.store.range(request))

    def _put(self, request: pb.PutRequest) -> pb.PutResponse:
        checks.check_put(request)
        return put_response(self.store.put(request))

    def _delete(self, request: pb.DeleteRangeRequest) -> pb.DeleteRangeResponse:
        checks.check_delete(request)
        return delete_response(self.store.delete_range(request))

    def _txn(self, request: pb.TxnRequest) -> pb.TxnResponse:
        checks.check_txn(request)
        return txn_response(self.store.txn(request))

    def _compact(self, request: pb.CompactionRequest) -> pb.CompactionResponse:
        self.store.compact(request.revision)
        while request.physical and not self.store.compaction_slice(3):
            pass
        return pb.CompactionResponse(header=header(self.store.revision))

    def _grant(self, request: pb.LeaseGrantRequest) -> pb.LeaseGrantResponse:
        ttl = self.lessor.grant(request.ID, request.TTL, 0.0)
        return pb.LeaseGrantResponse(header=header(self.store.revision), ID=request.ID, TTL=ttl)

    def _revoke(self, request: pb.LeaseRevokeRequest) -> pb.LeaseRevokeResponse:
        revision = self.store.delete_lease_keys(self.lessor.revoke(request.ID))
        return pb.LeaseRevokeResponse(header=header(revision))

    def _hash_kv(self, request: pb.HashKVRequest) -> pb.HashKVResponse:
        found = self.store.hash_kv(request.revision)
        return pb.HashKVResponse(
            header=header(self.store.revision),
            hash=found.hash,
            compact_revision=found.compact_revision,
            hash_revision=found.hash_revision,
        )

    _methods: ClassVar[dict[type, Callable[[Any, Any], Any]]] = {
        pb.RangeRequest: _range,
        pb.PutRequest: _put,
        pb.DeleteRangeRequest: _delete,
        pb.TxnRequest: _txn,
        pb.CompactionRequest: _compact,
        pb.LeaseGrantRequest: _grant,
        pb.LeaseRevokeRequest: _revoke,
        pb.HashKVRequest: _hash_kv,
    }


def memory_backend() -> Backend:
    return Backend(MemoryEngine.open(None, EngineOptions()))


@pytest.fixture
def backend() -> Iterator[Backend]:
    made = memory_backend()
    yield made
    made.close()


@pytest.fixture(scope="session")
def make_api() -> Callable[..., Api]:
    """For tests that need several, or a fresh one per example; options go to the store."""
    return lambda **options: Api(memory_backend(), **options)


@pytest.fixture(params=["memory", "sqlite"])
def engine_api(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Api]:
    """An API over each of the engines."""
    if request.param == "memory":
        backend = memory_backend()
    else:
        backend = Backend(SqliteEngine.open(tmp_path / "db", EngineOptions()))
    api = Api(backend)
    yield api
    api.backend.close()
