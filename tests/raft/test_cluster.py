"""What the library adds to the paper's core, on clusters of a few nodes."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from triode.raft import (
    ConfChangeType,
    Entry,
    Message,
    MessageType,
    ProposalDropped,
    ReadOnlyOption,
    ReadState,
    StateType,
    StepLocalMessage,
    StepPeerNotFound,
)
from triode.raft.tracker import ProgressState

FOLLOWER, LEADER = StateType.FOLLOWER, StateType.LEADER
CAREFUL = {"pre_vote": True, "check_quorum": True}
ADD, REMOVE = ConfChangeType.ADD_NODE, ConfChangeType.REMOVE_NODE
LEARN = ConfChangeType.ADD_LEARNER_NODE


def progress(net: Any, node: int) -> Any:
    return net[1].raft.tracker.progress[node]


# --- PreVote and CheckQuorum (dissertation, 9.6 and 6.2) ----------------------------------------------


def test_a_node_that_was_cut_off_does_not_disturb_when_it_returns(network: ModuleType) -> None:
    net = network.led(1, 2, 3, **CAREFUL)
    net.isolate(3)
    net.tick(100, only=3)
    assert net[3].raft.term == 1
    net.heal()
    net.tick(3)
    assert net.leaders() == [1]
    assert net[3].raft.lead == 1


def test_without_pre_vote_it_does_disturb(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.isolate(3)
    net.tick(50, only=3)
    net.heal()
    net.tick(30)
    assert net[1].raft.term > 1


def test_a_pre_vote_is_refused_while_a_leader_is_heard_of(network: ModuleType) -> None:
    net = network.led(1, 2, 3, **CAREFUL)
    net.elect(2)
    assert net.leaders() == [1]
    assert net[1].raft.term == 1


def test_a_leader_without_quorum_steps_down(network: ModuleType) -> None:
    net = network.led(1, 2, 3, **CAREFUL)
    net.isolate(1)
    net.tick(21, only=1)
    assert net[1].raft.state is not LEADER
    with pytest.raises(ProposalDropped):
        net[1].node.propose(b"x")


def test_learners_do_not_keep_a_leader_in_office(network: ModuleType) -> None:
    net = network.led(1, 2, 3, learners=[4], **CAREFUL)
    net.cuts = {(1, 2), (2, 1), (1, 3), (3, 1)}
    net.tick(21, only=1)
    assert net[1].raft.state is not LEADER


def test_a_stale_leader_learns_of_the_newer_term_from_its_heartbeats(network: ModuleType) -> None:
    net = network.led(1, 2, 3, **CAREFUL)
    net.isolate(1)
    net.tick(30)
    (new,) = set(net.leaders()) - {1}
    net.heal()
    net.tick(3)
    assert net.leaders() == [new]
    assert net[1].raft.lead == new


# --- Linearizable reads (dissertation, 6.4) -----------------------------------------------------------


def test_a_read_waits_for_a_quorum(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.isolate(1)
    net[1].node.read_index(b"r")
    net.run()
    assert net[1].reads == []
    net.heal()
    net.tick(only=1)
    assert net[1].reads == [ReadState(1, b"r")]


def test_one_answer_of_five_is_no_quorum(network: ModuleType) -> None:
    net = network.led(1, 2, 3, 4, 5)
    for node in (3, 4, 5):
        net.cuts |= {(1, node), (node, 1)}
    net[1].node.read_index(b"r")
    net.run()
    assert net[1].reads == []
    net.cuts = {(1, 4), (4, 1), (1, 5), (5, 1)}
    net.tick(only=1)
    assert net[1].reads == [ReadState(1, b"r")]


def test_a_deposed_leader_confirms_no_read(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.isolate(1)
    net.elect(2)
    net.propose(2, b"newer")
    net[1].node.read_index(b"stale")
    net.run()
    net.tick(5, only=1)
    assert net[1].raft.state is LEADER
    net.heal()
    net.tick(2)
    assert net[1].reads == []


def test_followers_pass_reads_on_and_get_the_index(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.propose(1, b"x")
    net[3].node.read_index(b"r")
    net.run()
    assert net[3].reads == [ReadState(2, b"r")]


def test_reads_share_a_round(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    for number in range(5):
        net[1].node.read_index(b"%d" % number)
    net.collect()
    net.sent = [m for m in net.sent if m.to == 2][-1:]  # only the last heartbeat arrives
    net.run()
    assert [read.context for read in net[1].reads] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_read_waits_until_the_leader_has_committed_in_its_term(network: ModuleType) -> None:
    net = network.Network(1, 2, 3)
    net.lose = lambda m: m.type == MessageType.APP
    net.elect(1)
    net[1].node.read_index(b"r")
    net.run()
    net.tick(3, only=1)
    assert net[1].reads == []
    net.heal()
    net.tick(2, only=1)
    assert net[1].reads == [ReadState(1, b"r")]


def test_a_lease_answers_reads_at_once(network: ModuleType) -> None:
    net = network.led(1, 2, 3, check_quorum=True, read_only_option=ReadOnlyOption.LEASE_BASED)
    net.isolate(1)
    net[1].node.read_index(b"r")
    assert net[1].node.ready().read_states == [ReadState(1, b"r")]


# --- Leadership transfer (dissertation, 3.10) ---------------------------------------------------------


def test_leadership_goes_to_a_node_that_is_up_to_date(network: ModuleType) -> None:
    net = network.led(1, 2, 3, **CAREFUL)
    net[1].node.transfer_leader(3)
    net.run()
    assert net.leaders() == [3]


def test_a_follower_passes_the_request_on(network: ModuleType) -> None:
    net = network.led(1, 2, 3, **CAREFUL)
    net[2].node.transfer_leader(3)
    net.run()
    assert net.leaders() == [3]


def test_a_lagging_node_is_brought_up_to_date_first(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.isolate(3)
    net.propose(1, b"x")
    net.heal()
    net.tick(only=1)
    net[1].node.transfer_leader(3)
    net.run()
    assert net.leaders() == [3]
    assert net[3].data == [b"x"]


def test_proposals_are_dropped_during_a_transfer_which_is_given_up_in_time(
    network: ModuleType,
) -> None:
    net = network.led(1, 2, 3)
    net.isolate(3)
    net[1].node.transfer_leader(3)
    net.run()
    with pytest.raises(ProposalDropped):
        net[1].node.propose(b"x")
    net.tick(10, only=1)
    net.propose(1, b"x")
    assert net[2].data == [b"x"]


@pytest.mark.parametrize("target", [1, 4, 9])
def test_leadership_is_not_given_to_itself_a_learner_or_a_stranger(
    network: ModuleType, target: int
) -> None:
    net = network.led(1, 2, 3, learners=[4])
    net[1].node.transfer_leader(target)
    net.run()
    assert net.leaders() == [1]
    net.propose(1, b"x")
    assert net[2].data == [b"x"]


# --- Proposals ----------------------------------------------------------------------------------------


def test_followers_pass_proposals_on(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    assert net[2].node.propose_batch([b"a", b"b"]) == (0, 0)
    net.run()
    assert net[3].data == [b"a", b"b"]


def test_forwarding_can_be_disabled(network: ModuleType) -> None:
    net = network.led(1, 2, 3, disable_proposal_forwarding=True)
    with pytest.raises(ProposalDropped):
        net[2].node.propose(b"x")


def test_uncommitted_payload_is_bounded_but_one_proposal_always_fits(network: ModuleType) -> None:
    net = network.led(1, 2, 3, uncommitted_bytes_max=10)
    node = net[1].node
    node.propose(b"x" * 100)
    with pytest.raises(ProposalDropped):
        node.propose(b"y")
    net.run()
    node.propose_batch([b"12345", b"12345"])
    with pytest.raises(ProposalDropped):
        node.propose(b"y")
    net.run()
    assert [len(data) for data in net[2].data] == [100, 5, 5]


# --- Flow control -------------------------------------------------------------------------------------


def sent_to(net: Any, node: int) -> list[Message]:
    return [m for m in net.collect() if m.to == node and m.type == MessageType.APP]


def test_a_probe_waits_for_its_answer(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net[1].node.report_unreachable(2)
    assert progress(net, 2).state is ProgressState.PROBE
    for _ in range(3):
        net[1].node.propose(b"x")
    assert len(sent_to(net, 2)) == 1
    net.run()
    assert progress(net, 2).state is ProgressState.REPLICATE
    assert net[2].data == [b"x"] * 3


def test_the_window_is_bounded_by_messages(network: ModuleType) -> None:
    net = network.led(1, 2, 3, inflight_messages_max=2, message_bytes_max=0)
    for _ in range(5):
        net[1].node.propose(b"x")
    assert len(sent_to(net, 2)) == 2
    net.run()
    assert net[2].data == [b"x"] * 5


def test_the_window_is_bounded_by_bytes(network: ModuleType) -> None:
    net = network.led(1, 2, 3, inflight_bytes_max=100, message_bytes_max=50)
    for _ in range(5):
        net[1].node.propose(b"x" * 40)
    assert len(sent_to(net, 2)) == 3  # the third passes the bound, and is the last
    net.run()
    assert len(net[2].data) == 5


def test_a_full_window_whose_messages_are_lost_recovers_by_heartbeats(network: ModuleType) -> None:
    net = network.led(1, 2, 3, inflight_messages_max=2, message_bytes_max=0)
    net.isolate(2)
    net.propose(1, *[b"x"] * 5)
    net.heal()
    net.tick(8, only=1)
    assert net[2].data == [b"x"] * 5


def test_messages_are_bounded_in_size(network: ModuleType) -> None:
    net = network.led(1, 2, 3, message_bytes_max=250)
    net.isolate(2)
    net.propose(1, *[b"x" * 100] * 10)
    net.heal()
    sizes = []

    def watch(m: Message) -> bool:
        if m.to == 2 and m.type == MessageType.APP:
            sizes.append(len(m.entries))
        return False

    net.lose = watch
    net.tick(3, only=1)
    assert len(net[2].data) == 10
    assert max(sizes) == 2


# --- Snapshots ----------------------------------------------------------------------------------------


def behind(network: ModuleType, **config: Any) -> Any:
    """Node 3 lacks entries that the leader has no more."""
    net = network.led(1, 2, 3, **config)
    net.isolate(3)
    net.propose(1, *[b"x"] * 10)
    net[1].snapshot()
    net.heal()
    return net


def test_a_node_that_is_too_far_behind_gets_a_snapshot(network: ModuleType) -> None:
    net = behind(network)
    net.tick(3, only=1)
    assert net[3].applied_index == 11
    assert net[3].storage.first_index() == 12
    net.propose(1, b"after")
    assert net[3].data == [b"after"]


def test_nothing_is_sent_while_a_snapshot_is_under_way(network: ModuleType) -> None:
    net = behind(network)
    net.lose = lambda m: m.type == MessageType.SNAP
    net.tick(2, only=1)
    assert progress(net, 3).state is ProgressState.SNAPSHOT
    net[1].node.propose(b"y")
    assert sent_to(net, 3) == []


def test_a_failed_snapshot_is_sent_again(network: ModuleType) -> None:
    net = behind(network)
    net.lose = lambda m: m.type == MessageType.SNAP
    net.tick(2, only=1)
    net.heal()
    net[1].node.report_snapshot(3, failed=True)
    net.tick(3, only=1)
    assert net[3].applied_index == 11


def test_no_snapshot_goes_to_a_node_that_is_not_heard_of(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.isolate(3)
    net.propose(1, b"x")
    net.elect(1)
    progress(net, 3).recent_active = False
    progress(net, 3).become_probe()
    net[1].snapshot()
    net[1].node.propose(b"y")
    assert not [m for m in net.collect() if m.type == MessageType.SNAP]


def test_a_node_does_not_campaign_before_its_snapshot_is_applied(network: ModuleType) -> None:
    net = behind(network)
    net.tick(2, only=1)
    other = network.Network(1, 2, 3)[3]
    snap = Message(MessageType.SNAP, to=3, from_=1, term=1, snapshot=net[1].storage.snapshot())
    other.node.step(snap)
    other.node.campaign()
    assert other.raft.state is FOLLOWER
    other.work()
    other.node.campaign()
    assert other.raft.state is StateType.CANDIDATE


def test_a_snapshot_of_what_is_there_only_moves_the_commit_index(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    net.propose(1, b"x")
    net[1].snapshot()
    peer = network.Network(1, 2, 3)[2]
    entries = [Entry(1, 1), Entry(1, 2, data=b"x")]
    peer.node.step(Message(MessageType.APP, to=2, from_=1, term=1, entries=entries))
    peer.work()
    peer.node.step(
        Message(MessageType.SNAP, to=2, from_=1, term=1, snapshot=net[1].storage.snapshot())
    )
    peer.work()
    assert peer.data == [b"x"]
    assert peer.storage.first_index() == 1


# --- The edge -----------------------------------------------------------------------------------------


def test_local_messages_do_not_come_from_peers(network: ModuleType) -> None:
    node = network.led(1, 2, 3)[1].node
    for kind in (MessageType.HUP, MessageType.STORAGE_APPEND_RESP, MessageType.UNREACHABLE):
        with pytest.raises(StepLocalMessage):
            node.step(Message(kind, to=1, from_=2))


def test_answers_of_strangers_are_refused(network: ModuleType) -> None:
    node = network.led(1, 2, 3)[1].node
    with pytest.raises(StepPeerNotFound):
        node.step(Message(MessageType.APP_RESP, to=1, from_=9, term=1))


def test_status_is_a_copy(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    status = net[1].node.status()
    assert (status.soft_state.lead, status.applied) == (1, 1)
    status.progress[2].match = 0
    assert progress(net, 2).match == 1
    assert net[2].node.status().progress == {}
