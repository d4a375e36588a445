"""What the leader watches over, in whole members over loopback: corrupt data, versions; and pages of health."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from triode.actors.node import Node
from triode.errors import (
    Corrupt,
    CorruptData,
    DowngradeInProcess,
    InvalidDowngradeTargetVersion,
    NoInflightDowngrade,
    NoLeader,
    TriodeError,
    WrongDowngradeVersionFormat,
)
from triode.mvcc.alarm import CORRUPT
from triode.rpc.pb import rpc_pb2 as pb

KV = "/etcdserverpb.KV/"
CLUSTER = "/etcdserverpb.Cluster/"
MAINTENANCE = "/etcdserverpb.Maintenance/"


async def put(m: Any, node: Node, key: bytes, value: bytes = b"value") -> None:
    await m.ask(node, KV + "Put", pb.PutRequest(key=key, value=value), pb.PutResponse)


async def same_revision(m: Any, cluster: Any) -> None:
    await m.until(lambda: len({node.store.revision for node in cluster.nodes.values()}) == 1)


def turn_a_bit(node: Node) -> None:
    """Change a stored value behind the store's back."""
    key, row = node.opened.backend.range("key", b"", None)[-1]
    assert b"value" in row
    node.opened.backend.put("key", key, row.replace(b"value", b"valuf"))


def culprits(node: Node) -> list[int]:
    return [alarm.member_id for alarm in node.alarms.get() if alarm.kind == CORRUPT]


async def test_corrupt_data_now(m: Any, tmp_path: Path) -> None:
    """The member whose hash differs is named, on all members, and writes stop."""
    async with m.members(tmp_path) as cluster:
        cluster.settings = {"corrupt_check_time": 0.2}
        await cluster.start("a", "b", "c")
        await put(m, cluster.leader(), b"k")
        await same_revision(m, cluster)
        await trio.sleep(0.5)
        assert not any(culprits(node) for node in cluster.nodes.values())
        victim = cluster.followers()[0]
        turn_a_bit(victim)
        nodes = cluster.nodes.values()
        await m.until(lambda: all(culprits(node) == [victim.member_id] for node in nodes))
        with pytest.raises(Corrupt):
            await put(m, cluster.leader(), b"k")
        page = await victim.pages.answer("GET", "/readyz")
        assert page.status == 503
        assert b"[-]data_corruption failed: alarm activated: CORRUPT" in page.body


async def test_corrupt_data_at_a_compaction(m: Any, tmp_path: Path) -> None:
    """The hashes that compactions leave are compared, if the gate is open."""
    async with m.members(tmp_path) as cluster:
        cluster.settings = {
            "feature_gates": "CompactHashCheck=true",
            "compact_hash_check_time": 0.2,
        }
        await cluster.start("a", "b", "c")
        leader = cluster.leader()
        for key in (b"a", b"b"):
            await put(m, leader, key)
        await same_revision(m, cluster)
        compact = pb.CompactionRequest(revision=2, physical=True)
        await m.ask(leader, KV + "Compact", compact, pb.CompactionResponse)
        await m.until(lambda: leader.monitors._revision_checked == 2)
        victim = cluster.followers()[0]
        turn_a_bit(victim)
        compact = pb.CompactionRequest(revision=3, physical=True)
        await m.ask(leader, KV + "Compact", compact, pb.CompactionResponse)
        await m.until(lambda: culprits(leader) == [victim.member_id])


async def test_corrupt_data_at_the_start(m: Any, tmp_path: Path) -> None:
    """A member with other data than the others does not start, if the gate is open."""
    async with m.members(tmp_path) as cluster:
        await cluster.start("a", "b", "c")
        await put(m, cluster.leader(), b"k")
        await same_revision(m, cluster)
        name = cluster.followers()[0].config.name
        await cluster.stop(name)
        gate = {"feature_gates": "InitialCorruptCheck=true"}
        await cluster.start(name, everybody=("a", "b", "c"), **gate)
        turn_a_bit(cluster.nodes[name])
        await cluster.stop(name)
        with pytest.raises(TriodeError) as caught:
            await cluster.start(name, everybody=("a", "b", "c"), **gate)
        error: BaseException = caught.value
        while error.__cause__ is not None:
            error = error.__cause__
        assert isinstance(error, CorruptData)
        assert "found data inconsistency with peers" in str(error)


async def test_downgrade(m: Any, tmp_path: Path) -> None:
    """Etcd's answers; the cluster's version goes down with it, and up again when it is cancelled."""

    async def ask(action: int, version: str = "") -> str:
        request = pb.DowngradeRequest(action=action, version=version)
        answer = await m.ask(node, MAINTENANCE + "Downgrade", request, pb.DowngradeResponse)
        return str(answer.version)

    async with m.members(tmp_path) as cluster:
        cluster.settings = {"downgrade_check_time": 0.1}
        await cluster.start("a")
        node = cluster.nodes["a"]
        validate, enable, cancel = 0, 1, 2
        assert await ask(validate, "3.5.0") == "3.6"
        for version, error in (
            ("3.4.0", InvalidDowngradeTargetVersion),
            ("3.6", InvalidDowngradeTargetVersion),
            ("x", WrongDowngradeVersionFormat),
        ):
            with pytest.raises(error):
                await ask(enable, version)
        with pytest.raises(NoInflightDowngrade):
            await ask(cancel)
        assert await ask(enable, "3.5") == "3.6"
        assert node.membership.downgrade == (True, "3.5.0")
        with pytest.raises(DowngradeInProcess):
            await ask(enable, "3.5.0")
        await m.until(lambda: node.membership.version == "3.5.0")
        assert await ask(cancel) == "3.5"
        await m.until(lambda: node.membership.version == "3.6.0")


async def test_health_without_a_quorum(m: Any, tmp_path: Path) -> None:
    """A member alone is alive, not ready; streams that want a leader end, others stay."""
    async with m.members(tmp_path) as cluster:
        await cluster.start("a", "b", "c")
        node = cluster.followers()[0]
        assert (await node.pages.answer("GET", "/health")).status == 200
        assert (await node.pages.answer("GET", "/readyz")).status == 200
        led, plain = m.Answers(), m.Answers()
        path = "/etcdserverpb.Watch/Watch"
        create = pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"k"))
        for out, metadata in ((led, {"hasleader": "true"}), (plain, {})):
            stream = node.dispatcher.open(path, out, metadata)
            assert stream is not None
            stream.message(create.SerializeToString())
        others = [name for name in cluster.nodes if cluster.nodes[name] is not node]
        await cluster.stop(*others)
        await m.until(lambda: bool(led.ended))
        assert [type(error) for error in led.ended] == [NoLeader]
        assert plain.ended == []
        refused = m.Answers()
        assert node.dispatcher.open(path, refused, {"hasleader": "true"}) is None
        assert [type(error) for error in refused.ended] == [NoLeader]
        assert (await node.pages.answer("GET", "/livez")).status == 200
        page = await node.pages.answer("GET", "/health")
        assert (page.status, b"RAFT NO LEADER" in page.body) == (503, True)
        assert (await node.pages.answer("GET", "/health?serializable=true")).status == 200


async def test_many_changes_at_once(m: Any, tmp_path: Path) -> None:
    """Raft takes one after the other; those that come too early wait, wherever they come."""
    async with m.members(tmp_path) as cluster:
        cluster.settings = {"strict_reconfig_check": False, "max_learners": 20}
        await cluster.start("a", "b", "c")
        nodes = list(cluster.nodes.values())

        async def add(number: int) -> None:
            request = pb.MemberAddRequest(peerURLs=[f"http://127.0.0.9:{number}"], isLearner=True)
            await m.ask(nodes[number % 3], CLUSTER + "MemberAdd", request, pb.MemberAddResponse)

        with trio.fail_after(6):  # less than a request's timeout
            async with trio.open_nursery() as nursery:
                for number in range(1, 10):
                    nursery.start_soon(add, number)
        assert len(nodes[0].membership.members) == 12
