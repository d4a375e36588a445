from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from triode.actors import Actor, Down, DownReason, Restart, Strategy, Supervisor, running

MakeProbe = Callable[..., Any]


class Watcher(Actor[Down]):
    async def started(self) -> None:
        self.seen: list[Down] = []

    async def handle(self, batch: list[Down]) -> None:
        self.seen += batch


async def test_an_actor_is_told_of_a_crash_and_of_the_end(
    probe: MakeProbe, autojump_clock: MockClock
) -> None:
    a, watcher = probe("a"), Watcher()
    a.ref.monitor(watcher.ref.tell)
    async with running(Supervisor("root", [watcher, a])) as root:
        a.ref.tell("crash")
        await trio.sleep(1)
        (down,) = watcher.seen
        assert (down.name, down.reason, down.final) == ("a", DownReason.CRASHED, False)
        assert isinstance(down.error, ValueError)
        await root.stop_child("a")
        await wait_all_tasks_blocked()
        assert watcher.seen[1:] == [Down("a", DownReason.STOPPED, None, final=True)]


@pytest.mark.parametrize(
    ("restart", "how", "reason"),
    [
        (Restart.TEMPORARY, "crash", DownReason.CRASHED),
        (Restart.TRANSIENT, "stop", DownReason.STOPPED),
    ],
)
async def test_the_last_incarnations_end_is_told_once(
    probe: MakeProbe, restart: Restart, how: str, reason: DownReason
) -> None:
    a = probe("a", restart)
    seen: list[Down] = []
    a.ref.monitor(seen.append)
    async with running(Supervisor("root", [a])):
        a.ref.tell(how)
        await wait_all_tasks_blocked()
    assert [(down.reason, down.final) for down in seen] == [(reason, True)]


async def test_those_taken_down_with_another_were_cancelled(
    probe: MakeProbe, autojump_clock: MockClock
) -> None:
    a, b = probe("a"), probe("b")
    seen: list[Down] = []
    b.ref.monitor(seen.append)
    async with running(Supervisor("root", [a, b], strategy=Strategy.ONE_FOR_ALL)):
        a.ref.tell("crash")
        await trio.sleep(1)
        assert seen == [Down("b", DownReason.CANCELLED, None, final=False)]


async def test_monitoring_one_that_has_stopped_tells_at_once(probe: MakeProbe) -> None:
    a = probe("a")
    async with running(a):
        pass
    seen: list[Down] = []
    a.ref.monitor(seen.append)()
    assert seen == [Down("a", DownReason.STOPPED, None, final=True)]


async def test_unsubscribing(probe: MakeProbe) -> None:
    a = probe("a")
    seen: list[Down] = []
    end = a.ref.monitor(seen.append)
    async with running(a):
        end()
        end()
    assert seen == []


async def test_a_failing_monitor_harms_neither_the_watched_nor_other_monitors(
    probe: MakeProbe, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    a = probe("a")
    seen: list[Down] = []

    def fail(_: Down) -> None:
        raise RuntimeError("monitor")

    a.ref.monitor(fail)
    a.ref.monitor(seen.append)
    async with running(Supervisor("root", [a])):
        a.ref.tell("crash")
        await trio.sleep(1)
        assert a.statistics().restarts == 1
    assert len(seen) == 2
    assert "a monitor of a failed" in caplog.text
