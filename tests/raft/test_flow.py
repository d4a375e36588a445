"""How appends flow: windows, lost messages, bounded tails, and pages of what is applied."""

from __future__ import annotations

import random
from types import ModuleType
from typing import Any

import pytest

from triode.raft import Entry, EntryType, HardState, Message, MessageType, ProposalDropped
from triode.raft.tracker import ProgressState

APP = MessageType.APP


def appends(peer: Any, to: int) -> list[Message]:
    return [m for m in peer.work() if m.type is APP and m.to == to]


def filled(network: ModuleType, window: int) -> Any:
    """Node 1 leads and has sent node 2 as many appends as it may."""
    net = network.led(1, 2, inflight_messages_max=window)
    for n in range(window):
        net[1].node.propose(b"%d" % n)
        assert len(appends(net[1], 2)) == 1
    assert net[1].raft.tracker.progress[2].inflights.full
    return net


def test_an_acknowledgement_moves_the_window_on_and_an_old_one_does_not(
    network: ModuleType,
) -> None:
    net = filled(network, 4)
    for index in range(2, 6):
        net[1].node.step(Message(MessageType.APP_RESP, to=1, from_=2, term=1, index=index))
        net[1].node.propose(b"more")
        assert len(appends(net[1], 2)) >= 1
        inflights = net[1].raft.tracker.progress[2].inflights
        assert inflights.full
        for old in range(index):
            net[1].node.step(Message(MessageType.APP_RESP, to=1, from_=2, term=1, index=old))
            assert inflights.full


def test_each_heartbeats_answer_lets_one_empty_append_through(network: ModuleType) -> None:
    net = filled(network, 4)
    for _ in range(5):
        net[1].node.step(Message(MessageType.HEARTBEAT_RESP, to=1, from_=2, term=1))
        (probe,) = appends(net[1], 2)
        assert probe.entries == []
        net[1].node.propose(b"still full")
        assert appends(net[1], 2) == []


def test_an_unreachable_node_is_probed_again(network: ModuleType) -> None:
    net = filled(network, 4)
    progress = net[1].raft.tracker.progress[2]
    net[1].node.report_unreachable(2)
    assert (progress.state, progress.next) == (ProgressState.PROBE, progress.match + 1)
    assert progress.inflights.count == 0


def test_appends_in_any_order_lead_to_the_same_log(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    rng = random.Random(7)
    for n in range(60):
        net[1].node.propose(b"%d" % n)
        net.collect()
        rng.shuffle(net.sent)
        if n % 7 == 0:
            net.run()
    net.run()
    net.tick(3, only=1)
    assert net[2].data == net[3].data == net[1].data == [b"%d" % n for n in range(60)]


def test_a_partition_does_not_let_the_tail_grow_without_bound(network: ModuleType) -> None:
    net = network.led(1, 2, 3, uncommitted_bytes_max=1000)
    net.isolate(1)
    dropped = 0
    for _ in range(100):
        try:
            net[1].node.propose(b"v" * 100)
        except ProposalDropped:
            dropped += 1
    assert dropped == 90
    with pytest.raises(ProposalDropped):
        net[1].node.propose_batch([b"v" * 100])
    net[1].node.propose(b"")  # costs nothing
    net.heal()
    net.tick(3, only=1)
    net.propose(1, b"v" * 1001)
    assert len(net[2].data) == 11


@pytest.mark.parametrize("is_async", [False, True])
def test_what_is_applied_comes_in_pages_without_a_gap(network: ModuleType, is_async: bool) -> None:
    net = network.Network(1, committed_bytes_max=2048, async_storage_writes=is_async)
    peer = net[1]
    peer.storage.append([Entry(1, index, data=b"a" * 500) for index in range(1, 21)])
    peer.storage.set_hard_state(HardState(1, 0, 18))
    peer.start()
    seen: list[int] = []
    pages = 0
    while peer.node.has_ready():
        ready = peer.node.ready()
        size = sum(len(entry.data) for entry in ready.committed_entries)
        assert size <= 2048
        seen += [entry.index for entry in ready.committed_entries]
        pages += bool(ready.committed_entries)
        if is_async:
            for m in ready.messages:
                for response in m.responses:
                    peer.node.step(response)
        else:
            peer.node.advance(ready)
    assert seen == list(range(1, 19))
    assert pages == 5


@pytest.mark.parametrize(
    ("leader", "follower", "probes"),
    [
        # The leader's log is longer, or shorter, or both diverged; each term costs one probe.
        ((1, 2, 2, 4, 4, 4, 4), (1, 2, 2), 1),
        ((1, 3, 3, 3, 5, 5, 5, 5, 5), (1, 1, 1, 1, 2, 2), 2),
        ((1, 3, 3, 3, 3, 3, 3, 3, 7), (1, 3, 3, 4, 4, 5, 5, 5, 6), 2),
        ((1, 1, 1, 1, 1, 1, 1, 1, 1, 1), (1, 1), 1),
        ((1, 1, 1, 5), (1, 1, 1, 4, 4, 4, 4), 1),
    ],
)
def test_a_rejection_skips_a_divergent_tail(
    network: ModuleType, leader: tuple[int, ...], follower: tuple[int, ...], probes: int
) -> None:
    net = network.Network(1, 2, 3)
    for node, terms in ((1, leader), (2, follower), (3, leader)):
        peer = net[node]
        peer.storage.append([Entry(t, index) for index, t in enumerate(terms, 1)])
        peer.storage.set_hard_state(HardState(max(leader + follower), 0, 0))
        peer.start()
    rejected = 0
    net[1].node.campaign()
    while net.collect():
        sent, net.sent = net.sent, []
        for m in sent:
            rejected += m.type is MessageType.APP_RESP and m.reject
            net[m.to].node.step(m)
    assert net.leaders() == [1]
    assert net[2].log() == net[1].log()
    assert rejected <= probes


# --- Messages of members that are at fault --------------------------------------------------------


def test_what_another_member_passes_on_badly_does_no_harm(network: ModuleType) -> None:
    net = network.led(1, 2, 3)
    leader = net[1].node
    with pytest.raises(ProposalDropped):
        leader.step(Message(MessageType.PROP, to=1, from_=2))
    leader.step(Message(MessageType.READ_INDEX, to=1, from_=2))
    for kind in (EntryType.CONF_CHANGE, EntryType.CONF_CHANGE_V2):
        bad = Entry(type=kind, data=b"\xff")
        leader.step(Message(MessageType.PROP, to=1, from_=2, entries=(bad,)))
    net.propose(1, b"x")
    assert [(e.type, e.data) for e in net[3].applied[1:]] == [
        (EntryType.NORMAL, b""),
        (EntryType.NORMAL, b""),
        (EntryType.NORMAL, b"x"),
    ]
