# ruff: noqa: PT012  # a tree fails while its body waits
from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from triode.actors import (
    Actor,
    ActorFailed,
    MailboxClosed,
    MailboxFull,
    PromptActor,
    Restart,
    StartFailed,
    State,
    Supervisor,
    running,
)


class Collector(Actor[int]):
    mailbox_messages_max = 5
    batch_messages_max = 3

    async def started(self) -> None:
        self.batches: list[list[int]] = []

    async def handle(self, batch: list[int]) -> None:
        self.batches.append(batch)


def test_the_default_name_is_the_class_name() -> None:
    assert Collector().name == "Collector"
    assert Collector(name="other").name == "other"
    assert Collector(name="other").ref.name == "other"


async def test_messages_before_the_start_are_kept_within_the_bound() -> None:
    actor = Collector()
    for i in range(5):
        actor.ref.tell(i)
    with pytest.raises(MailboxFull):
        actor.ref.tell(5)
    async with running(actor):
        await wait_all_tasks_blocked()
        assert actor.batches == [[0, 1, 2], [3, 4]]


async def test_put_is_back_pressure() -> None:
    async with running(Collector()) as actor:
        for i in range(20):
            with assert_checkpoints():
                await actor.ref.put(i)
        await wait_all_tasks_blocked()
        assert list(chain(*actor.batches)) == list(range(20))
        assert actor.statistics().mailbox_depth_max <= 5


async def test_a_graceful_stop_drains_the_mailbox_first() -> None:
    async with running(Collector()) as actor:
        for i in range(5):
            actor.ref.tell(i)
    assert list(chain(*actor.batches)) == [0, 1, 2, 3, 4]
    assert actor.state is State.STOPPED
    assert actor.ref.stopped
    with pytest.raises(MailboxClosed):
        actor.ref.tell(1)


async def test_an_own_run_is_cancelled_before_stopping_and_cleanup() -> None:
    events: list[str] = []

    class Ticker(Actor[None]):
        async def run(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                events.append("left run")

        async def stopping(self) -> None:
            await trio.lowlevel.checkpoint()  # not cancelled
            events.append("stopping")

        def cleanup(self) -> None:
            events.append("cleanup")

    async with running(Ticker()):
        await wait_all_tasks_blocked()
    assert events == ["left run", "stopping", "cleanup"]


async def test_helper_tasks_live_until_stopping_has_returned() -> None:
    class Writer(Actor[str]):
        async def started(self) -> None:
            self.written: list[str] = []
            self.outbox: list[str] = []
            self.wake = trio.Event()
            self.nursery.start_soon(self.write)

        async def write(self) -> None:
            while True:
                await self.wake.wait()
                self.wake = trio.Event()
                self.written += self.outbox
                self.outbox.clear()

        async def handle(self, batch: list[str]) -> None:
            self.outbox += batch
            self.wake.set()

        async def stopping(self) -> None:
            while self.outbox:
                await trio.lowlevel.checkpoint()

    async with running(Writer()) as writer:
        writer.ref.tell("last words")
    assert writer.written == ["last words"]


async def test_a_crash_of_a_helper_task_is_the_actors_crash() -> None:
    class Helped(Actor[None]):
        restart = Restart.NEVER

        async def started(self) -> None:
            self.nursery.start_soon(self.help)

        async def help(self) -> None:
            await trio.lowlevel.checkpoint()
            raise OSError("helper")

    with pytest.raises(ActorFailed) as caught:
        async with running(Helped()):
            await trio.sleep_forever()
    assert isinstance(caught.value.__cause__, OSError)


async def test_cleanup_is_called_after_a_crash_too_and_stopping_is_not(
    journal: list[str], probe: Callable[..., Any]
) -> None:
    actor = probe("a")
    with pytest.raises(ActorFailed, match=r"a failed: ValueError\('a was told to crash'\)"):
        async with running(actor):
            actor.ref.tell("crash")
            await trio.sleep_forever()
    assert journal == ["starts a", "crashes a", "down a"]


async def test_an_error_in_cleanup_is_a_crash() -> None:
    class Untidy(Actor[None]):
        def cleanup(self) -> None:
            raise OSError("cannot close")

    with pytest.raises(ActorFailed) as caught:
        async with running(Untidy()):
            pass
    assert isinstance(caught.value.__cause__, OSError)


async def test_a_failed_start_comes_out_of_running() -> None:
    class Broken(Actor[None]):
        async def started(self) -> None:
            raise OSError("no disk")

    with pytest.raises(StartFailed, match="Broken did not start") as caught:
        async with running(Broken()):
            pytest.fail("the body ran")
    assert isinstance(caught.value.__cause__, OSError)


async def test_handle_must_be_overridden() -> None:
    actor = Actor[int](name="plain")
    with pytest.raises(ActorFailed, match="plain got \\[1\\]: handle\\(\\) or run\\(\\)"):
        async with running(actor):
            actor.ref.tell(1)
            await trio.sleep_forever()


async def test_an_actor_may_stop_itself(journal: list[str], probe: Callable[..., Any]) -> None:
    actor = probe("a", Restart.PERMANENT)
    async with running(Supervisor("root", [actor])) as root:
        actor.ref.tell("stop")
        with assert_checkpoints():
            await actor.wait_stopped()
        assert root.children == ()
        with assert_checkpoints():
            await actor.wait_stopped()
    assert journal == ["starts a", "stopping a", "down a"]


async def test_an_actor_object_is_used_once() -> None:
    actor = Collector()
    async with running(actor):
        pass
    with pytest.raises(AssertionError, match="in a tree already"):
        async with running(actor):
            pass


async def test_statistics(autojump_clock: MockClock) -> None:
    actor = Collector()
    assert actor.statistics().state is State.NEW
    assert actor.statistics().since is None
    async with running(actor):
        began = trio.current_time()
        await trio.sleep(5)
        for i in range(5):
            actor.ref.tell(i)
        await wait_all_tasks_blocked()
        statistics = actor.statistics()
    assert (statistics.name, statistics.state) == ("Collector", State.RUNNING)
    assert statistics.since == began
    assert (statistics.mailbox_depth, statistics.mailbox_depth_max) == (0, 5)
    assert statistics.mailbox_messages_max == 5
    assert (statistics.messages_handled, statistics.batches_handled) == (5, 2)
    assert (statistics.restarts, statistics.last_error) == (0, None)
    assert actor.statistics().state is State.STOPPED


class Prompt(PromptActor[int]):
    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[int]] = []

    def handle_now(self, batch: list[int]) -> None:
        if 0 in batch:
            raise ValueError("zero")
        self.batches.append(batch)


async def test_take_handles_what_waits_first_and_at_once() -> None:
    async with running(Prompt()) as actor:
        actor.ref.tell(1)
        actor.ref.tell(2)
        actor.take(3)
        assert actor.batches == [[1, 2, 3]]
        actor.take(4)
        actor.ref.tell(5)
        assert actor.batches == [[1, 2, 3], [4]]
        await wait_all_tasks_blocked()
        assert actor.batches == [[1, 2, 3], [4], [5]]
    with pytest.raises(MailboxClosed):
        actor.take(6)


async def test_a_failure_in_take_crashes_the_actor_and_not_the_caller() -> None:
    class Once(Prompt):
        restart = Restart.NEVER

    actor = Once()
    with pytest.raises(ActorFailed) as caught:
        async with running(actor):
            actor.take(0)
            actor.take(1)  # nothing is handled any more
            await trio.sleep_forever()
    assert isinstance(caught.value.__cause__, ValueError)
    assert actor.batches == []


@pytest.mark.parametrize("mailed", [False, True])
async def test_nothing_is_taken_between_a_crash_and_its_end(
    autojump_clock: MockClock, mailed: bool
) -> None:
    """Others go on until all have ended, for one with what a worker thread has brought; they find nobody."""

    class Slow(Prompt):
        restart = Restart.NEVER

        async def started(self) -> None:
            self.nursery.start_soon(self._thread)

        async def _thread(self) -> None:
            with trio.CancelScope(shield=True):
                await trio.sleep(10)

    actor = Slow()

    async def late() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(5)
        actor.take(1)

    with pytest.RaisesGroup(ActorFailed):
        async with trio.open_nursery() as nursery, running(actor):
            nursery.start_soon(late)
            if mailed:
                actor.ref.tell(0)
            else:
                actor.take(0)
            await trio.sleep_forever()
    assert actor.batches == []


async def test_take_after_a_restart(autojump_clock: MockClock) -> None:
    actor = Prompt()
    async with running(Supervisor("root", [actor])):
        actor.take(0)
        await trio.sleep(10)
        assert actor.statistics().restarts == 1
        actor.take(1)
        assert actor.batches == [[1]]
