"""Connections that are cut under watches and leases, by a relay between the client and each kind of server."""

# ruff: noqa: PT012  # the block is what is tested
from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

import triode
from triode.client.errors import ClientClosed


class Relay:
    """Passes bytes on, until it is told to cut all connections."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.port = 0
        self.cuts = 0
        self._scopes: set[trio.CancelScope] = set()

    async def serve(self, stream: trio.SocketStream) -> None:
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                other = await trio.open_tcp_stream(*self.target)
                async with other, stream, trio.open_nursery() as nursery:
                    nursery.start_soon(self._copy, stream, other, scope)
                    nursery.start_soon(self._copy, other, stream, scope)
            finally:
                self._scopes.discard(scope)

    @staticmethod
    async def _copy(
        source: trio.SocketStream, target: trio.SocketStream, scope: trio.CancelScope
    ) -> None:
        try:
            async for data in source:
                await target.send_all(data)
        except trio.BrokenResourceError:
            pass
        scope.cancel()

    def cut(self) -> None:
        self.cuts += 1
        for scope in self._scopes:
            scope.cancel()


@asynccontextmanager
async def relayed(served: triode.Client) -> AsyncIterator[tuple[Relay, triode.Client]]:
    """A client that reaches the server by way of a relay."""
    host, port = served.endpoints[0].removeprefix("http://").split(":")
    relay = Relay((host, int(port)))
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, relay.serve, 0, host="127.0.0.1"))
        relay.port = listeners[0].socket.getsockname()[1]
        async with triode.connect(f"127.0.0.1:{relay.port}") as client:
            yield relay, client
        nursery.cancel_scope.cancel()


async def test_watches_outlive_their_connection(served: triode.Client) -> None:
    count = 200
    async with relayed(served) as (relay, client), trio.open_nursery() as nursery:

        async def write() -> None:
            for number in range(count):
                await served.put("k", str(number))
                if number % 20 == 10:
                    relay.cut()
                    await trio.sleep(0.005)

        async def other() -> None:
            async with client.watch("k", start_revision=1) as watch:
                seen = [(await anext(watch)).value for _ in range(count)]
                assert seen == [b"%d" % n for n in range(count)]

        nursery.start_soon(other)
        async with client.watch("k") as watch:
            nursery.start_soon(write)
            with trio.fail_after(30):
                seen = [(await anext(watch)).value for _ in range(count)]
            assert seen == [b"%d" % n for n in range(count)]
            assert watch.resumes >= 1
    assert relay.cuts == 10


async def test_leases_outlive_their_connection(served: triode.Client) -> None:
    async with relayed(served) as (relay, client):
        with trio.fail_after(30):
            async with client.lease(3) as lease:
                renewals = 0
                async for _ in lease.renewals():
                    relay.cut()
                    renewals += 1
                    if renewals == 2:
                        break
                assert not lease.lost


async def test_a_lock_is_waited_for_through_cuts(served: triode.Client) -> None:
    async with relayed(served) as (relay, client):
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                got = trio.Event()

                async def wait() -> None:
                    async with client.lock("name"):
                        got.set()

                async with served.lock("name"):
                    nursery.start_soon(wait)
                    for _ in range(3):
                        await trio.sleep(0.02)
                        relay.cut()
                    assert not got.is_set()
                await got.wait()


async def test_watches_end_with_their_client(served: triode.Client) -> None:
    begun = trio.Event()

    async def outlive(client: triode.Client) -> None:
        with pytest.raises(ClientClosed):
            async with client.watch("k") as watch:
                begun.set()
                await anext(watch)

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery, triode.connect(served.endpoints[0]) as client:
            nursery.start_soon(outlive, client)
            await begun.wait()
        with pytest.raises(ClientClosed):
            async with client.watch("k"):
                raise AssertionError
