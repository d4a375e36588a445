"""The end of a member that the cluster has removed: its node stops by itself, when the others can do without it.

A member that learns of its removal from the log is not superfluous yet. Say that the leader of two removes itself:
the entry is committed as both have it, but the other one knows that only when it hears of the commit index. Until then
it counts two voters, and can neither be elected nor learn of the commit without this member's vote. So this member
goes on taking part in raft (it cannot be elected any more) until another member refuses to talk to it (410, "removed
member"). Who does so has applied the removal, and raft_peer applies a membership change only when the commit index is
durable: not even a loss of power makes it forget. That member can be elected by the rest.

A member that was stopped meanwhile, and finds its removal in its own tables at the next start, does the same, without
serving clients (see `bootstrap`). Source: etcd waits a second (stopWithDelay), and may leave a cluster without a quorum.
"""

from __future__ import annotations

import trio

from ..errors import MemberRemoved
from .actor import Actor, Restart
from .log import Log

__all__ = ["Departure"]

REMINDER_SECONDS = 30.0
log = Log("triode.node")


class Departure(Actor[None]):
    """Waits for the removal, and until others know of it; then it fails, and that ends the node."""

    restart = Restart.NEVER
    mailbox_messages_max = 1

    def __init__(self) -> None:
        super().__init__(name="departure")
        self._news = trio.Event()
        self._told = trio.Event()

    def applied(self) -> None:
        """The removal has been applied here."""
        self._news.set()

    def told(self) -> None:
        """Another member says that this one has been removed."""
        self._told.set()
        self._news.set()

    async def run(self) -> None:
        await self._news.wait()
        while not self._told.is_set():
            log.warning(
                "removed from the cluster; this member goes on voting until another one knows"
            )
            with trio.move_on_after(REMINDER_SECONDS):
                await self._told.wait()
        log.warning("the member has been permanently removed from the cluster", by="the cluster")
        raise MemberRemoved("the member has been permanently removed from the cluster")
