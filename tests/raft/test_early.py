"""Which messages of a Ready may leave before it is stored (dissertation, 3.8 and 10.2.1)."""

from __future__ import annotations

from types import ModuleType

import pytest

from triode.raft import Message, MessageType, Ready
from triode.raft.ready import early_count


def _kinds(ready: Ready) -> tuple[list[MessageType], list[MessageType]]:
    """The types of the messages that may leave early, and of the others."""
    kinds = [m.type for m in ready.messages]
    return kinds[: ready.early], kinds[ready.early :]


def test_a_leaders_appends_and_heartbeats_leave_early(network: ModuleType) -> None:
    leader = network.led(1, 2, 3)[1]
    leader.node.propose(b"x")
    leader.node.tick()
    early, late = _kinds(leader.node.ready())
    assert early == [MessageType.APP] * 2 + [MessageType.HEARTBEAT] * 2
    assert late == []


def test_what_a_follower_acknowledges_does_not(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net[1].node.propose(b"x")
    net[1].node.tick()
    for m in net[1].work():
        net[m.to].node.step(m)
    early, late = _kinds(net[2].node.ready())
    assert early == [MessageType.HEARTBEAT_RESP]
    assert late == [MessageType.APP_RESP]


def test_a_request_for_votes_does_not_but_a_pre_vote_does(network: ModuleType) -> None:
    net = network.Network(1, 2, 3)
    net[1].node.campaign()
    assert _kinds(net[1].node.ready()) == ([], [MessageType.VOTE] * 2)
    net = network.Network(1, 2, 3, pre_vote=True)
    net[1].node.campaign()
    assert _kinds(net[1].node.ready()) == ([MessageType.PRE_VOTE] * 2, [])


def test_nor_does_anything_after_it() -> None:
    kinds = [MessageType.PROP, MessageType.VOTE, MessageType.APP]
    assert early_count([Message(kind) for kind in kinds]) == 1


@pytest.mark.parametrize("campaigns_again", [False, True])
def test_a_crash_before_the_save_leaves_no_vote_behind(
    network: ModuleType, campaigns_again: bool
) -> None:
    """Node 2 asks for votes with an entry that it loses, and is not to win by the answers."""
    net = network.led(1, 2, 3)
    net[1].node.propose(b"committed")
    sent = net[1].work()
    for m in sent:
        net[m.to].node.step(m)
    net[3].work()  # nodes 1 and 3 have the entry; node 2 is only about to write it
    net[2].node.campaign()
    ready = net[2].node.ready()
    for m in ready.messages[: ready.early]:
        net[m.to].node.step(m)
    answers = [m for peer in (net[1], net[3]) for m in peer.work() if m.to == 2]
    net[2].start()  # before anything was saved
    if campaigns_again:
        net[2].node.campaign()
        net[2].work()
    for m in answers:
        net[2].node.step(m)
    assert net.leaders() == [1]
