from __future__ import annotations

import math
from functools import partial

import attrs
import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from triode.actors import (
    Actor,
    ActorStopped,
    AskTimeout,
    MailboxClosed,
    Reply,
    Supervisor,
    running,
)


@attrs.frozen
class Add:
    amount: int
    total: Reply[int]


class Counter(Actor[Add]):
    """Answers with the sum so far; amounts of 0 are never answered, negative ones crash it."""

    mailbox_messages_max = 2

    def __init__(self) -> None:
        super().__init__()
        self.open = trio.Event()
        self.open.set()
        self.unanswered: list[Reply[int]] = []

    async def started(self) -> None:
        self.sum = 0

    async def handle(self, batch: list[Add]) -> None:
        await self.open.wait()
        for add in batch:
            if add.amount < 0:
                raise ValueError("negative")
            self.sum += add.amount
            if add.amount == 0:
                self.unanswered.append(add.total)
            else:
                add.total.set(self.sum)


async def test_ask_returns_the_answer() -> None:
    async with running(Counter()) as counter:
        assert await counter.ref.ask(partial(Add, 2), 1) == 2
        with assert_checkpoints():
            assert await counter.ref.ask(lambda reply: Add(3, reply), 1) == 5


async def test_an_error_given_to_fail_is_raised_at_the_asker() -> None:
    class Refusing(Actor[Reply[int]]):
        async def handle(self, batch: list[Reply[int]]) -> None:
            for reply in batch:
                reply.fail(KeyError("no such thing"))

    async with running(Refusing()) as actor:
        with pytest.raises(KeyError, match="no such thing"):
            await actor.ref.ask(lambda reply: reply, 1)


async def test_ask_times_out_and_abandons(autojump_clock: MockClock) -> None:
    async with running(Counter()) as counter:
        began = trio.current_time()
        with pytest.raises(AskTimeout, match=r"Counter: no reply within 2\.5 s"):
            await counter.ref.ask(partial(Add, 0), 2.5)
        assert trio.current_time() - began == pytest.approx(2.5)
        (reply,) = counter.unanswered
        assert reply.abandoned
        reply.set(1)  # too late, and harmless
        assert await counter.ref.ask(partial(Add, 7), 1) == 7


async def test_the_timeout_covers_the_wait_for_room(autojump_clock: MockClock) -> None:
    async with running(Counter()) as counter:
        counter.open = trio.Event()
        for _ in range(2):
            counter.ref.tell(Add(1, Reply()))
        await wait_all_tasks_blocked()  # two in hand
        for _ in range(2):
            counter.ref.tell(Add(1, Reply()))
        with pytest.raises(AskTimeout):
            await counter.ref.ask(partial(Add, 100), 1)
        async with trio.open_nursery() as nursery:
            answers: list[int] = []

            async def ask() -> None:
                answers.append(await counter.ref.ask(partial(Add, 10), 1))

            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            counter.open.set()
        assert answers == [14]  # the one that timed out before it was in was never sent


async def test_ask_of_a_stopped_actor() -> None:
    async with running(Counter()) as counter:
        pass
    with pytest.raises(ActorStopped):
        await counter.ref.ask(partial(Add, 1), 1)
    with pytest.raises(MailboxClosed):
        counter.ref.tell(Add(1, Reply()))
    with pytest.raises(MailboxClosed):
        await counter.ref.put(Add(1, Reply()))


async def test_what_is_in_hand_at_a_crash_fails_and_what_waits_is_answered(
    autojump_clock: MockClock,
) -> None:
    counter = Counter()
    counter.batch_messages_max = 2
    outcomes: dict[str, int | BaseException] = {}

    async def ask(name: str, amount: int) -> None:
        try:
            outcomes[name] = await counter.ref.ask(partial(Add, amount), math.inf)
        except ActorStopped as error:
            outcomes[name] = error

    async with running(Supervisor("root", [counter])), trio.open_nursery() as nursery:
        nursery.start_soon(ask, "held", 0)
        await wait_all_tasks_blocked()
        counter.open = trio.Event()
        for name, amount in [("crashing", -1), ("behind it", 1), ("queued", 5), ("no room", 6)]:
            nursery.start_soon(ask, name, amount)
            await wait_all_tasks_blocked()
            if name == "behind it":
                assert counter.statistics().mailbox_depth == 1  # `crashing` is in hand
        counter.open.set()
    assert outcomes.pop("behind it") == 1
    assert outcomes.pop("queued") == 6
    assert outcomes.pop("no room") == 12
    for name in ("held", "crashing"):
        error = outcomes.pop(name)
        assert isinstance(error, ActorStopped)
        assert isinstance(error.__cause__, ValueError)
    assert not outcomes


async def test_asks_fail_when_the_actor_stops_for_good(autojump_clock: MockClock) -> None:
    counter = Counter()
    failed: list[str] = []

    async def ask() -> None:
        with pytest.raises(ActorStopped) as caught:
            await counter.ref.ask(partial(Add, 0), math.inf)
        failed.append(str(caught.value))

    async with running(Supervisor("root", [counter])) as root, trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        await root.stop_child("Counter")
    assert failed == ["Counter: stopped before it replied"]


async def test_a_cancelled_ask_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    async with running(Counter()) as counter:
        with trio.move_on_after(1):
            await counter.ref.ask(partial(Add, 0), math.inf)
        assert counter.unanswered[0].abandoned
        assert not counter.ref._asks


async def test_a_reply_alone() -> None:
    reply: Reply[str] = Reply()
    assert not reply.settled
    reply.set("first")
    reply.set("second")
    reply.fail(ValueError())
    with assert_checkpoints():
        assert await reply.wait() == "first"


async def test_a_reply_has_one_waiter_and_can_be_waited_for_again() -> None:
    reply: Reply[str] = Reply()
    async with trio.open_nursery() as nursery:
        with trio.move_on_after(0):
            await reply.wait()
        nursery.start_soon(reply.wait)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await reply.wait()
        reply.set("done")
