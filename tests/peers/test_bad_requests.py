"""What strangers, removed members and broken peers get to hear, word for word as from etcd."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from triode.actors.peers.contract import PeerReply
from triode.errors import StorageError
from triode.raft.codec import encode_message
from triode.raft.types import Message, MessageType

STREAMS = ["/raft/stream/message", "/raft/stream/msgapp"]


# --- streams ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", STREAMS)
async def test_a_stream_is_given_to_a_member(t: Any, path: str) -> None:
    async with t.served() as (_, peers, wire):
        await wire.send(t.request("GET", f"{path}/a", to=t.B))
        status, headers, _ = await wire.reply()
        assert status == 200
        assert headers["x-server-version"] == "3.6.0"
        assert headers["x-etcd-cluster-id"] == "c1"
        assert headers["transfer-encoding"] == "chunked"
        await t.until(lambda: peers.active_since(t.A) is not None)


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize(
    ("member", "headers", "status", "text"),
    [
        ("a", {"X_Etcd_Cluster_ID": "c2"}, 412, "cluster ID mismatch"),
        ("a", {"X_Etcd_Cluster_ID": ""}, 412, "cluster ID mismatch"),
        ("a", {"X_Server_Version": "2.3.0"}, 412, "incompatible version"),
        ("a", {"X_Min_Cluster_Version": "3.9.0"}, 412, "incompatible version"),
        ("a", {"X_Raft_To": "c"}, 412, "to field mismatch"),
        ("c", {}, 404, "error sender not found"),
        ("d", {}, 410, "removed member"),
        ("what", {}, 404, "invalid from"),
        ("", {}, 404, "invalid from"),
    ],
)
async def test_a_stream_is_refused(
    t: Any, path: str, member: str, headers: dict[str, str], status: int, text: str
) -> None:
    async with t.served(t.Owner(t.B, removed={0xD})) as (_, peers, wire):
        await wire.send(t.request("GET", f"{path}/{member}", **{"X_Raft_To": "b", **headers}))
        found, _, body = await wire.reply()
        assert (found, body) == (status, text.encode() + b"\n")
        assert not peers.link(t.A).messages.working


async def test_other_streams_and_other_verbs(t: Any) -> None:
    async with t.served() as (_, _, wire):
        await wire.send(t.request("GET", "/raft/stream/other/a", to=t.B))
        assert (await wire.reply())[::2] == (404, b"invalid path\n")
        await wire.send(t.request("POST", "/raft/stream/message/a", to=t.B))
        status, headers, _ = await wire.reply()
        assert (status, headers["allow"]) == (405, "GET")
        await wire.send(t.request("GET", "/raft"))
        status, headers, _ = await wire.reply()
        assert (status, headers["allow"]) == (405, "POST")


async def test_a_new_stream_takes_the_place_of_the_old(t: Any) -> None:
    """As after a connection that broke without a word."""
    async with t.served() as (_, peers, old), t.wire(peers) as new:
        for wire in (old, new):
            await wire.send(t.request("GET", "/raft/stream/message/a", to=t.B))
            assert (await wire.reply())[0] == 200
            await t.until(lambda: peers.link(t.A).messages.working)
        await old.end()
        peers.send([t.heartbeat(t.A, sender=t.B)])
        assert encode_message(t.heartbeat(t.A, sender=t.B)) in await new.until(b"h\0\r\n")


# --- the pipeline -----------------------------------------------------------------------------------


async def test_messages_are_taken_one_after_the_other(t: Any) -> None:
    async with t.served() as (owner, peers, wire):
        for commit in (1, 2):
            await wire.send(
                t.request("POST", "/raft", encode_message(t.heartbeat(t.B, commit=commit)))
            )
            assert (await wire.reply())[0] == 204
        assert [m.commit for m in owner.stepped] == [1, 2]
        assert peers.traffic.received_bytes[t.A] > 0


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"from_": 0xD}, 403, '{"message":"cannot process message from removed member"}'),
        ({"to": 0xC}, 403, '{"message":"cannot process message to mismatch member"}'),
        ({"type": MessageType.HUP}, 403, '{"message":"MsgHup is not for the network"}'),
        ({"type": MessageType.STORAGE_APPEND}, 403, "not for the network"),
        ({"responses": (Message(MessageType.APP),)}, 403, "not for the network"),
        ({"from_": 0}, 403, "not for the network"),
        ({"type": MessageType.SNAP}, 403, "a snapshot without its data"),
    ],
)
async def test_messages_that_raft_must_not_see(
    t: Any, change: dict[str, Any], status: int, text: str
) -> None:
    async with t.served(t.Owner(t.B, removed={0xD})) as (owner, peers, wire):
        message = attrs.evolve(t.heartbeat(t.B), **change)
        await wire.send(t.request("POST", "/raft", encode_message(message)))
        found, _, body = await wire.reply()
        assert found == status
        assert text in body.decode()
        assert owner.stepped == []
        assert peers.traffic.received_failures[t.A if message.from_ == t.A else 0] == 1


@pytest.mark.parametrize("body", [b"", b"\xff", b"\x08\x63", b"garbage" * 100])
async def test_bytes_that_are_no_message(t: Any, body: bytes) -> None:
    """Among them a type from the future."""
    async with t.served() as (owner, _, wire):
        await wire.send(t.request("POST", "/raft", body))
        assert (await wire.reply())[::2] == (400, b"error unmarshalling raft message\n")
        await wire.send(t.request("POST", "/raft", encode_message(t.heartbeat(t.B))))
        assert (await wire.reply())[0] == 204
        assert len(owner.stepped) == 1


@pytest.mark.parametrize(("path", "size"), [("/raft", 1 << 30), ("/leases", 65537)])
async def test_a_body_that_is_too_large_is_not_awaited(t: Any, path: str, size: int) -> None:
    async with t.served() as (owner, _, wire):
        await wire.send(t.request("POST", path, Content_Length=str(size)))
        assert (await wire.reply())[0] == 413
        assert owner.stepped == []
        assert owner.asked == []


async def test_a_chunked_body_that_grows_too_large_is_cut_off(t: Any) -> None:
    async with t.served() as (owner, _, wire):
        head = t.request("POST", "/leases", Content_Length="", Transfer_Encoding="chunked")
        await wire.send(
            head + b"8000\r\n" + bytes(0x8000) + b"\r\n8001\r\n" + bytes(0x8001) + b"\r\n"
        )
        assert (await wire.reply())[0] == 413
        assert owner.asked == []


# --- the rest ---------------------------------------------------------------------------------------


async def test_other_requests_go_to_the_owner(t: Any) -> None:
    async with t.served() as (owner, _, wire):
        await wire.send(t.request("GET", "/members"))
        status, headers, body = await wire.reply()
        assert (status, body) == (200, b"[]\n")
        assert headers["x-etcd-cluster-id"] == "c1"
        await wire.send(t.request("POST", "/leases?x=1", b"body"))
        assert (await wire.reply())[::2] == (404, b"404 page not found\n")
        assert owner.asked == [("GET", "/members", b""), ("POST", "/leases?x=1", b"body")]


async def test_the_owner_may_answer_any_status_or_fail(t: Any) -> None:
    """499 has no name in HTTP; a fault of this machine is an answer, too."""
    async with t.served() as (owner, _, wire):

        async def odd(verb: str, target: str, body: bytes) -> Any:
            if target == "/fail":
                raise StorageError("no space")
            return PeerReply(499, {}, b"odd")

        owner.answer = odd
        await wire.send(t.request("GET", "/odd"))
        assert (await wire.reply())[::2] == (499, b"odd")
        await wire.send(t.request("GET", "/fail"))
        assert (await wire.reply())[::2] == (500, b"no space\n")


async def test_a_probe_is_told_the_time(t: Any) -> None:
    async with t.served() as (_, _, wire):
        await wire.send(t.request("GET", "/raft/probing"))
        status, _, body = await wire.reply()
        assert status == 200
        assert body.startswith(b'{"OK":true,"Now":"2')
        assert body.endswith(b'Z"}\n')


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: x\r\n\r\n",
        b"POST /raft HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: " + b"x" * (70 * 1024) + b"\r\n\r\n",
        b"\r\n" * 50_000,
    ],
)
async def test_what_is_not_http_ends_the_connection_and_nothing_else(t: Any, data: bytes) -> None:
    async with t.served() as (owner, peers, wire):
        await wire.send(data)
        reply = await wire.end()
        assert reply == b"" or reply.startswith(b"HTTP/1.1 4")
        async with t.wire(peers) as other:
            await other.send(t.request("POST", "/raft", encode_message(t.heartbeat(t.B))))
            assert (await other.reply())[0] == 204
        assert len(owner.stepped) == 1


async def test_a_caller_that_is_not_known_is_answered_all_the_same(t: Any) -> None:
    """This member is behind: it has not heard of the leader that calls."""
    c = t.Owner(t.C)
    of_c = t.make(c)
    async with t.served() as (_, of_b, wire), t.run(of_c):
        message = encode_message(t.heartbeat(t.B, sender=t.C))
        await wire.send(t.request("POST", "/raft", message, sender=t.C, X_PeerURLs=c.peer_urls[0]))
        assert (await wire.reply())[0] == 204
        answer = Message(MessageType.HEARTBEAT_RESP, to=t.C, from_=t.B, term=2)
        of_b.send([answer])
        await t.until(lambda: c.stepped)
        assert c.stepped == [answer]
        assert of_b.active_since(t.C) is None


async def test_callers_that_are_not_known_are_bounded(t: Any) -> None:
    async with t.served() as (_, peers, wire):
        for n in range(100):
            message = encode_message(t.heartbeat(t.B, sender=1000 + n))
            await wire.send(
                t.request(
                    "POST", "/raft", message, sender=1000 + n, X_PeerURLs="http://127.0.0.1:1"
                )
            )
            assert (await wire.reply())[0] == 204
        assert list(peers._remotes) == list(range(1036, 1100))
        assert list(peers.traffic.received_bytes) == [0]
        for n in range(100):
            peers.send([t.heartbeat(1000 + n, sender=t.B)])
        await t.until(lambda: len(peers.traffic.sent_failures) == 64)
        for n in range(200, 264):
            peers.add_remote(1000 + n, ["http://127.0.0.1:1"])
        await t.until(lambda: not peers.traffic.sent_failures)
        assert len(peers._cells) <= 64 + 3
