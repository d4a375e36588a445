"""Members that come, go, and come back without their disk."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

QUICK = (
    "--strict-reconfig-check=false"  # else each change waits until all have been connected for 5 s
)


@pytest.fixture
def member_add(daemons: Any, until: Any) -> Callable[..., str]:
    """`etcdctl member add`, again while the cluster finds it too early; returns the ID in hex."""

    def add(cluster: Any, asked: Any, daemon: Any, *flags: str) -> str:
        def try_it() -> str:
            done = asked.ctl("member", "add", daemon.name, "--peer-urls", daemon.peer_url, *flags)
            if "unhealthy cluster" in done.stderr or "re-configuration failed" in done.stderr:
                return ""
            said: str = daemons.succeeded(done)
            return said

        said = until(try_it, f"{daemon.name} is added")
        found = re.match(r"Member +([0-9a-f]+) added to cluster", said)
        assert found, said
        assert 'ETCD_INITIAL_CLUSTER_STATE="existing"' in said
        return found[1]

    return add


@pytest.fixture
def member_remove(daemons: Any, until: Any) -> Callable[..., None]:
    """`etcdctl member remove`, again while the cluster finds it too early."""

    def remove(asked: Any, member_id: str) -> None:
        def try_it() -> bool:
            done = asked.ctl("member", "remove", member_id)
            if "unhealthy cluster" in done.stderr or "re-configuration failed" in done.stderr:
                return False
            assert f"Member {member_id} removed" in daemons.succeeded(done).replace("  ", " ")
            return True

        until(try_it, f"{member_id} is removed")

    return remove


@pytest.fixture
def join(member_add: Any) -> Callable[..., Any]:
    """Add a member and start it."""

    def add(cluster: Any, name: str, *flags: str, asked: Any = None) -> Any:
        asked = asked or cluster.leader()
        daemon = cluster.add_daemon(name)
        member_add(cluster, asked, daemon, *flags)
        daemon.start()
        return daemon

    return add


def test_a_removed_member_ends_by_itself(
    make_cluster: Callable[..., Any], member_remove: Any, start_load: Any, verify: Any
) -> None:
    """It is told by the others, and told again when it is started later; the rest goes on."""
    cluster = make_cluster(3, QUICK)
    load = start_load(cluster)
    load.wait_answers(20)
    gone, other = cluster.followers()
    member_remove(other, f"{gone.member_id:x}")
    gone.wait_end()
    assert "removed" in gone.log_since_start()
    cluster.forget(gone)
    load.wait_answers(50)
    gone.spawn()
    gone.wait_end()
    assert "removed" in gone.log_since_start()
    assert len(other.client.members()) == 2
    verify(cluster, load)


@pytest.mark.long
def test_the_leader_can_be_removed(
    make_cluster: Callable[..., Any], member_remove: Any, start_load: Any, verify: Any
) -> None:
    """It is asked itself, and the others elect another."""
    cluster = make_cluster(3, QUICK)
    load = start_load(cluster)
    load.wait_answers(20)
    leader = cluster.leader()
    member_remove(leader, f"{leader.member_id:x}")
    leader.wait_end()
    cluster.forget(leader)
    assert cluster.leader() is not leader
    load.wait_answers(50)
    verify(cluster, load)


@pytest.mark.long
def test_a_wiped_member_is_added_again(
    make_cluster: Callable[..., Any], member_remove: Any, join: Any, start_load: Any, verify: Any
) -> None:
    """Without its disk it is another member at the same address; it gets everything from the others."""
    cluster = make_cluster(3, QUICK)
    load = start_load(cluster)
    load.wait_answers(50)
    wiped, other = cluster.followers()
    member_id = f"{wiped.member_id:x}"
    wiped.kill()
    wiped.wipe()
    member_remove(other, member_id)
    cluster.forget(wiped)
    again = join(cluster, "again", asked=other)
    assert f"{again.member_id:x}" != member_id
    names = {one.ID: one.name for one in again.client.members()}
    assert names[again.member_id] == "again"
    load.wait_answers(30)
    verify(cluster, load)


def test_a_learner_is_promoted(
    make_cluster: Callable[..., Any],
    join: Any,
    start_load: Any,
    verify: Any,
    daemons: Any,
    until: Any,
) -> None:
    """A learner gets the log without a vote, serves local reads only, and votes once it is promoted."""
    cluster = make_cluster(1, QUICK)
    load = start_load(cluster)
    load.wait_answers(20)
    first = cluster.members[0]
    learner = join(cluster, "learner", "--learner")
    first.client.put(b"a", b"x")
    until(lambda: learner.client.get(b"a", serializable=True) == b"x", "the learner has it")
    refused = learner.ctl("get", "a")
    assert "etcdserver: rpc not supported for learner" in refused.stderr
    assert learner.client.status().isLearner
    if learner.program.pages_of_36:
        status, body = learner.page("/readyz")
        assert (status, "[-]non_learner failed" in body) == (503, True)
        assert learner.page("/livez") == (200, "ok\n")
    refused = learner.ctl("member", "promote", f"{learner.member_id:x}")
    assert refused.returncode != 0, "a learner serves no call that changes anything"
    learner_id = f"{learner.member_id:x}"
    said = until(
        lambda: first.ctl("member", "promote", learner_id).stdout, "the learner is promoted"
    )
    assert re.match(rf"Member +{learner_id} promoted in cluster", said)
    until(lambda: not learner.client.status().isLearner, "the learner knows it")
    until(lambda: learner.ctl("get", "a", "--print-value-only").stdout == "x\n", "it reads")
    done = first.ctl("member", "promote", learner_id)
    assert "etcdserver: can only promote a learner member" in done.stderr
    # its vote counts: alone, the first one has no quorum now
    load.wait_answers(20)
    learner.pause()
    assert "context deadline exceeded" in first.ctl("put", "b", "x", "--command-timeout=1s").stderr
    learner.resume()
    load.wait_answers(20)
    verify(cluster, load)


@pytest.mark.long
def test_a_learner_that_lags_is_not_promoted(
    make_cluster: Callable[..., Any], member_add: Any
) -> None:
    """Nor one that was never started."""
    cluster = make_cluster(1, QUICK)
    first = cluster.members[0]
    member_id = member_add(cluster, first, cluster.add_daemon("learner"), "--learner")
    refused = first.ctl("member", "promote", member_id)
    assert (
        "etcdserver: can only promote a learner member which is in sync with leader"
        in refused.stderr
    )
    refused = first.ctl("member", "add", "more", "--learner", "--peer-urls", "http://127.0.0.1:9")
    assert "etcdserver: too many learner members in cluster" in refused.stderr


@pytest.mark.long
def test_force_new_cluster(make_cluster: Callable[..., Any]) -> None:
    """One member goes on alone with all that it has; the others are forgotten."""
    cluster = make_cluster()
    for number in range(10):
        cluster.leader().client.put(b"key/%d" % number, b"x")
    revision = cluster.settled()
    last = cluster.followers()[0]
    last.stop()  # how far it knows the log to be committed is on its disk for sure only then
    for daemon in [one for one in cluster.members if one is not last]:
        daemon.kill()
        cluster.forget(daemon)
    last.start("--force-new-cluster")
    members = last.client.members()
    assert [one.name for one in members] == [last.name]
    assert last.client.put(b"alone", b"x") == revision + 1
    assert last.client.get(b"key/9") == b"x"
    last.kill()
    last.start()
    assert len(last.client.members()) == 1
    assert last.client.get(b"alone") == b"x"


@pytest.mark.long
def test_peer_urls_are_updated(make_cluster: Callable[..., Any], daemons: Any, until: Any) -> None:
    """A member moves to another port: it is told to the others first, and it is found there."""
    cluster = make_cluster()
    moved, other = cluster.followers()
    member_id = f"{moved.member_id:x}"
    moved.stop()
    moved.peer_port = daemons.free_ports(moved.host, 1)[0]
    said = daemons.succeeded(
        other.ctl("member", "update", member_id, "--peer-urls", moved.peer_url)
    )
    assert re.match(rf"Member +{member_id} updated in cluster", said)
    moved.start()
    other.client.put(b"a", b"x")
    until(lambda: moved.client.get(b"a") == b"x", "the moved member follows")
    assert [one.peerURLs for one in other.client.members() if one.name == moved.name] == [
        [moved.peer_url]
    ]


@pytest.mark.long
@pytest.mark.timeout(300)
def test_grow_and_shrink(
    make_cluster: Callable[..., Any],
    join: Any,
    member_remove: Any,
    start_load: Any,
    verify: Any,
    daemons: Any,
) -> None:
    """1 → 3 → 5 → 3 → 1 under load, with all of etcd's checks on; the last one was not among the first."""
    cluster = make_cluster(1)
    load = start_load(cluster, call_seconds=5.0)
    load.wait_answers(20)
    for number in range(1, 5):
        join(cluster, f"new{number}")
        load.wait_answers(20)
    assert len(cluster.members) == 5
    cluster.same_hashes()
    for _ in range(2):
        leader = cluster.leader()
        gone = next(one for one in cluster.members if one is not leader)
        member_remove(leader, f"{gone.member_id:x}")
        gone.wait_end()
        cluster.forget(gone)
        load.wait_answers(20)
    last = cluster.members[-1]
    if (leader := cluster.leader()) is not last:
        daemons.succeeded(leader.ctl("move-leader", f"{last.member_id:x}"))
    verify(cluster, load)
    for gone in [one for one in cluster.members if one is not last]:
        member_remove(last, f"{gone.member_id:x}")
        gone.wait_end()
        cluster.forget(gone)
    last.client.put(b"a", b"b")
    assert last.client.get(b"a") == b"b"
    assert [one.name for one in last.client.members()] == [last.name]
