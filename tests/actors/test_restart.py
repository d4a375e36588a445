# ruff: noqa: PT012  # a tree fails while its body waits
from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from triode.actors import (
    Actor,
    ActorFailed,
    Backoff,
    Down,
    Restart,
    RestartsExceeded,
    StartFailed,
    State,
    Strategy,
    Supervisor,
    TreeFailed,
    running,
)

MakeProbe = Callable[..., Any]
Take = Callable[[], list[str]]

SECOND = Backoff(seconds_min=1.0, seconds_max=60.0)


# --- one child ----------------------------------------------------------------------------------


async def test_a_permanent_child_is_restarted_after_the_back_off(
    probe: MakeProbe, take: Take, autojump_clock: MockClock
) -> None:
    a = probe("a")
    async with running(Supervisor("root", [a], backoff=SECOND)):
        a.ref.tell("crash")
        await wait_all_tasks_blocked()
        assert a.statistics().state is State.WAITING
        assert take() == ["starts a", "crashes a", "down a"]
        await trio.sleep(0.99)
        assert a.statistics().state is State.WAITING
        await trio.sleep(0.02)
        assert a.statistics().state is State.RUNNING
        assert take() == ["starts a"]
        statistics = a.statistics()
        assert statistics.restarts == 1
        assert statistics.last_error == "ValueError: a was told to crash"


async def test_the_batch_in_hand_is_lost_and_the_mailbox_is_kept(
    probe: MakeProbe, autojump_clock: MockClock
) -> None:
    a = probe("a")
    a.batch_messages_max = 3
    async with running(Supervisor("root", [a])):
        for message in ["1", "crash", "lost", "4", "5"]:
            a.ref.tell(message)
        await trio.sleep(0.01)
        assert a.state is State.WAITING
        a.ref.tell("6")  # while it is down
        await trio.sleep(1)
        assert a.handled == ["1", "4", "5", "6"]


@pytest.mark.parametrize(
    ("restart", "how", "restarted"),
    [
        (Restart.PERMANENT, "crash", True),
        (Restart.PERMANENT, "end", True),
        (Restart.TRANSIENT, "crash", True),
        (Restart.TRANSIENT, "end", False),
        (Restart.TEMPORARY, "crash", False),
        (Restart.TEMPORARY, "end", False),
    ],
)
async def test_restart_policies(
    restart: Restart, how: str, restarted: bool, autojump_clock: MockClock
) -> None:
    class Child(Actor[str]):
        async def run(self) -> None:
            for message in await self.mailbox.receive():
                if message == "crash":
                    raise ValueError

    child = Child()
    child.restart = restart
    async with running(Supervisor("root", [child])) as root:
        child.ref.tell(how)
        await trio.sleep(1)
        assert child.state is (State.RUNNING if restarted else State.STOPPED)
        assert child.ref.stopped is not restarted
        assert (child in root.children) is restarted


@pytest.mark.parametrize("how", ["crash", "end"])
async def test_a_vital_child_fails_the_whole_tree(how: str) -> None:
    class Vital(Actor[str]):
        restart = Restart.NEVER

        async def run(self) -> None:
            for message in await self.mailbox.receive():
                if message == "crash":
                    raise ValueError(message)

    vital = Vital()
    inner = Supervisor("inner", [vital], restart=Restart.TEMPORARY)
    with pytest.raises(ActorFailed, match=r"^root/middle/inner/Vital (failed|ended)") as caught:
        async with running(Supervisor("root", [Supervisor("middle", [inner])])):
            vital.ref.tell(how)
            await trio.sleep_forever()
    cause = caught.value.__cause__
    assert isinstance(cause, ValueError) if how == "crash" else cause is None


async def test_a_vital_child_may_stop_itself(probe: MakeProbe) -> None:
    a = probe("a", Restart.NEVER)
    async with running(Supervisor("root", [a])):
        a.ref.tell("stop")
        await a.wait_stopped()


async def test_a_fatal_failure_takes_the_others_down_in_reverse_order(
    probe: MakeProbe, take: Take
) -> None:
    vital = probe("vital", Restart.NEVER)
    with pytest.raises(ActorFailed):
        async with running(Supervisor("root", [probe("a"), vital, probe("b"), probe("c")])):
            take()
            vital.ref.tell("crash")
            await trio.sleep_forever()
    assert take() == ["crashes vital", "down vital", "down c", "down b", "down a"]


async def test_a_fatal_failure_does_not_wait_for_anyones_back_off(
    probe: MakeProbe, autojump_clock: MockClock
) -> None:
    a, vital = probe("a"), probe("vital", Restart.NEVER)
    slow = Backoff(seconds_min=1000.0, seconds_max=1000.0)
    tree = Supervisor("root", [vital, a], strategy=Strategy.REST_FOR_ONE, backoff=slow)
    with pytest.raises(ActorFailed):
        async with running(tree):
            a.ref.tell("crash")
            await wait_all_tasks_blocked()
            vital.ref.tell("crash")
            await trio.sleep_forever()
    assert trio.current_time() < 1


async def test_a_factory_makes_a_new_object_for_every_incarnation(
    autojump_clock: MockClock,
) -> None:
    class Fresh(Actor[str]):
        made: list[Fresh] = []  # noqa: RUF012  # shared on purpose

        def __init__(self) -> None:
            super().__init__(name="fresh")
            self.seen: list[str] = []
            self.made.append(self)

        async def handle(self, batch: list[str]) -> None:
            self.seen += batch
            if "crash" in batch:
                raise ValueError

    async with running(Supervisor("root")) as root:
        ref = await root.start_child(Fresh)
        ref.tell("crash")
        await trio.sleep(1)
        ref.tell("hello")  # the address survives
        await wait_all_tasks_blocked()
        assert [actor.seen for actor in Fresh.made] == [["crash"], ["hello"]]
        assert root.children == (Fresh.made[1],)
        assert Fresh.made[1].statistics().restarts == 1


@pytest.mark.parametrize("through_itself", [False, True])
async def test_stopping_a_child_that_waits_for_its_restart(
    probe: MakeProbe, through_itself: bool, autojump_clock: MockClock
) -> None:
    a = probe("a")
    async with running(Supervisor("root", [a], backoff=SECOND)) as root:
        a.ref.tell("crash")
        await wait_all_tasks_blocked()
        if through_itself:
            a.stop()
        else:
            await root.stop_child("a")
        await trio.sleep(5)
        assert a.state is State.STOPPED
        assert a.statistics().restarts == 0
        assert root.children == ()


async def test_stopping_the_tree_while_a_child_waits(
    probe: MakeProbe, take: Take, autojump_clock: MockClock
) -> None:
    a, b = probe("a"), probe("b")
    async with running(Supervisor("root", [a, b], backoff=SECOND)):
        a.ref.tell("crash")
        await wait_all_tasks_blocked()
        take()
    assert take() == ["stopping b", "down b"]
    assert trio.current_time() < 0.5
    assert a.state is State.STOPPED


async def test_a_failing_factory_is_a_failed_start(autojump_clock: MockClock) -> None:
    made: list[Actor[str]] = []

    def make() -> Actor[str]:
        if len(made) == 1:
            made.append(Actor(name="never"))
            raise OSError("factory")
        made.append(Actor(name="child"))
        return made[-1]

    async with running(Supervisor("root", [make])) as root:
        made[0].ref.tell("crash")
        await trio.sleep(1)
        (child,) = root.children
        assert child is made[2]
        assert child.statistics().last_error == "OSError: factory"
        assert child.statistics().restarts == 2


@pytest.mark.parametrize("fails", [False, True])
async def test_stopping_a_child_that_is_being_restarted_with_others(
    probe: MakeProbe, fails: bool, autojump_clock: MockClock
) -> None:
    a, b, c = children = [probe(name) for name in "abc"]
    async with running(Supervisor("root", children, strategy=Strategy.ONE_FOR_ALL)) as root:
        b.start_seconds = 2.0
        a.ref.tell("crash")
        await trio.sleep(1)
        assert b.state is State.STARTING
        b.start_errors = [OSError("b")] if fails else []
        await root.stop_child("b")
        await trio.sleep(5)
        assert (a.state, b.state, c.state) == (State.RUNNING, State.STOPPED, State.RUNNING)


async def test_stopping_a_child_right_after_its_restart_failed_frees_the_others(
    probe: MakeProbe, autojump_clock: MockClock
) -> None:
    a, b, c = children = [probe(name) for name in "abc"]
    async with running(Supervisor("root", children, strategy=Strategy.ONE_FOR_ALL)) as root:

        def stop(down: Down) -> None:
            if isinstance(down.error, OSError):
                nursery.start_soon(root.stop_child, "b")
                b.stop()

        b.ref.monitor(stop)
        async with trio.open_nursery() as nursery:
            b.start_errors = [OSError("b")]
            a.ref.tell("crash")
            await trio.sleep(5)
        assert (a.state, b.state, c.state) == (State.RUNNING, State.STOPPED, State.RUNNING)


# --- back-off and intensity -----------------------------------------------------------------------


async def test_the_back_off_grows_and_is_reset_by_a_long_run(
    probe: MakeProbe, autojump_clock: MockClock
) -> None:
    a = probe("a")
    tree = Supervisor("root", [a], backoff=SECOND, restarts_max=10, window_seconds=20)
    waits: list[float] = []
    async with running(tree):
        for ran_seconds in [0, 0, 0, 30, 0]:
            await trio.sleep(ran_seconds)
            a.ref.tell("crash")
            crashed = trio.current_time()
            await trio.sleep(5)
            waits.append(a.statistics().since - crashed)
    assert waits == pytest.approx([1, 2, 4, 1, 2], abs=0.01)


async def test_a_failing_restart_counts(probe: MakeProbe, autojump_clock: MockClock) -> None:
    a = probe("a")
    async with running(Supervisor("root", [a], backoff=SECOND)):
        a.start_errors = [OSError("1"), OSError("2")]
        a.ref.tell("crash")
        await trio.sleep(60)
        assert a.state is State.RUNNING
        assert a.statistics().restarts == 3
        assert a.statistics().last_error == "OSError: 2"


@pytest.mark.parametrize("strategy", Strategy)
async def test_too_many_restarts_fail_the_supervisor(
    probe: MakeProbe, strategy: Strategy, take: Take, autojump_clock: MockClock
) -> None:
    a, b = probe("a"), probe("b")
    tree = Supervisor("root", [a, b], strategy=strategy, restarts_max=3, window_seconds=100)
    with pytest.raises(
        RestartsExceeded, match=r"root: more than 3 restarts within 100 s"
    ) as caught:
        async with running(tree):
            while True:
                a.ref.tell("crash")
                await trio.sleep(10)
    assert trio.current_time() == pytest.approx(30, abs=5)
    assert isinstance(caught.value.__cause__, ValueError)
    assert take()[-1] == "down b"
    assert b.state is State.STOPPED


async def test_restarts_outside_the_window_are_forgotten(
    probe: MakeProbe, autojump_clock: MockClock
) -> None:
    a = probe("a")
    async with running(Supervisor("root", [a], restarts_max=2, window_seconds=25)):
        for _ in range(10):
            a.ref.tell("crash")
            await trio.sleep(15)
        assert a.statistics().restarts == 10


async def test_an_exceeded_limit_restarts_the_subtree_from_above(
    probe: MakeProbe, take: Take, autojump_clock: MockClock
) -> None:
    a, b, c = probe("a"), probe("b"), probe("c")
    inner = Supervisor("inner", [a, b], restarts_max=1, window_seconds=100)
    async with running(Supervisor("root", [inner, c], window_seconds=100)):
        for _ in range(2):
            a.ref.tell("crash")
            await trio.sleep(1)
        assert inner.statistics().restarts == 1
        assert "RestartsExceeded" in (inner.statistics().last_error or "")
        assert {actor.state for actor in (inner, a, b, c)} == {State.RUNNING}
        assert take() == [
            "starts a", "starts b", "starts c",
            "crashes a", "down a", "starts a",
            "crashes a", "down a", "down b", "starts a", "starts b",
        ]  # fmt: skip
        assert await a.ref.ask(lambda reply: reply, 1) == "a"  # the address survives that too
        a.ref.tell("crash")
        await trio.sleep(1)
        assert inner.statistics().restarts == 1  # its count began anew
        assert a.state is State.RUNNING


async def test_a_vital_child_is_not_restarted_with_its_supervisor(
    probe: MakeProbe, autojump_clock: MockClock
) -> None:
    a, vital = probe("a"), probe("vital", Restart.NEVER)
    inner = Supervisor("inner", [vital, a], restarts_max=0)
    with pytest.raises(ActorFailed, match="root/inner/vital went down with its supervisor"):
        async with running(Supervisor("root", [inner])):
            a.ref.tell("crash")
            await trio.sleep_forever()


async def test_a_vital_child_is_not_restarted_with_its_siblings(probe: MakeProbe) -> None:
    a, vital = probe("a"), probe("vital", Restart.NEVER)
    tree = Supervisor("root", [a, vital], strategy=Strategy.REST_FOR_ONE)
    with pytest.raises(ActorFailed, match="root/vital must not be restarted, but goes down with"):
        async with running(tree):
            a.ref.tell("crash")
            await trio.sleep_forever()


async def test_a_supervisor_whose_restart_fails_to_start(
    probe: MakeProbe, autojump_clock: MockClock
) -> None:
    a, b = probe("a"), probe("b")
    inner = Supervisor("inner", [a, b], restarts_max=0)
    with pytest.raises(TreeFailed) as caught:
        async with running(Supervisor("root", [inner], restarts_max=3)):
            b.start_errors = [OSError(str(i)) for i in range(10)]
            a.ref.tell("crash")
            await trio.sleep_forever()
    assert isinstance(caught.value, RestartsExceeded)
    assert isinstance(caught.value.__cause__, StartFailed)
    assert len(b.start_errors) == 7


# --- strategies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "events"),
    [
        (Strategy.ONE_FOR_ONE, ["starts b"]),
        (Strategy.REST_FOR_ONE, ["down d", "down c", "starts b", "starts c", "starts d"]),
        (
            Strategy.ONE_FOR_ALL,
            ["down d", "down c", "down a", "starts a", "starts b", "starts c", "starts d"],
        ),
    ],
)
async def test_strategies(
    probe: MakeProbe, take: Take, strategy: Strategy, events: list[str], autojump_clock: MockClock
) -> None:
    a, b, c, d = children = [probe(name) for name in "abcd"]
    async with running(Supervisor("root", children, strategy=strategy)):
        take()
        b.ref.tell("crash")
        await trio.sleep(1)
        assert take() == ["crashes b", "down b", *events]
        assert b.statistics().last_error == "ValueError: b was told to crash"
        assert [actor.statistics().last_error for actor in (a, c, d)] == [None] * 3


async def test_mailboxes_of_those_taken_down_are_kept(
    probe: MakeProbe, autojump_clock: MockClock
) -> None:
    a, b = probe("a"), probe("b")
    async with running(Supervisor("root", [a, b], strategy=Strategy.ONE_FOR_ALL)):
        a.ref.tell("crash")
        await wait_all_tasks_blocked()
        b.ref.tell("kept")
        assert b.state is State.WAITING
        await trio.sleep(1)
        assert b.handled == ["kept"]


@pytest.mark.parametrize("strategy", [Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL])
@pytest.mark.parametrize("order", [("a", "c"), ("c", "a")])
async def test_two_crashes_at_once_restart_everyone_once(
    probe: MakeProbe,
    take: Take,
    strategy: Strategy,
    order: tuple[str, str],
    autojump_clock: MockClock,
) -> None:
    children = {name: probe(name) for name in "abc"}
    async with running(Supervisor("root", children.values(), strategy=strategy)):
        for name in order:
            children[name].ref.tell("crash")
        await trio.sleep(5)
        assert {child.state for child in children.values()} == {State.RUNNING}
        assert [child.statistics().restarts for child in children.values()] == [1, 1, 1]
        starts = [event for event in take() if event.startswith("starts")]
        assert starts == ["starts a", "starts b", "starts c"] * 2


async def test_crashes_that_one_recovery_covers_count_once(
    probe: MakeProbe, autojump_clock: MockClock
) -> None:
    children = [probe(name) for name in "abc"]
    tree = Supervisor("root", children, strategy=Strategy.ONE_FOR_ALL, restarts_max=1)
    async with running(tree):
        for child in children:
            child.ref.tell("crash")
        await trio.sleep(5)
        assert [child.statistics().restarts for child in children] == [1, 1, 1]


async def test_an_elder_crash_during_a_recovery_widens_it(
    probe: MakeProbe, take: Take, autojump_clock: MockClock
) -> None:
    a, b, c = children = [probe(name) for name in "abc"]
    tree = Supervisor("root", children, strategy=Strategy.REST_FOR_ONE, backoff=SECOND)
    async with running(tree):
        take()
        c.ref.tell("crash")
        await trio.sleep(0.5)
        a.ref.tell("crash")
        await trio.sleep(10)
        assert take() == [
            "crashes c", "down c", "crashes a", "down a", "down b", "starts a", "starts b", "starts c",
        ]  # fmt: skip
        assert b.statistics().restarts == c.statistics().restarts == 1


async def test_a_failed_start_during_a_recovery_is_tried_again(
    probe: MakeProbe, take: Take, autojump_clock: MockClock
) -> None:
    a, b, c = children = [probe(name) for name in "abc"]
    tree = Supervisor("root", children, strategy=Strategy.REST_FOR_ONE, backoff=SECOND)
    async with running(tree):
        take()
        b.start_errors = [OSError("again")]
        a.ref.tell("crash")
        await trio.sleep(10)
        assert take() == [
            "crashes a", "down a", "down c", "down b",
            "starts a", "fails b", "down b", "starts b", "starts c",
        ]  # fmt: skip
        assert c.state is State.RUNNING


async def test_a_child_that_joins_during_a_recovery(
    probe: MakeProbe, take: Take, autojump_clock: MockClock
) -> None:
    """A newcomer's crash must not let the others overtake the one that is starting."""
    a, b = probe("a"), probe("b")
    tree = Supervisor("root", [a, b], strategy=Strategy.REST_FOR_ONE, backoff=SECOND)
    async with running(tree) as root:
        a.start_seconds = 5.0
        a.ref.tell("crash")
        await trio.sleep(3)
        assert a.state is State.STARTING
        newcomer = probe("n")
        await root.start_child(newcomer)
        take()
        newcomer.ref.tell("crash")
        await trio.sleep(30)
        assert take() == [
            "crashes n", "down n", "down a", "starts a", "starts b", "starts n",
        ]  # fmt: skip


async def test_temporary_siblings_taken_down_do_not_return(
    probe: MakeProbe, autojump_clock: MockClock
) -> None:
    a, t = probe("a"), probe("t", Restart.TEMPORARY)
    async with running(Supervisor("root", [a, t], strategy=Strategy.ONE_FOR_ALL)) as root:
        t.ref.tell("not a crash")
        a.ref.tell("crash")
        await trio.sleep(1)
        assert root.children == (a,)
        assert t.state is State.STOPPED


async def test_a_temporary_childs_crash_restarts_no_one(
    probe: MakeProbe, autojump_clock: MockClock
) -> None:
    a, t = probe("a"), probe("t", Restart.TEMPORARY)
    async with running(Supervisor("root", [a, t], strategy=Strategy.ONE_FOR_ALL)) as root:
        t.ref.tell("crash")
        await trio.sleep(1)
        assert a.statistics().restarts == 0
        assert root.children == (a,)


# --- policy arithmetic ----------------------------------------------------------------------------


def test_back_off_doubles_up_to_its_cap() -> None:
    backoff = Backoff(seconds_min=0.5, seconds_max=6.0)
    assert [backoff.delay_seconds(n, None) for n in range(1, 7)] == [0.5, 1, 2, 4, 6, 6]
    assert backoff.delay_seconds(100_000, None) == 6


def test_jitter_only_shortens_and_comes_from_the_given_source() -> None:
    backoff = Backoff(seconds_min=1.0, seconds_max=1.0, jitter=0.25)
    delays = [backoff.delay_seconds(1, random) for random in [Random(7)] * 200]
    assert 0.75 <= min(delays) < 0.77
    assert 0.98 < max(delays) <= 1.0
    assert delays[0] == backoff.delay_seconds(1, Random(7))


async def test_no_limit(probe: MakeProbe, autojump_clock: MockClock) -> None:
    a = probe("a")
    at_once = Backoff(seconds_min=0, seconds_max=0)
    async with running(
        Supervisor("root", [a], restarts_max=10**9, window_seconds=math.inf, backoff=at_once)
    ):
        for _ in range(200):
            a.ref.tell("crash")
            await trio.sleep(0.001)
        assert a.statistics().restarts == 200
