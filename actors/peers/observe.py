"""Which metrics the links tell; docs/metrics.md has what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..metrics import Metrics
    from .links import HttpPeers

__all__ = ["connect", "show"]

UNKNOWN: Final = "UNKNOWN_SENDER"


def connect(metrics: Metrics, peers: HttpPeers) -> None:
    """Have times observed as they are taken."""
    traffic = peers.traffic
    round_trip, sent = metrics.peer_round_trip, metrics.snapshot_send_duration
    received = metrics.snapshot_receive_duration
    traffic.on_round_trip = lambda member, seconds: round_trip[f"{member:x}",].observe(seconds)
    traffic.on_snapshot_sent = lambda member, seconds: sent[f"{member:x}",].observe(seconds)
    traffic.on_snapshot_received = lambda member, seconds: received[f"{member:x}",].observe(seconds)


def show(metrics: Metrics, peers: HttpPeers, member_id: int) -> None:
    """Bring the counts up to date; called before a page is made."""
    traffic, local = peers.traffic, f"{member_id:x}"
    for labelled, counts in (
        (metrics.peer_sent_bytes, traffic.sent_bytes),
        (metrics.peer_received_bytes, traffic.received_bytes),
        (metrics.peer_sent_failures, traffic.sent_failures),
        (metrics.peer_received_failures, traffic.received_failures),
        (metrics.snapshot_send_success, traffic.snapshots_sent),
        (metrics.snapshot_send_failures, traffic.snapshots_not_sent),
        (metrics.snapshot_send_inflights, traffic.snapshots_being_sent),
        (metrics.snapshot_receive_success, traffic.snapshots_received),
        (metrics.snapshot_receive_failures, traffic.snapshots_not_received),
        (metrics.snapshot_receive_inflights, traffic.snapshots_being_received),
    ):
        labelled.update(
            {(f"{member:x}" if member else UNKNOWN,): n for member, n in counts.items()}
        )
    lost: dict[tuple[str, ...], float] = {
        (local, f"{member:x}"): n for member, n in traffic.disconnected.items()
    }
    metrics.disconnected_peers.update(lost)
    metrics.active_peers.clear()
    metrics.known_peers.clear()
    for member in peers.known:
        active = peers.active_since(member) is not None
        metrics.active_peers[local, f"{member:x}"] = int(active)
        metrics.known_peers[local, f"{member:x}"] = 1
