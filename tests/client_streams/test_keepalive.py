"""When a lease is asked for, and when it is believed lost: against a server of our own making, on a mock clock."""

# ruff: noqa: PT012  # the block is what is tested
from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trio.testing

import triode
from triode.client.client import opened
from triode.client.contract import Metadata
from triode.client.errors import ConnectionLost
from triode.client.lease import Lease
from triode.errors import NoLeader
from triode.rpc.methods import Method
from triode.rpc.pb.rpc_pb2 import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
)

TTL = 9


class _Stream:
    endpoint = "fake"

    def __init__(self, server: Server) -> None:
        self.server = server
        self.send_answer, self.answers = trio.open_memory_channel[bytes | None](1000)

    async def send(self, message: bytes) -> None:
        await trio.lowlevel.checkpoint()
        lease = LeaseKeepAliveRequest.FromString(message).ID
        self.server.asked.append((trio.current_time() - self.server.start, lease))
        if self.server.answering:
            ttl = self.server.leases.get(lease, 0)
            answer = LeaseKeepAliveResponse(ID=lease, TTL=ttl)
            self.send_answer.send_nowait(answer.SerializeToString())

    async def half_close(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive(self) -> bytes | None:
        answer = await self.answers.receive()
        if answer is None:
            raise ConnectionLost
        return answer


class Server:
    """A channel to a server that does as it is told."""

    endpoints = ("fake",)

    def __init__(self) -> None:
        self.start = trio.current_time()
        self.leases: dict[int, int] = {}
        self.asked: list[tuple[float, int]] = []
        self.streams: list[_Stream] = []
        self.revoked: list[int] = []
        self.answering = True
        self.opening = True
        self.grant_seconds = 0.0

    async def unary(
        self,
        method: Method,
        request: bytes,
        *,
        metadata: Metadata | None = None,
        endpoint: str | None = None,
    ) -> bytes:
        if method.name == "LeaseGrant":
            await trio.sleep(self.grant_seconds)
            wanted = LeaseGrantRequest.FromString(request)
            number = wanted.ID or len(self.leases) + 1
            self.leases[number] = wanted.TTL
            return LeaseGrantResponse(ID=number, TTL=wanted.TTL).SerializeToString()
        assert method.name == "LeaseRevoke"
        self.revoked.append(LeaseRevokeRequest.FromString(request).ID)
        return LeaseRevokeResponse().SerializeToString()

    @asynccontextmanager
    async def stream(
        self, method: Method, *, metadata: Metadata | None = None, endpoint: str | None = None
    ) -> AsyncIterator[_Stream]:
        await trio.lowlevel.checkpoint()
        if not self.opening:
            raise NoLeader
        stream = _Stream(self)
        self.streams.append(stream)
        yield stream

    def break_stream(self) -> None:
        self.streams[-1].send_answer.send_nowait(None)


async def test_a_lease_is_asked_for_after_each_third_of_its_life(autojump_clock: object) -> None:
    server = Server()
    async with opened(server) as client, client.lease(TTL):
        await trio.sleep(20)
        assert [round(at) for at, _ in server.asked] == [3, 6, 9, 12, 15, 18]
        assert len(server.streams) == 1
    assert server.revoked == [1]


async def test_all_leases_share_a_stream_and_each_has_its_own_pace(autojump_clock: object) -> None:
    server = Server()
    async with opened(server) as client, client.lease(3), client.lease(9), client.lease(90):
        await trio.sleep(29)
    assert len(server.streams) == 1
    each = [sum(lease == number for _, lease in server.asked) for number in (1, 2, 3)]
    assert each == [pytest.approx(28, abs=1), 9, 0]


async def test_silence_for_the_whole_life_loses_the_lease(autojump_clock: object) -> None:
    """The life is counted from the moment at which the last request that was answered was sent."""
    server = Server()
    async with opened(server) as client:
        with pytest.raises(triode.LeaseLost):
            async with client.lease(TTL) as lease:
                await trio.sleep(7)  # asked, and answered, at 3 and 6
                server.answering = False
                await trio.sleep_forever()
        assert trio.current_time() - server.start == pytest.approx(6 + TTL, abs=0.1)
        assert lease.lost
        assert server.revoked == []  # it has run out: there is nothing to revoke


async def test_a_grant_that_took_long_gives_less(autojump_clock: object) -> None:
    server = Server()
    server.grant_seconds, server.opening = 5.0, False
    async with opened(server) as client:
        with pytest.raises(triode.LeaseLost, match="no leader"):
            async with client.lease(TTL) as lease:
                assert lease.remaining == pytest.approx(TTL - 5)
                await trio.sleep_forever()
        assert trio.current_time() - server.start == pytest.approx(TTL)


async def test_a_lost_stream_is_replaced_at_once(autojump_clock: object) -> None:
    server = Server()
    async with opened(server) as client, client.lease(TTL):
        for _ in range(5):
            await trio.sleep(4)
            server.break_stream()
        await trio.sleep(4)
    assert len(server.streams) == 6
    times = [at for at, _ in server.asked]
    assert max(b - a for a, b in itertools.pairwise(times)) < TTL / 2


async def test_a_stream_that_does_not_answer_is_replaced(autojump_clock: object) -> None:
    """The member may be cut off from its leader while the connection to it is fine."""
    server = Server()
    async with opened(server) as client, client.lease(TTL) as lease:
        await trio.sleep(1)
        server.answering = False
        await trio.sleep(3)  # asked at 3
        server.answering = True  # the next stream goes elsewhere
        await trio.sleep(3)  # given up at 6, asked again
        assert len(server.streams) == 2
        assert lease.remaining > TTL / 2


async def test_streams_that_cannot_be_opened_are_tried_again(autojump_clock: object) -> None:
    server = Server()
    server.opening = False
    async with opened(server) as client, client.lease(TTL) as lease:
        await trio.sleep(TTL - 1)
        server.opening = True
        await trio.sleep(TTL)
        assert not lease.lost


async def test_the_server_says_that_it_is_gone(autojump_clock: object) -> None:
    server = Server()
    async with opened(server) as client:
        with pytest.raises(triode.LeaseLost, match="does not know it"):
            async with client.lease(TTL):
                server.leases.clear()
                await trio.sleep_forever()
        assert trio.current_time() - server.start == pytest.approx(TTL / 3, abs=0.1)
        async with client.lease(TTL) as next_one:  # one after the other
            await trio.sleep(2 * TTL)
            assert not next_one.lost


async def test_who_does_not_look_learns_of_it_at_the_end(autojump_clock: object) -> None:
    server = Server()
    async with opened(server) as client:
        with pytest.raises(triode.LeaseLost):
            async with client.lease(TTL):
                server.leases.clear()
                with trio.CancelScope(shield=True):
                    await trio.sleep(TTL)


async def test_what_the_block_raises_comes_out(autojump_clock: object) -> None:
    async with opened(Server()) as client:
        with pytest.raises(KeyError):
            async with client.lease(TTL):
                raise KeyError


async def test_a_lease_held_twice_is_asked_for_once(autojump_clock: object) -> None:
    server = Server()
    async with opened(server) as client, client.lease(TTL) as lease:
        async with client.keep_alive(lease.id):
            await trio.sleep(3.5)
        await trio.sleep(6)
    periodic = [at for at, _ in server.asked if at > 0.1]
    assert [round(at) for at in periodic] == [3, 6, 9]


async def test_who_follows_the_renewals_from_outside_learns_of_the_end(
    autojump_clock: object,
) -> None:
    server = Server()
    leases: list[Lease] = []

    async def follow(lease: Lease) -> str:
        seen = 0
        try:
            async for _ in lease.renewals():
                seen += 1
        except triode.LeaseLost:
            return f"lost after {seen}"
        return f"over after {seen}"

    async def hold(how: str) -> None:
        with suppress(triode.LeaseLost):
            async with client.lease(TTL) as lease:
                leases.append(lease)
                await trio.sleep(TTL / 2)
                if how == "runs out":
                    server.answering = False
                elif how == "revoked":
                    server.leases.clear()
                if how != "ends":
                    await trio.sleep_forever()

    async with opened(server) as client:
        for how, told in [("runs out", "lost"), ("revoked", "lost"), ("ends", "over")]:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(hold, how)
                await trio.testing.wait_all_tasks_blocked()
                with trio.fail_after(3 * TTL):
                    assert await follow(leases[-1]) == f"{told} after 1", how
                    assert await follow(leases[-1]) == f"{told} after 0", how
            server.answering = True


async def test_who_follows_the_renewals_does_not_wait_for_a_shielded_block(
    autojump_clock: object,
) -> None:
    server = Server()
    async with opened(server) as client, trio.open_nursery() as nursery:
        leases: list[Lease] = []

        async def hold() -> None:
            with suppress(triode.LeaseLost):
                async with client.lease(TTL) as lease:
                    leases.append(lease)
                    server.opening = False
                    server.answering = False
                    with trio.CancelScope(shield=True):
                        await trio.sleep(10 * TTL)

        nursery.start_soon(hold)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(triode.LeaseLost):
            await anext(leases[0].renewals())
        assert trio.current_time() - server.start == pytest.approx(TTL, abs=0.1)
