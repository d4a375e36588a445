"""Membership changes, one at a time and joint, on clusters of a few nodes."""

from __future__ import annotations

from types import ModuleType

import pytest

from triode.raft import (
    ConfChange,
    ConfChangeRefused,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    EntryType,
    Message,
    MessageType,
    ProposalDropped,
    Snapshot,
    SnapshotMetadata,
    StateType,
)

FOLLOWER, LEADER = StateType.FOLLOWER, StateType.LEADER
CAREFUL = {"pre_vote": True, "check_quorum": True}
ADD, REMOVE = ConfChangeType.ADD_NODE, ConfChangeType.REMOVE_NODE
LEARN = ConfChangeType.ADD_LEARNER_NODE


def test_a_node_is_added_and_catches_up(network: ModuleType) -> None:
    net = network.led(1)
    net.propose(1, b"before")
    net.add(2)
    net.change(1, ADD, 2)
    net.tick(3, only=1)
    assert net[2].data == [b"before"]
    assert net[1].conf_state == net[2].conf_state == ConfState(voters=(1, 2))


def test_one_change_at_a_time(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net[1].node.propose_conf_change(ConfChange(REMOVE, 3))
    net[1].node.propose_conf_change(ConfChange(REMOVE, 2))
    net.run()
    assert net[1].conf_state.voters == (1, 2)
    assert [e.type for e in net[1].applied] == [
        EntryType.NORMAL,
        EntryType.CONF_CHANGE,
        EntryType.NORMAL,
    ]


def test_a_learner_gets_entries_but_has_no_vote(network: ModuleType) -> None:
    net = network.led(1, 2, learners=[3])
    net.isolate(2)
    net.propose(1, b"x")
    assert net[1].data == []  # the learner's copy does not count
    net.heal()
    net.tick(3, only=1)
    assert net[3].data == [b"x"]
    net.tick(60, only=3)
    assert net[3].raft.state is FOLLOWER
    net.change(1, ADD, 3)
    assert net[1].conf_state == ConfState(voters=(1, 2, 3))


def test_removing_a_node_can_commit_what_waited_for_it(network: ModuleType) -> None:
    net = network.led(1, 2)
    net[1].node.propose_conf_change(ConfChange(REMOVE, 2))
    net.run()
    assert net[1].conf_state.voters == (1,)
    net.isolate(2)
    net.propose(1, b"alone")
    assert net[1].data == [b"alone"]


@pytest.mark.parametrize("step_down", [True, False])
def test_a_leader_that_removes_itself(network: ModuleType, step_down: bool) -> None:
    net = network.led(1, 2, 3, step_down_on_removal=step_down)
    net.change(1, REMOVE, 1)
    assert (net[1].raft.state is LEADER) is not step_down
    with pytest.raises(ProposalDropped):
        net[1].node.propose(b"x")
    net.elect(2)
    net.propose(2, b"y")
    assert net[3].data == [b"y"]


def test_a_transfer_to_a_node_that_is_removed_is_given_up(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net[1].node.propose_conf_change(ConfChange(REMOVE, 3))
    net.isolate(3)
    net[1].node.transfer_leader(3)
    net.run()
    net.propose(1, b"x")
    assert net[2].data == [b"x"]


V2 = tuple[ConfChangeSingle, ...]
REPLACE: V2 = (ConfChangeSingle(ADD, 4), ConfChangeSingle(REMOVE, 3))


def test_two_members_are_exchanged_through_a_joint_configuration(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.add(4)
    net[1].node.propose_conf_change(ConfChangeV2(changes=REPLACE))
    net.run()
    joint = ConfState((1, 2, 4), voters_outgoing=(1, 2, 3), auto_leave=True)
    assert net[1].memberships == [joint, ConfState((1, 2, 4))]
    net.tick(2, only=1)
    assert net[4].conf_state == ConfState(voters=(1, 2, 4))


def test_an_explicit_joint_configuration_stays_until_it_is_left(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.add(4)
    explicit = ConfChangeTransition.JOINT_EXPLICIT
    net[1].node.propose_conf_change(ConfChangeV2(explicit, REPLACE))
    net.run()
    joint = ConfState(voters=(1, 2, 4), voters_outgoing=(1, 2, 3))
    assert net[1].conf_state == joint
    net[1].node.propose_conf_change(ConfChange(REMOVE, 2))  # not before it is left
    net.run()
    assert net[1].conf_state == joint
    net[1].node.propose_conf_change(ConfChangeV2())
    net.run()
    assert net[1].conf_state == ConfState(voters=(1, 2, 4))


def test_a_joint_configuration_commits_with_both_majorities_only(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    for node in (4, 5):
        net.add(node)
    changes = (ConfChangeSingle(ADD, 4), ConfChangeSingle(ADD, 5), ConfChangeSingle(REMOVE, 2))
    explicit = ConfChangeTransition.JOINT_EXPLICIT
    net[1].node.propose_conf_change(ConfChangeV2(explicit, (*changes, ConfChangeSingle(REMOVE, 3))))
    net.run()
    net.tick(3, only=1)
    net.isolate(2)
    for other in (1, 4, 5):
        net.cuts |= {(3, other), (other, 3)}
    net.propose(1, b"x")  # incoming 1, 4, 5 have it; of outgoing 1, 2, 3 only one
    assert net[1].data == []
    net.heal()
    net.tick(3, only=1)
    assert net[1].data == [b"x"]


def test_a_demoted_voter_waits_for_the_end_of_the_joint_configuration(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.add(4)
    changes = (ConfChangeSingle(ADD, 4), ConfChangeSingle(LEARN, 3))
    explicit = ConfChangeTransition.JOINT_EXPLICIT
    net[1].node.propose_conf_change(ConfChangeV2(explicit, changes))
    net.run()
    assert net[1].conf_state == ConfState((1, 2, 4), (), (1, 2, 3), (3,))
    net[1].node.propose_conf_change(ConfChangeV2())
    net.run()
    assert net[1].conf_state == ConfState((1, 2, 4), (3,))


@pytest.mark.parametrize(
    "change",
    [
        ConfChange(REMOVE, 1),
        ConfChangeV2(),
        ConfChangeV2(changes=(ConfChangeSingle(REMOVE, 1), ConfChangeSingle(LEARN, 2))),
    ],
    ids=["removes all", "leaves what is not joint", "removes all jointly"],
)
def test_an_impossible_change_is_refused_and_changes_nothing(
    network: ModuleType, change: ConfChange | ConfChangeV2
) -> None:
    net = network.led(1)
    before = net[1].node.status()
    with pytest.raises(ConfChangeRefused):
        net[1].node.apply_conf_change(change)
    after = net[1].node.status()
    assert after.config == before.config
    assert list(after.progress) == list(before.progress)


def test_a_late_change_does_not_undo_the_membership_of_a_snapshot(network: ModuleType) -> None:
    """With asynchronous writes the applier may be behind a snapshot that has just come."""
    node = network.Network(1, 2, 3, async_storage_writes=True)[2].node
    snapshot = Snapshot(b"", SnapshotMetadata(ConfState((1, 2, 4)), 9, 1))
    node.step(Message(MessageType.SNAP, to=2, from_=1, term=1, snapshot=snapshot))
    assert node.apply_conf_change(ConfChange(ADD, 3)).voters == (1, 2, 4)
    assert node.status().config.voters.ids == {1, 2, 4}


def test_a_node_does_not_campaign_over_a_committed_change_that_it_has_not_applied(
    network: ModuleType,
) -> None:
    net = network.led(1, 2, 3)
    net.lose = lambda m: m.type == MessageType.APP and m.to == 2 and m.commit > 1
    net.change(1, REMOVE, 3)
    net.heal()
    follower = net[2]
    follower.raft.log.commit_to(2)
    follower.node.campaign()
    assert follower.raft.state is FOLLOWER


def test_forgetting_the_leader_lets_a_node_vote_at_once(network: ModuleType) -> None:
    net = network.led(1, 2, 3, **CAREFUL)
    net.isolate(1)
    net.elect(2)
    assert net.leaders() == [1]
    net[3].node.forget_leader()
    net.elect(2)
    assert set(net.leaders()) == {1, 2}
