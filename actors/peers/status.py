"""Whether a peer can be reached, and what has been exchanged with each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import attrs

from ..log import Log

__all__ = ["PeerStatus", "PeerTraffic"]

log = Log("triode.peers")


def _nothing(member: int, seconds: float) -> None:
    """The hook that nobody has taken."""


def _counts() -> dict[int, int]:
    return defaultdict(int)


@attrs.define
class PeerTraffic:
    """Counts by member ID, since the start; what is exposed as metrics reads them.

    The hooks get a member and a time in seconds.
    """

    sent_bytes: dict[int, int] = attrs.Factory(_counts)
    received_bytes: dict[int, int] = attrs.Factory(_counts)
    sent_failures: dict[int, int] = attrs.Factory(_counts)
    """Messages that were dropped or could not be sent."""
    received_failures: dict[int, int] = attrs.Factory(_counts)
    """Messages that could not be read or taken."""
    disconnected: dict[int, int] = attrs.Factory(_counts)
    """How often a peer was lost that had been active."""
    snapshots_sent: dict[int, int] = attrs.Factory(_counts)
    snapshots_not_sent: dict[int, int] = attrs.Factory(_counts)
    snapshots_being_sent: dict[int, int] = attrs.Factory(_counts)
    snapshots_received: dict[int, int] = attrs.Factory(_counts)
    snapshots_not_received: dict[int, int] = attrs.Factory(_counts)
    snapshots_being_received: dict[int, int] = attrs.Factory(_counts)
    on_round_trip: Callable[[int, float], None] = _nothing
    on_snapshot_sent: Callable[[int, float], None] = _nothing
    on_snapshot_received: Callable[[int, float], None] = _nothing

    def forget(self, member: int) -> None:
        """Keep no counts of `member`, which was never one."""
        for field in attrs.fields(PeerTraffic):
            counts = getattr(self, field.name)
            if isinstance(counts, dict):
                counts.pop(member, None)


class PeerStatus:
    """Active since when: as etcd has it, any success makes a peer active and any failure inactive.

    A stream that the peer closes is no failure by itself; that it cannot be dialled again is.
    """

    __slots__ = ("_member", "_now", "_traffic", "active_since")

    def __init__(self, member: int, now: Callable[[], float], traffic: PeerTraffic) -> None:
        self._member = member
        self._now = now
        self._traffic = traffic
        self.active_since: float | None = None

    def activate(self) -> None:
        """Something went well."""
        if self.active_since is None:
            self.active_since = self._now()
            log.info("peer became active", peer_id=f"{self._member:x}")

    def deactivate(self, what: str, error: object) -> None:
        """Something failed; `what` says on which way."""
        if self.active_since is None:
            return
        self.active_since = None
        self._traffic.disconnected[self._member] += 1
        log.warning(
            "peer became inactive (message send to peer failed)",
            peer_id=f"{self._member:x}",
            way=what,
            error=str(error),
        )
