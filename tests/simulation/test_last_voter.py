"""The last voter of a cluster reads by itself, but not before its state is a leader's."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import triode.testing
from triode.rpc.pb.rpc_pb2 import (
    AlarmRequest,
    MemberListRequest,
    MemberRemoveRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from triode.testing import Cluster, Conditions, Machine

FSYNC_SECONDS = 0.4
LINK_SECONDS = 0.01


async def last_voter(cluster: Cluster) -> Machine:
    """Remove the leader of two just before it acknowledges a write; the other one, as soon as it leads.

    Its fsync is slow, so that it leads for a while without having committed anything.
    """
    await cluster.client().call("KV/Put", PutRequest(key=b"k", value=b"old"))
    leaving = await cluster.leader()
    (staying,) = (one for one in cluster.machines.values() if one is not leaving)
    await cluster.kill(staying)
    staying.disk_delay = lambda: FSYNC_SECONDS
    await cluster.restart(staying)
    await trio.sleep(2.0)
    assert await cluster.leader() is leaving
    client = cluster.client(leaving)
    acknowledged = trio.Event()

    async def put() -> None:
        await trio.sleep(5 * LINK_SECONDS)
        await client.call("KV/Put", PutRequest(key=b"k", value=b"new"))
        acknowledged.set()
        cluster.partition([leaving])

    async with trio.open_nursery() as nursery:
        request = MemberRemoveRequest(ID=cluster.member_id(leaving))
        nursery.start_soon(client.call, "Cluster/MemberRemove", request)
        nursery.start_soon(put)
    assert acknowledged.is_set()
    with trio.fail_after(30):
        while staying.node is None or not staying.node.peer.is_leader:  # noqa: ASYNC110
            await trio.sleep(LINK_SECONDS)
    return staying


def values(answer: Any) -> list[bytes]:
    return [kv.value for kv in answer.kvs]


@pytest.mark.parametrize("kind", ["range", "txn", "members", "alarms"])
async def test_a_read_before_the_first_commit_of_a_term(
    kind: str, autojump_clock: trio.testing.MockClock
) -> None:
    """The leader that was removed has acknowledged a write, which the survivor has in its log alone."""
    conditions = Conditions(delay_min=LINK_SECONDS, delay_max=LINK_SECONDS)
    async with triode.testing.cluster(
        2, seed=3, conditions=conditions, strict_reconfig_check=False
    ) as cluster:
        staying = await last_voter(cluster)
        node = staying.node
        assert node is not None
        assert node.applier.applied_term < node.peer.term, "it has committed nothing yet"
        client = cluster.client(staying)
        with trio.fail_after(5):
            if kind == "range":
                assert values(await client.call("KV/Range", RangeRequest(key=b"k"))) == [b"new"]
            elif kind == "txn":
                read = RequestOp(request_range=RangeRequest(key=b"k"))
                answer = await client.call("KV/Txn", TxnRequest(success=[read]))
                assert values(answer.responses[0].response_range) == [b"new"]
            elif kind == "members":
                await client.call("Cluster/MemberList", MemberListRequest(linearizable=True))
            else:
                await client.call("Maintenance/Alarm", AlarmRequest())
        assert node.applier.applied_term == node.peer.term, "the read has waited for its commit"


async def test_a_single_voter_reads_at_once_when_it_has_committed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with triode.testing.cluster(1) as cluster:
        node = cluster.machine(1).node
        assert node is not None
        assert node.context.reads_locally
        asked = node.peer._rounds.waiting
        await cluster.client().call("KV/Range", RangeRequest(key=b"k"))
        assert asked == node.peer._rounds.waiting == 0
