"""The watch broadcaster: catches up watchers that lag, and sends periodic progress.

Synced watchers are served by the applier in the turn that applies (see `mvcc.watch`: whoever applies must
hand out a batch before anyone is told of it). What takes long, reading history for those who are behind,
happens here, a bounded slice per turn. The hub holds all state, so this actor can be restarted.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from ..mvcc.watch import WatchHub
from .actor import Actor, Restart
from .errors import MailboxClosed, MailboxFull
from .world import Clock

__all__ = ["Broadcaster"]

PROGRESS_TICK_SECONDS = 0.1


class CatchUp:
    """Somebody lags."""


class Broadcaster(Actor[CatchUp]):
    """Drives the hub's slow side."""

    restart = Restart.PERMANENT
    mailbox_messages_max = 16

    def __init__(
        self,
        hub: WatchHub,
        clock: Clock,
        flush: Callable[[], None],
        *,
        away: Callable[[], bool] = lambda: False,
    ) -> None:
        """`away` says whether the history cannot be read now; the hub's `restore` wakes this up afterwards."""
        super().__init__(name="watch-broadcaster")
        self._away = away
        self._hub = hub
        self._clock = clock
        self._flush = flush

    def wake(self) -> None:
        """Somebody lags; a wake-up that is pending already is enough."""
        try:
            self.ref.tell(CatchUp())
        except (
            MailboxFull,
            MailboxClosed,
        ):  # when the node stops, the applier goes on for a moment
            return

    async def started(self) -> None:
        self.nursery.start_soon(self._tick)
        self.wake()

    async def handle(self, batch: list[CatchUp]) -> None:
        del batch
        while not self._away() and self._hub.catch_up():
            self._flush()
            await trio.lowlevel.checkpoint()
        self._flush()

    async def _tick(self) -> None:
        while True:
            await trio.sleep(PROGRESS_TICK_SECONDS)
            self._hub.tick(self._clock.now())
            self._flush()
