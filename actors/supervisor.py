"""A supervisor: starts its children in order, restarts those that end, stops them in reverse order.

Theory of operation. A supervisor is an actor whose messages are its children's cells that went
down, and whose helper tasks are its children and their recoveries. `run()` only decides; it never
waits, so a fatal failure is never queued behind someone else's back-off:

* a *fatal* child (`Restart.NEVER`, or a supervisor that passes a fatal failure on): the other
  children are taken down in reverse start order and the supervisor fails with the same failure,
  up to the root;
* another child: if the intensity limit allows, a *recovery* takes down those who go with it
  (`Strategy`), waits for the back-off and starts them in order. With rest-for-one and one-for-all
  there is one recovery at a time: a new one covers all that is left of the old one, so it replaces it;
* beyond the limit the supervisor fails with `RestartsExceeded`, which its parent treats like any
  crash.

To *take down* is to cancel: nothing is drained, mailboxes are kept. To *stop* is to ask: the child
handles what is in its mailbox and has `stop_seconds_max` for it.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any, TypeAlias, TypeVar

import trio

from .actor import Actor, takes_tasks
from .cell import Cell
from .errors import (
    ActorFailed,
    ActorStopped,
    NameTaken,
    RestartsExceeded,
    StartFailed,
    TreeFailed,
)
from .life import State
from .policy import Backoff, Restart, RestartWindow, Strategy
from .ref import ActorRef, DownReason
from .tree import Tree

__all__ = ["Child", "Supervisor"]

M = TypeVar("M")

Child: TypeAlias = Actor[M] | Callable[[], Actor[M]]
"""An actor, or a factory of actors: then every incarnation is a new object."""

CHILDREN_MAX = 1_000_000
TOO_SLOW_NAMES_MAX = 100

log = logging.getLogger("triode.actors")


class Supervisor(Actor[Cell[Any]]):
    """Runs its children, in start order, and keeps them running.

    Args:
        name: unique among siblings.
        children: actors or factories of actors, in start order.
        strategy: who is restarted together with a child that ended.
        restarts_max: the intensity limit: at most so many restarts ...
        window_seconds: ... within so many seconds.
        backoff: the wait before a restart.
        random: where the back-off's jitter comes from; none without it.
        restart: what *its* supervisor does when it fails.

    Raises (as the error it crashes with):
        StartFailed, ActorFailed, RestartsExceeded.
    """

    stop_seconds_max = math.inf  # its children's limits apply
    mailbox_messages_max = CHILDREN_MAX  # one message at most per child that is down

    def __init__(
        self,
        name: str,
        children: Iterable[Child[Any]] = (),
        *,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        restarts_max: int = 5,
        window_seconds: float = 30.0,
        backoff: Backoff = Backoff(),
        random: Random | None = None,
        restart: Restart = Restart.PERMANENT,
    ) -> None:
        self.name = name
        self.restart = restart
        self.strategy = strategy
        self.backoff = backoff
        self._random = random
        self._window = RestartWindow(restarts_max, window_seconds)
        self._cells: dict[str, Cell[Any]] = {}
        self._failure: TreeFailed | None = None
        self._ending = True  # no child may be started: not running, stopping, or failing
        self._recoveries: set[trio.CancelScope] = set()
        self._starting: trio.CancelScope | None = None
        self._too_slow: deque[str] = deque(maxlen=TOO_SLOW_NAMES_MAX)
        for child in children:
            self._add(child)

    # --- public ---------------------------------------------------------------------------------

    async def start_child(self, child: Child[M]) -> ActorRef[M]:
        """Add a child as the youngest and wait until it has started.

        Raises:
            StartFailed: its `started()` failed; it is gone again, and will not be restarted.
            NameTaken: a child of this name exists.
            ActorStopped: this supervisor is not running.
        """
        self._check_running()
        cell = self._add(child)
        try:
            await self._start(cell)
        except BaseException:
            cell.cancel()
            cell.request_stop()
            raise
        return cell.ref

    def start_child_nowait(self, child: Child[M]) -> ActorRef[M]:
        """Add a child as the youngest without waiting for its start; a failure is its crash.

        Raises:
            NameTaken: a child of this name exists.
            ActorStopped: this supervisor is not running.
        """
        self._check_running()
        cell = self._add(child)
        cell.launch(self.nursery)
        return cell.ref

    async def stop_child(self, name: str) -> None:
        """Stop a child gracefully and forget it; returns when it is down. Unknown names are fine."""
        await trio.lowlevel.checkpoint()
        if (cell := self._cells.get(name)) is not None:
            await self._stop([cell])

    def child(self, name: str) -> Actor[Any] | None:
        """The child of that name, or None."""
        cell = self._cells.get(name)
        return None if cell is None else cell.actor

    @property
    def children(self) -> tuple[Actor[Any], ...]:
        """The children in start order."""
        return tuple(cell.actor for cell in self._cells.values())

    @property
    def too_slow(self) -> tuple[str, ...]:
        """The paths of the last children that did not stop in time and were cancelled."""
        return tuple(self._too_slow)

    def tree(self) -> Tree:
        return Tree(self.statistics(), tuple(child.tree() for child in self.children))

    # --- life -----------------------------------------------------------------------------------

    async def started(self) -> None:
        """Start the children in order; if one fails, take the started ones down in reverse order."""
        self._forget_the_past()
        with trio.CancelScope() as self._starting:  # the fatal failure of one that is up ends it
            for cell in list(self._cells.values()):
                try:
                    await self._start(cell)
                except TreeFailed:
                    await self._take_all_down()
                    raise
        self._starting = None
        if self._failure is not None:
            await self._take_all_down()
            raise self._failure

    def _forget_the_past(self) -> None:
        self._failure = None
        self._recoveries.clear()
        self._window.clear()
        self.mailbox.receive_nowait()
        self._ending = False

    async def run(self) -> None:
        """Decide about children that went down; see the head of the module."""
        while True:
            for cell in await self.mailbox.receive():
                if self._failure is None and cell.lost and cell.state is State.WAITING:
                    self._lost(cell)
                if self._failure is not None:
                    await self._take_all_down()
                    raise self._failure

    async def stopping(self) -> None:
        """Stop the children in reverse start order; neighbours that are TEMPORARY all at once."""
        self._ending = True
        self._cancel_recoveries()
        cells = reversed(list(self._cells.values()))
        for _, group in itertools.groupby(cells, key=_stop_group):
            if self._failure is None:
                await self._stop(list(group))
        if self._failure is not None:
            await self._take_all_down()
            raise self._failure

    def _closed(self) -> None:
        for cell in reversed(list(self._cells.values())):
            cell.close()

    def _forget(self, cell: Cell[Any]) -> None:
        """A child has stopped for good: its name is free (called by its cell)."""
        if self._cells.get(cell.name) is cell:
            del self._cells[cell.name]

    # --- children that went down ----------------------------------------------------------------

    def _child_down(self, cell: Cell[Any], reason: DownReason) -> None:
        """A child's task is about to end: called in it, by its cell."""
        if cell.start_awaited and not cell.announced:
            return
        if (fatal := _fatal_failure(cell, reason)) is not None:
            self._failure = self._failure or fatal
            if self._starting is not None:
                self._starting.cancel()
        elif cell.state is State.STOPPED or reason is DownReason.CANCELLED:
            return
        self._report(cell)

    def _report(self, cell: Cell[Any]) -> None:
        cell.lost = True
        if not self.mailbox.closed:
            self.mailbox.put_nowait(cell)

    def _lost(self, cell: Cell[Any]) -> None:
        now = trio.current_time()
        if not self._window.allow(now):
            assert self._cell is not None
            self._failure = RestartsExceeded(
                f"{self._cell.path}: more than {self._window.restarts_max} restarts within "
                f"{self._window.window_seconds:g} s, last of {cell.name}"
            )
            self._failure.__cause__ = cell.error
            return
        group = self._group(cell)
        for member in group:
            member.lost = False
            if member.actor.restart is Restart.NEVER:
                self._failure = ActorFailed(
                    f"{member.path} must not be restarted, but goes down with {cell.path}"
                )
                self._failure.__cause__ = cell.error
                return
        if cell.ran_seconds >= self._window.window_seconds:
            cell.crashes_in_row = 0
        cell.crashes_in_row += 1
        delay_seconds = self.backoff.delay_seconds(cell.crashes_in_row, self._random)
        if self.strategy is not Strategy.ONE_FOR_ONE:
            self._cancel_recoveries()
        scope = trio.CancelScope()
        self._recoveries.add(scope)
        self.nursery.start_soon(self._recover, group, delay_seconds, scope)

    def _group(self, cell: Cell[Any]) -> list[Cell[Any]]:
        """Who is restarted when `cell` is lost, in start order; what is down already is included."""
        if self.strategy is Strategy.ONE_FOR_ONE:
            return [cell]
        cells = list(self._cells.values())
        if self.strategy is Strategy.ONE_FOR_ALL:
            return cells
        unsettled = (State.WAITING, State.STARTING)
        return list(itertools.dropwhile(lambda c: c.state not in unsettled, cells))

    async def _recover(
        self, group: Sequence[Cell[Any]], delay_seconds: float, scope: trio.CancelScope
    ) -> None:
        with scope:
            await _take_down(group)
            await trio.sleep(delay_seconds)
            for cell in group:
                # A task that is scheduled already learns of its cancellation at its next checkpoint.
                if scope.cancel_called or cell.state is not State.WAITING:
                    continue
                try:
                    await self._start(cell)
                except TreeFailed as error:
                    if error.fatal:
                        self._failure = self._failure or error
                    if not cell.stop_requested:
                        self._report(cell)
                    if cell is not group[-1]:  # until another recovery takes over, or it is stopped
                        await cell.wait_stopped()
        self._recoveries.discard(scope)

    def _cancel_recoveries(self) -> None:
        for scope in self._recoveries:
            scope.cancel()

    # --- starting and stopping ------------------------------------------------------------------

    def _check_running(self) -> None:
        if self._ending or not takes_tasks(self._nursery):
            raise ActorStopped(f"{self.name}: the supervisor is not running")

    def _add(self, child: Child[M]) -> Cell[M]:
        cell = Cell(child, self)
        if cell.name in self._cells:
            cell.actor._cell = None
            raise NameTaken(f"{self.name}: there is a child named {cell.name!r}")
        cell.on_down = self._child_down
        self._cells[cell.name] = cell
        return cell

    async def _start(self, cell: Cell[Any]) -> None:
        if cell.actor.restart is Restart.NEVER and cell.since is not None:
            raise ActorFailed(
                f"{cell.path} went down with its supervisor and must not be restarted"
            )
        cell.start_awaited = True
        try:
            cell.launch(self.nursery)
            await cell.wait_settled()
        finally:
            cell.start_awaited = False
        if cell.announced or (cell.stop_requested and cell.error is None):
            return
        if isinstance(cell.error, TreeFailed):
            raise cell.error
        failure = StartFailed(f"{cell.path} did not start: {cell.error!r}")
        failure.fatal = cell.actor.restart is Restart.NEVER
        raise failure from cell.error

    async def _stop(self, cells: Sequence[Cell[Any]]) -> None:
        """Ask, wait as long as the most patient of them allows, cancel those still up."""
        for cell in cells:
            cell.request_stop()
        with trio.move_on_after(max(cell.actor.stop_seconds_max for cell in cells)):
            for cell in cells:
                await cell.wait_down()
        for cell in cells:
            if cell.up:
                self._too_slow.append(cell.path)
                log.warning("%s did not stop within its limit and is cancelled", cell.path)
        await _take_down(cells)

    async def _take_all_down(self) -> None:
        self._ending = True
        self._cancel_recoveries()
        await _take_down(list(self._cells.values()))


async def _take_down(cells: Sequence[Cell[Any]]) -> None:
    """Cancel those that are up, in reverse order, each after the one before it is down."""
    for cell in reversed(cells):
        cell.cancel()
        await cell.wait_down()


def _stop_group(cell: Cell[Any]) -> int:
    """Neighbours with equal values are stopped at once: connections are many, and equals."""
    return 0 if cell.actor.restart is Restart.TEMPORARY else id(cell)


def _fatal_failure(cell: Cell[Any], reason: DownReason) -> TreeFailed | None:
    """The failure of the whole tree that this child's end means, if it does."""
    error = cell.error
    if isinstance(error, TreeFailed) and error.fatal:
        return error
    if cell.actor.restart is not Restart.NEVER:
        return None
    if error is None and (reason is DownReason.CANCELLED or cell.stop_requested):
        return None
    what = "ended without having been asked to" if error is None else f"failed: {error!r}"
    failure = ActorFailed(f"{cell.path} {what}")
    failure.__cause__ = error
    return failure
