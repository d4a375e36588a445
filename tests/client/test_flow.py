"""Much in both directions at once over one connection: nothing stands still, nothing is lost, and memory is bounded."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

import pytest
import trio
import trio.testing

import triode
from triode.client.calls import STREAM_BYTES_MAX, StreamCall
from triode.client.channel import SocketChannel
from triode.client.connection import UNSENT_BYTES_MAX
from triode.client.watch import BUFFER_BYTES_MAX

MEBIBYTE = 1 << 20
VALUE_BYTES = 1_400_000
TASKS = 20


@pytest.fixture(params=["etcd", "triode"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[triode.Client]:
    """A client of etcd, and of a node of ours in a thread of its own turns: both over a socket."""
    if request.param == "etcd":
        async with triode.connect(request.getfixturevalue("etcd").url) as client:
            yield client
        return
    config = triode.Config(backend="memory", listen_client_urls=("http://127.0.0.1:0",))
    async with (
        triode.open_node(config) as node,
        triode.connect(node.client_urls[0]) as client,
    ):
        yield client


class Bounds:
    """Looks now and then at what a client holds."""

    def __init__(self, client: triode.Client, watches: list[Any]) -> None:
        assert isinstance(client.channel, SocketChannel)
        (link,) = client.channel._links.values()
        assert link.connection is not None
        self.connection = link.connection
        self._watches = watches

    async def look(self) -> None:
        largest = VALUE_BYTES + 4096
        while True:
            assert self.connection.session.backlog_bytes_total <= UNSENT_BYTES_MAX + largest
            for call in self.connection._calls.values():
                if isinstance(
                    call, StreamCall
                ):  # what is on its way when it says stop may come as well
                    last = len(call._messages[-1]) if call._messages else 0
                    assert call._bytes - last <= 2 * STREAM_BYTES_MAX + largest
            for watch in self._watches:
                last = (
                    watch._buffer[-1][1] if watch._buffer else 0
                )  # etcd sends a late one all at once
                assert watch._bytes - last <= BUFFER_BYTES_MAX
            await trio.sleep(0.002)


async def test_large_in_both_directions_at_once(client: triode.Client, base: str) -> None:
    """Puts, scans, a snapshot, a watch that reads and one that does not, all large, over one connection."""
    rng = random.Random(7)
    keys = triode.prefix(base)
    values = {
        f"{base}{n:02}".encode(): rng.randbytes(64) * (VALUE_BYTES // 64) for n in range(TASKS)
    }
    await client.put(f"{base}first", bytes(VALUE_BYTES))
    with trio.fail_after(60):
        async with client.watch(keys, prev_kv=True) as quick, client.watch(keys) as slow:
            bounds = Bounds(client, [quick, slow])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bounds.look)
                async with trio.open_nursery() as busy:
                    for key, value in values.items():
                        busy.start_soon(client.put, key, value)
                    busy.start_soon(_scan, client, keys)
                    busy.start_soon(_scan, client, keys)
                    busy.start_soon(_save, client)
                    busy.start_soon(_expect, quick, values)
                await _expect(slow, values)
                nursery.cancel_scope.cancel()
    connection = bounds.connection
    assert not connection.over, connection.reason
    assert connection.session.backlog_bytes_total == 0


async def _scan(client: triode.Client, keys: triode.Keys) -> None:
    for _ in range(3):
        found = [pair.key async for pair in client.scan(keys, page_keys=8)]
        assert found == sorted(set(found))


async def _save(client: triode.Client) -> None:
    size = 0
    async with client.maintenance.snapshot() as snapshot:
        async for piece in snapshot:
            size += len(piece)
    assert size % 512 == 32


async def _expect(watch: triode.Watch, values: dict[bytes, bytes]) -> None:
    seen: dict[bytes, bytes] = {}
    last = 0
    async for event in watch:
        assert event.key not in seen
        assert event.revision > last
        seen[event.key], last = event.value, event.revision
        if len(seen) == len(values):
            break
    assert seen == values


async def test_room_that_becomes_free_is_everybodys(servers: ModuleType) -> None:
    """A large request that is given up leaves room for all who waited, though the first of them takes long."""

    def hears(peer: Any, request: Any) -> None:
        if len(server.requests) == 1:
            peer.answer(request)

    async with (
        servers.scripted(hears) as server,
        triode.connect(server.address, max_send_bytes=16 * MEBIBYTE) as client,
    ):
        await client.get("connected")
        server.reading = trio.Event()  # or it might say that this is too much, which makes room too
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                with trio.CancelScope() as scope:
                    async with trio.open_nursery() as large:
                        large.start_soon(client.put, "large", bytes(12 * MEBIBYTE))
                        await trio.testing.wait_all_tasks_blocked()
                        for name in ("a", "b", "c"):
                            nursery.start_soon(client.get, name)
                        await trio.testing.wait_all_tasks_blocked()
                        scope.cancel()
                server.reading.set()
                await server.until(lambda: len(server.requests) == 4)
                nursery.cancel_scope.cancel()
