"""Work beside the loop that stops half-way: threads of which only one runs, and only while the loop stands still.

A plain function cannot be interrupted on the loop's own thread. So it gets one of its own, which stops where the
function is about to use a disk (`Threads.may_stop`), and goes on when the loop says so (`SteppedWork.go_on`). Between
two stops the loop waits for it: nothing ever happens at once, and a run is as repeatable as one without threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from random import Random
from threading import Lock, Thread
from typing import Any, Generic, TypeVar

import trio._core._run as scheduler

from .errors import PowerLoss

__all__ = ["SteppedWork", "Threads"]

T = TypeVar("T")
STEPPED_SHARE = 0.5
STOP_SHARE = 0.4
STOPS_MAX = 4  # of one piece of work: a switch of threads takes more real time than most work

_idle: list[SimpleQueue[Callable[[], None]]] = []
os.register_at_fork(after_in_child=_idle.clear)  # a child has none of the threads


def _serve(orders: SimpleQueue[Callable[[], None]]) -> None:
    while True:
        orders.get()()


class SteppedWork(Generic[T]):
    """A function on a thread of its own.

    Attributes:
        whole: it does not stop, and so needs no thread.
        ended: it has returned or raised.
        lost: its process is gone: it must not do anything any more.
        stops: how often it has stopped so far.
    """

    def __init__(self, work: Callable[[], T], *, whole: bool = False) -> None:
        self.whole = whole
        self.ended = False
        self.lost = False
        self.stops = 0
        self._work = work
        self._context = copy_context()
        self._runner = scheduler.GLOBAL_RUN_CONTEXT.runner
        self._orders: SimpleQueue[Callable[[], None]] | None = None
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._may_run, self._has_stopped = Lock(), Lock()
        self._may_run.acquire()
        self._has_stopped.acquire()

    @property
    def begun(self) -> bool:
        """Whether there is something to end."""
        return self._orders is not None

    def go_on(self) -> None:
        """On the loop's thread: begin, or go on, and return at the next stop or the end."""
        if self.whole:
            self._do()
            return
        if self._orders is None:
            self._orders = _idle.pop() if _idle else _new_thread()
            self._orders.put(self._run)
        else:
            self._may_run.release()
        self._has_stopped.acquire()
        if self.ended:
            _idle.append(self._orders)

    def stop(self) -> None:
        """On its own thread: let the loop go on. Raises PowerLoss if the process has ended meanwhile."""
        self.stops += 1
        self._has_stopped.release()
        self._may_run.acquire()
        if self.lost:
            raise PowerLoss("the process of this thread is gone")

    def result(self) -> T:
        """What the function has returned; raises what it has raised."""
        if self._error is not None:
            raise self._error
        return self._result[0]

    def _run(self) -> None:
        # Trio's clock and events are of use here, as the loop's thread stands still.
        scheduler.GLOBAL_RUN_CONTEXT.runner = self._runner
        try:
            self._do()
        finally:
            del scheduler.GLOBAL_RUN_CONTEXT.runner
            self._has_stopped.release()

    def _do(self) -> None:
        try:
            self._result.append(self._context.run(self._work))
        except Exception as error:  # noqa: BLE001  # it is for who waits for the result
            self._error = error
        finally:
            self.ended = True


def _new_thread() -> SimpleQueue[Callable[[], None]]:
    orders: SimpleQueue[Callable[[], None]] = SimpleQueue()
    Thread(target=_serve, args=(orders,), name="simulated thread", daemon=True).start()
    return orders


class Threads:
    """The threads of a machine. `random` says where they stop."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._running: SteppedWork[Any] | None = None
        self._begun: dict[SteppedWork[Any], None] = {}

    def begin(self, work: Callable[[], T]) -> SteppedWork[T]:
        """Have a function run in steps, or as a whole: `go_on` makes them."""
        stepped = SteppedWork(work, whole=self._random.random() >= STEPPED_SHARE)
        self._begun[stepped] = None
        return stepped

    def go_on(self, stepped: SteppedWork[T]) -> bool:
        """Let it run until its next stop; whether it has ended."""
        assert self._running is None, "threads take turns"
        self._running = stepped
        try:
            stepped.go_on()
        finally:
            self._running = None
        if stepped.ended:
            self._begun.pop(stepped, None)
        return stepped.ended

    def may_stop(self) -> None:
        """Something is about to be read or written: if it is a thread that does it, it may stop here for a while.

        Raises PowerLoss if its process is gone.
        """
        stepped = self._running
        if stepped is None or stepped.whole:
            return
        if stepped.lost:
            raise PowerLoss("the process of this thread is gone")
        if stepped.stops < STOPS_MAX and self._random.random() < STOP_SHARE:
            stepped.stop()

    def lose(self) -> None:
        """The process is gone: what its threads have not done yet is not done."""
        for stepped in list(self._begun):
            self.lose_one(stepped)

    def lose_one(self, stepped: SteppedWork[T]) -> None:
        """The same for one."""
        stepped.lost = True
        if not stepped.begun:
            stepped.ended = True
            self._begun.pop(stepped, None)
        while not stepped.ended:
            self.go_on(stepped)
