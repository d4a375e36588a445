"""A member of another cluster has the address of one of ours: neither takes the other's word for anything."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import triode.testing
from triode.rpc.pb.rpc_pb2 import AlarmRequest

ASKED = [
    ("GET", "/members"),
    ("GET", "/members/hashkv"),
    ("POST", "/members/promote/7"),
    ("POST", "/leases"),
    ("POST", "/leases/internal"),
    ("GET", "/downgrade/enabled"),
    ("GET", "/version"),
]
OTHER = "c2"


@pytest.mark.parametrize(("verb", "path"), ASKED)
async def test_what_a_stranger_asks_is_not_answered(t: Any, verb: str, path: str) -> None:
    async with t.served() as (owner, _, wire):
        await wire.send(t.request(verb, path, X_Etcd_Cluster_ID=OTHER))
        status, headers, body = await wire.reply()
        assert (status, body) == (412, b"cluster ID mismatch\n")
        assert headers["x-etcd-cluster-id"] == "c1"
        assert owner.asked == []


async def test_who_does_not_say_whose_he_is_is_answered(t: Any) -> None:
    """A new member does not know yet, and etcd's members do not say it on every path."""
    async with t.served() as (_, _, wire):
        await wire.send(t.request("GET", "/members", X_Etcd_Cluster_ID=""))
        assert (await wire.reply())[0] == 200


@pytest.mark.parametrize("status", [b"200 OK", b"204 No Content", b"403 Forbidden", b"410 Gone"])
@pytest.mark.parametrize(("verb", "path"), ASKED)
async def test_what_a_stranger_answers_does_not_count(
    t: Any, verb: str, path: str, status: bytes
) -> None:
    """It may not have looked at the question: etcd checks it on few paths."""

    async def stranger(stream: trio.SocketStream) -> None:
        async with stream:
            while await stream.receive_some():
                await stream.send_all(
                    b"HTTP/1.1 %b\r\nX-Etcd-Cluster-ID: %b\r\nContent-Length: 0\r\n\r\n"
                    % (status, OTHER.encode())
                )

    owner = t.Owner(t.A)
    peers = t.make(owner)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, stranger, listeners)
        peers.add(t.B, [f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"])
        async with t.run(peers):
            with pytest.raises(OSError, match="belongs to another cluster, c2"):
                await peers.ask(t.B, verb, path)
            assert not owner.was_told_removed, "a stranger has not removed us either"
        nursery.cancel_scope.cancel()


async def test_a_stranger_at_a_members_address_makes_nobody_corrupt(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It has other data at the same revision; the leader compares hashes every few seconds."""
    async with triode.testing.cluster(3, corrupt_check_time=2.0) as cluster:
        leader = await cluster.leader()
        gone = next(one for one in cluster.machines.values() if one is not leader)
        client = cluster.client(leader)
        for number in range(5):
            await client.put(b"%d" % number, b"ours")
        await cluster.kill(gone)
        stranger = cluster.start_stranger(gone)
        await stranger.wait_ready()
        for number in range(9):
            await cluster.client(stranger).put(b"%d" % number, b"theirs")
        await trio.sleep(10)
        assert list((await client.call("Maintenance/Alarm", AlarmRequest())).alarms) == []
        await client.put(b"still", b"writable")
        await cluster.stop_stranger(gone, stranger)
        await cluster.restart(gone)
        assert (await cluster.client(gone).get(b"still")).count == 1
