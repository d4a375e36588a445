"""A member that is removed leaves when the others can do without it, and not before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import trio
import trio.testing

import triode.testing
from triode.errors import EtcdError, MemberRemoved
from triode.rpc.pb.rpc_pb2 import MemberRemoveRequest
from triode.testing import Cluster, Conditions, Machine

CUT_SECONDS = 40.0
LINKS = Conditions(delay_min=0.01, delay_max=0.01)


@asynccontextmanager
async def leader_and_other() -> AsyncIterator[tuple[Cluster, Machine, Machine]]:
    """Two members with a key: the leader, which is about to be removed, and the one that stays."""
    async with triode.testing.cluster(
        2, seed=1, conditions=LINKS, strict_reconfig_check=False
    ) as cluster:
        leaving = await cluster.leader()
        (staying,) = (one for one in cluster.machines.values() if one is not leaving)
        await cluster.client(leaving).put(b"before", b"")
        yield cluster, leaving, staying


async def remove_and_cut(cluster: Cluster, leaving: Machine, *, at: Machine) -> None:
    """Remove a member; its links are cut as soon as it has applied that, before anybody else knows."""
    request = MemberRemoveRequest(ID=cluster.member_id(leaving))
    node = leaving.node
    assert node is not None
    leaving.leaving = True
    cluster.expected.pop(leaving.name)

    async def ask() -> None:
        await cluster.client(at).call("Cluster/MemberRemove", request)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        with trio.fail_after(10):
            while node.member_id in node.membership.members:  # noqa: ASYNC110  # from outside
                await trio.sleep(0.001)
        cluster.partition([leaving])


async def serves_alone(cluster: Cluster, staying: Machine) -> None:
    with trio.fail_after(60):
        while cluster.leader_now() is not staying:  # noqa: ASYNC110  # from outside
            await trio.sleep(0.1)
        await cluster.client(staying).put(b"alone", b"")
        assert (await cluster.client(staying).get(b"before")).count == 1


async def removed(machine: Machine) -> None:
    """Return when its member has ended, as it was removed."""
    with trio.fail_after(60):
        await machine.wait_down()
    assert machine.failure is not None
    error: BaseException | None = machine.failure
    while error is not None and not isinstance(error, MemberRemoved):
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__
    assert error is not None, machine.failure


@pytest.mark.parametrize("restarts", ["nobody", "leaving", "staying", "both"])
async def test_the_leader_of_two_is_removed_and_cut_off(
    restarts: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Only it knows that its removal is committed; the other one needs it to find out."""
    async with leader_and_other() as (cluster, leaving, staying):
        await remove_and_cut(cluster, leaving, at=leaving)
        await trio.sleep(CUT_SECONDS / 2)
        if restarts in ("leaving", "both"):
            await cluster.crash(leaving)
            cluster.start(leaving)
        if restarts in ("staying", "both"):
            await cluster.crash(staying)
            cluster.start(staying)
        await trio.sleep(CUT_SECONDS / 2)
        assert leaving.up
        cluster.heal()
        await serves_alone(cluster, staying)
        await removed(leaving)


async def test_the_removed_leader_has_more_in_its_log(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """So it cannot vote for the other one, nor lead itself; but it can say what is committed."""
    async with leader_and_other() as (cluster, leaving, staying):

        async def put() -> None:
            with suppress(EtcdError):
                await cluster.client(leaving).put(b"more", b"")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(remove_and_cut, cluster, leaving, at=leaving))
            await trio.sleep(0.019)  # the removal is on its way; this is cut off
            nursery.start_soon(put)
            await trio.sleep(0.2)
            nursery.cancel_scope.cancel()
        assert leaving.node is not None and staying.node is not None
        assert leaving.node.peer.last_index > staying.node.peer.last_index
        await trio.sleep(CUT_SECONDS)
        cluster.heal()
        await serves_alone(cluster, staying)
        await removed(leaving)


async def test_a_removed_member_that_restarts_serves_no_client(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with leader_and_other() as (cluster, leaving, staying):
        await remove_and_cut(cluster, leaving, at=leaving)
        await cluster.stop(leaving)
        cluster.start(leaving)
        await leaving.wait_ready()
        names = [child.statistics.name for _, child in _walk(leaving)]
        assert "clients" not in names
        assert "publication" not in names
        cluster.heal()
        await serves_alone(cluster, staying)
        await removed(leaving)
        cluster.start(leaving)  # once more: now somebody knows, and it does not even begin
        await removed(leaving)
        assert not leaving.served or leaving.node is None


def _walk(machine: Machine) -> list[tuple[int, triode.actors.Tree]]:
    assert machine.node is not None
    return [(0, child) for child in machine.node.supervisor.tree().children]


async def test_the_leader_loses_power_before_it_knows_that_a_removal_is_durable(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The other one is gone for good then: the leader must find the change committed in its own log."""
    async with triode.testing.cluster(
        2, seed=2, conditions=LINKS, strict_reconfig_check=False
    ) as cluster:
        staying = await cluster.leader()
        (leaving,) = (one for one in cluster.machines.values() if one is not staying)
        await cluster.client(staying).put(b"before", b"")
        leaving.leaving = True
        cluster.expected.pop(leaving.name)
        request = MemberRemoveRequest(ID=cluster.member_id(leaving))
        await cluster.client(staying).call("Cluster/MemberRemove", request)
        await removed(leaving)
        staying.disk.choose = staying.platter.choose = lambda _states: 0  # nothing unsynced is left
        await cluster.crash(staying)
        cluster.start(staying)
        await serves_alone(cluster, staying)


async def test_one_of_three_is_removed_while_another_lags(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with triode.testing.cluster(
        3, seed=3, conditions=LINKS, strict_reconfig_check=False
    ) as cluster:
        leaving = await cluster.leader()
        quick, slow = (one for one in cluster.machines.values() if one is not leaving)
        await cluster.client(leaving).put(b"before", b"")
        cluster.partition([slow])
        await remove_and_cut(cluster, leaving, at=leaving)
        await trio.sleep(CUT_SECONDS)
        cluster.heal()
        with trio.fail_after(60):
            leader = await cluster.leader()
            assert leader in (quick, slow)
            await cluster.client(leader).put(b"after", b"")
        await removed(leaving)
