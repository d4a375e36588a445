"""Locks, elections and keep-alives over the wire: who waits, who leaves, who follows."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import trio

from triode import Node
from triode.rpc.pb.rpc_pb2 import (
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    LeaseRevokeRequest,
    PutRequest,
)
from triode.rpc.pb.v3election_pb2 import (
    CampaignRequest,
    CampaignResponse,
    LeaderKey,
    LeaderRequest,
    LeaderResponse,
    ProclaimRequest,
    ResignRequest,
)
from triode.rpc.pb.v3lock_pb2 import LockRequest, LockResponse, UnlockRequest

LOCK, UNLOCK = "/v3lockpb.Lock/Lock", "/v3lockpb.Lock/Unlock"
ELECTION = "/v3electionpb.Election/"
OBSERVE, CAMPAIGN = ELECTION + "Observe", ELECTION + "Campaign"
KEEP_ALIVE = "/etcdserverpb.Lease/LeaseKeepAlive"
UNKNOWN_LEASE = (2, "etcdserver: requested lease not found")


async def lease(node: Node, ttl: int = 60) -> int:
    granted = await node.local.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=ttl))
    return int(granted.ID)


async def connect(peers: ModuleType, node: Node) -> Any:
    return await peers.Client.connect(node.clients.ports[0])


async def keys(node: Node, prefix: bytes) -> list[bytes]:
    found = await node.local.get(prefix, prefix + b"\xff")
    return [kv.key for kv in found.kvs]


async def ask_lock(client: Any, lease_id: int, name: bytes = b"door", **options: Any) -> int:
    request = LockRequest(name=name, lease=lease_id).SerializeToString()
    stream_id: int = client.grpc.call(LOCK, request, **options)
    await client.flush()
    return stream_id


async def wait_in_line(peers: ModuleType, node: Node, count: int) -> None:
    """Return when so many wait for a lock or an election."""
    await peers.until(lambda: node.context.hub.statistics().watchers == count)


async def test_two_contenders(peers: ModuleType, node: Node) -> None:
    """The second waits until the first unlocks, and no other key wakes it."""
    first, second = await connect(peers, node), await connect(peers, node)
    one, two = await lease(node), await lease(node)
    code, _, answer = await first.unary(LOCK, LockRequest(name=b"door", lease=one))
    held = LockResponse.FromString(answer)
    assert (code, held.key) == (0, b"door/%x" % one)
    waiting = await ask_lock(second, two)
    await wait_in_line(peers, node, 1)
    await node.local.put(b"door/other", b"")
    assert await keys(node, b"door/") == sorted([held.key, b"door/%x" % two, b"door/other"])
    assert (await first.unary(UNLOCK, UnlockRequest(key=held.key)))[0] == 0
    assert await second.status(waiting) == (0, "")
    key = LockResponse.FromString(second.waiting.pop(waiting)[0]).key
    assert key == b"door/%x" % two
    first.close()
    second.close()
    await peers.settled(node)


async def test_the_end_of_a_lease_hands_over(peers: ModuleType, node: Node) -> None:
    client = await connect(peers, node)
    one, two = await lease(node), await lease(node)
    assert (await client.unary(LOCK, LockRequest(name=b"door", lease=one)))[0] == 0
    waiting = await ask_lock(client, two)
    await wait_in_line(peers, node, 1)
    await node.local.call("Lease/LeaseRevoke", LeaseRevokeRequest(ID=one))
    assert await client.status(waiting) == (0, "")
    client.close()


async def test_a_lease_that_ends_while_waiting(peers: ModuleType, node: Node) -> None:
    """Its place is lost; the answer says so when the turn would have come."""
    client = await connect(peers, node)
    one, two = await lease(node), await lease(node)
    _, _, answer = await client.unary(LOCK, LockRequest(name=b"door", lease=one))
    waiting = await ask_lock(client, two)
    await wait_in_line(peers, node, 1)
    await node.local.call("Lease/LeaseRevoke", LeaseRevokeRequest(ID=two))
    await client.unary(UNLOCK, UnlockRequest(key=LockResponse.FromString(answer).key))
    assert await client.status(waiting) == (2, "mutex: session is expired")
    client.close()


@pytest.mark.parametrize("way", ["cancel", "close", "reset", "deadline", "http close"])
async def test_who_leaves_gives_up_the_place(peers: ModuleType, node: Node, way: str) -> None:
    """However a client goes while it waits, its key is deleted and nothing is left of it."""
    holder, leaver = await connect(peers, node), await connect(peers, node)
    one, two = await lease(node), await lease(node)
    assert (await holder.unary(LOCK, LockRequest(name=b"door", lease=one)))[0] == 0
    if way == "http close":
        body = b'{"name":"ZG9vcg==","lease":"%d"}' % two
        head = b"POST /v3/lock/lock HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
        await leaver.raw.say(head % len(body) + body)
    else:
        options: dict[str, Any] = {"timeout_ns": 300_000_000} if way == "deadline" else {}
        stream_id = await ask_lock(leaver, two, **options)
    await wait_in_line(peers, node, 1)
    assert len(await keys(node, b"door/")) == 2
    if way == "cancel":
        leaver.grpc.cancel(stream_id)
        await leaver.flush()
    elif way == "reset":
        peers.reset(leaver.raw.sock)
    elif way == "deadline":
        assert await leaver.status(stream_id) == (4, "context deadline exceeded")
    else:
        leaver.close()
    await wait_in_line(peers, node, 0)
    await peers.until(lambda: node.tasks.running == 0)
    assert await keys(node, b"door/") == [b"door/%x" % one]
    holder.close()
    leaver.close()
    await peers.settled(node)


async def test_a_hundred_wait_in_order(peers: ModuleType, node: Node) -> None:
    """Each is served in the order in which they came; only one at a time."""
    client = await connect(peers, node)
    asked = []
    for number in range(100):
        asked.append(await ask_lock(client, await lease(node)))
        await peers.until(lambda n=number: len(node.context.store.index.keys) == n + 1)
    served = []
    for expected in asked:
        assert await client.status(expected) == (0, "")
        assert not client.ended, "nobody else holds it"
        (answer,) = client.waiting.pop(expected)
        key = LockResponse.FromString(answer).key
        served.append(key)
        assert (await client.unary(UNLOCK, UnlockRequest(key=key)))[0] == 0
    assert len(set(served)) == 100
    client.close()
    await peers.settled(node)


async def test_lock_errors_are_unknown(peers: ModuleType, node: Node) -> None:
    """As in etcd, the code is lost and the text is not."""
    client = await connect(peers, node)
    assert (await client.unary(LOCK, LockRequest(name=b"door", lease=12345)))[:2] == UNKNOWN_LEASE
    assert (await client.unary(CAMPAIGN, CampaignRequest(name=b"e", lease=1)))[:2] == UNKNOWN_LEASE
    assert (await client.unary(UNLOCK, UnlockRequest()))[:2] == (
        2,
        "etcdserver: key is not provided",
    )
    missing = (2, '"leader" field must be provided')
    assert (await client.unary(ELECTION + "Proclaim", ProclaimRequest()))[:2] == missing
    assert (await client.unary(ELECTION + "Resign", ResignRequest()))[:2] == missing
    nobody = (2, "election: no leader")
    assert (await client.unary(ELECTION + "Leader", LeaderRequest(name=b"e")))[:2] == nobody
    stale = ProclaimRequest(leader=LeaderKey(name=b"e", key=b"e/1", rev=1, lease=1), value=b"x")
    assert (await client.unary(ELECTION + "Proclaim", stale))[:2] == (2, "election: not leader")
    client.close()


async def test_observers_follow(peers: ModuleType, node: Node) -> None:
    """Every leader and every value that it proclaims, in order, across a change of the leader."""
    client, observer = await connect(peers, node), await connect(peers, node)
    stream_id = await observer.start(OBSERVE, LeaderRequest(name=b"e"))
    observer.grpc.half_close(stream_id)

    async def observed() -> bytes:
        response = await observer.next(stream_id, OBSERVE)
        assert isinstance(response, LeaderResponse)
        return bytes(response.kv.value)

    await wait_in_line(peers, node, 0)
    campaign = CampaignRequest(name=b"e", lease=await lease(node), value=b"anna")
    code, _, answer = await client.unary(CAMPAIGN, campaign)
    leader = CampaignResponse.FromString(answer).leader
    assert code == 0
    assert await observed() == b"anna"
    proclaim = ProclaimRequest(leader=leader, value=b"anna 2")
    assert (await client.unary(ELECTION + "Proclaim", proclaim))[0] == 0
    assert await observed() == b"anna 2"
    rival = CampaignRequest(name=b"e", lease=await lease(node), value=b"bert")
    waiting = client.grpc.call(CAMPAIGN, rival.SerializeToString())
    await client.flush()
    await wait_in_line(peers, node, 2)
    assert (await client.unary(ELECTION + "Resign", ResignRequest(leader=leader)))[0] == 0
    assert await client.status(waiting) == (0, "")
    assert await observed() == b"bert"
    code, _, answer = await client.unary(ELECTION + "Leader", LeaderRequest(name=b"e"))
    assert LeaderResponse.FromString(answer).kv.value == b"bert"
    observer.close()
    client.close()
    await peers.settled(node)


async def test_keep_alive_streams(peers: ModuleType, node: Node) -> None:
    """An answer for each request, TTL 0 for a lease that is not there; half-close ends it."""
    client = await connect(peers, node)
    one = await lease(node, 10)
    stream_id = await client.start(KEEP_ALIVE)
    for lease_id, ttl in ((one, 10), (99, 0), (one, 10), (-1, 0), (0, 0)):
        await client.send(stream_id, LeaseKeepAliveRequest(ID=lease_id))
        answer = await client.next(stream_id, KEEP_ALIVE)
        assert (lease_id, ttl) == (answer.ID, answer.TTL)
    client.grpc.half_close(stream_id)
    assert await client.status(stream_id) == (0, "")
    client.close()


async def test_many_locks_of_one_client_end_with_it(peers: ModuleType, node: Node) -> None:
    """Two thousand that wait are two thousand tasks; none is left, nor is one of their keys."""
    client = await connect(peers, node)
    one, two = await lease(node), await lease(node)
    for number in range(1000):
        await node.local.put(b"n%d/held" % number, b"", lease=one)
        await ask_lock(client, two, b"n%d" % number)
    await wait_in_line(peers, node, 1000)
    async with peers.well_served(node):
        peers.reset(client.raw.sock)
        await peers.until(lambda: node.tasks.running == 0)
    assert len(await keys(node, b"n")) == 1000
    await peers.settled(node)


async def test_too_many_tasks_are_refused(
    peers: ModuleType, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locks that wait are bounded: beyond the bound it is an answer, and others are served."""
    monkeypatch.setattr("triode.actors.helpers.TASKS_MAX", 50)
    client = await connect(peers, node)
    one, two = await lease(node), await lease(node)
    await node.local.put(b"door/held", b"", lease=one)
    asked = [await ask_lock(client, two) for _ in range(80)]
    codes = []
    async with peers.well_served(node):
        with trio.fail_after(peers.ANSWER_SECONDS_MAX):
            while len(client.ended) < 30:
                await client.pump()
        codes = [client.ended[stream_id] for stream_id in asked if stream_id in client.ended]
    assert set(codes) == {(2, "etcdserver: too many requests")}
    assert (await client.unary(peers.PUT, PutRequest(key=b"a")))[0] == 0
    client.close()
    await peers.settled(node)
