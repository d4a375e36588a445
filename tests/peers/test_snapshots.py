"""A whole state on its way: sent, received, cut, too large, refused, and nothing else waits for it."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio.testing

from triode.actors.peers import snapshot_sender
from triode.raft.codec import encode_message
from triode.raft.types import (
    ConfState,
    Message,
    MessageType,
    Snapshot,
    SnapshotMetadata,
)
from triode.rpc.peer_frames import length_frame


def snap(to: int, sender: int = 0xA) -> Message:
    meta = SnapshotMetadata(ConfState(voters=(0xA, 0xB)), index=50, term=4)
    return Message(MessageType.SNAP, to=to, from_=sender, term=4, snapshot=Snapshot(metadata=meta))


PIECES = [bytes([n]) * 50_000 for n in range(100)]


# --- both sides -------------------------------------------------------------------------------------


async def test_a_snapshot_arrives(t: Any) -> None:
    """With the place in the log that the owner gives, not raft's."""
    async with t.pair() as (a, of_a, b, of_b):
        a.outgoing = t.Outgoing(PIECES)
        of_a.send([snap(t.B)])
        await t.until(lambda: a.snapshots)
        assert a.snapshots == [(t.B, False)]
        assert a.outgoing.closed
        (incoming,) = b.incoming
        assert incoming.end == "finished"
        assert incoming.data == b"".join(PIECES)
        assert incoming.message == attrs.evolve(snap(t.B), snapshot=a.outgoing.snapshot)
        assert b.stepped == []
        assert of_a.traffic.snapshots_sent == {t.B: 1}
        assert of_b.traffic.snapshots_received == {t.A: 1}
        assert of_a.traffic.snapshots_being_sent[t.B] == 0
        assert of_b.traffic.snapshots_being_received[t.A] == 0
        assert a.lost == []


async def test_messages_go_on_meanwhile(t: Any) -> None:
    """The image is asked for piece by piece, with turns of the loop in between."""
    async with t.pair() as (a, of_a, b, _):
        a.outgoing = t.Outgoing(PIECES)
        of_a.send([snap(t.B)])
        await t.until(lambda: a.outgoing.asked)
        asked = a.outgoing.asked
        assert asked < len(PIECES)
        of_a.send([t.heartbeat(t.B)])
        await t.until(lambda: b.stepped)
        assert not a.snapshots
        await t.until(lambda: a.snapshots)
        assert a.snapshots == [(t.B, False)]


async def test_one_at_a_time_to_each_member(t: Any) -> None:
    async with t.pair() as (a, of_a, _, _):
        a.outgoing = t.Outgoing(PIECES)
        of_a.send([snap(t.B), snap(t.B)])
        await t.until(lambda: len(a.snapshots) == 2)
        assert a.snapshots == [(t.B, True), (t.B, False)]


async def test_so_many_at_once_in_all(t: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_sender, "SNAPSHOTS_IN_FLIGHT_MAX", 1)
    c = t.Owner(t.C)
    of_c = t.make(c)
    async with t.pair() as (a, of_a, _, _), t.run(of_c):
        of_a.add(t.C, c.peer_urls)
        await t.until(lambda: of_a.link(t.C).client.nursery)
        a.outgoing = t.Outgoing(PIECES)
        of_a.send([snap(t.B), snap(t.C)])
        await t.until(lambda: len(a.snapshots) == 2)
        assert sorted(a.snapshots) == [(t.B, False), (t.C, True)]
        assert c.incoming == []
        assert of_a._home.snapshots_in_flight == 0


@pytest.mark.parametrize("size", [10, 10_000_000])
async def test_an_image_of_another_size_fails_on_both_sides(t: Any, size: int) -> None:
    async with t.pair() as (a, of_a, b, _):
        a.outgoing = t.Outgoing(PIECES[:20], size=size)
        of_a.send([snap(t.B)])
        await t.until(lambda: a.snapshots)
        assert a.snapshots == [(t.B, True)]
        assert a.outgoing.closed
        await t.until(lambda: all(i.end == "abandoned" for i in b.incoming))


async def test_a_receiver_without_room_says_so(t: Any) -> None:
    async with t.pair() as (a, of_a, b, of_b):
        a.outgoing = t.Outgoing(PIECES)
        b.full_at = 100_000
        of_a.send([snap(t.B)])
        await t.until(lambda: a.snapshots)
        assert a.snapshots == [(t.B, True)]
        assert b.incoming[0].end == "abandoned"
        assert of_a.traffic.snapshots_not_sent == {t.B: 1}
        assert of_b.traffic.snapshots_not_received == {t.A: 1}
        of_a.send([t.heartbeat(t.B)])
        await t.until(lambda: b.stepped)


async def test_a_receiver_that_is_gone(t: Any) -> None:
    owner = t.Owner(t.A)
    peers = t.make(owner)
    peers.add(t.B, ["http://127.0.0.1:1"])
    peers.send([snap(t.B)])  # before it runs
    async with t.run(peers):
        await t.until(lambda: owner.snapshots == [(t.B, True)])
        peers.send([snap(t.B)])
        await t.until(lambda: owner.snapshots == [(t.B, True)] * 2)
        assert owner.outgoing.closed


async def test_a_link_that_is_cut_while_sending_tells(t: Any) -> None:
    """The link crashes; its next incarnation tells raft, which would wait for ever."""
    async with t.pair() as (a, of_a, _, _):
        a.outgoing = t.Outgoing(PIECES * 20)
        of_a.send([snap(t.B)])
        await t.until(lambda: a.outgoing.asked)

        def fail(member: int) -> None:
            del a.unreachable
            raise RuntimeError("the owner fails")

        a.unreachable = fail
        of_a.link(t.B)._lost()
        await t.until(lambda: a.snapshots == [(t.B, True)])
        assert a.outgoing.closed
        assert of_a._home.snapshots_in_flight == 0


# --- a sender that the test plays -------------------------------------------------------------------


async def test_a_snapshot_that_is_cut_leaves_nothing(t: Any) -> None:
    async with t.served() as (owner, peers, wire):
        body = length_frame(encode_message(snap(t.B))) + bytes(100_000)
        data = t.request("POST", "/raft/snapshot", body)
        await wire.send(data[:-1])
        await t.until(lambda: owner.incoming and len(owner.incoming[0].data) > 90_000)
        await wire.stream.send_eof()
        await wire.end()
        await t.until(lambda: owner.incoming[0].end == "abandoned")
        assert peers.traffic.snapshots_not_received == {t.A: 1}
        assert peers.traffic.snapshots_being_received[t.A] == 0


async def test_a_sender_that_stops_in_the_middle_is_given_up(t: Any) -> None:
    async with t.served() as (owner, peers, _):
        peers._home.read_seconds_max = 0.2
        async with t.wire(peers) as wire:
            body = length_frame(encode_message(snap(t.B))) + bytes(100_000)
            await wire.send(t.request("POST", "/raft/snapshot", body)[:-1])
            await t.until(lambda: owner.incoming and owner.incoming[0].end == "abandoned")


async def test_chunked_bodies_are_taken_as_etcd_sends_them(t: Any) -> None:
    async with t.served() as (owner, _, wire):
        body = length_frame(encode_message(snap(t.B))) + b"image"
        chunks = b"".join(
            [b"%x\r\n%b\r\n" % (len(p), p) for p in (body[:3], body[3:20], body[20:])]
        )
        head = t.request("POST", "/raft/snapshot", Content_Length="", Transfer_Encoding="chunked")
        await wire.send(head + chunks + b"0\r\n\r\n")
        assert (await wire.reply())[0] == 204
        assert owner.incoming[0].data == b"image"


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (((64 << 20) + 1).to_bytes(8, "big") + bytes(100), 400, "limit exceeded"),
        (b"\xff" * 8, 400, "limit exceeded"),
        (b"\0\0", 400, "unexpected EOF"),
        (length_frame(bytes(100))[:50], 400, "unexpected EOF"),
        (length_frame(b"\xff"), 400, "failed to decode raft message"),
        (
            length_frame(encode_message(Message(MessageType.APP, 0xB, 0xA))),
            400,
            "wrong raft message type",
        ),
        (length_frame(encode_message(Message(MessageType.SNAP, 0xB, 0xA))), 400, "wrong raft"),
        (length_frame(encode_message(snap(0xC))), 403, "mismatch member"),
        (length_frame(encode_message(snap(0xB, 0xD))), 403, "removed member"),
    ],
)
async def test_snapshots_that_are_refused(t: Any, body: bytes, status: int, text: str) -> None:
    async with t.served(t.Owner(t.B, removed={0xD})) as (owner, _, wire):
        await wire.send(t.request("POST", "/raft/snapshot", body))
        found, _, reason = await wire.reply()
        assert found == status
        assert text in reason.decode()
        assert owner.incoming == []


async def test_another_cluster_s_snapshot_is_refused(t: Any) -> None:
    async with t.served() as (owner, _, wire):
        body = length_frame(encode_message(snap(t.B))) + b"image"
        await wire.send(t.request("POST", "/raft/snapshot", body, X_Etcd_Cluster_ID="c2"))
        assert (await wire.reply())[::2] == (412, b"cluster ID mismatch\n")
        assert owner.incoming == []


async def test_a_sender_that_was_removed_is_told(t: Any) -> None:
    """403 on a snapshot means what 410 means on a stream."""
    async with t.pair() as (a, of_a, b, _):
        b.removed.add(t.A)
        of_a.send([snap(t.B)])
        await t.until(lambda: a.was_told_removed == 1)
        await t.until(lambda: a.snapshots == [(t.B, True)])
        await trio.testing.wait_all_tasks_blocked()
