"""The lease reaper: proposes the revocation of leases that are over, on the leader.

A lease ends when its revocation is applied, on every member in one revision; until then its keys are there. One
that could not be proposed now is reported again by the lessor, so nothing is kept here.

Only the leader of the present term may say that a lease is over: a member that led before counts from an older
renewal. So it is proposed for this term or not at all, and not before a quorum has confirmed the term.
"""

from __future__ import annotations

from collections.abc import Iterable

import trio

from ..errors import EtcdError
from ..rpc.pb.rpc_pb2 import LeaseCheckpoint, LeaseCheckpointRequest, LeaseRevokeRequest
from . import proposals
from .actor import Actor, Restart
from .call import Call
from .context import NodeContext
from .leader_calls import confirm_leadership
from .log import Log

__all__ = ["Reaper", "checkpoint_request"]

CHECK_SECONDS = 0.5
log = Log("triode.lease")


class Reaper(Actor[None]):
    """Looks for expired leases and due checkpoints twice a second."""

    restart = Restart.PERMANENT
    mailbox_messages_max = 1

    def __init__(self, node: NodeContext) -> None:
        super().__init__(name="lease-reaper")
        self._node = node

    async def run(self) -> None:
        node = self._node
        while True:
            await trio.sleep(CHECK_SECONDS)
            if not node.lessor.due(node.world.clock.now()):
                continue
            term = node.raft.term
            if await confirm_leadership(node):
                self._look(term)

    def _look(self, term: int) -> None:
        lessor, now = self._node.lessor, self._node.world.clock.now()
        try:
            for lease in lessor.expired(now):
                self._propose(term, proposals.LEASE_REVOKE, LeaseRevokeRequest(ID=lease))
            while due := lessor.checkpoints(now):
                self._propose(term, proposals.LEASE_CHECKPOINT, checkpoint_request(due))
        except EtcdError as error:
            log.warning("failed to revoke leases", error=error.message)

    def _propose(
        self, term: int, kind: int, request: LeaseRevokeRequest | LeaseCheckpointRequest
    ) -> None:
        self._node.proposer.propose_as_leader(term, Call(_NOBODY, 0), kind, request)


def checkpoint_request(points: Iterable[tuple[int, int]]) -> LeaseCheckpointRequest:
    """Replicates (lease, remaining seconds); 0 clears a checkpoint."""
    return LeaseCheckpointRequest(
        checkpoints=[LeaseCheckpoint(ID=lease, remaining_TTL=ttl) for lease, ttl in points]
    )


class _Nobody:
    """The answers are of no interest: what fails is tried again."""

    def answer(self, tag: int, message: bytes) -> None:
        del tag, message

    def refuse(self, tag: int, error: EtcdError) -> None:
        del tag
        log.debug("a proposal for a lease was refused", error=error.message)


_NOBODY = _Nobody()
