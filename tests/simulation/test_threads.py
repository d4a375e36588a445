"""Simulated threads: work beside the loop takes time, stops half-way, and ends with its process and not before."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trio.testing

import triode.testing
from triode.errors import CorruptData
from triode.raft.disk import DiskFile
from triode.testing import Machine
from triode.testing.threads import SteppedWork

SECONDS = 10.0
WRITES = 4
FILE = Path("/file")


def run(
    scenario: Callable[[triode.testing.Cluster, Machine], Awaitable[None]],
    *,
    seed: int = 0,
    seconds: float | None = SECONDS,
) -> None:
    """A machine with a member, whose threads take `seconds`."""

    async def main() -> None:
        async with triode.testing.cluster(1, seed=seed) as cluster:
            machine = cluster.machine(1)
            await trio.sleep(5.0)
            machine.disk_delay = None if seconds is None else lambda: seconds
            await scenario(cluster, machine)

    triode.testing.run(main, seed=seed)


class Writes:
    """Work of several writes; `seen` has the time of each."""

    def __init__(self, machine: Machine, path: Path = FILE) -> None:
        self.file: DiskFile = machine.disk.open(path, create=True)
        self.seen: list[float] = []

    def __call__(self) -> int:
        for number in range(WRITES):
            self.file.write_at(number, b"x")
            self.seen.append(trio.current_time())
        return WRITES


def seeds_that(found: Callable[[int], bool], seeds: range = range(20)) -> int:
    """In how many runs something was found."""
    return sum(map(found, seeds))


def test_work_is_done_between_its_start_and_its_end() -> None:
    """At one moment or at several; the caller hears of it when the time is over."""

    def moments(seed: int) -> list[float]:
        seen: list[float] = []

        async def scenario(_cluster: triode.testing.Cluster, machine: Machine) -> None:
            writes, start = Writes(machine), trio.current_time()
            assert await machine._in_thread(writes) == WRITES
            assert trio.current_time() == pytest.approx(start + SECONDS)
            seen.extend(time - start for time in writes.seen)

        run(scenario, seed=seed)
        return seen

    found = [moments(seed) for seed in range(20)]
    assert all(0 <= first <= last <= SECONDS for first, *_, last in found)
    assert len({first for first, *_ in found}) == 20
    assert 5 < sum(first < last for first, *_, last in found) < 20
    assert moments(3) == found[3]


def test_the_loop_goes_on_between_two_writes() -> None:
    def overlaps(seed: int) -> bool:
        seen: list[bool] = []

        async def scenario(_cluster: triode.testing.Cluster, machine: Machine) -> None:
            writes = Writes(machine)

            async def look() -> None:
                for _ in range(100):
                    await trio.sleep(SECONDS / 100)
                    seen.append(0 < len(writes.seen) < WRITES)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(look)
                nursery.start_soon(machine._in_thread, writes)

        run(scenario, seed=seed)
        return any(seen)

    assert seeds_that(overlaps) > 5


def test_threads_of_a_machine_overlap() -> None:
    def mixed(seed: int) -> bool:
        found: list[bool] = []

        async def scenario(_cluster: triode.testing.Cluster, machine: Machine) -> None:
            one, other = Writes(machine), Writes(machine, Path("/other"))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(machine._in_thread, one)
                nursery.start_soon(machine._in_thread, other)
            found.append(max(one.seen) > min(other.seen) and max(other.seen) > min(one.seen))

        run(scenario, seed=seed)
        return found == [True]

    assert seeds_that(mixed) > 1


@pytest.mark.parametrize("seed", range(10))
def test_cancelling_the_caller_does_not_stop_the_work(seed: int) -> None:
    """As `trio.to_thread.run_sync`: the caller waits, and has the result."""

    async def scenario(_cluster: triode.testing.Cluster, machine: Machine) -> None:
        writes, start = Writes(machine), trio.current_time()
        results = []
        with trio.move_on_after(SECONDS / 2) as scope:
            results.append(await machine._in_thread(writes))
            await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        assert results == [WRITES]
        assert len(writes.seen) == WRITES
        assert trio.current_time() == pytest.approx(start + SECONDS)
        with trio.CancelScope() as scope:
            scope.cancel()
            await machine._in_thread(writes)
        assert len(writes.seen) == WRITES, "who is cancelled already begins nothing"

    run(scenario, seed=seed)


@pytest.mark.parametrize("how", ["kill", "crash"])
def test_the_end_of_the_process_leaves_a_part(how: str) -> None:
    """Nothing is done afterwards, and nobody hears of the result."""
    done = set()

    def one(seed: int) -> None:
        async def scenario(_cluster: triode.testing.Cluster, machine: Machine) -> None:
            writes = Writes(machine)
            results = []

            async def work() -> None:
                with pytest.raises(triode.testing.errors.PowerLoss):
                    results.append(await machine._in_thread(writes))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(work)
                await trio.sleep(SECONDS / 2)
                await getattr(machine, how)()
            assert not results
            done.add(len(writes.seen))
            await trio.sleep(SECONDS)
            assert len(writes.seen) in done
            if how == "kill":
                machine.disk.before = lambda _operation, _path: None
                assert machine.disk.read(FILE) == b"x" * len(writes.seen)

        run(scenario, seed=seed)

    for seed in range(25):
        one(seed)
    assert done >= {0, 1, 2, WRITES}


@pytest.mark.parametrize("seed", range(10))
def test_a_failure_is_raised_when_the_time_is_over(seed: int) -> None:
    async def scenario(_cluster: triode.testing.Cluster, machine: Machine) -> None:
        writes, start = Writes(machine), trio.current_time()

        def work() -> None:
            writes()
            raise CorruptData("it is")

        with pytest.raises(CorruptData, match="it is"):
            await machine._in_thread(work)
        assert trio.current_time() == pytest.approx(start + SECONDS)

    run(scenario, seed=seed)


def test_without_a_delay_others_run_before_and_after() -> None:
    """Who is first within a turn of the loop is drawn: so not in each run, but in many."""

    def order_of(seed: int) -> list[str]:
        events: list[str] = []

        async def scenario(_cluster: triode.testing.Cluster, machine: Machine) -> None:
            async def other() -> None:
                for _ in range(3):
                    events.append("other")
                    await trio.lowlevel.checkpoint()

            async def thread() -> None:
                await machine._in_thread(lambda: events.append("work"))
                events.append("heard")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(thread)
                nursery.start_soon(other)

        run(scenario, seed=seed, seconds=None)
        return events

    orders = [order_of(seed) for seed in range(12)]
    assert sum("other" in order[: order.index("work")] for order in orders) > 3
    assert sum("other" in order[order.index("work") : order.index("heard")] for order in orders) > 3


def test_a_thread_can_log() -> None:
    """The time is the loop's."""
    logger = logging.getLogger("triode.test_threads")

    async def main() -> None:
        stepped = SteppedWork(lambda: logger.warning("at %s", trio.current_time()))
        await trio.sleep(3.0)
        stepped.go_on()
        stepped.result()

    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        triode.testing.run(main)
    finally:
        logger.removeHandler(handler)
    assert records == ["at 3.0"]
