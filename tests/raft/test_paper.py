"""The rules of the Raft paper, each under its section; D marks Ongaro's dissertation."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from triode.raft import Entry, HardState, Message, MessageType, StateType

FOLLOWER, CANDIDATE, LEADER = StateType.FOLLOWER, StateType.CANDIDATE, StateType.LEADER
HUP = MessageType.HUP


def log_with(peer: Any, *terms: int, term: int | None = None, vote: int = 0) -> None:
    """Restart a node with a stored log of these terms."""
    peer.storage.append([Entry(t, index, data=b"old") for index, t in enumerate(terms, 1)])
    peer.storage.set_hard_state(HardState(term or (terms[-1] if terms else 0), vote, 0))
    peer.start()


def as_role(net: Any, role: StateType) -> Any:
    """Node 1 of a cluster of three, in a role at term 1."""
    peer = net[1]
    if role is FOLLOWER:
        peer.node.step(Message(MessageType.HEARTBEAT, to=1, from_=2, term=1))
    elif role is CANDIDATE:
        peer.node.campaign()
    else:
        net.elect(1)
    net.collect()
    net.sent.clear()
    assert (peer.raft.state, peer.raft.term) == (role, 1)
    return peer


# --- 5.1: terms -------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [FOLLOWER, CANDIDATE, LEADER], ids=str)
@pytest.mark.parametrize(
    "kind",
    [MessageType.APP, MessageType.HEARTBEAT, MessageType.VOTE, MessageType.APP_RESP],
    ids=str,
)
def test_5_1_a_higher_term_makes_a_follower_of_that_term(
    network: ModuleType, role: StateType, kind: MessageType
) -> None:
    peer = as_role(network.Network(1, 2, 3), role)
    peer.node.step(Message(kind, to=1, from_=2, term=5))
    assert (peer.raft.state, peer.raft.term) == (FOLLOWER, 5)


@pytest.mark.parametrize("role", [FOLLOWER, CANDIDATE, LEADER], ids=str)
def test_5_1_a_stale_term_is_ignored(network: ModuleType, role: StateType) -> None:
    peer = as_role(network.Network(1, 2, 3), role)
    peer.node.raft.step(Message(HUP))
    before = (peer.raft.state, peer.raft.term, peer.raft.log.last_index())
    peer.raft.term = 9
    entry = Entry(8, 1, data=b"stale")
    peer.node.step(Message(MessageType.APP, to=1, from_=2, term=8, entries=[entry], commit=1))
    assert peer.raft.state is before[0]
    assert peer.raft.log.last_index() == before[2]


# --- 5.2: elections ---------------------------------------------------------------------------------


def test_5_2_a_node_starts_as_follower(network: ModuleType) -> None:
    assert network.Network(1, 2, 3)[1].raft.state is FOLLOWER


def test_5_2_a_leader_sends_heartbeats_to_all_followers(network: ModuleType) -> None:
    net = network.Network(1, 2, 3)
    as_role(net, LEADER)
    net[1].node.tick()
    sent = net.collect()
    assert network.kinds(sent) == [(MessageType.HEARTBEAT, 2), (MessageType.HEARTBEAT, 3)]
    assert all(not m.entries for m in sent)


def test_5_2_a_follower_without_leader_asks_everyone_for_votes(network: ModuleType) -> None:
    net = network.Network(1, 2, 3, random_below=lambda n: n - 1)
    peer = net[1]
    for _ in range(18):
        peer.node.tick()
    assert peer.raft.state is FOLLOWER
    peer.node.tick()
    assert (peer.raft.state, peer.raft.term, peer.raft.vote) == (CANDIDATE, 1, 1)
    assert network.kinds(net.collect()) == [(MessageType.VOTE, 2), (MessageType.VOTE, 3)]


def test_5_2_a_candidate_starts_again_at_a_new_term_when_time_is_up(network: ModuleType) -> None:
    peer = as_role(network.Network(1, 2, 3, random_below=lambda _: 0), CANDIDATE)
    for _ in range(10):
        peer.node.tick()
    assert (peer.raft.state, peer.raft.term) == (CANDIDATE, 2)


@pytest.mark.parametrize(
    ("size", "granted", "rejected", "outcome"),
    [
        (1, 0, 0, LEADER),
        (3, 2, 0, LEADER),
        (3, 1, 0, LEADER),
        (3, 0, 2, FOLLOWER),
        (3, 0, 1, CANDIDATE),
        (5, 2, 2, LEADER),
        (5, 1, 3, FOLLOWER),
        (5, 1, 0, CANDIDATE),
    ],
)
def test_5_2_a_majority_of_votes_makes_a_leader(
    network: ModuleType, size: int, granted: int, rejected: int, outcome: StateType
) -> None:
    net = network.Network(*range(1, size + 1))
    peer = net[1]
    peer.node.campaign()
    net.collect()
    for voter in range(2, 2 + granted + rejected):
        refuse = voter >= 2 + granted
        answer = Message(MessageType.VOTE_RESP, to=1, from_=voter, term=1, reject=refuse)
        peer.node.step(answer)
    assert peer.raft.state is outcome


@pytest.mark.parametrize(
    ("vote", "candidate", "granted"),
    [(0, 2, True), (0, 3, True), (2, 2, True), (3, 3, True), (2, 3, False), (3, 2, False)],
)
def test_5_2_a_node_votes_for_one_candidate_per_term(
    network: ModuleType, vote: int, candidate: int, granted: bool
) -> None:
    net = network.Network(1, 2, 3)
    log_with(net[1], term=1, vote=vote)
    net[1].node.step(Message(MessageType.VOTE, to=1, from_=candidate, term=1))
    (answer,) = net.collect()
    assert answer.reject is not granted
    assert net[1].raft.vote == (candidate if granted else vote)


@pytest.mark.parametrize("term", [1, 2])
def test_5_2_a_candidate_gives_way_to_a_leader_of_its_term(network: ModuleType, term: int) -> None:
    peer = as_role(network.Network(1, 2, 3), CANDIDATE)
    peer.node.step(Message(MessageType.APP, to=1, from_=2, term=term))
    assert (peer.raft.state, peer.raft.term, peer.raft.lead) == (FOLLOWER, term, 2)


def test_5_2_election_timeouts_are_spread_over_one_to_two_times_the_base(
    network: ModuleType,
) -> None:
    seen = set()
    for choice in range(10):
        peer = network.Network(1, 2, 3, random_below=lambda n, c=choice: c)[1]
        ticks = 0
        while peer.raft.state is FOLLOWER:
            peer.node.tick()
            ticks += 1
        seen.add(ticks)
    assert seen == set(range(10, 20))


# --- 5.3: replication -------------------------------------------------------------------------------


def test_5_3_a_leader_appends_and_sends_to_all(network: ModuleType) -> None:
    net = network.Network(1, 2, 3)
    as_role(net, LEADER)
    net[1].node.propose(b"x")
    sent = net.collect()
    assert network.kinds(sent) == [(MessageType.APP, 2), (MessageType.APP, 3)]
    assert all(m.entries == [Entry(1, 2, data=b"x")] for m in sent)
    assert all((m.log_term, m.index) == (1, 1) for m in sent)


@pytest.mark.parametrize(
    ("size", "acks", "committed"),
    [
        (1, 0, True),
        (3, 0, False),
        (3, 1, True),
        (4, 1, False),
        (4, 2, True),
        (5, 1, False),
        (5, 2, True),
    ],
)
def test_5_3_an_entry_is_committed_once_a_majority_has_it(
    network: ModuleType, size: int, acks: int, committed: bool
) -> None:
    net = network.Network(*range(1, size + 1))
    net.elect(1)
    net[1].node.propose(b"x")
    net.collect()
    for follower in range(2, 2 + acks):
        net[1].node.step(Message(MessageType.APP_RESP, to=1, from_=follower, term=1, index=2))
    net.collect()
    assert (net[1].data == [b"x"]) is committed


def test_5_3_followers_learn_of_the_commit_and_apply_in_order(network: ModuleType) -> None:
    net = network.Network(1, 2, 3)
    net.elect(1)
    net.propose(1, b"a", b"b")
    net.propose(1, b"c")
    assert [net[node].data for node in (1, 2, 3)] == [[b"a", b"b", b"c"]] * 3


@pytest.mark.parametrize(
    ("log_term", "index", "rejected"),
    [(0, 0, False), (1, 1, False), (2, 2, False), (1, 2, True), (2, 1, True), (3, 3, True)],
)
def test_5_3_a_follower_refuses_entries_that_do_not_follow_its_own(
    network: ModuleType, log_term: int, index: int, rejected: bool
) -> None:
    net = network.Network(1, 2, 3)
    log_with(net[1], 1, 2)
    net[1].node.step(
        Message(MessageType.APP, to=1, from_=2, term=2, log_term=log_term, index=index)
    )
    (answer,) = net.collect()
    assert answer.reject is rejected
    assert answer.index == index


@pytest.mark.parametrize(
    ("log_term", "index", "sent", "expected"),
    [
        (2, 2, [(3, 3)], [1, 2, 3]),
        (1, 1, [(3, 2), (4, 3)], [1, 3, 4]),
        (0, 0, [(1, 1)], [1, 2]),
        (0, 0, [(3, 1)], [3]),
    ],
)
def test_5_3_a_follower_replaces_what_conflicts_and_keeps_what_agrees(
    network: ModuleType,
    log_term: int,
    index: int,
    sent: list[tuple[int, int]],
    expected: list[int],
) -> None:
    net = network.Network(1, 2, 3)
    log_with(net[1], 1, 2)
    entries = [Entry(term, at) for term, at in sent]
    net[1].node.step(
        Message(
            MessageType.APP, to=1, from_=2, term=4, log_term=log_term, index=index, entries=entries
        )
    )
    net.collect()
    assert [term for term, _ in net[1].log()] == expected
    stored = net[1].storage
    assert [stored.term(at) for at in range(1, stored.last_index() + 1)] == expected


@pytest.mark.parametrize(
    "terms",
    [
        (1, 1, 1, 4, 4, 5, 5, 6, 6),
        (1, 1, 1, 4),
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
        (1, 1, 1, 4, 4, 4, 4),
        (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
    ],
    ids="abcdef",
)
def test_5_3_figure_7_a_leader_makes_every_log_like_its_own(
    network: ModuleType, terms: tuple[int, ...]
) -> None:
    net = network.Network(1, 2, 3)
    log_with(net[1], 1, 1, 1, 4, 4, 5, 5, 6, 6, 6, term=8)
    log_with(net[2], *terms, term=max(terms[-1], 7))
    net.elect(1)  # node 3 has an empty log, and votes for it
    net.propose(1, b"x")
    assert net[1].raft.state is LEADER
    assert net[2].log() == net[1].log()
    assert net[3].log() == net[1].log()


def test_5_3_a_long_divergent_tail_is_skipped_term_by_term(network: ModuleType) -> None:
    net = network.Network(1, 2, 3)
    log_with(net[1], *[1] * 10, *[5] * 50)
    log_with(net[2], *[1] * 10, *[2] * 40, *[3] * 40, term=5)
    net.isolate(3)
    probes = 0

    def count(m: Message) -> bool:
        nonlocal probes
        probes += m.type == MessageType.APP_RESP and m.reject
        return False

    net.lose = count
    net.elect(1)
    assert net[2].log() == net[1].log()
    assert 1 <= probes <= 3


# --- 5.4: safety ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "log_term", "index", "granted"),
    [
        ((1,), 1, 1, True),
        ((1,), 1, 2, True),
        ((1, 1), 1, 1, False),
        ((1,), 2, 1, True),
        ((1, 1), 2, 1, True),
        ((2,), 1, 5, False),
        ((1, 2), 1, 9, False),
    ],
)
def test_5_4_1_votes_go_to_logs_that_are_as_up_to_date(
    network: ModuleType, terms: tuple[int, ...], log_term: int, index: int, granted: bool
) -> None:
    net = network.Network(1, 2, 3)
    log_with(net[1], *terms)
    net[1].node.step(
        Message(MessageType.VOTE, to=1, from_=2, term=3, log_term=log_term, index=index)
    )
    (answer,) = net.collect()
    assert answer.reject is not granted


def test_5_4_1_a_vote_request_names_the_last_entry(network: ModuleType) -> None:
    net = network.Network(1, 2, 3)
    log_with(net[1], 1, 2, 2)
    net[1].node.campaign()
    assert {(m.log_term, m.index, m.term) for m in net.collect()} == {(2, 3, 3)}


def test_5_4_2_entries_of_earlier_terms_are_committed_only_through_one_of_the_own(
    network: ModuleType,
) -> None:
    net = network.Network(1, 2, 3)
    log_with(net[1], 1, 2)
    net[1].node.campaign()
    net.collect()
    net[1].node.step(Message(MessageType.VOTE_RESP, to=1, from_=2, term=3))
    net.collect()
    for index, committed in ((1, 0), (2, 0), (3, 3)):
        net[1].node.step(Message(MessageType.APP_RESP, to=1, from_=2, term=3, index=index))
        assert net[1].raft.log.committed == committed


def test_5_4_3_what_a_majority_has_survives_any_election(network: ModuleType) -> None:
    net = network.Network(1, 2, 3)
    net.elect(1)
    net.cuts = {(1, 3), (3, 1)}
    net.propose(1, b"kept")
    net.heal()
    net.isolate(1)
    net.elect(3)
    assert net.leaders() == [1]  # 3 lacks the entry, so 2 does not vote for it
    net.elect(2)
    net.heal()
    net.propose(2, b"next")
    net.tick(only=2)
    assert [net[node].data for node in (1, 2, 3)] == [[b"kept", b"next"]] * 3


# --- 8 and D 6: clients -----------------------------------------------------------------------------


def test_8_a_new_leader_appends_an_empty_entry(network: ModuleType) -> None:
    net = network.Network(1, 2, 3)
    net.elect(1)
    assert net[2].applied == [Entry(1, 1)]


# --- What must be durable, and when (D 3.8) -----------------------------------------------------------


def test_d_3_8_votes_and_acknowledgements_leave_after_the_write(network: ModuleType) -> None:
    net = network.Network(1, 2, 3, async_storage_writes=True)
    node = net[1].node
    node.step(Message(MessageType.VOTE, to=1, from_=2, term=1, log_term=0, index=0))
    entry = Entry(1, 1, data=b"x")
    node.step(Message(MessageType.APP, to=1, from_=2, term=1, entries=[entry]))
    (write,) = node.ready().messages
    assert write.type == MessageType.STORAGE_APPEND
    assert (write.term, write.vote, write.entries) == (1, 2, [entry])
    held = [m.type for m in write.responses]
    assert held == [
        MessageType.VOTE_RESP,
        MessageType.APP_RESP,
        MessageType.STORAGE_APPEND_RESP,
    ]


def test_d_3_8_a_restarted_node_does_not_vote_twice(network: ModuleType) -> None:
    net = network.Network(1, 2, 3)
    net[1].node.step(Message(MessageType.VOTE, to=1, from_=2, term=1))
    net.collect()
    net.sent.clear()
    net[1].start()
    net[1].node.step(Message(MessageType.VOTE, to=1, from_=3, term=1))
    (answer,) = net.collect()
    assert answer.reject


def test_d_3_8_nothing_is_applied_that_is_not_stored_here(network: ModuleType) -> None:
    """Also when the leader says that it is committed: the storage work is asynchronous."""
    net = network.Network(1, 2, 3, async_storage_writes=True)
    node = net[1].node
    entry = Entry(1, 1, data=b"x")
    app = Message(MessageType.APP, to=1, from_=2, term=1, entries=[entry], commit=1)
    node.step(app)
    (write,) = node.ready().messages
    assert write.type == MessageType.STORAGE_APPEND
    assert not node.has_ready()
    net[1].storage.append(write.entries)
    for response in write.responses:
        if response.to == 1:
            node.step(response)
    (work,) = node.ready().messages
    assert (work.type, work.entries) == (MessageType.STORAGE_APPLY, [entry])
