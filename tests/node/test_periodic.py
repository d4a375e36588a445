"""The timers of a node."""

from __future__ import annotations

import trio
import trio.testing

from triode.actors import running
from triode.actors.helpers import Periodic


async def times(until: float, busy: dict[int, float], clock: trio.testing.MockClock) -> list[float]:
    """When a timer of one second works, if its n-th time keeps the loop busy for `busy[n]` seconds."""
    found: list[float] = []

    def work() -> None:
        found.append(trio.current_time())
        clock.jump(busy.get(len(found), 0.0))

    began = trio.current_time()
    async with running(Periodic("timer", 1.0, work)):
        await trio.sleep(until)
    return [round(at - began, 3) for at in found]


async def test_being_late_does_not_add_up(autojump_clock: trio.testing.MockClock) -> None:
    busy = {1: 0.4, 2: 0.4}
    assert await times(5.5, busy, autojump_clock) == [1.0, 2.0, 3.0, 4.0, 5.0]


async def test_what_was_missed_is_not_made_up_for(autojump_clock: trio.testing.MockClock) -> None:
    """After a pause raft must not believe that it has lost its leader long ago."""
    assert await times(9.0, {2: 5.5}, autojump_clock) == [1.0, 2.0, 7.5, 8.5]
