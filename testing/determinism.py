"""Running a Trio program so that the same seed gives the same run.

Trio shuffles the tasks that are ready, on purpose, with a generator of its own. Here that generator is seeded
and the tasks are put into the order of their birth first, as Hypothesis's plugin for Trio does. Time is virtual and
jumps to the next deadline as soon as every task waits.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import trio
import trio._core._run as scheduler
import trio.testing

__all__ = ["run", "seeded_scheduler"]

T = TypeVar("T")


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


def run(
    main: Callable[..., Awaitable[T]],
    *arguments: Any,
    seed: int = 0,
    until_seconds: float = 3600.0,
) -> T:
    """Run `main(*arguments)` in virtual time, with a scheduler seeded by `seed`; returns what it returns.

    Nothing is waited for: a sleep of an hour takes no time. The program must use Trio's time only, and no
    threads or sockets. Raises trio.TooSlowError if it has not ended after `until_seconds` of virtual time.
    """

    async def bounded() -> T:
        with trio.fail_after(until_seconds):
            return await main(*arguments)

    with seeded_scheduler(seed), _no_collection():
        clock = trio.testing.MockClock(autojump_threshold=0)
        clock._real_clock = lambda: clock._real_base  # which it reads, though its rate is 0
        return trio.run(partial(bounded), clock=clock)
