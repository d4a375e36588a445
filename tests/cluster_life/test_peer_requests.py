"""What members ask each other over HTTP: one member's answers, and the real etcd's beside them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from triode.actors.peers.contract import PeerReply
from triode.actors.promotion import read_promotion
from triode.errors import (
    LearnerNotReady,
    MemberNotFound,
    MemberNotLearner,
    RequestTimeout,
)
from triode.rpc.pb import rpc_pb2 as pb
from triode.rpc.pb.lease_pb2 import LeaseInternalRequest, LeaseInternalResponse

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
ID = 7587886742013487000


def time_to_live(lease: int, *, keys: bool = False) -> bytes:
    request = pb.LeaseTimeToLiveRequest(ID=lease, keys=keys)
    return LeaseInternalRequest(LeaseTimeToLiveRequest=request).SerializeToString()


def keep_alive(lease: int) -> bytes:
    return pb.LeaseKeepAliveRequest(ID=lease).SerializeToString()


# verb, path, body; then status, content type and body, None for one that is compared otherwise
SAME: list[tuple[str, str, bytes, int, str, bytes | None]] = [
    ("GET", "/members", b"", 200, JSON, None),
    ("POST", "/members", b"", 405, TEXT, b"Method Not Allowed\n"),
    ("GET", "/version", b"", 200, JSON, None),
    ("POST", "/version", b"", 405, TEXT, b"Method Not Allowed\n"),
    ("GET", "/downgrade/enabled", b"", 200, "text/plain", b"false"),
    ("POST", "/downgrade/enabled", b"", 405, TEXT, b"Method Not Allowed\n"),
    ("GET", "/members/hashkv", b"{}", 200, JSON, None),
    ("GET", "/members/hashkv", b'{"revision":1}', 200, JSON, None),
    ("GET", "/members/hashkv", b'{"revision":99}', 400, TEXT, None),
    ("GET", "/members/hashkv", b"x", 400, TEXT, b"error unmarshalling request\n"),
    ("POST", "/members/hashkv", b"{}", 405, TEXT, b"Method Not Allowed\n"),
    ("POST", "/leases", keep_alive(5), 404, TEXT, b"lease not found\n"),
    ("POST", "/leases", b"\xff", 400, TEXT, b"error unmarshalling request\n"),
    ("GET", "/leases", b"", 405, TEXT, b"Method Not Allowed\n"),
    ("POST", "/leases", keep_alive(ID), 200, "application/protobuf", None),
    ("POST", "/leases/internal", time_to_live(5), 404, TEXT, b"lease not found\n"),
    ("POST", "/leases/internal", b"\xff", 400, TEXT, b"error unmarshalling request\n"),
    ("POST", "/leases/internal", time_to_live(ID), 200, "application/protobuf", None),
    ("POST", "/members/promote/5", b"", 404, TEXT, b"membership: ID not found\n"),
    ("POST", "/members/promote/x", b"", 404, TEXT, b"member x not found in cluster\n"),
    ("GET", "/members/promote/5", b"", 405, TEXT, b"Method Not Allowed\n"),
]


async def test_our_answers(m: Any, tmp_path: Path) -> None:
    """To the byte what is written above."""
    async with m.members(tmp_path) as cluster:
        await cluster.start("a")
        node = cluster.nodes["a"]
        grant = pb.LeaseGrantRequest(TTL=100, ID=ID)
        await m.ask(node, "/etcdserverpb.Lease/LeaseGrant", grant, pb.LeaseGrantResponse)
        put = pb.PutRequest(key=b"k", lease=ID)
        await m.ask(node, "/etcdserverpb.KV/Put", put, pb.PutResponse)
        for verb, path, body, status, kind, wanted in SAME:
            reply = await node.peer_requests.answer(verb, path, body)
            assert reply is not None
            assert (reply.status, reply.headers["Content-Type"]) == (status, kind), path
            if wanted is not None:
                assert reply.body == wanted, path

        async def ask(verb: str, path: str, body: bytes = b"") -> bytes:
            reply = await node.peer_requests.answer(verb, path, body)
            assert reply is not None
            return bytes(reply.body)

        members = await ask("GET", "/members?x=1")
        assert members.endswith(b"]\n")
        assert json.loads(members) == [node.membership.sorted()[0].record()]
        assert json.loads(await ask("GET", "/version"))["etcdcluster"] == "3.6.0"
        renewed = pb.LeaseKeepAliveResponse.FromString(await ask("POST", "/leases", keep_alive(ID)))
        assert (renewed.ID, renewed.TTL) == (ID, 100)
        internal = await ask("POST", "/leases/internal", time_to_live(ID, keys=True))
        found = LeaseInternalResponse.FromString(internal).LeaseTimeToLiveResponse
        assert (found.ID, found.grantedTTL, list(found.keys)) == (ID, 100, [b"k"])
        assert found.HasField("header")
        own = await node.dispatcher.maintenance.find_hash_kv(0)
        assert json.loads(await ask("GET", "/members/hashkv", b"{}")) == {
            "header": {"revision": 2},
            "hash": own[0].hash,
            "hash_revision": 2,
        } | ({"compact_revision": own[0].compact_revision} if own[0].compact_revision else {})
        future = await ask("GET", "/members/hashkv", b'{"revision":99}')
        assert future == b"mvcc: required revision is a future revision\n"
        assert await node.peer_requests.answer("GET", "/nothing", b"") is None
        promote = await node.peer_requests.answer("POST", f"/members/promote/{node.member_id}", b"")
        assert (promote.status, promote.body) == (
            412,
            b"membership: can only promote a learner member\n",
        )


@pytest.mark.etcd
def test_etcds_answers(launch_etcd: Callable[..., Any], m: Any) -> None:
    """The table above is true: of 3.5.1, whose pages have less in them, but nothing else."""
    url = m.free_url()
    etcd = launch_etcd(
        "--listen-peer-urls",
        url,
        "--initial-advertise-peer-urls",
        url,
        "--initial-cluster",
        f"default={url}",
    )
    etcd.ctl("lease", "grant", "100")
    for verb, path, body, status, kind, wanted in SAME:
        if b"%d" % ID in body or body in (keep_alive(ID), time_to_live(ID)):
            continue  # etcdctl cannot choose an ID
        found = over_http(url, verb, path, body)
        assert found[0] == status, path
        if path != "/downgrade/enabled":
            assert found[1] == kind, path
        if wanted is not None:
            assert found[2] == wanted, path
    assert over_http(url, "GET", "/members", b"")[2].endswith(b"]\n")
    future = over_http(url, "GET", "/members/hashkv", b'{"revision":99}')[2]
    assert future == b"mvcc: required revision is a future revision\n"
    assert set(json.loads(over_http(url, "GET", "/members/hashkv", b"{}")[2])) >= {"header", "hash"}


def over_http(url: str, verb: str, path: str, body: bytes) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request(verb, path, body)
        reply = connection.getresponse()
        return reply.status, reply.headers["Content-Type"], reply.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, b"membership: ID not found\n", MemberNotFound),
        (
            412,
            b"etcdserver: can only promote a learner member which is in sync with leader\n",
            LearnerNotReady,
        ),
        (412, b"membership: can only promote a learner member\n", MemberNotLearner),
        (408, b"", RequestTimeout),
    ],
)
def test_what_a_leader_refuses(status: int, body: bytes, error: type[Exception]) -> None:
    """The status codes carry etcd's errors."""
    with pytest.raises(error):
        read_promotion(PeerReply(status, {}, body))


@pytest.mark.parametrize(
    ("status", "body"), [(500, b"{}"), (412, b"?"), (200, b"x"), (200, b"[1]")]
)
def test_what_is_asked_again(status: int, body: bytes) -> None:
    """Somebody else may lead by now."""
    assert read_promotion(PeerReply(status, {}, body)) is None


def test_a_promotion() -> None:
    """The members after it."""
    members = read_promotion(PeerReply(200, {}, b'[{"id":5,"peerURLs":["x"]}]\n'))
    assert members is not None and members[0].id == 5
