"""Running a Trio program so that the same seed gives the same run.

Trio shuffles the tasks that are ready, on purpose, with a generator of its own. Here that generator is seeded
and the tasks are put into the order of their birth first, as Hypothesis's plugin for Trio does. Time is virtual and
jumps to the next deadline as soon as every task waits.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from typing import Any, TypeVar

import trio
import trio._core._run as scheduler
import trio.testing

__all__ = ["next_seed", "run", "seeded_scheduler"]

T = TypeVar("T")
_seeds: ContextVar[Iterator[int]] = ContextVar("_seeds")


@contextmanager
def seeded_scheduler(seed: int) -> Iterator[None]:
    """Make the order in which Trio runs ready tasks a function of `seed`, for programs begun in the block."""
    state, ordered = scheduler._r.getstate(), scheduler._ALLOW_DETERMINISTIC_SCHEDULING
    module: Any = scheduler
    module._ALLOW_DETERMINISTIC_SCHEDULING = True
    scheduler._r.seed(seed)
    try:
        yield
    finally:
        module._ALLOW_DETERMINISTIC_SCHEDULING = ordered
        scheduler._r.setstate(state)


@contextmanager
def _no_collection() -> Iterator[None]:
    """The garbage collector runs finalizers at moments of its own: it may when the block is over."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


POLL_ROUNDS = 64


class _RarelyAsked(scheduler.TheIOManager):  # type: ignore[misc,name-defined]
    """Asks the kernel for news once in `POLL_ROUNDS` rounds of the loop: there is none but Ctrl-C."""

    def __init__(self) -> None:
        super().__init__()
        self._rounds = 0

    def get_events(self, timeout: float) -> Any:
        del timeout  # time jumps
        self._rounds += 1
        return super().get_events(0.0) if self._rounds % POLL_ROUNDS == 0 else []


@contextmanager
def _without_io() -> Iterator[None]:
    """Programs begun in the block do without sockets and threads."""
    module: Any = scheduler
    usual, module.TheIOManager = module.TheIOManager, _RarelyAsked
    try:
        yield
    finally:
        module.TheIOManager = usual


def _jumping_clock() -> trio.testing.MockClock:
    """A MockClock that only jumps: it need not look at the real one, nor count what the loop does.

    The loop asks how long it may sleep when no task can run: that is the moment to jump. Only when a task waits for
    that very moment is the jump left to the loop, which wakes that task first.
    """
    clock = trio.testing.MockClock(autojump_threshold=0)
    quick: Any = clock  # the class is final, but its ways are slow

    def jump() -> None:
        deadline = scheduler.GLOBAL_RUN_CONTEXT.runner.deadlines.next_deadline()
        if clock._virtual_base < deadline < float("inf"):
            clock._virtual_base = deadline

    def jumped(deadline: float) -> float:
        """How long to sleep until then, from now on."""
        if deadline > clock._virtual_base:
            if deadline == float("inf") or scheduler.GLOBAL_RUN_CONTEXT.runner.waiting_for_idle:
                return 1e9
            clock._virtual_base = deadline
        return 0.0

    quick.current_time = lambda: clock._virtual_base
    quick.deadline_to_sleep_time = jumped
    quick._autojump = jump
    return clock


def run(
    main: Callable[..., Awaitable[T]],
    *arguments: Any,
    seed: int = 0,
    until_seconds: float = 86_400.0,
) -> T:
    """Run `main(*arguments)` in virtual time, with a scheduler seeded by `seed`; returns what it returns.

    Nothing is waited for: a sleep of an hour takes no time. The program must use Trio's time only, and no
    threads or sockets. Raises trio.TooSlowError if it has not ended after `until_seconds` of virtual time, a day.
    """

    async def bounded() -> T:
        with trio.fail_after(until_seconds):
            return await main(*arguments)

    token = _seeds.set(count(seed))
    try:
        with seeded_scheduler(seed), _no_collection(), _without_io():
            return trio.run(bounded, clock=_jumping_clock())
    finally:
        _seeds.reset(token)


def next_seed() -> int:
    """A seed that follows from that of `run`, another one at each call: the first is that of `run`; outside of it 0."""
    return next(_seeds.get(count(0)))
