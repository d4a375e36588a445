"""Leadership is handed over (dissertation, 3.10): every case."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from triode.raft import ConfChangeType, Message, MessageType, ProposalDropped


def pending(network: ModuleType, **config: Any) -> Any:
    """Node 1 waits for node 3, which it cannot reach and which lacks an entry."""
    net = network.led(1, 2, 3, **config)
    net.isolate(3)
    net.propose(1, b"x")
    net[1].node.transfer_leader(3)
    net.run()
    assert net[1].raft.lead_transferee == 3
    return net


def test_it_needs_no_patience_with_check_quorum(network: ModuleType) -> None:
    """The others would ignore a campaign; this one says that the leader asked for it."""
    net = network.led(1, 2, 3, check_quorum=True, pre_vote=True)
    net[1].node.transfer_leader(2)
    net.run()
    assert net.leaders() == [2]
    net[1].node.transfer_leader(1)  # from a follower: it is passed on
    net.run()
    assert net.leaders() == [1]


def test_a_second_request_for_another_node_replaces_the_first(network: ModuleType) -> None:
    net = pending(network)
    net[1].node.transfer_leader(2)
    net.run()
    assert net.leaders() == [2]


def test_a_second_request_for_the_same_node_gives_no_more_time(network: ModuleType) -> None:
    net = pending(network)
    net.tick(5, only=1)
    net[1].node.transfer_leader(3)
    net.tick(5, only=1)
    assert net[1].raft.lead_transferee == 0
    assert net.leaders() == [1]


def test_a_request_for_the_leader_itself_only_ends_the_transfer(network: ModuleType) -> None:
    net = pending(network)
    net[1].node.transfer_leader(1)
    assert net[1].raft.lead_transferee == 0
    net.propose(1, b"y")
    assert net[1].data == [b"x", b"y"]


def test_a_vote_of_a_later_term_ends_it(network: ModuleType) -> None:
    net = pending(network)
    net[2].node.campaign()
    net.run()
    assert net.leaders() == [2]
    assert net[1].raft.lead_transferee == 0


@pytest.mark.parametrize(
    "kind", [ConfChangeType.REMOVE_NODE, ConfChangeType.ADD_LEARNER_NODE], ids=str
)
def test_it_ends_when_its_target_can_no_longer_lead(
    network: ModuleType, kind: ConfChangeType
) -> None:
    net = network.led(1, 2, 3)
    net.lose = lambda m: m.type is MessageType.TIMEOUT_NOW
    net[1].node.propose_conf_change(network.ConfChange(kind, 3))
    net[1].node.transfer_leader(3)
    net.run()
    assert net[1].raft.lead_transferee == 0
    net.propose(1, b"x")
    assert net[1].data == [b"x"]


def test_a_member_that_was_removed_does_not_obey(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.change(1, ConfChangeType.REMOVE_NODE, 3)
    net[3].node.apply_conf_change(network.ConfChange(ConfChangeType.REMOVE_NODE, 3))
    net[3].node.step(Message(MessageType.TIMEOUT_NOW, to=3, from_=1, term=net[1].raft.term))
    net.run()
    assert net.leaders() == [1]
    assert net[3].raft.term == 1


def test_reads_go_on_and_proposals_wait(network: ModuleType) -> None:
    net = pending(network)
    with pytest.raises(ProposalDropped):
        net[1].node.propose_batch([b"y"])
    net[1].node.read_index(b"r")
    net.run()
    assert [read.context for read in net[1].reads] == [b"r"]
