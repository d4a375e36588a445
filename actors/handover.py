"""Leadership handed over instead of lost: on request (MoveLeader), and when the leader stops gracefully.

Without it the others would have to miss the leader for an election timeout first. And a leader whose disk is full hands
over to one that can write. Source: etcd's
TransferLeadership; the transfer itself is in `raft.leader` (dissertation, 3.10).
"""

from __future__ import annotations

import trio

from ..errors import TimeoutLeaderTransfer
from .actor import Actor, Restart
from .log import Log
from .membership import Membership
from .peers.contract import Peers
from .raft_mail import TransferLeader
from .raft_peer import RaftPeer

__all__ = ["Handover", "hand_over", "longest_connected"]

log = Log("triode.raft")


async def hand_over(raft: RaftPeer, to: int, *, seconds_max: float) -> None:
    """Return when `to` leads; raises TimeoutLeaderTransfer."""
    raft.tell(TransferLeader(to))
    with trio.move_on_after(seconds_max):
        while raft.leader != to:
            await raft.wait_leader_change()
        return
    raise TimeoutLeaderTransfer


def longest_connected(membership: Membership, peers: Peers, mine: int) -> int | None:
    """The voter that has been reachable for the longest time, as it is likely to have all of the log."""
    since = {
        member.id: at
        for member in membership.voters()
        if member.id != mine and (at := peers.active_since(member.id)) is not None
    }
    return min(since, key=lambda member: (since[member], member), default=None)


class Handover(Actor[None]):
    """The first to stop: as long as there is a successor, nobody has to wait for an election."""

    restart = Restart.TEMPORARY
    mailbox_messages_max = 1

    def __init__(
        self, raft: RaftPeer, membership: Membership, peers: Peers, *, mine: int, seconds_max: float
    ) -> None:
        super().__init__(name="handover")
        self.stop_seconds_max = 2 * seconds_max
        self._raft = raft
        self._membership = membership
        self._peers = peers
        self._mine = mine
        self._seconds_max = seconds_max

    async def run(self) -> None:
        """A leader whose disk is full hands over as well, again and again: it may be elected once more."""
        await self._raft.wait_disk_full()
        while True:
            await self._to_another()
            with trio.move_on_after(self._seconds_max):
                await self._raft.wait_leader_change()

    async def stopping(self) -> None:
        await self._to_another()

    async def _to_another(self) -> None:
        if not self._raft.is_leader:
            return
        to = longest_connected(self._membership, self._peers, self._mine)
        if to is None:
            return
        log.info("leadership transfer starting", from_=f"{self._mine:x}", to=f"{to:x}")
        try:
            await hand_over(self._raft, to, seconds_max=self._seconds_max)
        except TimeoutLeaderTransfer as error:
            log.warning("failed to transfer leadership", to=f"{to:x}", error=error.message)
        else:
            log.info("leadership transfer finished", to=f"{to:x}")
