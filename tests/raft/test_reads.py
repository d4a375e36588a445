"""Reads through ReadIndex (dissertation, 6.4): who is asked, who answers, and what is kept apart."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from triode.raft import Entry, Message, MessageType, ReadOnlyOption


def contexts(peer: Any) -> list[bytes]:
    return [read.context for read in peer.reads]


def test_equal_contexts_of_two_followers_are_two_reads(network: ModuleType) -> None:
    """The rounds go by the leader's own numbers; the context is only handed back."""
    net = network.led(1, 2, 3)
    for node in (2, 3, 1):
        net[node].node.read_index(b"same")
    net.run()
    assert {node: contexts(net[node]) for node in (1, 2, 3)} == {n: [b"same"] for n in (1, 2, 3)}


def test_a_context_asked_twice_is_answered_twice(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    for _ in range(2):
        net[1].node.read_index(b"again")
    net.run()
    assert contexts(net[1]) == [b"again", b"again"]


def test_a_learner_reads_but_its_word_does_not_count(network: ModuleType) -> None:
    net = network.led(1, 2, learners=[3])
    net.propose(1, b"x")
    net[3].node.read_index(b"learner's")
    net.run()
    assert net[3].reads == [(2, b"learner's")]
    net.isolate(2)
    net[1].node.read_index(b"leader's")
    net.run()
    assert net[1].reads == []
    net.heal()
    net.tick(1, only=1)  # the next heartbeat carries the question again
    assert contexts(net[1]) == [b"leader's"]


def test_confirmed_reads_are_forgotten(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    for n in range(20):
        net[1].node.read_index(b"%d" % n)
        net.run()
    assert contexts(net[1]) == [b"%d" % n for n in range(20)]
    assert not net[1].raft.read_only._waiting
    assert net[1].raft.read_only.context() == b""


def test_reads_are_answered_in_the_order_in_which_they_came(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net[1].node.read_index(b"first")
    net[1].node.propose(b"x")
    net[1].node.read_index(b"second")
    net.run()
    net[1].node.read_index(b"third")
    net.run()
    assert net[1].reads == [(1, b"first"), (1, b"second"), (2, b"third")]


def test_a_read_sent_to_a_former_leader_finds_the_new_one(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.elect(2)
    net[1].node.step(Message(MessageType.READ_INDEX, to=1, from_=3, entries=(Entry(data=b"late"),)))
    net.run()
    assert contexts(net[3]) == [b"late"]


def test_reads_of_a_leader_that_lost_its_office_are_dropped(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.isolate(1)
    net[1].node.read_index(b"lost")
    net.run()
    net.elect(2)
    net.heal()
    net.tick(3, only=2)
    assert net[1].reads == []
    net.elect(1)
    net.tick(3, only=1)
    assert net[1].reads == []


def test_a_joint_configuration_confirms_with_both_majorities(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.add(4)
    net.add(5)
    kinds = network.ConfChangeType
    steps = [
        (kinds.ADD_NODE, 4),
        (kinds.ADD_NODE, 5),
        (kinds.REMOVE_NODE, 2),
        (kinds.REMOVE_NODE, 3),
    ]
    net[1].node.propose_conf_change(network.explicit(*steps))
    net.run()
    net.tick(3, only=1)
    assert net[1].conf_state.voters_outgoing == (1, 2, 3)
    for away in ([2, 3], [4, 5]):
        net.heal()
        net[1].reads.clear()
        for node in away:
            net.isolate(node)
        net[1].node.read_index(b"r")
        net.run()
        assert net[1].reads == []
        net.heal()
        net.tick(1, only=1)
        assert contexts(net[1]) == [b"r"]


def test_an_answer_without_its_read_is_ignored(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net[2].node.step(Message(MessageType.READ_INDEX_RESP, to=2, from_=1, term=1, index=9))
    net[1].node.step(
        Message(
            MessageType.HEARTBEAT_RESP, to=1, from_=2, term=1, context=(99).to_bytes(8, "little")
        )
    )
    net.run()
    assert net[2].reads == net[1].reads == []


def test_by_lease_followers_are_answered_at_once(network: ModuleType) -> None:
    net = network.led(1, 2, 3, check_quorum=True, read_only_option=ReadOnlyOption.LEASE_BASED)
    net.isolate(3)
    net.lose = lambda m: m.type is MessageType.HEARTBEAT
    net[2].node.read_index(b"r")
    net.run()
    assert net[2].reads == [(1, b"r")]
