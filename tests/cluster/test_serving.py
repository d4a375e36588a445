"""What every member of three does, whichever it is."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from triode.rpc.pb.rpc_pb2 import (
    AlarmRequest,
    CompactionRequest,
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    LeaseLeasesRequest,
    LeaseRevokeRequest,
    LeaseTimeToLiveRequest,
    MoveLeaderRequest,
    PutRequest,
    RangeRequest,
    WatchCreateRequest,
    WatchRequest,
)

MEMBERS = (0, 1, 2)
NOSPACE = 1
ACTIVATE, DEACTIVATE = 1, 2


@pytest.fixture(params=MEMBERS)
def member(shared: Any, request: pytest.FixtureRequest) -> Any:
    """Each of them in turn."""
    return shared.members[request.param]


def test_each_member_writes_and_all_read(shared: Any, member: Any, daemons: Any) -> None:
    daemons.succeeded(member.ctl("put", f"from/{member.name}", "x"))
    for other in shared.members:
        said = daemons.succeeded(other.ctl("get", f"from/{member.name}", "--print-value-only"))
        assert said == "x\n"


def test_reads_through_a_follower_are_linearizable(leader: Any, follower: Any) -> None:
    """What the leader has acknowledged is there for a read that begins afterwards, wherever."""
    for number in range(50):
        value = b"%d" % number
        revision = leader.client.put(b"linear", value)
        answer = follower.client.call("KV/Range", RangeRequest(key=b"linear"))
        assert (answer.kvs[0].value, answer.header.revision) == (value, revision)


def test_writes_through_a_follower(leader: Any, follower: Any) -> None:
    """They are forwarded, and the leader has them when they are acknowledged."""
    for number in range(20):
        follower.client.put(b"forwarded", b"%d" % number)
        assert leader.client.get(b"forwarded") == b"%d" % number


def test_many_writes_at_once_through_followers(shared: Any) -> None:
    """Those of all members get revisions of their own, without a gap."""
    first = shared.leader().client.put(b"many", b"")
    futures = [
        shared.members[number % 3].client.begin("KV/Put", PutRequest(key=b"many", value=b"x"))
        for number in range(300)
    ]
    revisions = sorted(future.result().header.revision for future in futures)
    assert revisions == list(range(first + 1, first + 301))


def test_status_and_health_of_the_cluster(shared: Any, member: Any, daemons: Any) -> None:
    """`etcdctl endpoint ... --cluster` finds three members, one leader, one term."""
    states = daemons.as_json(member.ctl("endpoint", "status", "--cluster", "-w", "json"))
    assert {state["Endpoint"] for state in states} == {one.url for one in shared.members}
    leaders = {state["Status"]["leader"] for state in states}
    assert len(leaders) == 1
    assert leaders < {state["Status"]["header"]["member_id"] for state in states}
    assert len({state["Status"]["raftTerm"] for state in states}) == 1
    assert len({state["Status"]["header"]["cluster_id"] for state in states}) == 1
    health = daemons.as_json(member.ctl("endpoint", "health", "--cluster", "-w", "json"))
    assert [one["health"] for one in health] == [True] * 3


def test_hashes_of_the_cluster(shared: Any, daemons: Any) -> None:
    shared.settled()
    found = daemons.as_json(shared.members[0].ctl("endpoint", "hashkv", "--cluster", "-w", "json"))
    assert len(found) == 3
    assert len({one["HashKV"]["hash"] for one in found}) == 1


def test_the_list_of_members_is_the_same_everywhere(shared: Any, daemons: Any) -> None:
    """Names and client URLs as each published them, IDs as etcd computes them."""
    lists = [
        daemons.as_json(one.ctl("member", "list", "-w", "json"))["members"]
        for one in shared.members
    ]
    assert lists[0] == lists[1] == lists[2]
    assert {one["name"]: (one["clientURLs"], one["peerURLs"]) for one in lists[0]} == {
        one.name: ([one.url], [one.peer_url]) for one in shared.members
    }


def test_pages_on_leader_and_followers(member: Any, until: Any) -> None:
    """A member that follows is as healthy as the one that leads."""
    status, body = member.page("/health")
    assert (status, json.loads(body)["health"]) == (200, "true")
    pages = ["/livez", "/readyz"] if member.program.pages_of_36 else []
    for path in pages:
        assert member.page(path) == (200, "ok\n")

    def decided() -> bool:
        return bool(json.loads(member.page("/version")[1])["etcdcluster"].startswith("3."))

    until(decided, "the cluster's version is decided when it has begun", 3)
    metrics = member.page("/metrics")[1]
    assert "\netcd_server_has_leader 1\n" in metrics


def test_one_member_says_that_it_leads(shared: Any) -> None:
    said = [one.page("/metrics")[1] for one in shared.members]
    assert sum("\netcd_server_is_leader 1\n" in text for text in said) == 1


# --- leases -------------------------------------------------------------------------------------


def keep_alive(daemon: Any, lease: int) -> int:
    """Once; returns the TTL."""
    requests: queue.Queue[Any] = queue.Queue()
    requests.put(LeaseKeepAliveRequest(ID=lease))
    stream = daemon.client.stream("Lease/LeaseKeepAlive", iter(requests.get, None))
    answer = next(iter(stream))
    requests.put(None)
    return int(answer.TTL)


def test_a_lease_through_any_member(shared: Any, member: Any) -> None:
    """Granted, kept alive, asked for and revoked through each; a follower asks the leader."""
    lease = member.client.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=100)).ID
    member.client.put(b"leased", b"x", lease=lease)
    for other in shared.members:
        assert keep_alive(other, lease) == 100
        found = other.client.call(
            "Lease/LeaseTimeToLive", LeaseTimeToLiveRequest(ID=lease, keys=True)
        )
        assert (found.grantedTTL, list(found.keys)) == (100, [b"leased"])
        assert 95 < found.TTL <= 100
        leases = other.client.call("Lease/LeaseLeases", LeaseLeasesRequest()).leases
        assert lease in [one.ID for one in leases]
    member.client.call("Lease/LeaseRevoke", LeaseRevokeRequest(ID=lease))
    for other in shared.members:
        assert other.client.get(b"leased") is None
        assert keep_alive(other, lease) <= 0


def test_keep_alive_with_etcdctl_through_a_follower(follower: Any, daemons: Any) -> None:
    said = daemons.succeeded(follower.ctl("lease", "grant", "60"))
    lease = said.split()[1]
    said = daemons.succeeded(follower.ctl("lease", "keep-alive", "--once", lease))
    assert said == f"lease {lease} keepalived with TTL(60)\n"
    said = daemons.succeeded(follower.ctl("lease", "timetolive", lease))
    assert f"lease {lease} granted with TTL(60s), remaining(" in said
    daemons.succeeded(follower.ctl("lease", "revoke", lease))


def test_a_lease_that_ends_takes_its_keys_everywhere(
    shared: Any, follower: Any, until: Any
) -> None:
    """The leader alone lets it expire, and tells the others through the log."""
    lease = follower.client.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=1)).ID
    follower.client.put(b"short", b"x", lease=lease)
    for other in shared.members:
        until(lambda one=other: one.client.get(b"short") is None, "the lease is over", 15)


# --- watches ------------------------------------------------------------------------------------


class Watch:
    """A watch of one key through one member."""

    def __init__(self, daemon: Any, key: bytes, start: int = 0) -> None:
        self._requests: queue.Queue[Any] = queue.Queue()
        create = WatchCreateRequest(key=key, start_revision=start)
        self._requests.put(WatchRequest(create_request=create))
        self._stream = daemon.client.stream("Watch/Watch", iter(self._requests.get, None))
        assert next(iter(self._stream)).created

    def events(self, count: int) -> list[tuple[bytes, int]]:
        """The next so many: (value, revision)."""
        found: list[tuple[bytes, int]] = []
        while len(found) < count:
            found += [(e.kv.value, e.kv.mod_revision) for e in next(self._stream).events]
        return found

    def end(self) -> None:
        self._requests.put(None)
        self._stream.cancel()


@pytest.fixture
def watch() -> Iterator[Callable[..., Watch]]:
    made: list[Watch] = []

    def start(*arguments: Any) -> Watch:
        made.append(Watch(*arguments))
        return made[-1]

    yield start
    for one in made:
        one.end()


def test_a_watch_through_any_member(shared: Any, watch: Any) -> None:
    """All watchers see the writes of all members, in one order."""
    watches = [watch(one, b"watched") for one in shared.members]
    told = [
        (b"%d" % number, shared.members[number % 3].client.put(b"watched", b"%d" % number))
        for number in range(12)
    ]
    for one in watches:
        assert one.events(12) == told


def test_a_watch_goes_on_at_another_member(shared: Any, watch: Any) -> None:
    """From the revision after the last event, as clients do; nothing is lost, nothing twice."""
    told = [(b"%d" % n, shared.members[0].client.put(b"resumed", b"%d" % n)) for n in range(9)]
    seen = watch(shared.members[0], b"resumed", told[0][1]).events(3)[:3]
    for other in shared.members[1:]:
        seen += watch(other, b"resumed", seen[-1][1] + 1).events(3)[:3]
    assert seen == told


# --- the rest -----------------------------------------------------------------------------------


def test_a_lock_is_held_once_in_the_cluster(shared: Any, daemons: Any) -> None:
    """`etcdctl lock` through one member waits for the holder at another."""
    said = daemons.succeeded(
        shared.members[0].ctl(
            *("lock", "mutex", "--"),
            *daemons.etcdctl_words(shared.members[1].address),
            *("get", "mutex", "--prefix", "--keys-only"),
        )
    )
    assert said.count("mutex/") == 1


def test_compaction_is_everywhere(shared: Any, member: Any) -> None:
    for _ in range(3):
        revision = member.client.put(b"compacted", b"x")
    shared.settled()
    member.client.call("KV/Compact", CompactionRequest(revision=revision))
    for other in shared.members:
        other.client.get(b"compacted")  # linearizable: it has applied the compaction
        with pytest.raises(grpc.RpcError) as raised:
            other.client.call("KV/Range", RangeRequest(key=b"compacted", revision=revision - 1))
        assert raised.value.details() == "etcdserver: mvcc: required revision has been compacted"
    member.client.put(b"compacted", b"x")  # etcd 3.5 tells no hash of the compacted revision itself
    shared.same_hashes()


def test_an_alarm_is_raised_and_silenced_everywhere(shared: Any, member: Any) -> None:
    """NOSPACE of one member stops the writes of all."""

    def alarm(action: int) -> None:
        request = AlarmRequest(action=action, memberID=member.member_id, alarm=NOSPACE)
        member.client.call("Maintenance/Alarm", request)

    alarm(ACTIVATE)
    try:
        for other in shared.members:
            said = other.ctl("alarm", "list").stdout
            assert said == f"memberID:{member.member_id} alarm:NOSPACE \n"
            with pytest.raises(grpc.RpcError) as raised:
                other.client.put(b"a", b"b")
            assert raised.value.details() == "etcdserver: mvcc: database space exceeded"
    finally:
        alarm(DEACTIVATE)
    for other in shared.members:
        assert other.ctl("alarm", "list").stdout == ""
        other.client.put(b"a", b"b")


def test_move_leader(shared: Any, leader: Any, follower: Any, daemons: Any) -> None:
    """`etcdctl move-leader`: asked of the leader it is done when it is answered; of another, refused."""
    goal = f"{follower.member_id:x}"
    refused = follower.ctl("move-leader", goal)
    assert refused.returncode != 0
    assert "no leader endpoint given at" in refused.stderr
    said = daemons.succeeded(leader.ctl("move-leader", goal))
    assert said == f"Leadership transferred from {leader.member_id:x} to {goal}\n"
    assert shared.leader() is follower
    follower.client.put(b"moved", b"x")
    assert leader.client.get(b"moved") == b"x"


def test_move_leader_is_refused_for_others(follower: Any, leader: Any) -> None:
    for asked, target, text in [
        (follower, leader.member_id, "etcdserver: not leader"),
        (leader, 12345, "etcdserver: bad leader transferee"),
    ]:
        with pytest.raises(grpc.RpcError) as raised:
            asked.client.call("Maintenance/MoveLeader", MoveLeaderRequest(targetID=target))
        assert raised.value.details() == text
