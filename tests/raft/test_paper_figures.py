"""More rules of the Raft paper: its figures 3 and 8, crashes, membership, snapshots and clients.

The rest is in `test_paper`; D marks Ongaro's dissertation.
"""

from __future__ import annotations

import random
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest

from triode.raft import (
    ConfChangeType,
    ConfState,
    Entry,
    HardState,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
    StateType,
)

FOLLOWER, CANDIDATE, LEADER = StateType.FOLLOWER, StateType.CANDIDATE, StateType.LEADER


def stored(peer: Any, *terms: int, term: int, vote: int = 0) -> None:
    """Restart a node with a stored log of these terms."""
    peer.storage.append([Entry(t, index) for index, t in enumerate(terms, 1)])
    peer.storage.set_hard_state(HardState(term, vote, 0))
    peer.start()


# --- 5.2: elections -----------------------------------------------------------------------------------


def test_5_2_whoever_hears_of_a_leader_does_not_campaign(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.tick(200)
    assert net.leaders() == [1]
    assert net[1].raft.term == 1


@pytest.mark.parametrize("role", [FOLLOWER, CANDIDATE], ids=str)
def test_5_2_randomized_timeouts_make_split_votes_rare(
    network: ModuleType, role: StateType
) -> None:
    """Of five nodes that time out, mostly one is the first; each draws anew every time."""
    conflicts = 0
    for trial in range(60):
        rng = random.Random(trial)
        net = network.Network(*range(1, 6), random_below=rng.randrange)
        for peer in net.peers.values():
            if role is CANDIDATE:
                peer.node.campaign()
                peer.work()
        due = [peer.raft.randomized_election_timeout for peer in net.peers.values()]
        conflicts += due.count(min(due)) > 1
        assert all(10 <= ticks < 20 for ticks in due)
    assert conflicts / 60 < 0.5


# --- Figure 3: leader append-only; 5.3: retries ------------------------------------------------------


def test_fig_3_a_leader_only_appends_to_its_log(network: ModuleType) -> None:
    net = network.Network(1, 2, 3)
    stored(net[1], 1, 2, 2, term=2)
    stored(net[2], 1, 1, 1, 1, 1, term=1)
    net.elect(1)
    logs = [net[1].log()]
    for n in range(5):
        net.propose(1, b"%d" % n)
        logs.append(net[1].log())
    assert logs[0][:3] == [(1, 1), (2, 2), (2, 3)]
    assert all(after[: len(before)] == before for before, after in pairwise(logs))


def test_5_3_appends_are_repeated_until_every_follower_has_them(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.isolate(3)
    net.propose(1, b"x")
    assert net[1].data == [b"x"]  # answered to the client, though 3 does not have it
    net.tick(4, only=1)
    assert net[3].data == []
    net.heal()
    net.tick(1, only=1)
    assert net[3].data == [b"x"]


# --- Figure 8: why a leader commits only what is of its own term (5.4.2) ------------------------------


@pytest.mark.parametrize("own_entry_spreads", [False, True])
def test_fig_8_an_old_entry_on_a_majority_may_still_be_overwritten(
    network: ModuleType, own_entry_spreads: bool
) -> None:
    net = network.Network(1, 2, 3, 4, 5, message_bytes_max=0)
    # (b): 1 led term 2, and 2 has its entry; 5 led term 3 alone.
    for node, terms in ((1, (1, 2)), (2, (1, 2)), (3, (1,)), (4, (1,)), (5, (1, 3))):
        stored(net[node], *terms, term=terms[-1])
    net[1].raft.term = 3
    # (c): 1 leads term 4, and the entry of term 2 reaches 3; its own reaches 2 and 3, or nobody.
    net.isolate(5)
    net.lose = lambda m: m.type is MessageType.APP and (m.to == 4 or not own_entry_spreads)
    net.elect(1)
    old = Message(
        MessageType.APP, to=3, from_=1, term=4, index=1, log_term=1, entries=[Entry(2, 2)]
    )
    net[3].node.step(old)
    net[1].node.step(Message(MessageType.APP_RESP, to=1, from_=2, term=4, index=2))
    net.run()
    assert net.leaders() == [1]
    assert [net[n].raft.log.term_or_zero(2) for n in (1, 2, 3)] == [2, 2, 2]
    assert net[1].raft.log.committed == (3 if own_entry_spreads else 0)
    # (d) or (e): 5 stands against those who have not, or have, an entry of term 4.
    net.heal()
    net.isolate(1)
    for _ in range(2):
        net.elect(5)
    assert net.leaders() == ([1] if own_entry_spreads else [1, 5])
    if not own_entry_spreads:
        assert [net[n].raft.log.term(2) for n in (2, 3, 4)] == [3, 3, 3]


# --- 5.5: crashes; requests may come twice ------------------------------------------------------------


def test_5_5_an_append_that_comes_twice_changes_nothing(network: ModuleType) -> None:
    peer = network.Network(1, 2, 3)[1]
    entries = [Entry(1, 1, data=b"a"), Entry(1, 2, data=b"b")]
    append = Message(MessageType.APP, to=1, from_=2, term=1, entries=entries, commit=1)
    peer.node.step(append)
    first = peer.work()
    state = (peer.log(), peer.raft.hard_state, list(peer.applied))
    peer.node.step(append)
    again = peer.work()
    assert (peer.log(), peer.raft.hard_state, peer.applied) == state
    assert [m.type for m in first] == [m.type for m in again] == [MessageType.APP_RESP]
    assert not again[0].reject


def test_5_5_a_vote_that_is_asked_for_twice_is_given_twice_to_the_same(
    network: ModuleType,
) -> None:
    peer = network.Network(1, 2, 3)[1]
    for _ in range(2):
        peer.node.step(Message(MessageType.VOTE, to=1, from_=2, term=1))
        assert [m.reject for m in peer.work()] == [False]
    peer.node.step(Message(MessageType.VOTE, to=1, from_=3, term=1))
    assert [m.reject for m in peer.work()] == [True]


def test_5_5_a_follower_that_was_down_catches_up(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.isolate(2)
    for n in range(10):
        net.propose(1, b"%d" % n)
    net[2].start()
    net.heal()
    net.tick(2, only=1)
    assert net[2].data == net[1].data


# --- 6: membership ------------------------------------------------------------------------------------


def test_6_no_disturbance_by_a_node_that_was_removed(network: ModuleType) -> None:
    """Who hears of a leader within the election timeout passes over requests for votes."""
    net = network.led(1, 2, 3, check_quorum=True)
    net.change(1, ConfChangeType.REMOVE_NODE, 3)
    for node in (1, 2):
        vote = Message(MessageType.VOTE, to=node, from_=3, term=9, log_term=9, index=99)
        net[node].node.step(vote)
    net.run()
    assert net.leaders() == [1]
    assert net[1].raft.term == net[2].raft.term == 1


def test_6_a_new_server_first_catches_up_without_a_vote(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    for n in range(20):
        net.propose(1, b"%d" % n)
    net.add(4)
    net.change(1, ConfChangeType.ADD_LEARNER_NODE, 4)
    net.tick(3, only=1)
    assert len(net[4].data) == 20
    assert 4 not in net[1].raft.tracker.config.voters.ids
    net.change(1, ConfChangeType.ADD_NODE, 4)
    assert net[1].conf_state == ConfState(voters=(1, 2, 3, 4))


def test_6_a_leader_that_is_no_member_manages_until_its_removal_is_committed(
    network: ModuleType,
) -> None:
    net = network.led(1, 2, 3, step_down_on_removal=True)
    net.lose = lambda m: m.type is MessageType.APP_RESP
    net.change(1, ConfChangeType.REMOVE_NODE, 1)
    assert net.leaders() == [1]
    net.heal()
    net.tick(2, only=1)
    assert net.leaders() == []
    assert net[1].conf_state.voters == (2, 3)


# --- 7: snapshots -------------------------------------------------------------------------------------


def test_7_entries_that_a_snapshot_covers_are_no_longer_needed(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    for n in range(5):
        net.propose(1, b"%d" % n)
    net[1].snapshot()
    net.propose(1, b"after")
    net[1].start()
    assert net[1].raft.log.first_index() == 7
    net[2].node.campaign()
    net.run()
    assert net[1].data[-1] == b"after"


def test_7_a_lagging_follower_gets_a_snapshot_and_then_the_rest(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.isolate(3)
    for n in range(5):
        net.propose(1, b"%d" % n)
    net[1].snapshot(4)
    net.heal()
    kinds: list[MessageType] = []

    def watch(m: Message) -> bool:
        if m.to == 3:
            kinds.append(m.type)
        return False

    net.lose = watch
    net.tick(3, only=1)
    assert MessageType.SNAP in kinds
    assert kinds.index(MessageType.SNAP) < len(kinds) - 1
    assert net[3].log() == net[1].log()[-2:]
    assert net[3].applied_index == 6


def test_7_an_old_snapshot_does_not_undo_what_is_committed(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.propose(1, b"x", b"y")
    meta = SnapshotMetadata(ConfState(voters=(1, 2, 3)), 2, 1)
    old = Message(MessageType.SNAP, to=2, from_=1, term=1, snapshot=Snapshot(b"old", meta))
    net[2].node.step(old)
    (answer,) = net[2].work()
    assert (answer.type, answer.index) == (MessageType.APP_RESP, 3)
    assert net[2].data == [b"x", b"y"]


# --- 8 and D 6.4: clients -----------------------------------------------------------------------------


def test_8_a_leader_exchanges_heartbeats_before_it_answers_a_read(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net[1].node.read_index(b"r")
    sent = net.collect()
    assert [m.type for m in sent] == [MessageType.HEARTBEAT] * 2
    assert net[1].reads == []
    net.run()
    assert net[1].reads == [(1, b"r")]


def test_8_a_leader_reads_nothing_before_it_has_committed_in_its_term(
    network: ModuleType,
) -> None:
    net = network.led(1, 2, 3)
    net.propose(1, b"x")
    net.lose = lambda m: m.type is MessageType.APP
    net.elect(2)
    net[2].node.read_index(b"r")
    net.run()
    assert net[2].raft.state is LEADER
    assert net[2].reads == []
    net.heal()
    net.tick(2, only=2)
    assert net[2].reads == [(3, b"r")]
