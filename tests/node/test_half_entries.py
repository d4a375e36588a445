"""An entry that fails half-way: nobody commits the half, and the next start executes the whole."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
import trio
import trio.testing

import triode.testing
from triode.actors.node import Node
from triode.backends.buffer import Backend
from triode.backends.contract import EngineOptions
from triode.backends.memory import MemoryEngine
from triode.errors import CorruptData, StorageError
from triode.rpc.pb.rpc_pb2 import (
    DeleteRangeRequest,
    HashKVRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)


def commit(node: Node) -> None:
    node.opened.backend.commit()


def view(node: Node) -> None:
    """As a snapshot for a client or a member does."""
    node.opened.backend.snapshot().close()


def sync(node: Node) -> None:
    """As the snapshotter does, before it deletes the log."""
    node.opened.backend.sync()


def hash_kv(node: Node) -> None:
    node.store.hash_kv()


def hand_out(node: Node) -> None:
    """As an install does."""
    node.opened.backend.replacing()


HALF_DONE = TxnRequest(
    success=[
        RequestOp(request_put=PutRequest(key=b"a", value=b"1")),
        RequestOp(request_delete_range=DeleteRangeRequest(key=b"damaged", prev_kv=True)),
        RequestOp(request_put=PutRequest(key=b"b", value=b"1")),
    ]
)


@pytest.mark.parametrize("other", [commit, view, sync, hash_kv, hand_out])
async def test_nobody_commits_half_of_an_entry(
    other: Callable[[Node], None],
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another actor wants to commit between the failure and the end of the node."""
    async with triode.testing.cluster(1) as cluster:
        machine = cluster.machine(1)
        client = cluster.client()
        await client.put(b"damaged", b"x")
        await cluster.stop(machine)
        await cluster.restart(machine)  # nothing is cached now
        node = machine.node
        assert node is not None
        refused: list[StorageError] = []

        def meanwhile() -> None:
            try:
                other(node)
            except StorageError as error:
                refused.append(error)

        def damaged(_bucket: str, _keys: object) -> list[bytes | None]:
            trio.lowlevel.current_trio_token().run_sync_soon(meanwhile)
            raise CorruptData("a page is malformed")

        monkeypatch.setattr(node.opened.backend.engine, "get_many", damaged)
        with suppress(triode.testing.ConnectionLost):
            await client.txn(HALF_DONE)
        await machine.wait_down()
        assert len(refused) == 1
        assert "a page is malformed" in str(refused[0])
        await cluster.restart(machine)
        found = {
            key: (await client.call("KV/Range", RangeRequest(key=key))).count
            for key in (b"a", b"b", b"damaged")
        }
        assert found == {b"a": 1, b"b": 1, b"damaged": 0}
        await client.call("Maintenance/HashKV", HashKVRequest())


def test_a_buffer_that_refuses_commits_keeps_the_first_reason() -> None:
    backend = Backend(MemoryEngine.open(None, EngineOptions()))
    backend.put("key", b"k", b"v")
    first = RuntimeError("half of an entry")
    backend.refuse_commits(first)
    backend.refuse_commits(RuntimeError("what followed from it"))
    for attempt in (backend.commit, backend.sync, backend.defragment, backend.replacing):
        with pytest.raises(StorageError, match="half of an entry") as refused:
            attempt()
        assert refused.value.__cause__ is first
    assert backend.get("key", b"k") == b"v"
    assert backend.engine.get("key", b"k") is None
