"""A node alone: no messages, no round trips, and the same promises."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from triode.errors import ConfigError
from triode.raft import (
    Config,
    Entry,
    EntryType,
    HardState,
    InvariantBroken,
    MemoryStorage,
    Peer,
    ProposalDropped,
    RawNode,
    ReadState,
    StateType,
)
from triode.raft.codec import decode_conf_change

ETCD = {"pre_vote": True, "check_quorum": True}


def alone(network: ModuleType, **config: Any) -> Any:
    net = network.Network(1, **{**ETCD, **config})
    net.elect(1)
    return net[1]


def test_it_campaigns_by_itself_when_time_is_up(network: ModuleType) -> None:
    net = network.Network(1, **ETCD)
    net.tick(20)
    assert net.leaders() == [1]
    assert net[1].applied == [Entry(1, 1)]


def test_a_batch_is_committed_only_after_it_is_stored(network: ModuleType) -> None:
    peer = alone(network)
    assert peer.node.propose_batch([b"a", b"b", b"c"]) == (2, 4)
    first = peer.node.ready()
    assert [entry.data for entry in first.entries] == [b"a", b"b", b"c"]
    assert (first.committed_entries, first.must_sync, first.messages) == ([], True, [])
    peer.storage.append(first.entries)
    peer.node.advance(first)
    second = peer.node.ready()
    assert second.committed_entries == first.entries
    assert second.hard_state == HardState(1, 1, 4)
    assert (second.entries, second.must_sync) == ([], False)
    peer.node.advance(second)
    assert not peer.node.has_ready()


def test_the_next_batch_is_stored_while_the_last_is_applied(network: ModuleType) -> None:
    peer = alone(network)
    peer.node.propose_batch([b"a"])
    first = peer.node.ready()
    peer.storage.append(first.entries)
    peer.node.propose_batch([b"b"])
    peer.node.advance(first)
    second = peer.node.ready()
    assert [entry.data for entry in second.entries] == [b"b"]
    assert [entry.data for entry in second.committed_entries] == [b"a"]
    assert second.must_sync


def test_after_a_restart_everything_stored_is_committed_again(network: ModuleType) -> None:
    """Also what was stored but not known to be committed: it may have been answered."""
    peer = alone(network)
    peer.node.propose_batch([b"a", b"b"])
    ready = peer.node.ready()
    peer.storage.append(ready.entries)
    peer.applied.clear()
    peer.applied_index = 0
    peer.start()
    assert peer.node.basic_status().soft_state.state is StateType.FOLLOWER
    peer.node.campaign()
    peer.work()
    assert peer.node.basic_status().soft_state.state is StateType.LEADER
    assert peer.applied == [Entry(1, 1), *ready.entries, Entry(2, 4)]


def test_a_read_needs_no_round_trip(network: ModuleType) -> None:
    peer = alone(network)
    peer.node.read_index(b"r")
    assert peer.node.ready().read_states == [ReadState(1, b"r")]


def test_a_read_right_after_a_restart_waits_for_what_was_answered_before(
    network: ModuleType,
) -> None:
    """The stored commit index may be behind; only an entry of the new term shows how far."""
    peer = alone(network)
    peer.node.propose(b"answered")
    ready = peer.node.ready()
    peer.storage.append(ready.entries)
    peer.start()
    peer.node.campaign()
    while peer.raft.state is not StateType.LEADER:
        ready = peer.node.ready()
        peer.node.advance(ready)
    peer.node.read_index(b"r")
    assert peer.raft.log.committed < 2
    peer.work()
    assert peer.reads == [ReadState(3, b"r")]


def test_it_stays_leader_without_anyone_to_check(network: ModuleType) -> None:
    peer = alone(network)
    for _ in range(50):
        peer.node.tick()
        assert peer.work() == []
    assert peer.raft.state is StateType.LEADER
    assert peer.raft.term == 1


def test_proposals_before_an_election_are_dropped(network: ModuleType) -> None:
    node = network.Network(1)[1].node
    with pytest.raises(ProposalDropped):
        node.propose(b"x")
    with pytest.raises(ProposalDropped):
        node.propose_batch([b"x"])


def test_a_new_cluster_begins_with_its_members(network: ModuleType) -> None:
    storage = MemoryStorage()
    node = RawNode(Config(id=7, storage=storage, random_below=lambda _: 0))
    node.bootstrap([Peer(7, b"about 7")])
    ready = node.ready()
    assert ready.hard_state == HardState(1, 0, 1)
    (entry,) = ready.committed_entries
    assert (entry.term, entry.index, entry.type) == (1, 1, EntryType.CONF_CHANGE)
    change = decode_conf_change(entry.data)
    assert (change.node_id, change.context) == (7, b"about 7")
    assert node.apply_conf_change(change).voters == (7,)
    storage.append(ready.entries)
    node.advance(ready)
    with pytest.raises(ConfigError, match="nonempty"):
        node.bootstrap([Peer(7)])


def test_ready_has_to_be_advanced_before_the_next(network: ModuleType) -> None:
    peer = alone(network)
    peer.node.propose(b"x")
    peer.node.ready()
    with pytest.raises(InvariantBroken):
        peer.node.ready()


def test_a_hard_state_beyond_the_log_stops_the_node() -> None:
    storage = MemoryStorage()
    storage.set_hard_state(HardState(1, 1, 5))
    with pytest.raises(InvariantBroken, match="out of range"):
        RawNode(Config(id=1, storage=storage, random_below=lambda _: 0))


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"id": 0}, "cannot use none as id"),
        ({"id": (1 << 64) - 1}, "cannot use local target as id"),
        ({"heartbeat_ticks": 0}, "heartbeat tick must be greater than 0"),
        ({"election_ticks": 1}, "election tick must be greater than heartbeat tick"),
        ({"inflight_messages_max": 0}, "max inflight messages must be greater than 0"),
        ({"inflight_bytes_max": 5}, "max inflight bytes must be >= max message size"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(wrong: dict[str, Any], text: str) -> None:
    good = {"id": 1, "storage": MemoryStorage(), "random_below": lambda _: 0}
    with pytest.raises(ConfigError, match=text):
        Config(**{**good, **wrong})
