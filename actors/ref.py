"""The address of an actor: what others hold to talk to it, whichever incarnation is running.

Delivery is at most once. A message goes to one incarnation; if that one crashes, the batch in its
hands is lost and its askers get `ActorStopped`, while what is still in the mailbox waits for the
next incarnation, and so do those who asked it.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import attrs
import trio

from .errors import ActorStopped, AskTimeout, MailboxClosed, MailboxFull
from .mailbox import Mailbox
from .reply import Reply

__all__ = ["ActorRef", "Down", "DownReason"]

M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)
R = TypeVar("R")

log = logging.getLogger("triode.actors")


class DownReason(enum.Enum):
    """Why an incarnation of an actor ended."""

    CRASHED = "crashed"  # an error; `Down.error` has it
    ENDED = "ended"  # its `run()` returned
    STOPPED = "stopped"  # it was asked to stop, and did
    CANCELLED = "cancelled"  # it was cancelled: too slow to stop, or taken down with others


@attrs.frozen
class Down:
    """One incarnation of a monitored actor ended; `final` says that no other will follow."""

    name: str
    reason: DownReason
    error: Exception | None
    final: bool


class ActorRef(Generic[M_contra]):
    """The address of one actor. It survives the actor's restarts."""

    __slots__ = ("_asks", "_mailbox", "_monitors", "_stopped", "name", "tell")

    def __init__(self, name: str, mailbox: Mailbox[M_contra]) -> None:
        self.name: Final = name
        self._mailbox: Final = mailbox
        # A bound method in a slot: `tell` is the hot path, and costs no more than the mailbox.
        self.tell: Final[Callable[[M_contra], None]] = mailbox.put_nowait
        self._asks: dict[Reply[Any], M_contra] = {}
        self._monitors: list[Callable[[Down], None]] = []
        self._stopped: Down | None = None

    def __repr__(self) -> str:
        return f"<ActorRef {self.name}>"

    @property
    def stopped(self) -> bool:
        """True once the actor has stopped for good."""
        return self._stopped is not None

    async def put(self, message: M_contra) -> None:
        """Send `message`, waiting for room in the mailbox; raises `MailboxClosed`."""
        await self._mailbox.put(message)

    async def ask(self, build: Callable[[Reply[R]], M_contra], timeout_seconds: float) -> R:
        """Send the message that `build` makes around a reply handle, and wait for the answer.

        Waits for room in the mailbox if it must. A cancelled or timed-out ask may still be acted on.

        Args:
            build: makes the message, e.g. `partial(Get, b"key")` or `lambda reply: Get(b"key", reply)`.
            timeout_seconds: for room and answer together; `math.inf` for no limit.

        Raises:
            AskTimeout: no answer in time.
            ActorStopped: the actor has stopped, or crashed with the request in hand.
        """
        reply: Reply[R] = Reply()
        message = build(reply)
        self._asks[reply] = message
        try:
            with trio.move_on_after(timeout_seconds):
                await self._deliver(message)
                return await reply.wait()
        finally:
            reply.abandoned = True
            self._asks.pop(reply, None)
        raise AskTimeout(f"{self.name}: no reply within {timeout_seconds:g} s")

    async def _deliver(self, message: M_contra) -> None:
        try:
            try:
                self._mailbox.put_nowait(message)
            except MailboxFull:
                await self._mailbox.put(message)
        except MailboxClosed:
            raise ActorStopped(f"{self.name}: the actor has stopped") from None

    def monitor(self, deliver: Callable[[Down], None]) -> Callable[[], None]:
        """Call `deliver(down)` whenever an incarnation ends; returns a function that ends this.

        `deliver` is synchronous: another actor's `tell`, or any callback. Errors in it are logged.
        If the actor has stopped for good, `deliver` is called at once.
        """
        if self._stopped is not None:
            _deliver_down(deliver, self._stopped)
            return lambda: None
        self._monitors.append(deliver)

        def unsubscribe() -> None:
            if deliver in self._monitors:
                self._monitors.remove(deliver)

        return unsubscribe

    def _incarnation_ended(self, down: Down) -> None:
        """Fail the requests that went down with an incarnation (kernel only)."""
        if self._asks:
            waiting = set(map(id, self._mailbox.peek()))
            for reply, message in list(self._asks.items()):
                if id(message) not in waiting:
                    error = ActorStopped(f"{down.name}: {down.reason.value} before it replied")
                    error.__cause__ = down.error
                    reply.fail(error)
        for deliver in self._monitors[:]:
            _deliver_down(deliver, down)

    def _close(self, down: Down) -> None:
        """The actor has stopped for good (kernel only)."""
        self._stopped = down
        self._mailbox.close()
        self._mailbox.clear()
        self._incarnation_ended(down)
        self._monitors.clear()


def _deliver_down(deliver: Callable[[Down], None], down: Down) -> None:
    try:
        deliver(down)
    except Exception:
        log.exception("a monitor of %s failed", down.name)
