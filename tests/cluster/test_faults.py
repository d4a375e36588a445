"""Members that die, stop to think, or are restarted, while clients work."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import grpc
import pytest

from triode.rpc.pb.rpc_pb2 import PutRequest, RangeRequest

FOREVER_SECONDS = 60.0


@pytest.mark.parametrize("who", ["leader", pytest.param("follower", marks=pytest.mark.long)])
def test_kill_and_restart(
    make_cluster: Callable[..., Any], start_load: Any, verify: Any, who: str
) -> None:
    """A member is killed; the others go on at once or after an election; it comes back with everything."""
    cluster = make_cluster()
    load = start_load(cluster)
    load.wait_answers(50)
    daemon = cluster.leader() if who == "leader" else cluster.followers()[0]
    daemon.kill()
    if who == "leader":
        assert cluster.leader() is not daemon
    load.wait_answers(100)
    daemon.start()
    load.wait_answers(50)
    verify(cluster, load)


@pytest.mark.long
def test_kill_all(make_cluster: Callable[..., Any], start_load: Any, verify: Any) -> None:
    """All members die at once, and what was acknowledged is there when they are back."""
    cluster = make_cluster()
    load = start_load(cluster)
    load.wait_answers(100)
    for daemon in cluster.members:
        daemon.kill()
    for daemon in cluster.members:
        daemon.spawn()
    for daemon in cluster.members:
        daemon.wait_ready()
    load.wait_answers(50)
    verify(cluster, load)


def test_a_paused_leader_serves_nothing_stale(
    make_cluster: Callable[..., Any], start_load: Any, verify: Any
) -> None:
    """A leader that sleeps through its successor's election answers no read with what it knew before."""
    cluster = make_cluster()
    load = start_load(cluster)
    load.wait_answers(50)
    old = cluster.leader()
    old.client.put(b"a", b"old")
    old.pause()
    # these lie in the sleeper's sockets, and are read before anything of the others is
    reads = [
        old.client.begin("KV/Range", RangeRequest(key=b"a"), FOREVER_SECONDS) for _ in range(20)
    ]
    write = old.client.begin("KV/Put", PutRequest(key=b"b", value=b"late"), FOREVER_SECONDS)
    new = cluster.leader()
    assert new is not old
    told = new.client.put(b"a", b"new")
    load.wait_answers(50)
    old.resume()
    for read in reads:
        try:
            answer = read.result()
        except grpc.RpcError:
            continue  # refused is right as well
        assert answer.kvs[0].value == b"new"
        assert answer.header.revision >= told
    with suppress(grpc.RpcError):
        assert write.result().header.revision > told
    load.wait_answers(50)
    verify(cluster, load)


@pytest.mark.long
def test_a_paused_follower_catches_up(
    make_cluster: Callable[..., Any], start_load: Any, verify: Any
) -> None:
    """One that slept answers linearizable reads with what was written meanwhile."""
    cluster = make_cluster()
    load = start_load(cluster)
    sleeper = cluster.followers()[0]
    sleeper.pause()
    reads = [
        sleeper.client.begin("KV/Range", RangeRequest(key=b"a"), FOREVER_SECONDS) for _ in range(5)
    ]
    told = cluster.leader().client.put(b"a", b"new")
    load.wait_answers(100)
    sleeper.resume()
    for read in reads:
        answer = read.result()
        assert answer.kvs == [] or answer.header.revision >= told
    assert sleeper.client.get(b"a") == b"new"
    verify(cluster, load)


def test_rolling_restart(make_cluster: Callable[..., Any], start_load: Any, verify: Any) -> None:
    """Each member is stopped and started in turn; a client that goes on elsewhere loses no request.

    The leader hands over before it ends: there is no election to wait for, so that the next member, or the one
    after, answers at once.
    """
    cluster = make_cluster()
    load = start_load(cluster, retrying=True)
    load.wait_answers(50)
    for daemon in [*cluster.followers(), cluster.leader()]:
        assert daemon.stop() in (0, -15)  # etcd ends with the signal, Triode with 0
        load.wait_answers(30)
        daemon.start()
        load.wait_answers(30)
    verify(cluster, load)
    assert load.unanswered == []


@pytest.mark.long
@pytest.mark.parametrize("turn", range(3))
def test_two_of_five(
    make_cluster: Callable[..., Any], start_load: Any, verify: Any, turn: int
) -> None:
    """Five members go on with three; any two may be away."""
    cluster = make_cluster(5)
    load = start_load(cluster, seed=turn)
    load.wait_answers(50)
    leader = cluster.leader()
    gone = [leader, cluster.followers()[turn]]
    gone[0].kill()
    gone[1].pause()
    load.wait_answers(100)
    gone[0].start()
    gone[1].resume()
    load.wait_answers(50)
    verify(cluster, load)
