"""Keep-alives in a cluster: confirmed by a quorum after they were asked for, many in a round. In virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import triode.testing
from triode.actors import proposals
from triode.actors.call import Call
from triode.actors.reaper import checkpoint_request
from triode.rpc.pb import rpc_pb2 as pb
from triode.testing import Conditions

TTL = 8
SLOW_LINKS = Conditions(delay_min=0.05, delay_max=0.05)


@pytest.fixture
async def cluster() -> AsyncIterator[triode.testing.Cluster]:
    async with triode.testing.cluster(members=3, conditions=SLOW_LINKS) as three:
        yield three


class Stream:
    """One keep-alive call to a member."""

    def __init__(self, m: Any, node: Any) -> None:
        self.answers = m.Answers()
        self._stream = node.dispatcher.open("/etcdserverpb.Lease/LeaseKeepAlive", self.answers)

    def ask(self, lease: int) -> None:
        self._stream.message(pb.LeaseKeepAliveRequest(ID=lease).SerializeToString())

    def half_close(self) -> None:
        self._stream.half_closed()

    def told(self) -> list[tuple[int, int]]:
        parsed = map(pb.LeaseKeepAliveResponse.FromString, self.answers.messages)
        return [(answer.ID, answer.TTL) for answer in parsed]


async def grant(m: Any, node: Any, lease: int, ttl: int = TTL) -> None:
    request = pb.LeaseGrantRequest(ID=lease, TTL=ttl)
    await m.ask(node, "/etcdserverpb.Lease/LeaseGrant", request, pb.LeaseGrantResponse)


def count_rounds(node: Any) -> list[bytes]:
    """The contexts for which this member asks raft from now on."""
    asked: list[bytes] = []
    read_index = node.peer._node.read_index

    def counting(context: bytes) -> None:
        asked.append(context)
        read_index(context)

    node.peer._node.read_index = counting
    return asked


async def test_many_share_a_round(m: Any, autojump_clock: MockClock, cluster: Any) -> None:
    """Of all streams, and in the order of each."""
    leader = await cluster.leader()
    for lease in (1, 2, 3):
        await grant(m, leader.node, lease)
    rounds = count_rounds(leader.node)
    streams = [Stream(m, leader.node) for _ in range(20)]
    for stream in streams:
        for lease in (1, 2, 3, 1):
            stream.ask(lease)
    assert [stream.told() for stream in streams] == [[]] * 20, "nobody has confirmed anything"
    await trio.sleep(0.2)
    for stream in streams:
        assert stream.told() == [(1, TTL), (2, TTL), (3, TTL), (1, TTL)]
    assert len(rounds) == 1


async def test_an_answer_waits_for_those_before_it(
    m: Any, autojump_clock: MockClock, cluster: Any
) -> None:
    """One that is not there takes longer, as it is asked for again; its answer comes in its turn all the same."""
    leader = await cluster.leader()
    await grant(m, leader.node, 1)
    stream = Stream(m, leader.node)
    for lease in (1, 99, 1, 98, 1):
        stream.ask(lease)
    stream.half_close()
    await trio.sleep(2)
    assert stream.told() == [(1, TTL), (99, 0), (1, TTL), (98, 0), (1, TTL)]
    assert stream.answers.ended == [None]


async def test_a_leader_that_is_cut_off_renews_nothing(
    m: Any, autojump_clock: MockClock, cluster: Any
) -> None:
    """Not even in the time in which it has every reason to believe that it leads."""
    leader = await cluster.leader()
    await grant(m, leader.node, 1)
    stream = Stream(m, leader.node)
    cluster.partition([leader])
    stream.ask(1)
    await trio.sleep(0.5)
    assert leader.node.peer.is_leader
    assert stream.told() == []


@pytest.mark.parametrize("stall", [False, True])
async def test_a_leader_that_was_stopped_asks_first(
    m: Any, autojump_clock: MockClock, cluster: Any, stall: bool
) -> None:
    """Its clock may have stood still with it. The others have ended the lease in the meantime."""
    leader = await cluster.leader()
    await grant(m, leader.node, 1, ttl=3)
    stream = Stream(m, leader.node)
    leader.pause(stall=stall)
    await trio.sleep(30)
    with trio.CancelScope() as scope:
        scope.deadline = trio.current_time() + 0.01
        leader.resume()
        stream.ask(1)
        await trio.sleep_forever()
    assert stream.told() == [], "it cannot know anything yet"
    await trio.sleep(10)
    assert stream.told() == [(1, 0)]


async def test_a_confirmation_that_was_under_way_is_too_old(
    m: Any, autojump_clock: MockClock, cluster: Any
) -> None:
    """It says nothing of the time after its beginning: each keep-alive has a round that began after it."""
    leader = await cluster.leader()
    await grant(m, leader.node, 1)
    rounds = count_rounds(leader.node)
    first, second = Stream(m, leader.node), Stream(m, leader.node)
    first.ask(1)
    await trio.sleep(0.06)  # the heartbeats of the first round have arrived, and are answered
    second.ask(1)
    await trio.sleep(0.045)
    assert (first.told(), second.told()) == ([(1, TTL)], [])
    await trio.sleep(0.1)
    assert second.told() == [(1, TTL)]
    assert len(rounds) == 2


async def test_a_stopping_node_ends_the_streams(
    m: Any, autojump_clock: MockClock, cluster: Any
) -> None:
    leader = await cluster.leader()
    await grant(m, leader.node, 1)
    stream = Stream(m, leader.node)
    stream.ask(1)
    await cluster.stop(leader)
    assert stream.told() in ([], [(1, TTL)])
    assert len(stream.answers.ended) <= 1


async def test_a_single_member_asks_nobody(m: Any, autojump_clock: MockClock) -> None:
    async with triode.testing.cluster(members=1) as one:
        node = one.machine(1).node
        await grant(m, node, 1)
        rounds = count_rounds(node)
        stream = Stream(m, node)
        stream.ask(1)
        assert stream.told() == [(1, TTL)]
        assert rounds == []


async def test_no_lease_ends_early_when_the_others_restart(
    m: Any, autojump_clock: MockClock
) -> None:
    """Members that restart forget that they have a leader, and elect another one at once."""
    for seed in range(6):
        async with triode.testing.cluster(
            5, seed=seed, election_timeout=5.0, heartbeat_interval=0.5
        ) as five:
            leader = await five.leader()
            await grant(m, leader.node, 1)
            await trio.sleep(seed * 0.7)
            others = [one for one in five.machines.values() if one is not leader]
            asked = Asked(m, leader.node)
            asked.ask()
            await trio.sleep(0.2)
            five.partition([leader])
            for one in others:
                await five.kill(one)
                five.start(one)
            while (
                new := next((o for o in others if o.node and o.node.leading.active), None)
            ) is None:
                asked.ask()
                await trio.sleep(0.1)
            node = new.node
            assert node is not None
            while node.lessor.exists(1):  # noqa: ASYNC110  # from outside
                await trio.sleep(0.1)
            assert trio.current_time() >= asked.promised()


class Asked:
    """Keep-alives of a lease at one member, with the time of each."""

    def __init__(self, m: Any, node: Any) -> None:
        self._stream = Stream(m, node)
        self._at: list[float] = []

    def ask(self) -> None:
        self._at.append(trio.current_time())
        self._stream.ask(1)

    def promised(self) -> float:
        """Until when the lease lives, by the answers so far."""
        answers = self._stream.told()
        assert answers, "the first one was answered"
        return max(at + ttl for at, (_, ttl) in zip(self._at, answers, strict=False))


async def test_a_checkpoint_on_its_way_is_cleared_first(m: Any, autojump_clock: MockClock) -> None:
    """It was proposed before the keep-alive and is applied after it; the next leader would begin from it."""
    async with triode.testing.cluster(3, conditions=SLOW_LINKS) as three:
        leader: Any = await three.leader()
        await grant(m, leader.node, 1, ttl=900)
        lessor, asked = leader.node.lessor, Stream(m, leader.node)
        proposed = watch_checkpoints(leader.node)
        with trio.fail_after(400):
            await proposed.wait()
        assert lessor._leases[1].remaining_ttl == 0, "it is not applied yet"
        asked.ask(1)
        began = trio.current_time()
        await trio.sleep(1)
        assert asked.told() == [(1, 900)]
        assert lessor._leases[1].remaining_ttl == 0, "it was cleared"
        await three.crash(leader)
        new: Any = (await three.leader()).node
        await trio.sleep(890)
        assert trio.current_time() < began + 900
        assert new.lessor.exists(1)


async def test_a_clearing_that_is_lost_with_the_leader(
    m: Any, autojump_clock: MockClock, cluster: Any
) -> None:
    """Its entry has been overwritten; the keep-alive is asked again, of the next leader, and the stream goes on."""
    leader = await cluster.leader()
    await grant(m, leader.node, 1, ttl=900)
    proposer = leader.node.context.proposer
    await proposer.ask(proposals.LEASE_CHECKPOINT, checkpoint_request([(1, 700)]))
    propose = proposer.propose

    def cut_off(call: Call, kind: int, *request: Any) -> None:
        propose(call, kind, *request)
        if kind == proposals.LEASE_CHECKPOINT:
            cluster.partition([leader])

    proposer.propose = cut_off
    stream = Stream(m, leader.node)
    stream.ask(1)
    await trio.sleep(3)
    proposer.propose = propose
    assert (await cluster.leader()) is not leader
    assert stream.told() == []
    cluster.heal()
    await trio.sleep(3)
    assert (stream.told(), stream.answers.ended) == ([(1, 900)], [])
    for machine in cluster.serving:
        assert machine.node.lessor._leases[1].remaining_ttl == 0


def watch_checkpoints(node: Any) -> trio.Event:
    """Set in the turn in which a checkpoint has been proposed."""
    proposed = trio.Event()
    propose: Callable[[int, Call, int, Any], None] = node.context.proposer.propose_as_leader

    def noting(term: int, call: Call, kind: int, request: Any) -> None:
        propose(term, call, kind, request)
        if isinstance(request, pb.LeaseCheckpointRequest):
            proposed.set()

    node.context.proposer.propose_as_leader = noting
    return proposed
