"""A cluster of a real etcd 3.5.1 and our links, with raft in memory behind them: the bytes are etcd's."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio

from triode.actors.membership import Member, cluster_id, member_id
from triode.raft.state import StateType
from triode.raft.types import MessageType
from triode.rpc.pb.raft_internal_pb2 import InternalRaftRequest, RequestHeader
from triode.rpc.pb.rpc_pb2 import PutRequest

pytestmark = pytest.mark.etcd

TOKEN = "etcd-cluster"
SECONDS_MAX = 30.0


@attrs.define(eq=False)
class Mixed:
    """Both members and what is between them."""

    etcd: Any
    etcd_id: int
    member: Any
    peers: Any
    owner: Any


@pytest.fixture
def mixed(
    t: Any, raft_owner: Any, free_ports: Callable[[int], list[int]], launch_etcd: Callable[..., Any]
) -> Any:
    """`async with mixed(election_ticks, *flags of etcd)`: a cluster that has a leader."""

    @asynccontextmanager
    async def run(election_ticks: int, *flags: str) -> AsyncIterator[Mixed]:
        owner = t.Owner(0)
        peers = t.make(owner)
        ours, theirs = owner.peer_urls[0], f"http://127.0.0.1:{free_ports(1)[0]}"
        members = [
            Member(member_id([theirs], TOKEN), (theirs,), "default"),
            Member(member_id([ours], TOKEN), (ours,), "ours"),
        ]
        owner.member_id = members[1].id
        owner.cluster_id = cluster_id(m.id for m in members)
        peers.add(members[0].id, members[0].peer_urls)
        members.sort(key=lambda m: m.id)
        member = raft_owner.RaftMember(owner, peers, members, election_ticks)
        words = ["--listen-peer-urls", theirs, "--initial-advertise-peer-urls", theirs]
        words += ["--initial-cluster", f"default={theirs},ours={ours}", *flags]
        async with t.run(peers), trio.open_nursery() as nursery:
            nursery.start_soon(member.tick)
            etcd = await trio.to_thread.run_sync(lambda: launch_etcd(*words))
            etcd_id = next(m.id for m in members if m.id != owner.member_id)
            yield Mixed(etcd, etcd_id, member, peers, owner)
            nursery.cancel_scope.cancel()

    return run


async def ctl(etcd: Any, *words: str) -> str:
    done = await trio.to_thread.run_sync(lambda: etcd.ctl(*words))
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def put(number: int, key: bytes, value: bytes) -> bytes:
    return InternalRaftRequest(
        header=RequestHeader(ID=number), put=PutRequest(key=key, value=value)
    ).SerializeToString()


async def test_etcd_leads_and_we_follow(t: Any, mixed: Any) -> None:
    """Its votes, appends and heartbeats are understood, and so are our answers."""
    async with mixed(100) as cluster:
        await t.until(lambda: t.streams(cluster.peers, cluster.etcd_id), SECONDS_MAX)
        for n in range(20):
            await ctl(cluster.etcd, "put", f"key-{n}", "x" * n * 100)
        puts = [
            InternalRaftRequest.FromString(e.data)
            for e in cluster.member.applied
            if b"key-" in e.data and e.data
        ]
        assert [p.put.key for p in puts] == [b"key-%d" % n for n in range(20)]
        kinds = Counter(m.type for m in cluster.member.received)
        assert kinds[MessageType.VOTE] >= 1
        assert kinds[MessageType.APP] >= 20
        assert kinds[MessageType.HEARTBEAT] >= 1
        assert cluster.peers.active_since(cluster.etcd_id) is not None
        assert cluster.peers.traffic.received_failures == {}
        # The rest of an append stream goes without heads: etcd found nothing wrong with its own.
        assert "failed to" not in cluster.etcd.log().split("ready to serve client requests")[1]


async def test_we_lead_and_etcd_follows(t: Any, mixed: Any) -> None:
    """It takes our appends on the stream that it has dialled, and forwards its clients' puts."""
    async with mixed(10, "--election-timeout", "10000", "--heartbeat-interval", "100") as cluster:
        node = cluster.member.node
        assert node.raft.state is StateType.LEADER
        await t.until(lambda: t.streams(cluster.peers, cluster.etcd_id), SECONDS_MAX)
        for n in range(50):
            cluster.member.propose(put(n + 1000, b"key-%d" % n, b"y" * n))
        await ctl(cluster.etcd, "put", "from-etcd", "forwarded")
        assert "forwarded" in await ctl(cluster.etcd, "get", "from-etcd")
        found = await ctl(cluster.etcd, "get", "key-49", "--print-value-only")
        assert found.strip() == "y" * 49
        assert any(m.type is MessageType.PROP for m in cluster.member.received)
        assert any(m.type is MessageType.READ_INDEX for m in cluster.member.received)
        log = cluster.etcd.log().split("ready to serve client requests")[1]
        assert "lost TCP streaming connection" not in log


async def test_streams_come_back_when_etcd_does(t: Any, mixed: Any) -> None:
    """It is killed and started again: both sides dial anew."""
    async with mixed(100) as cluster:
        await t.until(lambda: t.streams(cluster.peers, cluster.etcd_id), SECONDS_MAX)
        cluster.etcd.kill()
        await t.until(lambda: cluster.peers.active_since(cluster.etcd_id) is None, SECONDS_MAX)
        assert not cluster.peers.link(cluster.etcd_id).messages.working
        words = cluster.etcd.process.args
        process = await trio.to_thread.run_sync(lambda: cluster.etcd.process.__class__(words))
        try:
            await t.until(lambda: t.streams(cluster.peers, cluster.etcd_id), SECONDS_MAX)
            assert cluster.peers.active_since(cluster.etcd_id) is not None
        finally:
            process.kill()
            process.wait()


async def test_etcd_sends_its_snapshot(t: Any, mixed: Any) -> None:
    """We have lost everything: the leader has cut its log, so it streams its database."""
    async with mixed(100, "--snapshot-count", "5500") as cluster:
        member = cluster.member
        for batch in range(12):  # etcd keeps the last 5000 entries
            member.node.propose_batch([put(batch << 10 | n, b"k", b"v") for n in range(500)])
            member.work()
            await t.until(lambda at=batch: len(member.applied) > 500 * (at + 1), SECONDS_MAX)
        member.begin(check_quorum=False)
        cluster.peers.link(cluster.etcd_id).appends.close()  # it probes, and hears what we lack
        cluster.peers.link(cluster.etcd_id).messages.close()
        await t.until(lambda: cluster.owner.incoming, SECONDS_MAX)
        incoming = cluster.owner.incoming[0]
        await t.until(lambda: incoming.end, SECONDS_MAX)
        assert incoming.end == "finished"
        assert incoming.data[16:20] == b"\xed\xda\x0c\xed"  # bbolt's mark on its first page
        assert len(incoming.data) % 4096 == 0
        assert incoming.message.type is MessageType.SNAP
        assert incoming.message.snapshot.metadata.index >= 5000
