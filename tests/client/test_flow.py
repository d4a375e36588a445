"""Much in both directions at once over one connection: nothing stands still, nothing is lost, and memory is bounded."""

from __future__ import annotations

from types import ModuleType

import trio
import trio.testing

import triode

MEBIBYTE = 1 << 20


async def test_room_that_becomes_free_is_everybodys(servers: ModuleType) -> None:
    """A large request that is given up leaves room for all who waited, though the first of them takes long."""

    def hears(_peer: object, _request: object) -> None:
        pass

    async with (
        servers.scripted(hears) as server,
        triode.connect(server.address, max_send_bytes=16 * MEBIBYTE) as client,
    ):
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
                await server.until(lambda: len(server.requests) == 3)
                nursery.cancel_scope.cancel()
