"""What a snapshot does to the node that gets it, and to the leader's view of that node."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from triode.raft import (
    ConfState,
    Entry,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
    StateType,
)
from triode.raft.tracker import ProgressState

FOLLOWER, LEADER = StateType.FOLLOWER, StateType.LEADER


def snap(state: ConfState, index: int = 11, term: int = 11, *, to: int = 1) -> Message:
    """A leader's snapshot, of term 11."""
    snapshot = Snapshot(b"state", SnapshotMetadata(state, index, term))
    return Message(MessageType.SNAP, to=to, from_=2, term=term, snapshot=snapshot)


def answer(peer: Any) -> Message:
    (message,) = peer.work()
    assert isinstance(message, Message)
    return message


# --- The follower (Raft, 7) -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "learns"),
    [
        (ConfState(voters=(1, 2, 3)), False),
        (ConfState(voters=(2, 3), learners=(1,)), True),
        (ConfState(voters=(2, 3), voters_outgoing=(1, 2, 3)), False),
        (
            ConfState(voters=(2, 3), voters_outgoing=(1, 2, 3), learners_next=(1,)),
            False,
        ),
    ],
    ids=["voters", "learner", "outgoing", "next"],
)
def test_log_and_membership_are_those_of_the_snapshot(
    network: ModuleType, state: ConfState, learns: bool
) -> None:
    peer = network.Network(1, 2, 3)[1]
    peer.node.step(snap(state))
    assert (answer(peer).type, peer.raft.log.last_index()) == (MessageType.APP_RESP, 11)
    assert peer.raft.log.term(11) == 11
    assert peer.raft.tracker.config.conf_state() == state
    assert peer.raft.is_learner is learns
    assert peer.conf_state == state
    # Again it is old news, and changes nothing.
    peer.node.step(snap(state))
    assert answer(peer).index == 11
    for _ in range(40):
        peer.node.tick()
    assert (peer.raft.state is FOLLOWER) is learns


def test_a_voter_may_come_back_as_learner_and_a_learner_as_voter(network: ModuleType) -> None:
    peer = network.Network(2, 3, learners=[1])[1]
    assert peer.raft.is_learner
    peer.node.step(snap(ConfState(voters=(1, 2, 3))))
    peer.work()
    assert not peer.raft.is_learner
    peer.node.step(snap(ConfState(voters=(2, 3), learners=(1,)), 12, 12))
    peer.work()
    assert peer.raft.is_learner


def test_a_snapshot_that_does_not_name_the_node_is_ignored(network: ModuleType) -> None:
    peer = network.Network(1, 2, 3)[1]
    peer.node.step(snap(ConfState(voters=(2, 3))))
    assert answer(peer).index == 0
    assert peer.raft.tracker.config.conf_state() == ConfState(voters=(1, 2, 3))


def test_a_conflicting_log_is_discarded_as_a_whole(network: ModuleType) -> None:
    peer = network.Network(1, 2, 3)[1]
    peer.storage.append([Entry(1, index) for index in range(1, 20)])
    peer.start()
    peer.node.step(snap(ConfState(voters=(1, 2, 3))))
    peer.work()
    assert (peer.raft.log.first_index(), peer.raft.log.last_index()) == (12, 11)


def test_entries_after_the_snapshots_last_one_are_kept(network: ModuleType) -> None:
    peer = network.Network(1, 2, 3)[1]
    peer.storage.append([Entry(11, index) for index in range(1, 20)])
    peer.start()
    peer.node.step(snap(ConfState(voters=(1, 2, 3))))
    assert answer(peer).index == 11
    assert (peer.raft.log.first_index(), peer.raft.log.last_index()) == (1, 19)
    assert peer.raft.log.committed == 11


def test_entries_may_come_with_the_snapshot_in_one_ready(network: ModuleType) -> None:
    peer = network.Network(1, 2, 3)[1]
    peer.node.step(snap(ConfState(voters=(1, 2, 3))))
    entry = Entry(11, 12, data=b"next")
    peer.node.step(
        Message(MessageType.APP, to=1, from_=2, term=11, index=11, log_term=11, entries=(entry,))
    )
    ready = peer.node.ready()
    assert ready.snapshot is not None
    assert ready.entries == [entry]
    assert ready.committed_entries == []


def test_a_candidate_that_gets_a_snapshot_follows(network: ModuleType) -> None:
    peer = network.Network(1, 2, 3)[1]
    peer.node.campaign()
    peer.work()
    peer.node.step(snap(ConfState(voters=(1, 2, 3))))
    assert (peer.raft.state, peer.raft.lead) == (FOLLOWER, 2)


# --- The leader -------------------------------------------------------------------------------------


def behind(network: ModuleType) -> Any:
    """Node 2 needs entries that node 1, the leader, has no more; a snapshot is under way."""
    net = network.led(1, 2, 3)
    net.isolate(2)
    for n in range(5):
        net.propose(1, b"%d" % n)
    net[1].snapshot()
    net[1].raft.tracker.progress[2].recent_active = True
    net[1].raft.tracker.progress[2].become_probe()
    net[1].node.step(Message(MessageType.HEARTBEAT_RESP, to=1, from_=2, term=1))
    (message,) = [m for m in net[1].work() if m.to == 2]
    assert message.type is MessageType.SNAP
    progress = net[1].raft.tracker.progress[2]
    assert progress.state is ProgressState.SNAPSHOT
    assert progress.pending_snapshot == net[1].applied_index == 6
    return net


def test_a_snapshot_that_succeeded_is_followed_by_probing_after_it(network: ModuleType) -> None:
    net = behind(network)
    net[1].node.report_snapshot(2, failed=False)
    progress = net[1].raft.tracker.progress[2]
    assert (progress.state, progress.next) == (ProgressState.PROBE, 7)
    assert progress.paused  # until its own answer, or a heartbeat's


def test_a_snapshot_that_failed_is_followed_by_probing_from_before(network: ModuleType) -> None:
    net = behind(network)
    net[1].node.report_snapshot(2, failed=True)
    progress = net[1].raft.tracker.progress[2]
    assert (progress.state, progress.next) == (ProgressState.PROBE, progress.match + 1)
    assert progress.paused


@pytest.mark.parametrize("index", [6, 7])
def test_an_answer_that_reaches_our_log_ends_the_wait(network: ModuleType, index: int) -> None:
    """Whether that snapshot arrived, or something newer by another way."""
    net = behind(network)
    net.propose(1, b"later")
    net[1].node.step(Message(MessageType.APP_RESP, to=1, from_=2, term=1, index=index))
    progress = net[1].raft.tracker.progress[2]
    assert (progress.state, progress.match) == (ProgressState.REPLICATE, index)
    assert progress.next == 8


def test_an_answer_that_does_not_reach_it_does_not(network: ModuleType) -> None:
    net = behind(network)
    net[1].node.step(Message(MessageType.APP_RESP, to=1, from_=2, term=1, index=3))
    progress = net[1].raft.tracker.progress[2]
    assert (progress.state, progress.match) == (ProgressState.SNAPSHOT, 3)


def test_leadership_goes_to_a_node_once_it_has_its_snapshot(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.isolate(3)
    net.propose(1, b"x")
    net[1].snapshot()
    net.heal()
    net[1].node.transfer_leader(3)
    net.run()  # the snapshot, its answer, the order to campaign
    assert net.leaders() == [3]
    assert net[1].raft.lead == 3
