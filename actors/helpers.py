"""Two small actors that many others need: one that does a thing again and again, and one that runs tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from ..errors import Stopped, TooManyRequests
from .actor import Actor, Restart
from .errors import MailboxClosed, MailboxFull
from .log import Log

__all__ = ["Periodic", "Tasks"]

log = Log("triode.tasks")


class Periodic(Actor[None]):
    """Calls `work` every `interval_seconds`; a full mailbox at the other end skips one time.

    Being late once does not put off the times after it, for raft counts its timeouts in them; times that
    were missed altogether, as in a pause of the process, are not made up for.
    """

    restart = Restart.PERMANENT
    mailbox_messages_max = 1

    def __init__(self, name: str, interval_seconds: float, work: Callable[[], None]) -> None:
        super().__init__(name=name)
        self._interval_seconds = interval_seconds
        self._work = work

    async def run(self) -> None:
        at = trio.current_time()
        while True:
            at = max(at + self._interval_seconds, trio.current_time())
            await trio.sleep_until(at)
            try:
                self._work()
            except MailboxFull:
                continue


TASKS_MAX = 20_000  # a lock that waits takes about 10 KB

Work = Callable[[], Awaitable[Any]]


class Tasks(Actor[Work]):
    """Runs what takes longer than a turn: hashes, snapshots, locks that wait."""

    restart = Restart.NEVER
    mailbox_messages_max = TASKS_MAX

    def __init__(self) -> None:
        super().__init__(name="tasks")
        self.running = 0

    def spawn(self, work: Work) -> None:
        """Run `work` in a task of its own; raises TooManyRequests at `TASKS_MAX`, and Stopped."""
        if self.running + len(self.mailbox) >= TASKS_MAX:
            raise TooManyRequests
        try:
            self.ref.tell(work)
        except MailboxClosed:
            raise Stopped from None

    async def handle(self, batch: list[Work]) -> None:
        for work in batch:
            self.running += 1
            self.nursery.start_soon(self._run, work)

    async def _run(self, work: Work) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001  # the other tasks have nothing to do with it
            log.failure("a task failed", error)
        finally:
            self.running -= 1

    async def stopping(self) -> None:
        self.nursery.cancel_scope.cancel()
