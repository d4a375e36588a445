"""The base class of everything that runs: a mailbox, a few hooks, and one task with its helpers.

The instance is the configuration, and what `started()` sets up is the state: after a crash the
supervisor calls `started()` again, on the same object, or on a new one if it was given a factory.
An actor's task is the only one that touches its state, so there are no locks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeGuard, TypeVar

import trio

from .errors import ActorError, MailboxClosed
from .life import State
from .mailbox import Mailbox
from .policy import Restart
from .ref import ActorRef
from .tree import ActorStatistics, Tree

if TYPE_CHECKING:
    from .cell import Cell

__all__ = ["Actor", "PromptActor", "Restart", "takes_tasks"]

M = TypeVar("M")


def takes_tasks(nursery: trio.Nursery | None) -> TypeGuard[trio.Nursery]:
    """Whether others may start tasks in the nursery of an incarnation: not once that has begun to end.

    Trio refuses tasks between the end of a nursery's last one and the next turn of its owner, who only then
    knows of the end. Whatever ends an incarnation cancels its nursery first.
    """
    return nursery is not None and not nursery.cancel_scope.cancel_called


class Actor(Generic[M]):
    """An actor that takes messages of type `M`.

    Override `handle`, and where needed the other hooks. The settings below are class attributes
    that an instance may override before its `ref` is first used; `__init__` need not be called.
    """

    name: str = "actor"
    """Unique among siblings; a subclass's default is its class name."""
    mailbox_messages_max: int = 1024
    """The mailbox's bound, in messages."""
    batch_messages_max: int = 1024
    """The most messages that `handle` gets at once."""
    restart: Restart = Restart.PERMANENT
    """What its supervisor does when it ends without having been asked to."""
    stop_seconds_max: float = 5.0
    """How long a graceful stop may take before the actor is cancelled, in seconds."""

    _ref: ActorRef[M] | None = None
    _cell: Cell[Any] | None = None
    _nursery: trio.Nursery | None = None

    def __init__(self, *, name: str | None = None) -> None:
        if name is not None:
            self.name = name

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = cls.__name__

    # --- hooks ----------------------------------------------------------------------------------

    async def started(self) -> None:
        """Set up the state. Until this returns, the next sibling is not started."""

    async def handle(self, batch: list[M]) -> None:
        """Act on a batch: everything that was in the mailbox, in order, at least one message."""
        raise ActorError(f"{self.name} got {batch!r}: handle() or run() must be overridden")

    async def run(self) -> None:
        """The main loop: hand batches to `handle` until the mailbox is closed and empty.

        An actor with a `run()` of its own is cancelled out of it when it is asked to stop.
        """
        receive = self.mailbox.receive
        handle = self.handle
        while True:
            try:
                batch = await receive()
            except MailboxClosed:
                return
            await handle(batch)

    async def stopping(self) -> None:
        """Finish after a graceful end (not after a crash); helper tasks still run."""

    def cleanup(self) -> None:
        """Release what `started` acquired. Called last, however the incarnation ended."""

    # --- for the actor itself and for those who made it -----------------------------------------

    @property
    def ref(self) -> ActorRef[M]:
        """The actor's address; it can be handed out before the actor is started."""
        if self._ref is None:
            mailbox: Mailbox[M] = Mailbox(
                self.mailbox_messages_max, batch_max=self.batch_messages_max, name=self.name
            )
            self._ref = ActorRef(self.name, mailbox)
        return self._ref

    @property
    def mailbox(self) -> Mailbox[M]:
        """The actor's mailbox; only its own task may receive from it."""
        return self.ref._mailbox

    @property
    def nursery(self) -> trio.Nursery:
        """For helper tasks, which live as long as this incarnation; a crash of one is its crash."""
        assert self._nursery is not None, f"{self.name} is not running"
        return self._nursery

    def stop(self) -> None:
        """Ask this actor to stop gracefully, for good; it is not restarted."""
        assert self._cell is not None, f"{self.name} has not been started"
        self._cell.request_stop()

    async def wait_stopped(self) -> None:
        """Wait until the actor has stopped for good, of its own accord or not."""
        assert self._cell is not None, f"{self.name} has not been started"
        await self._cell.wait_stopped()

    @property
    def state(self) -> State:
        return State.NEW if self._cell is None else self._cell.state

    def statistics(self) -> ActorStatistics:
        """The actor at this moment."""
        mailbox = self.mailbox.statistics()
        cell = self._cell
        return ActorStatistics(
            name=self.name,
            state=self.state,
            since=None if cell is None else cell.since,
            mailbox_depth=mailbox.depth,
            mailbox_depth_max=mailbox.depth_max,
            mailbox_messages_max=mailbox.messages_max,
            messages_handled=mailbox.messages_received,
            batches_handled=mailbox.batches_received,
            restarts=0 if cell is None else cell.restarts,
            last_error=None if cell is None else cell.last_error,
        )

    def tree(self) -> Tree:
        """The actor and, of a supervisor, everything below it; prints as an indented text."""
        return Tree(self.statistics(), ())

    def _closed(self) -> None:
        """The cell has been closed for good: a supervisor closes its children's (kernel only)."""


class PromptActor(Actor[M]):
    """An actor that never waits while it handles messages, so that it may be called instead of mailed to.

    Override `handle_now` instead of `handle`. A mail costs a turn of the event loop; where one actor's result is
    the next one's work and latency counts, the first may hand it over by `take`.
    """

    _failure: Exception | None = None

    def handle_now(self, batch: list[M]) -> None:
        """Act on a batch, as `handle` does, without waiting for anything."""
        raise ActorError(f"{self.name} got {batch!r}: handle_now() must be overridden")

    async def handle(self, batch: list[M]) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        self.handle_now(batch)

    def take(self, message: M) -> None:
        """Handle `message` now, in the caller's task, after what is in the mailbox.

        Otherwise it is like `ref.tell`: it raises MailboxFull and MailboxClosed, and a failure crashes this actor
        in its own task, not the caller. Not for use from within this actor's own `handle_now`. While no incarnation
        runs, or the last one has begun to end, the message waits for the next.
        """
        mailbox = self.mailbox
        if self._failure is not None or not takes_tasks(self._nursery):
            mailbox.put_nowait(message)
            return
        batch = mailbox.pass_through(message)
        try:
            self.handle_now(batch)
        except Exception as error:  # noqa: BLE001  # for this actor's own task, which it wakes
            self._failure = error
            mailbox.put_nowait(message)
