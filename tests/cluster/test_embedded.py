"""A node inside a program that is a member of a cluster, beside daemons."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio

import triode
from triode.rpc.pb.rpc_pb2 import MemberListRequest

SECONDS_MAX = 30


@pytest.fixture
async def mixed(make_cluster: Callable[..., Any]) -> AsyncIterator[tuple[Any, triode.Node]]:
    """Two daemons and the node of this process: (the daemons' cluster, the node)."""
    cluster = make_cluster(3, start=False)
    cluster.choose_places()
    place = cluster.members.pop()
    config = triode.Config(
        name=place.name,
        data_dir=place.data_dir,
        listen_client_urls=(place.url,),
        advertise_client_urls=(place.url,),
        listen_peer_urls=(place.peer_url,),
        initial_advertise_peer_urls=(place.peer_url,),
        initial_cluster=place.flags[1],
        initial_cluster_token="e2e",
        heartbeat_interval=0.05,
        election_timeout=0.5,
    )
    for daemon in cluster.members:
        daemon.spawn()
    with trio.fail_after(2 * SECONDS_MAX):
        async with triode.open_node(config) as node:
            for daemon in cluster.members:
                await trio.to_thread.run_sync(daemon.wait_ready)
            yield cluster, node


async def test_an_embedded_member(mixed: tuple[Any, triode.Node]) -> None:
    """It reads what the daemons write and they what it writes; watches; and all go on without one of them."""
    cluster, node = mixed
    in_thread = trio.to_thread.run_sync
    daemon, other = cluster.members
    async with node.local.watch(b"job/", b"job0") as responses:
        revision = await in_thread(daemon.client.put, b"job/1", b"queued")
        assert (await node.local.get(b"job/1")).kvs[0].value == b"queued"
        async for response in responses:
            assert [event.kv.mod_revision for event in response.events] == [revision]
            break
    answer = await node.local.put(b"job/1", b"done")
    assert answer.header.revision == revision + 1
    assert await in_thread(daemon.client.get, b"job/1") == b"done"
    members = await node.local.call("Cluster/MemberList", MemberListRequest(linearizable=True))
    assert {one.name for one in members.members} == {"m0", "m1", "m2"}
    await in_thread(other.kill)
    with trio.fail_after(SECONDS_MAX):
        while True:  # the one that was killed may have been the leader
            try:
                await node.local.put(b"job/2", b"queued")
                break
            except triode.errors.EtcdError:
                await trio.sleep(0.05)
    assert (await node.local.get(b"job/2")).kvs[0].value == b"queued"
    assert await in_thread(daemon.client.get, b"job/2") == b"queued"
