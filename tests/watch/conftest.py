"""A store with a hub on it, and readers of its streams that decode with the generated classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from triode.backends.buffer import Backend
from triode.backends.contract import EngineOptions
from triode.backends.memory import MemoryEngine
from triode.mvcc.store import Store
from triode.mvcc.watch import WatchHub, WatchStream
from triode.protowire import int_field
from triode.rpc.pb.rpc_pb2 import TxnRequest, WatchCreateRequest, WatchResponse

CLUSTER_ID, MEMBER_ID, TERM = 11, 22, 3


def header(revision: int) -> bytes:
    ids = int_field(1, CLUSTER_ID) + int_field(2, MEMBER_ID)
    return ids + int_field(3, revision) + int_field(4, TERM)


class Reader:
    """One client: opens a stream, asks, and reads what comes."""

    def __init__(self, hub: WatchHub, **bounds: int) -> None:
        self.signals = 0
        self.stream: WatchStream = hub.open_stream(self._signal, **bounds)

    def _signal(self) -> None:
        self.signals += 1

    def create(self, key: bytes, range_end: bytes = b"", **fields: Any) -> int:
        return self.stream.create(WatchCreateRequest(key=key, range_end=range_end, **fields))

    def take(self) -> list[Any]:
        responses = [WatchResponse.FromString(message) for message in self.stream.take()]
        for response in responses:
            assert response.header.cluster_id == CLUSTER_ID
            assert response.header.member_id == MEMBER_ID
            assert response.header.raft_term == TERM
        return responses

    def events(self) -> list[tuple[int, int, bytes]]:
        """(watch id, revision, key) of all events taken now."""
        return [
            (response.watch_id, event.kv.mod_revision, event.kv.key)
            for response in self.take()
            for event in response.events
        ]


class Member:
    """A store and its hub. Writes are announced at once, unless `pause`d."""

    def __init__(self, **options: Any) -> None:
        self.lagging_signals = 0
        self.store = Store(Backend(MemoryEngine.open(None, EngineOptions())))
        self.hub = WatchHub(self.store, header=header, on_lagging=self._on_lagging, **options)
        self.paused = False

    def _on_lagging(self) -> None:
        self.lagging_signals += 1

    def reader(self, **bounds: int) -> Reader:
        return Reader(self.hub, **bounds)

    def put(self, key: bytes, value: bytes = b"v") -> int:
        return self.txn([(key, value)])

    def delete(self, key: bytes, range_end: bytes = b"") -> int:
        return self.txn([(key, None)], range_end)

    def txn(self, changes: Iterable[tuple[bytes, bytes | None]], range_end: bytes = b"") -> int:
        """Put or (None) delete, all in one revision."""
        request = TxnRequest()
        for key, value in changes:
            op = request.success.add()
            if value is None:
                op.request_delete_range.key = key
                op.request_delete_range.range_end = range_end
            else:
                op.request_put.key = key
                op.request_put.value = value
        self.store.txn(request)
        if not self.paused:
            self.announce()
        return self.store.revision

    def announce(self) -> None:
        self.hub.notify(self.store.revision, self.store.take_events())

    def compact(self, revision: int) -> None:
        self.store.compact(revision)
        while not self.store.compaction_slice():
            pass

    def catch_up(self) -> None:
        for _ in range(10_000):
            if not self.hub.catch_up():
                return
        raise AssertionError("catching up does not end")


@pytest.fixture(scope="session")
def new_member() -> Callable[..., Member]:
    return Member


@pytest.fixture
def member() -> Member:
    return Member()


@pytest.fixture(scope="session")
def request_of() -> Callable[..., Any]:
    """A create request as a plain object: cheaper than the generated class."""

    def build(key: bytes, range_end: bytes = b"", **fields: Any) -> Any:
        defaults: dict[str, Any] = {
            "start_revision": 0,
            "progress_notify": False,
            "filters": (),
            "prev_kv": False,
            "watch_id": 0,
            "fragment": False,
        }
        return SimpleNamespace(key=key, range_end=range_end, **(defaults | fields))

    return build
