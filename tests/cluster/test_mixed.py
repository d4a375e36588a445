"""Members of ours and of etcd in one cluster: the peer protocol, the log and the membership are the same.

Nobody is asked to run such a cluster; it is the strictest test of all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from triode.rpc.pb.rpc_pb2 import LeaseGrantRequest, LeaseTimeToLiveRequest, PutRequest

MIXED = [
    pytest.param(("etcd", "etcd", "triode"), marks=pytest.mark.long, id="etcd+etcd+triode"),
    pytest.param(("etcd", "triode", "triode"), id="etcd+triode+triode"),
]
CHECKPOINTS = 5_000  # entries that etcd 3.5 keeps behind a snapshot; no flag changes it


@pytest.fixture(params=MIXED)
def mixed(request: pytest.FixtureRequest, make_cluster: Callable[..., Any]) -> Any:
    return make_cluster(3, "--snapshot-count", "1000", members=request.param)


def move_to(cluster: Any, daemon: Any, daemons: Any) -> None:
    """Make it the leader."""
    leader = cluster.leader()
    if leader is not daemon:
        daemons.succeeded(leader.ctl("move-leader", f"{daemon.member_id:x}"))
        assert cluster.leader() is daemon


def test_each_member_leads_in_turn(mixed: Any, start_load: Any, verify: Any, daemons: Any) -> None:
    """Writes and reads through everybody, whoever leads, and the same history in the end."""
    load = start_load(mixed)
    for daemon in mixed.members:
        move_to(mixed, daemon, daemons)
        load.wait_answers(30)
    lists = [one.client.members() for one in mixed.members]
    assert lists[0] == lists[1] == lists[2]
    assert [len(one.clientURLs) for one in lists[0]] == [1, 1, 1]
    verify(mixed, load)


@pytest.mark.long
def test_leases_of_both(mixed: Any, daemons: Any, until: Any) -> None:
    """Granted through each member and under each leader; a follower of one kind asks a leader of the other."""
    for leader in mixed.members:
        move_to(mixed, leader, daemons)
        for daemon in mixed.members:
            lease = daemon.client.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=60)).ID
            for other in mixed.members:
                said = other.ctl("lease", "keep-alive", "--once", f"{lease:x}")
                assert "keepalived with TTL(60)" in daemons.succeeded(said)
                found = other.client.call("Lease/LeaseTimeToLive", LeaseTimeToLiveRequest(ID=lease))
                assert found.grantedTTL == 60
    short = mixed.members[0].client.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=1)).ID
    mixed.members[0].client.put(b"short", b"x", lease=short)
    for other in mixed.members:
        until(lambda one=other: one.client.get(b"short") is None, "the lease is over", 15)
    mixed.same_hashes()


@pytest.mark.long
def test_kills(mixed: Any, start_load: Any, verify: Any) -> None:
    """Each member is killed once, and the others go on."""
    load = start_load(mixed)
    for daemon in mixed.members:
        load.wait_answers(30)
        daemon.kill()
        load.wait_answers(30)
        daemon.start()
    verify(mixed, load)


@pytest.mark.long
def test_snapshots_of_the_other_kind(mixed: Any, daemons: Any) -> None:
    """A member of each kind was away for long, and gets the state from a leader of the other kind."""
    etcd, ours = mixed.members[0], mixed.members[2]
    for leader, late in [(etcd, ours), (ours, etcd)]:
        move_to(mixed, leader, daemons)
        lease = leader.client.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=1000)).ID
        leader.client.put(b"leased", b"x", lease=lease)
        mixed.settled()
        late.kill()
        for first in range(0, CHECKPOINTS + 2000, 200):
            futures = [
                leader.client.begin(
                    "KV/Put", PutRequest(key=b"fill/%d" % (n % 70), value=b"%d" % n)
                )
                for n in range(first, first + 200)
            ]
            for future in futures:
                future.result()
        late.start()
        mixed.same_hashes()
        assert late.received_a_snapshot()
        assert late.client.get(b"leased", serializable=True) == b"x"
        late.client.put(b"back", b"x")
