"""Faults of ours, and of the system: they cost one call, or one connection, never the node."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import trio

from triode import Node
from triode.actors.call import Call
from triode.actors.services.watch import WatchCall
from triode.rpc.grpc.server import GrpcServer
from triode.rpc.pb.rpc_pb2 import (
    PutRequest,
    RangeRequest,
    SnapshotRequest,
    WatchCreateRequest,
    WatchRequest,
)
from triode.rpc.pb.v3lock_pb2 import LockRequest

WATCH = "/etcdserverpb.Watch/Watch"
TOLD = (13, "internal error, see the server's log")


def broken(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("a defect")


async def test_a_handler_that_raises(
    peers: ModuleType, node: Node, unforeseen: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """INTERNAL for the call, the traceback for the operator; the connection goes on."""
    unforeseen.append("a defect")
    node.dispatcher.unary[peers.RANGE] = broken
    client = await peers.Client.connect(node.clients.ports[0])
    code, text, _ = await client.unary(peers.RANGE, RangeRequest(key=b"k"))
    assert (code, text) == TOLD
    assert (await client.unary(peers.PUT, PutRequest(key=b"k")))[0] == 0
    (record,) = [r for r in caplog.records if r.exc_info]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)
    assert record.levelname == "ERROR"
    client.close()


@pytest.mark.parametrize("method", ["message", "half_closed", "_pump"])
async def test_a_stream_that_raises(
    peers: ModuleType,
    node: Node,
    unforeseen: list[str],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    """The stream ends with INTERNAL and is released; its connection and the others go on."""
    unforeseen.append("a defect")
    monkeypatch.setattr(WatchCall, method, broken)
    client = await peers.Client.connect(node.clients.ports[0])
    create = WatchRequest(create_request=WatchCreateRequest(key=b"k"))
    stream_id = await client.start(WATCH, create)
    client.grpc.half_close(stream_id)
    assert await client.status(stream_id) == TOLD
    assert (await client.unary(peers.PUT, PutRequest(key=b"k")))[0] == 0
    client.close()
    monkeypatch.undo()
    await peers.settled(node)


async def test_a_stream_that_raises_while_changes_are_applied(
    peers: ModuleType, node: Node, unforeseen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The applier hands out events; a defect in a stream must not stop it."""
    unforeseen.append("a defect")
    client = await peers.Client.connect(node.clients.ports[0])
    create = WatchRequest(create_request=WatchCreateRequest(key=b"k"))
    stream_id = await client.start(WATCH, create)
    assert (await client.next(stream_id, WATCH)).created
    monkeypatch.setattr(GrpcServer, "send_message", broken)
    other = await peers.Client.connect(node.clients.ports[0])
    assert (await other.unary(peers.PUT, PutRequest(key=b"k")))[0] == 0
    monkeypatch.undo()
    assert await client.next(stream_id, WATCH) is None, "its connection has ended"
    assert (await other.unary(peers.PUT, PutRequest(key=b"k")))[0] == 0
    client.close()
    other.close()
    await peers.settled(node)


async def test_a_watch_that_raises_while_changes_are_applied(
    peers: ModuleType, node: Node, unforeseen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends with INTERNAL and leaves the hub; its connection goes on, as does the applier."""
    unforeseen.append("a defect")
    client = await peers.Client.connect(node.clients.ports[0])
    create = WatchRequest(create_request=WatchCreateRequest(key=b"k"))
    stream_id = await client.start(WATCH, create)
    assert (await client.next(stream_id, WATCH)).created
    monkeypatch.setattr(WatchCall, "_pump", broken)
    assert (await client.unary(peers.PUT, PutRequest(key=b"k")))[0] == 0
    assert await client.status(stream_id) == TOLD
    monkeypatch.undo()
    await peers.until(lambda: node.context.hub.statistics().streams == 0)
    assert (await client.unary(peers.PUT, PutRequest(key=b"k")))[0] == 0
    client.close()
    await peers.settled(node)


async def test_work_in_tasks_that_raises(
    peers: ModuleType, node: Node, unforeseen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locks, hashes and snapshots run in tasks of the node: each fails for itself."""
    unforeseen.append("a defect")
    monkeypatch.setattr("triode.actors.services.concurrency.Queue.txn", broken)
    monkeypatch.setattr("triode.actors.services.maintenance.hash_all", broken)
    monkeypatch.setattr("triode.backends.bbolt_image.image", broken)
    client = await peers.Client.connect(node.clients.ports[0])
    lock = LockRequest(name=b"door", lease=1)
    assert (await client.unary("/v3lockpb.Lock/Lock", lock))[:2] == TOLD
    assert (await client.unary("/etcdserverpb.Maintenance/Hash", b""))[:2] == TOLD
    snapshot = await client.start("/etcdserverpb.Maintenance/Snapshot", SnapshotRequest())
    assert await client.status(snapshot) == TOLD
    assert (await client.unary(peers.PUT, PutRequest(key=b"k")))[0] == 0
    client.close()
    await peers.settled(node)


async def test_answering_that_raises_in_the_applier(
    peers: ModuleType, node: Node, unforeseen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry is applied; only the connection that cannot be answered is given up."""
    unforeseen.append("a defect")
    client = await peers.Client.connect(node.clients.ports[0])
    monkeypatch.setattr(GrpcServer, "respond", broken)
    code, _, _ = await client.unary(peers.PUT, PutRequest(key=b"k"))
    assert code == -1
    monkeypatch.undo()
    assert (await node.local.get(b"k")).count == 1
    client.close()
    await peers.settled(node)


async def test_a_read_between_entries_that_raises(
    peers: ModuleType, node: Node, unforeseen: list[str]
) -> None:
    """A read that waits its turn among the entries fails for itself too."""
    unforeseen.append("a defect")
    ended: list[int] = []

    class Asker:
        def answer(self, tag: int, message: bytes) -> None:
            raise AssertionError(message)

        def refuse(self, tag: int, error: Any) -> None:
            ended.append(error.status)

    node.context.read_index(Call(Asker(), 0), broken)
    await peers.until(lambda: bool(ended))
    assert ended == [13]
    await node.local.put(b"k", b"")


async def test_pages_that_raise(
    peers: ModuleType, node: Node, unforeseen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """500, and the next connection is served."""
    unforeseen.append("a defect")
    monkeypatch.setattr("triode.actors.pages.Pages.answer", broken)
    raw = await peers.Raw.connect(node.clients.ports[0])
    await raw.say(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await raw.hear_all()).startswith(b"HTTP/1.1 500 ")
    monkeypatch.undo()
    raw = await peers.Raw.connect(node.clients.ports[0])
    await raw.say(b"GET /health HTTP/1.0\r\n\r\n")
    assert (await raw.hear_all()).startswith(b"HTTP/1.1 200 ")
    await peers.settled(node)


async def test_streams_up_to_the_limit(peers: ModuleType, run_node: Callable[..., Any]) -> None:
    """One more than `max-concurrent-streams` is refused in such a way that it can be tried again."""
    async with run_node(max_concurrent_streams=3) as node:
        raw = await peers.Raw.connect(node.clients.ports[0])
        head = peers.head_of(WATCH)
        opened = [peers.frame(peers.HEADERS, peers.END_HEADERS, n, head) for n in (1, 3, 5, 7)]
        await raw.say(peers.opening() + b"".join(opened))
        with trio.fail_after(peers.ANSWER_SECONDS_MAX):
            while not (resets := [f for f in peers.frames(raw.read) if f[0] == peers.RST]):
                assert await raw.hear()
        assert resets == [(peers.RST, 0, 7, (7).to_bytes(4, "big"))], "REFUSED_STREAM"
        announced = next(f[3] for f in peers.frames(raw.read) if f[0] == peers.SETTINGS)
        assert b"\0\3\0\0\0\3" in announced
        raw.close()


async def test_connections_up_to_the_limit(
    peers: ModuleType, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more is closed at once; when one has gone, the next is served."""
    monkeypatch.setattr(node.clients, "connections_max", 20)
    clients = [await peers.Client.connect(node.clients.ports[0]) for _ in range(20)]
    for client in clients:
        assert (await client.unary(peers.PUT, PutRequest(key=b"k")))[0] == 0
    refused = await peers.Raw.connect(node.clients.ports[0])
    assert await refused.hear_all() == b""
    assert node.clients.connections_refused == 1
    clients.pop().close()
    await peers.until(lambda: len(node.clients.children) == 19)
    client = await peers.Client.connect(node.clients.ports[0])
    assert (await client.unary(peers.PUT, PutRequest(key=b"k")))[0] == 0


async def test_thousands_of_connections(peers: ModuleType, node: Node) -> None:
    """As many as the descriptors of one process allow here, each served, all released."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    count = min(1000, (limit - 200) // 2)  # both ends are in this process
    raws = [await peers.Raw.connect(node.clients.ports[0]) for _ in range(count)]
    put = PutRequest(key=b"k").SerializeToString()
    async with peers.well_served(node):
        for raw in raws:
            await raw.say(peers.opening() + peers.call(1, peers.PUT, put))
        for raw in raws:
            with trio.fail_after(peers.ANSWER_SECONDS_MAX):
                while not (ended := peers.fields_of(raw.read, 1)):
                    assert await raw.hear()
            assert ended[b"grpc-status"] == b"0"
        for raw in raws:
            raw.close()
    await peers.settled(node)
