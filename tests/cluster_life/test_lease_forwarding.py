"""Leases asked of members that do not lead, and what becomes of them when the leader goes. In virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import triode.testing
from triode.actors import proposals
from triode.actors.call import Call
from triode.errors import EtcdError, NoLeader, NotLeader, RequestTimeout
from triode.rpc.pb import rpc_pb2 as pb

LEASE = 77


@pytest.fixture
async def cluster() -> AsyncIterator[triode.testing.Cluster]:
    async with triode.testing.cluster(members=3) as three:
        yield three


async def grant(m: Any, node: Any, ttl: int) -> None:
    request = pb.LeaseGrantRequest(ID=LEASE, TTL=ttl)
    await m.ask(node, "/etcdserverpb.Lease/LeaseGrant", request, pb.LeaseGrantResponse)


async def time_to_live(m: Any, node: Any) -> int:
    request = pb.LeaseTimeToLiveRequest(ID=LEASE)
    path = "/etcdserverpb.Lease/LeaseTimeToLive"
    return int((await m.ask(node, path, request, pb.LeaseTimeToLiveResponse)).TTL)


async def roles(cluster: Any) -> tuple[Any, list[Any]]:
    leader = await cluster.leader()
    return leader, [machine for machine in cluster.serving if machine is not leader]


async def test_a_lease_outlives_its_leader(m: Any, autojump_clock: MockClock, cluster: Any) -> None:
    """Renewals through a member that stays wait for the next leader."""
    leader, (one, _) = await roles(cluster)
    await grant(m, leader.node, 5)
    for _ in range(3):
        await trio.sleep(3)
        assert await m.keep_alive(one.node, LEASE) == [5]
    await cluster.crash(leader)
    assert await m.keep_alive(one.node, LEASE) == [5]
    assert await time_to_live(m, one.node) in (4, 5)
    new, _ = await roles(cluster)
    assert new is not leader
    await trio.sleep(15)
    assert await time_to_live(m, one.node) == -1
    assert await m.keep_alive(one.node, LEASE) == [0]


async def test_a_paused_leader_ends_no_lease(
    m: Any, autojump_clock: MockClock, cluster: Any
) -> None:
    """When it wakes up its leases are over by its own count; another leader has renewed them meanwhile."""
    leader, (one, _) = await roles(cluster)
    await grant(m, leader.node, 5)
    cluster.pause(leader)
    for _ in range(10):
        await trio.sleep(2)
        assert await m.keep_alive(one.node, LEASE) == [5]
    cluster.resume(leader)
    assert await m.keep_alive(leader.node, LEASE) == [5], "it asks whoever leads now"
    for _ in range(5):
        await trio.sleep(2)
        assert await m.keep_alive(one.node, LEASE) == [5]
    assert await time_to_live(m, leader.node) == await time_to_live(m, one.node) >= 4


async def test_an_isolated_leader_ends_no_lease(
    m: Any, autojump_clock: MockClock, cluster: Any
) -> None:
    """Its time is up there, but the others renew it: only an applied revocation is an end."""
    leader, (one, other) = await roles(cluster)
    await grant(m, leader.node, 3)
    await trio.sleep(2.8)
    cluster.partition(leader, [one, other])
    await trio.sleep(0.3)
    told: list[int] = []

    async def ask_the_isolated() -> None:
        told.extend(await m.keep_alive(leader.node, LEASE))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask_the_isolated)
        await trio.lowlevel.checkpoint()
        assert leader.node.lessor.primary, "it does not know yet that it is alone"
        assert await m.keep_alive(one.node, LEASE) == [3]
        cluster.heal()
    assert told == [3]


async def test_a_lease_whose_time_is_up_is_revoked_before_that_is_said(
    m: Any, autojump_clock: MockClock, cluster: Any
) -> None:
    leader, (one, _) = await roles(cluster)
    await grant(m, leader.node, 3)
    while not leader.node.lessor.over(LEASE, leader.node.context.world.clock.now()):  # noqa: ASYNC110
        await trio.sleep(0.01)
    assert await m.keep_alive(one.node, LEASE) == [0]
    assert not leader.node.lessor.exists(LEASE)


async def test_a_member_cut_off(m: Any, autojump_clock: MockClock, cluster: Any) -> None:
    """It says so when the request's time is over; a lease does not end while nobody leads."""
    leader, (one, other) = await roles(cluster)
    await grant(m, leader.node, 60)
    cluster.partition(one, leader, other)
    started = trio.current_time()
    with pytest.raises((NoLeader, RequestTimeout)):
        await time_to_live(m, one.node)
    assert 6.5 <= trio.current_time() - started <= 8
    answers = m.Answers()
    stream = one.node.dispatcher.open("/etcdserverpb.Lease/LeaseKeepAlive", answers)
    for _ in range(3):
        stream.message(pb.LeaseKeepAliveRequest(ID=LEASE).SerializeToString())
    await trio.sleep(10)
    assert (len(answers.messages), len(answers.ended)) == (0, 1)
    assert isinstance(answers.ended[0], EtcdError)
    await trio.sleep(100)
    cluster.heal()
    await trio.sleep(5)
    leader = await cluster.leader()
    assert 50 <= await time_to_live(m, leader.node) <= 61


async def test_the_leader_just_now(m: Any, autojump_clock: MockClock, cluster: Any) -> None:
    """A lease that was granted through one member is known when another is asked at once."""
    leader, followers = await roles(cluster)
    for number, node in enumerate([leader.node, *(machine.node for machine in followers)] * 5):
        request = pb.LeaseGrantRequest(ID=1000 + number, TTL=50)
        await m.ask(node, "/etcdserverpb.Lease/LeaseGrant", request, pb.LeaseGrantResponse)
        for asked in cluster.serving:
            assert await m.keep_alive(asked.node, 1000 + number) == [50]


async def test_an_isolated_leader_knows_of_no_new_lease(
    m: Any, autojump_clock: MockClock, cluster: Any
) -> None:
    """It does not say that there is none: the others may have granted it."""
    leader, (one, other) = await roles(cluster)
    cluster.partition(leader, [one, other])
    others = {one.node.member_id, other.node.member_id}
    found: list[int] = []

    async def look() -> None:
        with suppress(NoLeader, RequestTimeout):
            found.append(await time_to_live(m, leader.node))

    async with trio.open_nursery() as nursery:
        while one.node.peer.leader not in others:  # noqa: ASYNC110
            await trio.sleep(0.02)
        await grant(m, one.node, 50)
        for _ in range(10):  # the old leader steps down on the way
            nursery.start_soon(look)
            await trio.sleep(0.2)
    assert found == []
    cluster.heal()
    await trio.sleep(5)
    assert await time_to_live(m, leader.node) > 0


class Told:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.news: list[EtcdError | bytes] = []

    def answer(self, tag: int, message: bytes) -> None:
        self.news.append(message)

    def refuse(self, tag: int, error: EtcdError) -> None:
        self.news.append(error)


async def test_only_the_leader_of_the_term(m: Any, autojump_clock: MockClock, cluster: Any) -> None:
    """What a former leader has decided is neither passed on nor kept for the next one."""
    leader, (one, _) = await roles(cluster)
    await grant(m, leader.node, 50)
    revoke = pb.LeaseRevokeRequest(ID=LEASE)
    term = leader.node.peer.term
    for node, its_term in ((one.node, term), (leader.node, term - 1), (leader.node, term + 1)):
        told = Told()
        node.context.proposer.propose_as_leader(
            its_term, Call(told, 0), proposals.LEASE_REVOKE, revoke
        )
        await trio.sleep(20)
        assert [type(news) for news in told.news] == [NotLeader]
        assert await m.keep_alive(one.node, LEASE) == [50]
    told = Told()
    leader.node.context.proposer.propose_as_leader(
        term, Call(told, 0), proposals.LEASE_REVOKE, revoke
    )
    await trio.sleep(1)
    assert [type(news) for news in told.news] == [bytes]
    assert await time_to_live(m, one.node) == -1
