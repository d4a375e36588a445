"""A lease that a block holds: kept alive while the block runs; when it is lost, the block is cancelled at once.

A lease lives for its TTL after the server has granted or renewed it. The client cannot know when that was; it counts
from the moment at which it *sent* the request, so it never believes in a lease for longer than the server does (as
long as both clocks run alike). The end is the deadline of a cancel scope around the block: no task has to wake up
in time for it, and each renewal moves it.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Protocol

import trio

from ..errors import EtcdError
from ..rpc.pb.rpc_pb2 import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseRevokeResponse,
)
from .errors import LeaseLost

if TYPE_CHECKING:
    from .keepalive import KeepAlive

__all__ = ["Lease", "LeaseRenewals", "granted", "held", "seconds"]

REVOKE_SECONDS_MAX = (
    2.0  # at the end of a block; a lease that could not be revoked runs out by itself
)


class Lease:
    """A lease that is kept alive. Made by `client.lease` and `client.keep_alive`.

    Attributes:
        id: the server's number for it.
        ttl: how long it lives after a renewal, in seconds: what the server gave, not what was asked for.
        scope: is cancelled when the lease is lost.
        why: what the server, or the network, had to do with it.
        ended: its block has ended, so that it is not renewed any more.
    """

    def __init__(self, lease_id: int, ttl: int, deadline: float) -> None:
        self.id = lease_id
        self.ttl = ttl
        self.scope = trio.CancelScope(deadline=deadline)
        self.why = "it was not renewed in time"
        self.ended = False
        self._news = trio.Event()
        self._renewals = 0

    @property
    def lost(self) -> bool:
        """Whether it has run out, or was revoked: what it protected is no longer protected."""
        return self.scope.cancel_called

    @property
    def remaining(self) -> float:
        """For how many seconds it surely lives, if it is not revoked."""
        return max(0.0, self.scope.deadline - trio.current_time()) if not self.lost else 0.0

    def renewals(self) -> LeaseRenewals:
        """`async for ttl in lease.renewals()`: the TTL, each time that the server has renewed it.

        Any task may iterate. It ends when the lease's block does.

        Raises:
            LeaseLost: while iterating, outside of the block: the lease is lost.
        """
        return LeaseRenewals(self)

    def end(self) -> None:
        """Its block has ended."""
        self.ended = True
        self._tell()

    def renewed(self, ttl: int, deadline: float) -> None:
        """The server has renewed it."""
        self.ttl = ttl
        self.scope.deadline = deadline
        self._renewals += 1
        self._tell()

    def lose(self, why: str) -> None:
        """It does not exist any more."""
        self.why = why
        self.scope.cancel()
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def __repr__(self) -> str:
        return f"<Lease {self.id:x}, TTL {self.ttl} s{', lost' if self.lost else ''}>"


class LeaseRenewals:
    """The renewals of a lease; of those that come while nobody waits, only the last is seen."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._seen = lease._renewals

    def __aiter__(self) -> LeaseRenewals:
        return self

    async def __anext__(self) -> int:
        await trio.lowlevel.checkpoint()
        lease = self._lease
        while self._seen == lease._renewals:
            if lease.lost:
                raise LeaseLost(lease.id, lease.why)
            if lease.ended:
                raise StopAsyncIteration
            with trio.move_on_at(lease.scope.deadline):
                await lease._news.wait()
        self._seen = lease._renewals
        return lease.ttl


class LeaseCaller(Protocol):
    """What a lease needs of a client."""

    async def grant(self, ttl: float, *, lease_id: int = 0) -> LeaseGrantResponse:
        """Make a lease."""

    async def revoke(self, lease_id: int) -> LeaseRevokeResponse:
        """End one."""


def seconds(ttl: float) -> int:
    """A time to live as the API has it: whole seconds, rounded up."""
    return math.ceil(ttl)


def granted(ttl: float, lease_id: int) -> LeaseGrantRequest:
    """The request for a lease; an ID of 0 lets the server choose one."""
    return LeaseGrantRequest(TTL=seconds(ttl), ID=lease_id)


@asynccontextmanager
async def held(
    caller: LeaseCaller, keeper: KeepAlive, ttl: float, *, lease_id: int = 0, revoke: bool = True
) -> AsyncIterator[Lease]:
    """Grant a lease for a block, keep it alive, and revoke it at the end.

    Raises:
        LeaseLost: it was lost before the block had ended; the block was cancelled.
    """
    sent = trio.current_time()
    response = await caller.grant(ttl, lease_id=lease_id)
    lease = Lease(response.ID, response.TTL, sent + response.TTL)
    try:
        async with kept(keeper, lease):
            yield lease
    finally:
        if revoke and not lease.lost:
            with trio.move_on_after(REVOKE_SECONDS_MAX, shield=True), suppress(EtcdError):
                await caller.revoke(lease.id)


@asynccontextmanager
async def kept(keeper: KeepAlive, lease: Lease) -> AsyncIterator[Lease]:
    """Keep a lease alive while the block runs. Raises LeaseLost as `held` does."""
    try:
        with lease.scope:
            keeper.add(lease)
            yield lease
    finally:
        keeper.remove(lease)
        lease.end()
    if lease.lost:
        raise LeaseLost(lease.id, lease.why)
