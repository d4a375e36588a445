"""Two small actors that many others need: one that does a thing again and again, and one that runs tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from .actor import Actor, Restart
from .errors import MailboxFull

__all__ = ["Periodic", "Tasks"]


class Periodic(Actor[None]):
    """Calls `work` every `interval_seconds`; a full mailbox at the other end skips one time."""

    restart = Restart.PERMANENT
    mailbox_messages_max = 1

    def __init__(self, name: str, interval_seconds: float, work: Callable[[], None]) -> None:
        super().__init__(name=name)
        self._interval_seconds = interval_seconds
        self._work = work

    async def run(self) -> None:
        while True:
            await trio.sleep(self._interval_seconds)
            try:
                self._work()
            except MailboxFull:
                continue


Work = Callable[[], Awaitable[Any]]


class Tasks(Actor[Work]):
    """Runs what takes longer than a turn: hashes, snapshots, locks that wait. At most so many at once."""

    restart = Restart.NEVER
    mailbox_messages_max = 65_536

    def __init__(self) -> None:
        super().__init__(name="tasks")

    def spawn(self, work: Work) -> None:
        """Run `work` in a task of its own; raises MailboxFull when far too many wait."""
        self.ref.tell(work)

    async def handle(self, batch: list[Work]) -> None:
        for work in batch:
            self.nursery.start_soon(work)

    async def stopping(self) -> None:
        self.nursery.cancel_scope.cancel()
