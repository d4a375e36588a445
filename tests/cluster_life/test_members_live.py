"""Members in one program over loopback: what only whole nodes show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from triode.errors import (
    BadLeaderTransferee,
    ConfigError,
    LearnerNotReady,
    MemberNotFound,
    MemberNotLearner,
    MemberRemoved,
    NotLeader,
    NotSupportedForLearner,
    PeerURLExist,
    TooManyLearners,
)
from triode.rpc.pb import rpc_pb2 as pb

CLUSTER = "/etcdserverpb.Cluster/"
LEASE = "/etcdserverpb.Lease/"
KV = "/etcdserverpb.KV/"


async def test_three_members(m: Any, tmp_path: Path) -> None:
    """They elect, agree on the version, list themselves alike, and answer for leases everywhere."""
    async with m.members(tmp_path) as cluster:
        await cluster.start("a", "b", "c")
        nodes = list(cluster.nodes.values())
        await m.until(lambda: all(node.membership.version == "3.6.0" for node in nodes))
        await m.until(lambda: all(len(node.membership.members) == 3 for node in nodes))
        lists = [
            await m.ask(
                node,
                CLUSTER + "MemberList",
                pb.MemberListRequest(linearizable=True),
                pb.MemberListResponse,
            )
            for node in nodes
        ]
        assert all(listed.members == lists[0].members for listed in lists)
        assert sorted(member.name for member in lists[0].members) == ["a", "b", "c"]
        assert len({node.header.cluster_id for node in nodes}) == 1
        granted = await m.ask(
            cluster.leader(),
            LEASE + "LeaseGrant",
            pb.LeaseGrantRequest(TTL=100),
            pb.LeaseGrantResponse,
        )
        put = pb.PutRequest(key=b"k", lease=granted.ID)
        await m.ask(cluster.followers()[0], KV + "Put", put, pb.PutResponse)
        for node in nodes:
            request = pb.LeaseTimeToLiveRequest(ID=granted.ID, keys=True)
            found = await m.ask(
                node, LEASE + "LeaseTimeToLive", request, pb.LeaseTimeToLiveResponse
            )
            assert (found.ID, found.grantedTTL, list(found.keys)) == (granted.ID, 100, [b"k"])
            assert 95 <= found.TTL <= 100
            unknown = pb.LeaseTimeToLiveRequest(ID=99)
            found = await m.ask(
                node, LEASE + "LeaseTimeToLive", unknown, pb.LeaseTimeToLiveResponse
            )
            assert (found.ID, found.TTL, found.grantedTTL) == (99, -1, 0)
            assert await m.keep_alive(node, granted.ID, 99, granted.ID) == [100, 0, 100]


async def test_leadership_on_request(m: Any, tmp_path: Path) -> None:
    """MoveLeader is answered when the other one leads."""
    path = "/etcdserverpb.Maintenance/MoveLeader"
    async with m.members(tmp_path) as cluster:
        await cluster.start("a", "b", "c")
        old, new = cluster.leader(), cluster.followers()[0]
        request = pb.MoveLeaderRequest(targetID=new.member_id)
        with pytest.raises(NotLeader):
            await m.ask(new, path, request, pb.MoveLeaderResponse)
        with pytest.raises(BadLeaderTransferee):
            await m.ask(old, path, pb.MoveLeaderRequest(targetID=5), pb.MoveLeaderResponse)
        await m.ask(old, path, request, pb.MoveLeaderResponse)
        assert old.peer.leader == new.member_id
        await m.until(lambda: new.peer.is_leader)


async def test_growing_and_shrinking(m: Any, tmp_path: Path) -> None:
    """A learner joins, is no server yet, is promoted and serves; a member that goes stops itself for ever."""
    async with m.members(tmp_path) as cluster:
        cluster.settings = {"strict_reconfig_check": False}  # it wants members of five seconds
        await cluster.start("a")
        leader = cluster.leader()
        url = cluster.urls["b"] = m.free_url()
        add = pb.MemberAddRequest(peerURLs=[url], isLearner=True)
        added = await m.ask(leader, CLUSTER + "MemberAdd", add, pb.MemberAddResponse)
        assert added.member.isLearner and len(added.members) == 2
        with pytest.raises(TooManyLearners):
            await m.ask(
                leader,
                CLUSTER + "MemberAdd",
                pb.MemberAddRequest(peerURLs=[m.free_url()], isLearner=True),
                pb.MemberAddResponse,
            )
        with pytest.raises(PeerURLExist):
            await m.ask(
                leader,
                CLUSTER + "MemberUpdate",
                pb.MemberUpdateRequest(ID=leader.member_id, peerURLs=[url]),
                pb.MemberUpdateResponse,
            )
        promote = pb.MemberPromoteRequest(ID=added.member.ID)
        with pytest.raises(LearnerNotReady):
            await m.ask(leader, CLUSTER + "MemberPromote", promote, pb.MemberPromoteResponse)
        with pytest.raises(MemberNotFound):
            await m.ask(
                leader,
                CLUSTER + "MemberPromote",
                pb.MemberPromoteRequest(ID=9),
                pb.MemberPromoteResponse,
            )
        await cluster.start("b", everybody=("a", "b"), initial_cluster_state="existing")
        learner = cluster.nodes["b"]
        assert learner.member_id == added.member.ID
        with pytest.raises(NotSupportedForLearner):
            await m.ask(learner, KV + "Put", pb.PutRequest(key=b"k"), pb.PutResponse)
        with pytest.raises(NotSupportedForLearner):
            await m.ask(learner, KV + "Range", pb.RangeRequest(key=b"k"), pb.RangeResponse)
        await m.ask(
            learner, KV + "Range", pb.RangeRequest(key=b"k", serializable=True), pb.RangeResponse
        )
        status = await m.ask(
            learner, "/etcdserverpb.Maintenance/Status", pb.StatusRequest(), pb.StatusResponse
        )
        assert status.isLearner
        await m.until(lambda: leader.peer.match_index(learner.member_id) == leader.peer.last_index)
        done = await m.ask(leader, CLUSTER + "MemberPromote", promote, pb.MemberPromoteResponse)
        assert not any(member.isLearner for member in done.members)
        await m.until(lambda: not learner.membership.is_learner(learner.member_id))
        with pytest.raises(MemberNotLearner):  # asked of a follower, which asks the leader
            await m.ask(learner, CLUSTER + "MemberPromote", promote, pb.MemberPromoteResponse)
        await m.ask(learner, KV + "Put", pb.PutRequest(key=b"k"), pb.PutResponse)
        remove = pb.MemberRemoveRequest(ID=learner.member_id)
        left = await m.ask(leader, CLUSTER + "MemberRemove", remove, pb.MemberRemoveResponse)
        assert [member.name for member in left.members] == ["a"]
        assert isinstance(await cluster.ended("b"), MemberRemoved)
        with pytest.raises(MemberRemoved):
            await cluster.start("b", everybody=("a", "b"), initial_cluster_state="existing")
        await m.ask(leader, KV + "Put", pb.PutRequest(key=b"k"), pb.PutResponse)


async def test_a_quorum_is_lost_for_ever(m: Any, tmp_path: Path) -> None:
    """One of three goes on alone with all that was acknowledged, and can grow again."""
    async with m.members(tmp_path) as cluster:
        await cluster.start("a", "b", "c")
        for n in range(10):
            await m.ask(cluster.leader(), KV + "Put", pb.PutRequest(key=b"%d" % n), pb.PutResponse)
        await m.until(lambda: len({node.store.revision for node in cluster.nodes.values()}) == 1)
        await cluster.stop("a", "b", "c")
        await cluster.start("b", force_new_cluster=True)
        node = cluster.nodes["b"]
        assert [member.name for member in node.membership.sorted()] == ["b"]
        found = await m.ask(
            node, KV + "Range", pb.RangeRequest(key=b"0", range_end=b"9a"), pb.RangeResponse
        )
        assert found.count == 10
        assert len(node.membership.removed) == 2
        await cluster.stop("b")
        await cluster.start("b")
        await m.ask(cluster.nodes["b"], KV + "Put", pb.PutRequest(key=b"k"), pb.PutResponse)
        add = pb.MemberAddRequest(peerURLs=[m.free_url()])
        await m.ask(cluster.nodes["b"], CLUSTER + "MemberAdd", add, pb.MemberAddResponse)


async def test_lost_data_is_told(m: Any, tmp_path: Path) -> None:
    """A member whose directory is gone is not begun anew while the others know it."""
    async with m.members(tmp_path) as cluster:
        await cluster.start("a", "b", "c")
        await m.until(
            lambda: all(
                all(one.client_urls for one in node.membership.sorted())
                for node in cluster.nodes.values()
            )
        )
        await cluster.stop("c")
        (tmp_path / "c").rename(tmp_path / "gone")
        with pytest.raises(Exception, match="has already been bootstrapped"):
            await cluster.start("c", everybody=("a", "b", "c"))
        with pytest.raises(ConfigError, match="member count is unequal"):
            await cluster.start("c", everybody=("a", "c"), initial_cluster_state="existing")
