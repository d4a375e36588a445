"""A member whose disk is full says so everywhere, and does not keep the leadership from those who can write."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing

import triode
import triode.testing
from triode.errors import NoSpace
from triode.rpc.pb.health_pb2 import HealthCheckRequest
from triode.rpc.pb.rpc_pb2 import AlarmRequest, StatusRequest
from triode.testing import Cluster, Machine

NOSPACE = 1
LOG, BACKEND = "log", "backend"
SETTINGS: dict[str, Any] = {"backend_batch_interval": 0.1}


def fill(machine: Machine, what: str) -> None:
    """Leave no space for the log's next file, or for the backend."""
    if what == LOG:
        machine.disk.capacity_bytes = machine.disk.used_bytes
    else:
        machine.platter.capacity_bytes = 0


async def write_until_full(cluster: Cluster, machine: Machine) -> None:
    client = cluster.client(machine)
    with trio.fail_after(60):
        for number in range(1000):
            try:
                with trio.move_on_after(5):
                    await client.put(b"fill/%d" % (number % 10), bytes(1000))
            except triode.errors.EtcdError:
                pass
            if machine.node is not None and machine.node.peer.disk_full is not None:
                return
            await trio.sleep(0.05)
    pytest.fail("the disk is not full")


async def page(machine: Machine, target: str) -> tuple[int, bytes]:
    assert machine.node is not None
    reply = await machine.node.pages.answer("GET", target)
    assert reply is not None
    return reply.status, reply.body


@pytest.mark.parametrize("what", [LOG, BACKEND])
async def test_a_full_disk_is_seen(what: str, autojump_clock: trio.testing.MockClock) -> None:
    async with triode.testing.cluster(1, **SETTINGS) as cluster:
        machine = cluster.machine(1)
        client = cluster.client()
        assert await page(machine, "/readyz") == (200, b"ok\n")
        fill(machine, what)
        await write_until_full(cluster, machine)
        with pytest.raises(NoSpace):
            await client.put(b"k", b"")
        status, body = await page(machine, "/health")
        assert status == 503
        assert json.loads(body) == {"health": "false", "reason": "ALARM NOSPACE"}
        assert (await page(machine, "/health?exclude=NOSPACE"))[0] == 200
        status, body = await page(machine, "/readyz")
        assert status == 503
        assert b"[-]disk_space failed: cannot " in body
        assert (await page(machine, "/livez"))[0] == 200, "a restart does not help"
        told = await client.call("Maintenance/Status", StatusRequest())
        assert any("the disk is full, writes are refused: cannot" in each for each in told.errors)
        (alarm,) = (await client.call("Maintenance/Alarm", AlarmRequest())).alarms
        assert (alarm.memberID, alarm.alarm) == (cluster.member_id(machine), NOSPACE)
        assert machine.node is not None
        assert b"\ntriode_disk_full 1\n" in machine.node.metrics()
        health = await client.call("/grpc.health.v1.Health/Check", HealthCheckRequest())
        assert health.status == health.NOT_SERVING
        assert (await client.get(b"fill/0")).count == 1, "reads go on"


async def test_health_watches_are_told(autojump_clock: trio.testing.MockClock) -> None:
    async with triode.testing.cluster(1, **SETTINGS) as cluster:
        machine = cluster.machine(1)
        async with cluster.client().stream("/grpc.health.v1.Health/Watch") as stream:
            await stream.send(HealthCheckRequest())
            first = await stream.receive()
            assert first.status == first.SERVING
            fill(machine, BACKEND)
            await write_until_full(cluster, machine)
            with trio.fail_after(5):
                second = await stream.receive()
            assert second.status == second.NOT_SERVING


@pytest.mark.parametrize("what", [LOG, BACKEND])
async def test_a_leader_whose_disk_is_full_hands_over(
    what: str, autojump_clock: trio.testing.MockClock
) -> None:
    """The others have space: the cluster goes on, and nobody raises an alarm for all of it."""
    async with triode.testing.cluster(3, **SETTINGS) as cluster:
        full = await cluster.leader()
        await cluster.client(full).put(b"before", b"")
        fill(full, what)
        await write_until_full(cluster, full)
        began = trio.current_time()
        with trio.fail_after(30):
            while (leader := cluster.leader_now()) is None or leader is full:  # noqa: ASYNC110  # from outside
                await trio.sleep(0.02)
        assert trio.current_time() - began < 1.0, "without waiting for an election timeout"
        client = cluster.client(leader)
        with trio.fail_after(10):
            for number in range(10):
                await client.put(b"after/%d" % number, b"")
        await trio.sleep(10)
        assert cluster.leader_now() is not full
        assert list((await client.call("Maintenance/Alarm", AlarmRequest())).alarms) == []


async def test_a_client_prefers_members_with_space(autojump_clock: trio.testing.MockClock) -> None:
    """No write fails while another member takes it."""
    async with triode.testing.cluster(3, **SETTINGS) as cluster:
        leader = await cluster.leader()
        full = next(one for one in cluster.machines.values() if one is not leader)
        fill(full, BACKEND)
        await write_until_full(cluster, full)
        async with cluster.connect() as client:
            for number in range(50):
                await client.put(f"k/{number}", "v")
            assert await client.count(triode.prefix("k/")) == 50


async def test_the_monitors_outlive_a_full_disk(autojump_clock: trio.testing.MockClock) -> None:
    """Comparing hashes commits first: without space it is tried again later, and does not end the node."""
    settings = {**SETTINGS, "corrupt_check_time": 1.0, "backend_batch_interval": 1000.0}
    async with triode.testing.cluster(1, **settings) as cluster:
        machine = cluster.machine(1)
        await cluster.client(machine).put(b"a", bytes(1000))
        machine.platter.capacity_bytes = 0
        await trio.sleep(60.0)
        assert machine.failure is None
        machine.platter.capacity_bytes = None
        await cluster.client(machine).put(b"b", b"1")
