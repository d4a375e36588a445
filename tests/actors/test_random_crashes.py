"""Random trees under random crashes, against what the kernel promises. A failure is its seed.

More of them: `SEEDS=1000 pytest tests/actors/test_random_crashes.py`.
"""

from __future__ import annotations

import logging
import os
from random import Random
from typing import Any

import attrs
import pytest
import trio
import trio._core._run as trio_run
from trio.testing import MockClock

from triode.actors import (
    Actor,
    ActorStopped,
    AskTimeout,
    Backoff,
    MailboxFull,
    Reply,
    Restart,
    State,
    Strategy,
    Supervisor,
    running,
)

SEEDS = int(os.environ.get("SEEDS", "10"))
STEPS = 120


@pytest.fixture(autouse=True)
def deterministic(
    request: pytest.FixtureRequest, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Trio shuffles the tasks of a turn; with this, from the test's seed."""
    caplog.set_level(logging.CRITICAL, logger="triode.actors")  # formatting crashes takes long
    seed = getattr(request.node, "callspec", None)
    monkeypatch.setattr(trio_run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
    trio_run._r.seed(seed.params["seed"] if seed is not None else 0)


@attrs.frozen
class Work:
    number: int
    crash: bool = False
    reply: Reply[int] | None = None


class Worker(Actor[Work]):
    """Journals every start, end and message; handling takes a random time."""

    batch_messages_max = 4

    def __init__(self, name: str, random: Random, journal: list[tuple[str, str]]) -> None:
        super().__init__(name=name)
        self.mailbox_messages_max = random.choice([2, 8, 64])
        self.random = random
        self.journal = journal
        self.sent: list[int] = []
        self.seen: list[int] = []  # in any incarnation, handled or lost
        self.batches_lost = 0
        self.incarnations = 0

    @property
    def busy(self) -> bool:
        return self.state is not State.RUNNING or not self.idle or len(self.mailbox) > 0

    async def started(self) -> None:
        await trio.sleep(self.random.choice([0, 0.1]))
        if self.random.random() < 0.1 and self.incarnations > 0:
            raise OSError("start")
        self.incarnations += 1
        self.journal.append(("starts", self.name))
        self.idle = True

    async def handle(self, batch: list[Work]) -> None:
        self.seen += [work.number for work in batch]
        self.idle = False
        for work in batch:
            await trio.sleep(self.random.choice([0, 0, 0.05]))
            if work.crash:
                raise ValueError(work.number)
            if work.reply is not None:
                work.reply.set(work.number)
        self.idle = True

    def cleanup(self) -> None:
        self.journal.append(("down", self.name))


async def disturb(workers: list[Worker], random: Random) -> None:
    """Send work, some of it deadly, to random workers, and ask some of them."""
    outcomes: list[str] = []

    async def ask(worker: Worker, number: int) -> None:
        def build(reply: Reply[int]) -> Work:
            return Work(number, reply=reply)

        try:
            assert await worker.ref.ask(build, 1000.0) == number
            outcomes.append("answered")
        except ActorStopped:
            outcomes.append("stopped")
        except AskTimeout:
            pytest.fail("an ask was forgotten")
        worker.sent.append(number)  # either way it went in

    asked = 0
    async with trio.open_nursery() as nursery:
        for number in range(STEPS):
            worker = random.choice(workers)
            if random.random() < 0.2:
                asked += 1
                nursery.start_soon(ask, worker, number)
            else:
                try:
                    worker.ref.tell(Work(number, crash=random.random() < 0.15))
                    worker.sent.append(number)
                except MailboxFull:
                    pass
            await trio.sleep(random.choice([0, 0, 0.01, 0.3]))
    assert len(outcomes) == asked


def check_life(journal: list[tuple[str, str]], workers: list[Worker]) -> None:
    """Starts and ends alternate, and the counts agree."""
    for worker in workers:
        up = False
        for event, name in journal:
            if name == worker.name and event == "starts":
                assert not up
                up = True
            elif name == worker.name:
                up = False  # a failed start is down without having been up
        assert not up
        statistics = worker.statistics()
        assert statistics.state is State.STOPPED
        assert statistics.restarts >= worker.incarnations - 1
        assert statistics.messages_handled == len(worker.seen)


def check_delivery(workers: list[Worker]) -> None:
    """At most once to a living incarnation, and nothing that was sent is skipped."""
    for worker in workers:
        assert sorted(worker.seen) == sorted(worker.sent)
        assert len(set(worker.seen)) == len(worker.seen)


def check_order(journal: list[tuple[str, str]], strategy: Strategy, names: list[str]) -> None:
    """Never is a younger sibling up that was started before an elder one (group strategies)."""
    assert [name for event, name in journal if event == "starts"][: len(names)] == names
    if strategy is Strategy.ONE_FOR_ONE:
        return
    up: list[str] = []
    for event, name in journal:
        if event == "starts":
            assert all(names.index(other) < names.index(name) for other in up), (up, name)
            up.append(name)
        elif name in up:
            up.remove(name)


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_invariants(seed: int, strategy: Strategy, autojump_clock: MockClock) -> None:
    random = Random(seed)
    journal: list[tuple[str, str]] = []
    names = [f"w{i}" for i in range(random.randint(1, 5))]
    workers = [Worker(name, random, journal) for name in names]
    tree = Supervisor(
        "root",
        workers,
        strategy=strategy,
        restarts_max=10_000,
        window_seconds=10.0,
        backoff=Backoff(seconds_min=0.05, seconds_max=1.0),
        random=random,
    )
    async with running(tree):
        await disturb(workers, random)
        await trio.sleep(random.choice([0, 1, 100]))
        with trio.fail_after(1000):
            while any(worker.busy for worker in workers):  # noqa: ASYNC110
                await trio.sleep(0.5)
        stopping = len(journal)
    check_life(journal, workers)
    check_delivery(workers)
    check_order(journal, strategy, names)
    assert journal[stopping:] == [("down", name) for name in reversed(names)]


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_children_come_and_go(
    seed: int, strategy: Strategy, autojump_clock: MockClock
) -> None:
    """Whatever crashes meanwhile: who was not asked to stop runs in the end, the others do not."""
    random = Random(seed)
    journal: list[tuple[str, str]] = []
    tree = Supervisor("root", strategy=strategy, restarts_max=10_000, backoff=Backoff(0.05, 1.0))
    workers: list[Worker] = []
    stopped: set[str] = set()
    async with running(tree), trio.open_nursery() as nursery:
        for number in range(60):
            worker = random.choice(workers) if workers else None
            action = random.random()
            if worker is None or action < 0.3:
                workers.append(Worker(f"w{number}", random, journal))
                tree.start_child_nowait(workers[-1])
            elif action < 0.5:
                stopped.add(worker.name)
                nursery.start_soon(tree.stop_child, worker.name)
            elif worker.name not in stopped and len(worker.mailbox) == 0:
                worker.ref.tell(Work(number, crash=True))
            await trio.sleep(random.choice([0, 0.05, 0.3]))
        await trio.sleep(300)
        assert stopped
        for worker in workers:
            expected = State.STOPPED if worker.name in stopped else State.RUNNING
            assert worker.state is expected, worker.name
        assert {child.name for child in tree.children} == {w.name for w in workers} - stopped
    check_life(journal, workers)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_cancelling_at_any_moment_leaves_nothing(
    seed: int, autojump_clock: MockClock
) -> None:
    random = Random(seed)
    journal: list[tuple[str, str]] = []
    workers = [Worker(f"w{i}", random, journal) for i in range(4)]
    for worker in workers:
        worker.restart = random.choice([Restart.PERMANENT, Restart.TRANSIENT])
    inner = Supervisor("inner", workers[2:], strategy=Strategy.ONE_FOR_ALL, restarts_max=2)
    tree = Supervisor("root", [*workers[:2], inner], restarts_max=10_000)
    with trio.move_on_after(random.uniform(0, 12)) as scope:
        async with running(tree):
            await disturb(workers, random)
            await trio.sleep_forever()
    assert scope.cancelled_caught
    check_life(journal, workers)
    assert {actor.state for actor in (tree, inner)} == {State.STOPPED}
    for worker in workers:
        assert len(set(worker.seen)) == len(worker.seen)


async def test_equal_seeds_make_equal_histories(autojump_clock: MockClock) -> None:
    async def history(seed: int) -> list[tuple[str, str]]:
        trio_run._r.seed(seed)
        random = Random(seed)
        journal: list[tuple[str, str]] = []
        workers = [Worker(f"w{i}", random, journal) for i in range(3)]
        tree = Supervisor("root", workers, restarts_max=1000, random=random)
        async with running(tree):
            for number in range(40):
                random.choice(workers).ref.tell(Work(number, crash=random.random() < 0.2))
                await trio.sleep(random.choice([0, 1]))
        return journal

    assert await history(11) == await history(11)
    assert await history(11) != await history(12)
