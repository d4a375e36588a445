"""Renewing leases: all of a client on one stream, each when a third of its life has passed.

The stream is made anew when it is lost, and also when an answer does not come within another third: the member may
be cut off from its leader. What is to happen to a lease that cannot be renewed is not decided here: its deadline passes.
"""

from __future__ import annotations

import math
from typing import Final

import attrs
import trio

from ..errors import EtcdError
from ..rpc.methods import METHODS
from ..rpc.pb.rpc_pb2 import LeaseKeepAliveRequest, LeaseKeepAliveResponse
from .contract import Channel, ChannelStream
from .lease import Lease
from .watch_hub import start_in

__all__ = ["KeepAlive"]

LIFE_SHARE = 3  # a lease is renewed when 1/3 of its life has passed
PATIENCE_SECONDS_MIN = 0.5  # for an answer
TICK_SECONDS = 0.05  # between looks at who is due: with many leases, some are a little late
PAUSE_SECONDS: Final = (
    0.0,
    0.025,
    0.05,
    0.1,
    0.2,
    0.4,
)  # before the call is made again; then the last
METHOD: Final = METHODS["/etcdserverpb.Lease/LeaseKeepAlive"]


@attrs.define(eq=False)
class _Kept:
    """One lease, and who holds it."""

    id: int
    ttl: int
    due: float  # when to ask next
    sent_at: float | None = None  # of the request that is not answered yet
    holders: dict[Lease, None] = attrs.Factory(dict)

    @property
    def patience(self) -> float:
        return max(self.ttl / LIFE_SHARE, PATIENCE_SECONDS_MIN)

    @property
    def overdue(self) -> float:
        """When an answer is given up; when to ask, if none is awaited."""
        return self.due if self.sent_at is None else self.sent_at + self.patience


class KeepAlive:
    """All leases of a client. Its task runs in the nursery that is given, while there are any."""

    def __init__(self, channel: Channel, nursery: trio.Nursery) -> None:
        self._channel = channel
        self._nursery = nursery
        self._kept: dict[int, _Kept] = {}
        self._scope: trio.CancelScope | None = None
        self._wake = trio.Event()
        self._failures = 0

    def add(self, lease: Lease) -> None:
        """Keep it alive from now on."""
        now = trio.current_time()
        kept = self._kept.get(lease.id)
        if kept is None:
            due = lease.scope.deadline - lease.ttl + lease.ttl / LIFE_SHARE
            kept = self._kept[lease.id] = _Kept(lease.id, lease.ttl, max(now, due))
        kept.holders[lease] = None
        self._wake.set()
        if self._scope is None:
            self._scope = trio.CancelScope()
            start_in(self._nursery, self._run, self._scope)

    def remove(self, lease: Lease) -> None:
        """Renew it no more, unless somebody else holds it, too."""
        kept = self._kept.get(lease.id)
        if kept is None:
            return
        kept.holders.pop(lease, None)
        if not kept.holders:
            del self._kept[lease.id]
        if not self._kept and self._scope is not None:
            self._scope.cancel()
            self._scope = None

    # --- the call -------------------------------------------------------------------------------

    async def _run(self, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                await trio.sleep(PAUSE_SECONDS[min(self._failures, len(PAUSE_SECONDS) - 1)])
                self._failures += 1
                patience = min((kept.patience for kept in self._kept.values()), default=0.0)
                try:
                    with trio.move_on_after(patience) as opening:
                        async with self._channel.stream(METHOD) as stream:
                            opening.deadline = math.inf
                            self._begin()
                            await self._serve(stream)
                except EtcdError as error:
                    self._explain(str(error))

    def _begin(self) -> None:
        """Whatever was not answered is asked again."""
        now = trio.current_time()
        for kept in self._kept.values():
            if kept.sent_at is not None:
                kept.sent_at = None
                kept.due = now

    def _explain(self, why: str) -> None:
        for kept in self._kept.values():
            for lease in kept.holders:
                lease.why = why

    async def _serve(self, stream: ChannelStream) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_due, stream, nursery.cancel_scope)
            try:
                while (data := await stream.receive()) is not None:
                    self._failures = 0
                    self._take(LeaseKeepAliveResponse.FromString(data))
            except EtcdError as error:
                self._explain(str(error))
            nursery.cancel_scope.cancel()

    async def _send_due(self, stream: ChannelStream, scope: trio.CancelScope) -> None:
        """Ask for whom it is time; give the stream up when an answer does not come."""
        try:
            while not await self._ask(stream):
                self._wake = trio.Event()
                at = min(
                    (kept.overdue for kept in self._kept.values()), default=trio.current_time()
                )
                with trio.move_on_at(max(at, trio.current_time() + TICK_SECONDS)):
                    await self._wake.wait()
        except EtcdError as error:
            self._explain(str(error))
        scope.cancel()

    async def _ask(self, stream: ChannelStream) -> bool:
        """Send what is due. Returns whether an answer is overdue."""
        for kept in list(self._kept.values()):
            now = trio.current_time()
            if now < kept.overdue:
                continue
            if kept.sent_at is not None:
                return True
            kept.sent_at = now
            await stream.send(LeaseKeepAliveRequest(ID=kept.id).SerializeToString())
        return False

    def _take(self, answer: LeaseKeepAliveResponse) -> None:
        kept = self._kept.get(answer.ID)
        if kept is None or kept.sent_at is None:
            return
        if answer.TTL <= 0:
            for lease in list(kept.holders):
                lease.lose("the server does not know it any more")
                self.remove(lease)
            return
        sent, kept.sent_at = kept.sent_at, None
        kept.ttl = answer.TTL
        kept.due = sent + answer.TTL / LIFE_SHARE
        for lease in kept.holders:
            lease.renewed(answer.TTL, sent + answer.TTL)
