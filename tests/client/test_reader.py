"""Calls that are alone fetch their answers themselves: whatever comes between them, none is forgotten."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import pytest
import trio
import trio.testing

import triode
from triode.client.connection import Connection
from triode.client.errors import ConnectionLost
from triode.client.reader import LONE_CALLS_MIN
from triode.rpc.methods import METHODS
from triode.rpc.pb.rpc_pb2 import PutRequest

WATCH = METHODS["/etcdserverpb.Watch/Watch"]


def key_of(request: Any) -> bytes:
    return PutRequest.FromString(request.message).key


def connection_of(client: triode.Client) -> Connection:
    [link] = client.channel._links.values()  # type: ignore[attr-defined]
    assert link.connection is not None
    connection: Connection = link.connection
    return connection


def at_once(peer: Any, request: Any) -> None:
    """Answers, unless the key says that the test will."""
    if not key_of(request).startswith(b"later"):
        peer.answer(request)


@asynccontextmanager
async def alone(servers: ModuleType) -> AsyncIterator[tuple[Any, triode.Client]]:
    """A server, and a client whose reader rests, as its calls come one after the other."""
    async with servers.scripted(at_once) as server, triode.connect(server.address) as client:
        with trio.fail_after(20):
            await warm(client)
            yield server, client


async def warm(client: triode.Client) -> None:
    for _ in range(LONE_CALLS_MIN + 2):
        await client.put("a", "1")
    assert connection_of(client)._reader.resting


async def test_one_after_the_other(servers: ModuleType) -> None:
    async with alone(servers) as (server, client):
        for number in range(100):
            await client.put(str(number), "1")
        assert [key_of(one) for one in server.requests[-100:]] == [
            str(number).encode() for number in range(100)
        ]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
async def test_others_join_one_that_fetches(servers: ModuleType, order: tuple[int, ...]) -> None:
    """Whoever is answered first: all are."""
    done: list[int] = []

    async def put(number: int) -> None:
        await client.put(f"later{number}", "1")
        done.append(number)

    async with alone(servers) as (server, client), trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(put, number)
            await trio.testing.wait_all_tasks_blocked()
        await server.until(lambda: len(server.requests) == LONE_CALLS_MIN + 5)
        waiting = {key_of(one): one for one in server.requests}
        for number in order:
            server.peers[0].answer(waiting[b"later%d" % number])
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert done[-1] == number


async def test_one_that_is_cancelled_hands_over(servers: ModuleType) -> None:
    async with alone(servers) as (server, client):
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as first:
                    first.start_soon(client.put, "later", "1")
                    await trio.testing.wait_all_tasks_blocked()
                    nursery.start_soon(client.put, "later too", "1")
                    await server.until(lambda: key_of(server.requests[-1]) == b"later too")
                    scope.cancel()
            [peer] = server.peers
            await server.until(lambda: peer.cancelled)
            peer.answer(server.requests[-1])
        await client.put("b", "1")
        assert len(server.peers) == 1


async def test_one_alone_that_is_cancelled_leaves_nothing(servers: ModuleType) -> None:
    async with alone(servers) as (server, client):
        with trio.move_on_after(0.05):
            await client.put("later", "1")
        [peer] = server.peers
        await server.until(lambda: peer.cancelled)
        await warm(client)
        assert connection_of(client)._calls == {}
        assert len(server.peers) == 1


async def test_the_server_goes_while_one_fetches(servers: ModuleType) -> None:
    async with alone(servers) as (server, client):
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _put() -> None:
                with pytest.raises(ConnectionLost):
                    await client.put("later", "1")

            await server.until(lambda: key_of(server.requests[-1]) == b"later")
            await server.peers[0].drop()
        await client.put("b", "1")
        assert len(server.peers) == 2


async def test_the_server_goes_between_two_calls(servers: ModuleType) -> None:
    """It is noticed without a call."""
    async with alone(servers) as (server, client):
        await server.peers[0].drop()
        await server.until(lambda: len(server.peers) == 2)
        await client.put("b", "1")


async def test_the_server_drains_between_two_calls(servers: ModuleType) -> None:
    async with alone(servers) as (server, client):
        server.peers[0].session.shutdown()
        server.peers[0].flush()
        for _ in range(10):
            await client.put("b", "1")
        await server.until(lambda: len(server.peers) == 2)


async def test_the_client_ends_while_one_fetches(servers: ModuleType) -> None:
    """No task is left behind, and nothing is said about a socket that is closed."""
    async with servers.scripted(at_once) as server:
        async with trio.open_nursery() as nursery, triode.connect(server.address) as client:
            await warm(client)
            nursery.start_soon(client.put, "later", "1")
            await server.until(lambda: key_of(server.requests[-1]) == b"later")
            nursery.cancel_scope.cancel()
        await server.until(server.peers[0].closed.is_set)


async def test_a_connection_that_is_ended_while_one_fetches(servers: ModuleType) -> None:
    async with alone(servers) as (server, client), trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _put() -> None:
            with pytest.raises(ConnectionLost):
                await client.put("later", "1")

        await server.until(lambda: key_of(server.requests[-1]) == b"later")
        connection_of(client).end("enough")


async def test_a_slow_one_answers_pings(servers: ModuleType) -> None:
    """A server that hears nothing during a long call would end the connection."""
    async with alone(servers) as (server, client), trio.open_nursery() as nursery:
        nursery.start_soon(client.put, "later", "1")
        await server.until(lambda: key_of(server.requests[-1]) == b"later")
        [peer] = server.peers
        for _ in range(3):
            await trio.sleep(0.02)  # the reader has looked, and does not look again
            wanted = peer.received_bytes + 17
            peer.session.ping()
            peer.flush()
            await server.until(lambda wanted=wanted: peer.received_bytes == wanted)
        peer.answer(server.requests[-1])


async def test_after_a_slow_one_the_server_is_listened_to(servers: ModuleType) -> None:
    async with alone(servers) as (server, client):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.put, "later", "1")
            await server.until(lambda: key_of(server.requests[-1]) == b"later")
            await trio.sleep(0.02)  # the reader has looked, and does not look again
            server.peers[0].answer(server.requests[-1])
        await server.peers[0].drop()
        await server.until(lambda: len(server.peers) == 2)


@pytest.mark.parametrize("fetching", [False, True])
async def test_a_stream_is_read_from(servers: ModuleType, *, fetching: bool) -> None:
    async with alone(servers) as (server, client), trio.open_nursery() as nursery:
        if fetching:
            nursery.start_soon(client.put, "later", "1")
            await server.until(lambda: key_of(server.requests[-1]) == b"later")
        async with client.channel.stream(WATCH) as stream:
            [peer] = server.peers
            await stream.send(b"\x0a\x00")
            await server.until(lambda: peer.streams)
            for number in range(3):
                peer.session.send_message(peer.streams[0], b"%d" % number)
                peer.flush()
                assert await stream.receive() == b"%d" % number
                if fetching and not number:
                    peer.answer(server.requests[-1])
                    await trio.testing.wait_all_tasks_blocked(0.01)


@pytest.mark.parametrize("seed", range(8))
async def test_any_mixture(servers: ModuleType, seed: int) -> None:
    """Tasks that call, pause, and give up, as a seed says: each call ends as it was meant to."""
    chance = random.Random(seed)
    nursery: trio.Nursery

    def handler(peer: Any, request: Any) -> None:
        pause = chance.choice((0, 0, 0, 0.0005, 0.003, 0.008))
        if not key_of(request).startswith(b"never"):
            nursery.start_soon(answer, peer, request, pause)

    async def answer(peer: Any, request: Any, pause: float) -> None:
        if pause:
            await trio.sleep(pause)
        if request.stream_id not in peer.cancelled:
            peer.answer(request)

    async def caller(client: triode.Client, calls: int) -> None:
        for _ in range(calls):
            if chance.random() < 0.1:
                with trio.move_on_after(chance.choice((0, 0.001, 0.006))) as scope:
                    await client.put("never", "1")
                assert scope.cancelled_caught
            else:
                await client.put("a", "1")
            if chance.random() < 0.1:
                await trio.sleep(chance.choice((0, 0.002, 0.007)))

    async with servers.scripted(handler) as server, trio.open_nursery() as nursery:
        async with triode.connect(server.address) as client:
            with trio.fail_after(20):
                for _ in range(6):
                    async with trio.open_nursery() as callers:
                        for _ in range(chance.choice((1, 1, 2, 3, 20))):
                            callers.start_soon(caller, client, 20)
                assert connection_of(client)._calls == {}
                assert len(server.peers) == 1
        nursery.cancel_scope.cancel()
