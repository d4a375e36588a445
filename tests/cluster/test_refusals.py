"""Members and messages that do not belong to the cluster."""

from __future__ import annotations

import http.client
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

VERSION = "3.5.0"


@pytest.fixture
def ask(shared: Any, until: Any) -> Callable[..., tuple[int, str]]:
    """Send a request to the peer port of a member: (status, body); the headers are those of a member."""
    cluster_id, sender = "", ""

    def send(
        verb: str, path: str, body: bytes = b"", to: Any = None, **headers: str
    ) -> tuple[int, str]:
        nonlocal cluster_id, sender
        daemon = to or shared.members[0]
        if not cluster_id:
            cluster_id = f"{daemon.client.status().header.cluster_id:x}"
            sender = f"{shared.members[1].member_id:x}"
        words = {
            "X-Server-From": sender,
            "X-Server-Version": VERSION,
            "X-Min-Cluster-Version": "3.0.0",
            "X-Etcd-Cluster-ID": cluster_id,
            "X-Raft-To": f"{daemon.member_id:x}",
            **{name.replace("_", "-"): text for name, text in headers.items()},
        }
        connection = http.client.HTTPConnection(daemon.host, daemon.peer_port, timeout=10)
        try:
            connection.request(verb, path, body, words)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    return send


@pytest.fixture(autouse=True)
def unharmed(shared: Any) -> Any:
    """Whatever was said to it, the cluster goes on with the same leader."""
    leader, term = shared.leader(), shared.leader().client.status().raftTerm
    yield
    assert shared.leader() is leader
    assert leader.client.status().raftTerm == term
    leader.client.put(b"a", b"x")
    shared.same_hashes()


def test_pages_of_peers(shared: Any, ask: Any) -> None:
    """What members ask each other."""
    status, body = ask("GET", "/members")
    assert status == 200
    assert {one["name"] for one in json.loads(body)} == {one.name for one in shared.members}
    status, body = ask("GET", "/version")
    assert (status, json.loads(body)["etcdserver"][:2]) == (200, "3.")
    status, body = ask("GET", "/raft/probing")
    assert (status, json.loads(body)["OK"]) == (200, True)


@pytest.mark.parametrize("path", ["/raft/stream/msgapp/{id}", "/raft/stream/message/{id}"])
def test_streams(shared: Any, ask: Any, path: str) -> None:
    """Of another cluster: 412; unknown: 404; for another member: 412; without a version: refused."""
    path = path.format(id=f"{shared.members[1].member_id:x}")
    assert ask("GET", path, X_Etcd_Cluster_ID="123")[0] == 412
    assert ask("GET", path, X_Raft_To="123")[0] == 412
    unknown = path.rsplit("/", 1)[0] + "/12345"
    assert ask("GET", unknown, X_Server_From="12345")[0] == 404
    assert ask("GET", path.rsplit("/", 1)[0] + "/nohex")[0] == 404
    assert ask("GET", "/raft/stream/other/1")[0] == 404
    assert ask("POST", path)[0] == 405


def test_messages(ask: Any) -> None:
    """A pipeline's POST from elsewhere, with nonsense, or of a wrong verb."""
    assert ask("POST", "/raft", b"", X_Etcd_Cluster_ID="123")[0] == 412
    assert ask("POST", "/raft", b"\xff\xff\xff nonsense")[0] == 400
    assert ask("GET", "/raft")[0] == 405


def test_versions_that_do_not_fit(ask: Any) -> None:
    """A member that is too old, or wants a newer one."""
    old = ask("POST", "/raft", b"", X_Server_Version="2.0.0", X_Min_Cluster_Version="2.0.0")
    assert old[0] == 412
    new = ask("POST", "/raft", b"", X_Server_Version="9.0.0", X_Min_Cluster_Version="9.0.0")
    assert new[0] == 412


def test_snapshots(ask: Any, shared: Any) -> None:
    """From elsewhere, cut short, or with a header that says it is huge."""
    assert ask("POST", "/raft/snapshot", b"", X_Etcd_Cluster_ID="123")[0] == 412
    assert ask("POST", "/raft/snapshot", b"short")[0] == 400
    if shared.members[0].program.pages_of_36:  # etcd 3.5 believes it, and dies for want of memory
        assert ask("POST", "/raft/snapshot", struct.pack(">Q", 1 << 40) + b"x")[0] == 400
    assert ask("GET", "/raft/snapshot")[0] == 405


def test_members_that_cannot_join(shared: Any) -> None:
    """One that was never added, and one that takes the cluster for another, end with a reason."""
    stranger = shared.add_daemon("stranger")
    try:
        stranger.spawn()
        assert stranger.wait_end() != 0
        assert "member count is unequal" in stranger.log()
        other = shared.add_daemon("other")
        named = [other, *shared.members[:2]]
        other.flags[1] = ",".join(f"{one.name}={one.peer_url}" for one in named)
        other.spawn()
        assert other.wait_end() != 0
        assert "no match found for existing member" in other.log()
    finally:
        for daemon in shared.members[3:]:
            shared.forget(daemon)


def test_a_new_cluster_cannot_be_made_of_an_old_ones_member(shared: Any) -> None:
    """`new` with a peer that already serves a cluster: it has been bootstrapped."""
    late = shared.add_daemon("m1")
    try:
        late.flags[3] = "new"
        late.data_dir = late.data_dir.with_name("late")
        late.peer_port = shared.members[1].peer_port
        late.flags[1] = ",".join(f"{one.name}={one.peer_url}" for one in shared.members[:3])
        late.spawn("--listen-peer-urls", f"http://{late.host}:0")
        assert late.wait_end() != 0
        assert "has already been bootstrapped" in late.log_since_start()
    finally:
        shared.forget(late)
