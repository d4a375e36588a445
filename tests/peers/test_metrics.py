"""What the links tell in etcd's metrics."""

from __future__ import annotations

from typing import Any

from triode.actors.metrics import Metrics
from triode.actors.peers.observe import connect, show
from triode.raft.codec import encode_message
from triode.raft.types import Message, MessageType
from triode.rpc.metrics_text import families, text


def page(metrics: Metrics) -> dict[str, float]:
    lines = text(families(metrics)).decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


async def test_what_is_exchanged_is_counted(t: Any) -> None:
    async with t.pair() as (a, of_a, b, _):
        metrics = Metrics()
        connect(metrics, of_a)
        of_a.add(t.C, ["http://127.0.0.1:1"])
        of_a.send([t.append(t.B, 1, 3), t.heartbeat(t.B), t.heartbeat(t.C)])
        of_a.send([Message(MessageType.SNAP, to=t.B, from_=t.A, term=2)])
        await t.until(lambda: len(b.stepped) == 2 and a.snapshots and t.C in a.lost)
        show(metrics, of_a, t.A)
        shown = page(metrics)
        assert shown['etcd_network_active_peers{Local="a",Remote="b"}'] == 1
        assert shown['etcd_network_active_peers{Local="a",Remote="c"}'] == 0
        assert shown['etcd_network_known_peers{Local="a",Remote="c"}'] == 1
        assert shown['etcd_network_peer_sent_bytes_total{To="b"}'] > 100
        assert shown['etcd_network_peer_sent_failures_total{To="c"}'] == 1
        assert shown['etcd_network_snapshot_send_success{To="b"}'] == 1
        assert shown['etcd_network_snapshot_send_inflights_total{To="b"}'] == 0
        assert shown['etcd_network_snapshot_send_total_duration_seconds_count{To="b"}'] == 1
        of_a.remove(t.C)
        show(metrics, of_a, t.A)
        assert 'etcd_network_known_peers{Local="a",Remote="c"}' not in page(metrics)


async def test_anybody_may_claim_to_be_anybody_without_making_series(t: Any) -> None:
    """The IDs in messages are what the sender likes."""
    async with t.served() as (_, peers, wire):
        for sender in range(1000, 1050):
            bad = Message(MessageType.HUP, to=t.B, from_=sender)
            await wire.send(t.request("POST", "/raft", encode_message(bad), sender=sender))
            assert (await wire.reply())[0] == 403
        metrics = Metrics()
        show(metrics, peers, t.B)
        name = 'etcd_network_peer_received_failures_total{From="UNKNOWN_SENDER"}'
        assert page(metrics)[name] == 50
        assert len(metrics.peer_received_failures) == 1
