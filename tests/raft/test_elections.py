"""Elections with PreVote, CheckQuorum and learners, and in clusters where not all have them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import attrs
import pytest

from triode.raft import ConfChangeType, Message, MessageType, StateType

FOLLOWER, CANDIDATE, LEADER = StateType.FOLLOWER, StateType.CANDIDATE, StateType.LEADER
PRE_CANDIDATE = StateType.PRE_CANDIDATE


def states(net: Any) -> dict[int, StateType]:
    return {node: peer.raft.state for node, peer in net.peers.items()}


def let_expire(peer: Any) -> None:
    """Time passes without a word of the leader, and without a campaign."""
    for _ in range(peer.config["election_ticks"]):
        peer.raft.election_elapsed += 1


# --- The own vote ---------------------------------------------------------------------------------


@pytest.mark.parametrize("pre_vote", [False, True])
def test_the_own_vote_of_a_lost_election_comes_too_late(
    network: ModuleType, pre_vote: bool
) -> None:
    net = network.Network(1, 2, 3, pre_vote=pre_vote)
    peer = net[1]
    peer.node.campaign()
    ready = peer.node.ready()  # the own vote is being written
    peer.node.step(Message(MessageType.HEARTBEAT, to=1, from_=2, term=1))
    assert peer.raft.state is FOLLOWER
    peer.node.advance(ready)
    assert peer.raft.state is FOLLOWER
    assert peer.raft.tracker.votes == {}


def test_the_own_pre_vote_does_not_count_in_the_election(network: ModuleType) -> None:
    net = network.Network(1, 2, 3, pre_vote=True)
    peer = net[1]
    peer.node.campaign()
    ready = peer.node.ready()
    for other in (2, 3):
        peer.node.step(Message(MessageType.PRE_VOTE_RESP, to=1, from_=other, term=1))
    assert peer.raft.state is CANDIDATE
    peer.node.advance(ready)  # delivers the pre-vote
    assert peer.raft.tracker.votes == {}
    net.collect()
    assert peer.raft.state is CANDIDATE
    assert peer.raft.tracker.votes == {1: True}


def test_an_acknowledgement_of_a_former_term_is_not_counted(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    peer = net[1]
    peer.node.propose(b"x")
    ready = peer.node.ready()  # the own entry is being written
    peer.node.step(Message(MessageType.HEARTBEAT, to=1, from_=2, term=2))
    peer.node.advance(ready)
    assert peer.raft.state is FOLLOWER
    assert peer.raft.log.committed == 1


# --- PreVote (dissertation, 9.6) ------------------------------------------------------------------


def test_a_split_pre_vote_is_decided_at_the_next_timeout(network: ModuleType) -> None:
    net = network.led(1, 2, 3, pre_vote=True)
    net.isolate(1)
    for node in (2, 3):
        net[node].node.campaign()
    net.run()
    # Both got each other's pre-vote, both stand, and each votes for itself.
    assert (states(net)[2], states(net)[3]) == (CANDIDATE, CANDIDATE)
    assert net[2].raft.term == net[3].raft.term == 2
    net.elect(2)
    assert (states(net)[2], states(net)[3]) == (LEADER, FOLLOWER)
    assert net[2].raft.term == 3


def test_a_node_of_a_smaller_term_can_win(network: ModuleType) -> None:
    """A node that was away and is behind in terms gets pre-votes, and does not block the others."""
    net = network.Network(1, 2, 3, pre_vote=True)
    net.isolate(3)
    net.elect(1)
    net.elect(2)
    assert [net[n].raft.term for n in (1, 2, 3)] == [2, 2, 0]
    net.heal()
    net.isolate(2)
    net[3].node.campaign()
    net[1].node.campaign()
    net.run()
    net[3].node.campaign()
    net[1].node.campaign()
    net.run()
    assert LEADER in (states(net)[1], states(net)[3])


def test_of_those_who_hear_no_leader_one_is_elected_with_both_checks(network: ModuleType) -> None:
    net = network.led(1, 2, 3, pre_vote=True, check_quorum=True)
    net.isolate(1)
    let_expire(net[2])
    net.elect(3)
    assert states(net)[3] is LEADER
    assert net[3].raft.term == 2


def _mixed(network: ModuleType) -> Any:
    """Node 3 has no PreVote yet, and stands at a higher term with a shorter log."""
    net = network.led(1, 2, 3)
    net.isolate(3)
    net.propose(1, b"some data")
    net.elect(3)
    net.elect(3)
    for node in (1, 2):
        net[node].raft.config = _with_pre_vote(net[node].raft.config)
    assert states(net) == {1: LEADER, 2: FOLLOWER, 3: CANDIDATE}
    assert [net[n].raft.term for n in (1, 2, 3)] == [1, 1, 3]
    return net


def _with_pre_vote(config: Any) -> Any:

    return attrs.evolve(config, pre_vote=True)


def test_while_members_are_upgraded_to_pre_vote_an_election_succeeds(network: ModuleType) -> None:
    net = _mixed(network)
    net[3].raft.config = _with_pre_vote(net[3].raft.config)
    net.heal()
    net.isolate(1)
    net.elect(3)
    assert states(net)[3] is not LEADER
    net.elect(2)  # learns of the higher term
    net.elect(2)
    assert states(net)[2] is LEADER
    assert states(net)[3] is FOLLOWER


def test_a_stuck_pre_candidate_of_a_higher_term_is_freed(network: ModuleType) -> None:
    net = _mixed(network)
    net[3].raft.config = _with_pre_vote(net[3].raft.config)
    net.heal()
    net.elect(3)
    # The leader's next heartbeat is of an earlier term; the answer makes it step down.
    net.tick(1, only=1)
    assert net[1].raft.term == net[3].raft.term
    assert states(net)[1] is FOLLOWER


# --- CheckQuorum (dissertation, 6.2 and 4.2.3) ------------------------------------------------------


def test_a_vote_is_given_once_the_lease_is_over(network: ModuleType) -> None:
    net = network.led(1, 2, 3, check_quorum=True)
    net[3].node.campaign()
    net.run()
    assert states(net) == {1: LEADER, 2: FOLLOWER, 3: CANDIDATE}  # both are in the lease
    assert net[2].raft.term == 1
    let_expire(net[2])
    net.elect(3)
    assert states(net)[3] is LEADER


def test_a_candidate_that_is_stuck_at_a_higher_term_is_freed(network: ModuleType) -> None:
    net = network.led(1, 2, 3, check_quorum=True)
    net.isolate(1)
    net.elect(3)
    net.elect(3)
    assert states(net)[3] is CANDIDATE
    net.heal()
    net.tick(1, only=1)  # its answer to the heartbeat tells the leader of its term
    assert states(net)[1] is FOLLOWER
    assert net[1].raft.term == net[3].raft.term
    let_expire(net[2])
    net.elect(3)
    assert states(net)[3] is LEADER


def test_one_who_is_no_voter_follows_the_leader(network: ModuleType) -> None:
    net = network.Network(1, check_quorum=True)
    net.add(2, check_quorum=True)
    net.elect(1)
    net.tick(30, only=2)
    assert states(net) == {1: LEADER, 2: FOLLOWER}


def test_a_leader_that_reaches_a_quorum_stays(network: ModuleType) -> None:
    net = network.led(1, 2, 3, check_quorum=True)
    net.isolate(3)
    net.tick(50, only=1)
    assert states(net)[1] is LEADER


def test_a_new_member_has_an_election_timeout_to_answer(network: ModuleType) -> None:

    net = network.led(1, check_quorum=True)
    for _ in range(9):
        net[1].node.tick()
    net.change(1, ConfChangeType.ADD_NODE, 2)
    net[1].node.tick()
    assert states(net)[1] is LEADER
    for _ in range(10):
        net[1].node.tick()
    assert states(net)[1] is FOLLOWER


# --- Learners, and odd moments --------------------------------------------------------------------


def test_a_learner_never_campaigns_and_ignores_the_order_to(network: ModuleType) -> None:
    net = network.led(1, 2, learners=[3])
    net[3].node.campaign()
    assert states(net)[3] is FOLLOWER
    net[3].node.step(Message(MessageType.TIMEOUT_NOW, to=3, from_=1, term=1))
    assert states(net)[3] is FOLLOWER
    net.isolate(3)
    net.tick(40, only=3)
    assert net[3].raft.term == 1


def test_a_learner_gives_its_vote_to_who_asks(network: ModuleType) -> None:
    """It may have been made a voter, and not know it yet."""
    net = network.Network(1, 2, learners=[3])
    vote = Message(MessageType.VOTE, to=3, from_=2, term=2, log_term=11, index=11)
    net[3].node.step(vote)
    (answer,) = net[3].work()
    assert (answer.type, answer.reject) == (MessageType.VOTE_RESP, False)


@pytest.mark.parametrize("pre_vote", [False, True])
def test_a_leader_ignores_a_campaign(network: ModuleType, pre_vote: bool) -> None:
    net = network.led(1, 2, 3, pre_vote=pre_vote)
    term = net[1].raft.term
    net.elect(1)
    assert (states(net)[1], net[1].raft.term) == (LEADER, term)


@pytest.mark.parametrize("role", list(StateType), ids=str)
@pytest.mark.parametrize("kind", [MessageType.VOTE, MessageType.PRE_VOTE], ids=str)
def test_a_vote_of_a_later_term_is_given_from_any_role(
    network: ModuleType, role: StateType, kind: MessageType
) -> None:
    net = network.Network(1, 2, 3, pre_vote=role is PRE_CANDIDATE)
    if role is LEADER:
        net.elect(1)
    elif role is not FOLLOWER:
        net[1].node.campaign()
    net[1].work()
    assert states(net)[1] is role
    term = net[1].raft.term
    net[1].node.step(Message(kind, to=1, from_=2, term=term + 1, log_term=term + 1, index=9))
    (answer,) = net[1].work()
    assert (answer.term, answer.reject) == (term + 1, False)
    voted = kind is MessageType.VOTE
    assert states(net)[1] is (FOLLOWER if voted else role)
    assert net[1].raft.term == term + voted
    if voted:
        assert net[1].raft.vote == 2


@pytest.mark.parametrize("loser", [FOLLOWER, CANDIDATE])
def test_duelling_candidates(network: ModuleType, loser: StateType) -> None:
    """Nodes 1 and 3 cannot reach each other; 2 votes for the first."""
    net = network.Network(1, 2, 3)
    net.cuts = {(1, 3), (3, 1)}
    net[1].node.campaign()
    net[3].node.campaign()
    net.run()
    assert states(net) == {1: LEADER, 2: FOLLOWER, 3: CANDIDATE}
    net.heal()
    if loser is FOLLOWER:
        net.tick(1, only=1)
        assert states(net)[3] is FOLLOWER
    else:
        net.elect(3)  # raises the term; its log is shorter, so it does not win
        assert net.leaders() == []
        assert net[1].raft.term == 2
