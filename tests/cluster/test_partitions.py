"""Links that are cut, both ways and one way, between members in network namespaces of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from triode.rpc.pb.rpc_pb2 import PutRequest, RangeRequest

PATIENCE_SECONDS = 60  # TCP and back-offs need a while to notice that a network is whole again


@pytest.fixture
def make_network(
    make_cluster: Callable[..., Any], networks: Any
) -> Iterator[Callable[..., tuple[Any, Any]]]:
    """A cluster whose members can be parted, and the network that does it."""
    made: list[Any] = []

    def make(size: int) -> tuple[Any, Any]:
        network = networks.Networks(size)
        made.append(network)
        cluster = make_cluster(size, start=False)
        cluster.place = lambda daemons: networks.place(network, daemons)
        cluster.start()
        return cluster, network

    yield make
    for network in made:
        network.close()


def sides(cluster: Any, minority: list[Any]) -> tuple[list[int], list[int]]:
    """Places in the network: of those few, and of all others."""
    few = [cluster.members.index(one) for one in minority]
    return few, [n for n in range(len(cluster.members)) if n not in few]


def test_a_leader_that_is_cut_off(
    make_network: Any, start_load: Any, verify: Any, until: Any
) -> None:
    """It steps down, serves nothing stale and acknowledges nothing; the others elect a leader and go on."""
    cluster, network = make_network(3)
    load = start_load(cluster, call_seconds=1.0)
    load.wait_answers(30)
    old = cluster.leader()
    old.client.put(b"a", b"old")
    few, many = sides(cluster, [old])
    network.partition(few, many)
    others = [cluster.members[n] for n in many]
    lost = old.client.begin("KV/Put", PutRequest(key=b"lost", value=b"x"), PATIENCE_SECONDS)
    new = cluster.leader(among=others)
    assert new is not old
    new.client.put(b"a", b"new")
    read = old.client.begin("KV/Range", RangeRequest(key=b"a"), PATIENCE_SECONDS)
    until(lambda: old.client.status().leader == 0, "it knows that it leads no longer")
    assert old.client.get(b"a", serializable=True) == b"old"
    load.wait_answers(50)
    network.heal()
    for answer in (read, lost):
        try:
            assert answer.result().header.revision > 0
        except grpc.RpcError:
            continue
        if answer is read:
            assert answer.result().kvs[0].value == b"new"
    cluster.settled(PATIENCE_SECONDS)
    load.wait_answers(30)
    verify(cluster, load)


@pytest.mark.long
def test_a_follower_that_is_cut_off_disturbs_nobody(
    make_network: Any, start_load: Any, verify: Any, until: Any
) -> None:
    """It asks for votes in vain, without a higher term: when it is back, the leader stays."""
    cluster, network = make_network(3)
    load = start_load(cluster, call_seconds=1.0)
    load.wait_answers(30)
    leader, away = cluster.leader(), cluster.followers()[0]
    term = leader.client.status().raftTerm
    network.partition(*sides(cluster, [away]))
    until(lambda: away.client.status().leader == 0, "it has no leader")
    load.wait_answers(50)
    network.heal()
    cluster.settled(PATIENCE_SECONDS)
    assert cluster.leader() is leader
    assert leader.client.status().raftTerm == term
    load.wait_answers(30)
    verify(cluster, load)


@pytest.mark.long
@pytest.mark.parametrize("direction", ["to", "from"])
def test_one_direction_is_lost(
    make_network: Any, start_load: Any, verify: Any, direction: str
) -> None:
    """A leader that is heard but hears nothing, or the other way about, gives way to another."""
    cluster, network = make_network(3)
    load = start_load(cluster, call_seconds=1.0)
    load.wait_answers(30)
    old = cluster.leader()
    (place,), many = sides(cluster, [old])
    for other in many:
        network.drop(*((place, other) if direction == "to" else (other, place)))
    others = [cluster.members[n] for n in many]
    assert cluster.leader(among=others) is not old
    load.wait_answers(50)
    network.heal()
    cluster.settled(PATIENCE_SECONDS)
    verify(cluster, load)


@pytest.mark.long
def test_a_minority_of_five(make_network: Any, start_load: Any, verify: Any) -> None:
    """The leader with one follower on one side, three on the other; then nobody hears anybody; then all."""
    cluster, network = make_network(5)
    load = start_load(cluster, call_seconds=1.0)
    load.wait_answers(30)
    old = cluster.leader()
    few, many = sides(cluster, [old, cluster.followers()[0]])
    network.partition(few, many)
    assert cluster.leader(among=[cluster.members[n] for n in many]) is not old
    load.wait_answers(50)
    for number in range(5):
        network.partition([number], [n for n in range(5) if n != number])
    network.heal()
    cluster.settled(PATIENCE_SECONDS)
    load.wait_answers(50)
    verify(cluster, load)


@pytest.mark.long
def test_the_link_between_two_of_three(make_network: Any, start_load: Any, verify: Any) -> None:
    """Leader and one follower do not reach each other, the third reaches both: writes go on."""
    cluster, network = make_network(3)
    load = start_load(cluster, call_seconds=1.0)
    load.wait_answers(30)
    leader, follower = cluster.leader(), cluster.followers()[0]
    network.partition([cluster.members.index(leader)], [cluster.members.index(follower)])
    load.wait_answers(200, PATIENCE_SECONDS)
    network.heal()
    cluster.settled(PATIENCE_SECONDS)
    verify(cluster, load)
