"""The lease reaper: proposes the revocation of leases that are over, on the leader.

A lease ends when its revocation is applied, on every member in one revision; until then its keys are there. One
that could not be proposed now is reported again by the lessor, so nothing is kept here.
"""

from __future__ import annotations

from collections.abc import Iterable

import trio

from ..errors import EtcdError
from ..mvcc.lease import Lessor
from ..rpc.pb.rpc_pb2 import LeaseCheckpoint, LeaseCheckpointRequest, LeaseRevokeRequest
from . import proposals
from .actor import Actor, Restart
from .call import Call
from .log import Log
from .proposer import Proposer
from .world import Clock

__all__ = ["Reaper", "checkpoint_request"]

CHECK_SECONDS = 0.5
log = Log("triode.lease")


class Reaper(Actor[None]):
    """Looks for expired leases and due checkpoints twice a second."""

    restart = Restart.PERMANENT
    mailbox_messages_max = 1

    def __init__(self, lessor: Lessor, proposer: Proposer, clock: Clock) -> None:
        super().__init__(name="lease-reaper")
        self._lessor = lessor
        self._proposer = proposer
        self._clock = clock

    async def run(self) -> None:
        while True:
            await trio.sleep(CHECK_SECONDS)
            now = self._clock.now()
            try:
                for lease in self._lessor.expired(now):
                    self._propose(proposals.LEASE_REVOKE, LeaseRevokeRequest(ID=lease))
                while due := self._lessor.checkpoints(now):
                    self._propose(proposals.LEASE_CHECKPOINT, checkpoint_request(due))
            except EtcdError as error:
                log.warning("failed to revoke leases", error=error.message)

    def _propose(self, kind: int, request: LeaseRevokeRequest | LeaseCheckpointRequest) -> None:
        self._proposer.propose(Call(_NOBODY, 0), kind, request, request.SerializeToString())


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
