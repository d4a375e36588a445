"""The end of a member that the cluster has removed: its node stops by itself.

It may learn of that from the log, and then waits a little, so that the others hear from it that the change is
committed; or from a peer that refuses to talk to it. Source: etcd's stopWithDelay.
"""

from __future__ import annotations

import trio

from ..errors import MemberRemoved
from .actor import Actor, Restart
from .log import Log

__all__ = ["Departure"]

DELAY_SECONDS = 1.0
log = Log("triode.node")


class Departure(Actor[None]):
    """Waits for the removal, and fails then: that ends the node."""

    restart = Restart.NEVER
    mailbox_messages_max = 1

    def __init__(self) -> None:
        super().__init__(name="departure")
        self._removed = trio.Event()
        self._delay_seconds = 0.0

    def removed(self, *, by_log: bool) -> None:
        """This member has been removed."""
        if not self._removed.is_set():
            self._delay_seconds = DELAY_SECONDS if by_log else 0.0
            self._removed.set()

    async def run(self) -> None:
        await self._removed.wait()
        log.warning("the member has been permanently removed from the cluster", by="the cluster")
        await trio.sleep(self._delay_seconds)
        raise MemberRemoved("the member has been permanently removed from the cluster")
