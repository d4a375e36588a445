"""One child of a supervisor, through all its incarnations: `Cell` runs them and keeps the books.

Rules of the file: an actor's `Exception` never leaves its cell (the supervisor is told, and
decides); `Cancelled`, `KeyboardInterrupt` and `SystemExit` always do. The cell alone changes `state`.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar, cast

import trio

from .actor import Actor
from .errors import TreeFailed
from .life import LIFE, State
from .policy import Restart
from .ref import ActorRef, Down, DownReason

if TYPE_CHECKING:
    from .supervisor import Supervisor

__all__ = ["Cell"]

M = TypeVar("M")
E = TypeVar("E", bound=BaseException)

log = logging.getLogger("triode.actors")

_UP = frozenset({State.STARTING, State.RUNNING, State.STOPPING})


class Cell(Generic[M]):
    """The place of one actor in the tree. It outlives the incarnations that run in it."""

    __slots__ = (
        "_cancelled",
        "_changed",
        "_factory",
        "_finished",
        "_run_scope",
        "actor",
        "announced",
        "crashes_in_row",
        "error",
        "last_error",
        "lost",
        "on_down",
        "parent",
        "ran_seconds",
        "ref",
        "restarts",
        "since",
        "start_awaited",
        "state",
        "stop_requested",
    )

    def __init__(
        self, child: Actor[M] | Callable[[], Actor[M]], parent: Supervisor | None = None
    ) -> None:
        if isinstance(child, Actor):
            self._factory: Callable[[], Actor[M]] | None = None
            self.actor: Actor[M] = child
        else:
            self._factory = child
            self.actor = child()
        assert self.actor._cell is None, f"{self.actor.name} is in a tree already"
        self.actor._cell = self
        self.ref: ActorRef[M] = self.actor.ref
        self.parent = parent
        self.on_down: Callable[[Cell[M], DownReason], None] | None = None
        self.state = State.NEW
        self.since: float | None = None
        self.stop_requested = False
        self.restarts = 0
        self.crashes_in_row = 0
        self.error: Exception | None = None  # how the last incarnation ended
        self.last_error: str | None = None
        self.lost = False  # down, reported to the supervisor, and not yet covered by a recovery
        self.ran_seconds = 0.0  # how long the last incarnation was RUNNING
        self.announced = False  # this incarnation has started
        self.start_awaited = False  # someone waits for the start, and deals with its failure
        self._finished = False
        self._cancelled = False
        self._run_scope: trio.CancelScope | None = None
        self._changed: trio.lowlevel.ParkingLot | None = None

    @property
    def name(self) -> str:
        return self.ref.name

    @property
    def path(self) -> str:
        """The names from the root of the tree to here, joined by slashes."""
        cell = None if self.parent is None else self.parent._cell
        return self.name if cell is None else f"{cell.path}/{self.name}"

    @property
    def up(self) -> bool:
        """True while an incarnation's task exists."""
        return self.state in _UP

    def launch(self, nursery: trio.Nursery) -> None:
        """Start an incarnation as a task of `nursery`."""
        if self.since is not None:
            self.restarts += 1
        nursery.start_soon(self._task, name=self.name)
        self._enter(State.STARTING)
        self._run_scope = None
        self.announced = self._finished = self._cancelled = False
        self.error = None

    def request_stop(self) -> None:
        """Ask for a graceful stop, for good."""
        if self.stop_requested or self.state is State.STOPPED:
            return
        self.stop_requested = True
        if not self.up:
            self.close()
            return
        self._enter(State.STOPPING)
        if self._run_scope is not None:
            self._run_scope.cancel()
        self.actor.mailbox.close()

    def cancel(self) -> None:
        """End the incarnation now, gracelessly."""
        self._cancelled = True
        if self.actor._nursery is not None:
            self.actor._nursery.cancel_scope.cancel()

    def close(self, reason: DownReason = DownReason.STOPPED) -> None:
        """Make a cell that is down `STOPPED`: no incarnation follows."""
        if self.state is not State.STOPPED:
            self._enter(State.STOPPED)
            self.ref._close(Down(self.name, reason, self.error, final=True))
            self.actor._closed()
            if self.parent is not None:
                self.parent._forget(self)

    async def wait_settled(self) -> None:
        """Wait until the incarnation has started, or failed to."""
        while self.state is State.STARTING:
            await self._wait_changed()

    async def wait_stopped(self) -> None:
        """Wait until the actor has stopped for good."""
        if self.state is State.STOPPED:
            await trio.lowlevel.checkpoint()
        while self.state is not State.STOPPED:
            await self._wait_changed()

    async def wait_down(self) -> None:
        """Wait until no incarnation runs."""
        while self.up:
            await self._wait_changed()

    # --- an incarnation -------------------------------------------------------------------------

    async def _task(self) -> None:
        try:
            await self._live()
        finally:
            self._end()

    async def _live(self) -> None:
        """One incarnation; its error ends up in `self.error`."""
        try:
            actor = self._incarnate()
            async with trio.open_nursery() as nursery:
                actor._nursery = nursery
                if self._cancelled:  # before this task ran for the first time
                    nursery.cancel_scope.cancel()
                await actor.started()
                self._announce()
                await self._run()
                await actor.stopping()
                self._finished = True
                nursery.cancel_scope.cancel()
        except Exception as error:  # noqa: BLE001  # the boundary at which actors crash
            self.error = _unwrap(error)
        except BaseExceptionGroup as group:
            crash, rest = group.split(Exception)
            self.error = None if crash is None else _unwrap(crash)
            if rest is not None:
                raise _unwrap(rest) from None
        finally:
            self.actor._nursery = None

    def _incarnate(self) -> Actor[M]:
        """The actor object of this incarnation: a new one after the first, if there is a factory."""
        if self._factory is not None and self.restarts > 0:
            actor = self._factory()
            assert actor._ref is None, "a factory's actor gets its address from the kernel"
            actor._ref = self.ref
            actor._cell = self
            self.actor = actor
        return self.actor

    async def _run(self) -> None:
        if type(self.actor).run is Actor.run:
            await self.actor.run()
        elif not self.stop_requested:
            with trio.CancelScope() as self._run_scope:
                await self.actor.run()

    def _announce(self) -> None:
        self.announced = True
        if self.state is State.STARTING:
            self._enter(State.RUNNING)

    def _end(self) -> None:
        try:
            self.actor.cleanup()
        except Exception as error:  # noqa: BLE001  # a crash like any other
            self.error = self.error or error
        assert self.since is not None
        running = self.state is State.RUNNING
        self.ran_seconds = trio.current_time() - self.since if running else 0.0
        if self.error is not None:
            reason = DownReason.CRASHED
            self.last_error = "".join(traceback.format_exception_only(self.error)).strip()
            if isinstance(self.error, TreeFailed):  # the one to blame has been logged in full
                log.warning("%s failed: %s", self.path, self.error)
            else:
                log.warning("%s crashed", self.path, exc_info=self.error)
        elif self._finished:
            reason = DownReason.STOPPED if self.stop_requested else DownReason.ENDED
        else:
            reason = DownReason.CANCELLED
        if self._is_final(reason):
            self.close(reason)
        else:
            self._enter(State.WAITING)
            self.ref._incarnation_ended(Down(self.name, reason, self.error, final=False))
        if self.on_down is not None:
            self.on_down(self, reason)

    def _is_final(self, reason: DownReason) -> bool:
        restart = self.actor.restart
        return (
            self.stop_requested
            or restart is Restart.TEMPORARY
            or (restart is Restart.TRANSIENT and reason is DownReason.ENDED)
        )

    # --- books ----------------------------------------------------------------------------------

    def _enter(self, state: State) -> None:
        assert (self.state, state) in LIFE, f"{self.path}: {self.state} -> {state}"
        self.state = state
        self.since = trio.current_time()
        if self._changed is not None:
            self._changed.unpark_all()

    async def _wait_changed(self) -> None:
        if self._changed is None:
            self._changed = trio.lowlevel.ParkingLot()
        await self._changed.park()


def _unwrap(error: E) -> E:
    """The one error in the nurseries' groups, or the group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = cast("E", error.exceptions[0])
    return error
