"""The same seed gives the same run, whatever else is different."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import trio

import triode.testing
from triode.testing.plan import plan_of
from triode.testing.trace import Trace
from triode.testing.workload.simulated import simulate_checked

SEEDS = (3, 5, 8)
PROGRAM = """
import sys
import attrs
from triode.testing.plan import plan_of
from triode.testing.workload.simulated import simulate_checked
for seed in map(int, sys.argv[1:]):
    result = simulate_checked(plan_of(seed))
    print(seed, result.events, result.digest)
plan = attrs.evolve(plan_of(int(sys.argv[1])), members=3, sqlite=True, disk_delay_max=0.05)
result = simulate_checked(plan)
print("sqlite", result.events, result.digest)
"""


@pytest.fixture(scope="module")
def elsewhere() -> list[str]:
    """What two other processes, which hash strings in other orders, say of the seeds."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *map(str, SEEDS)],
            env={**environment, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "4242")
    ]
    return [each.communicate(timeout=100)[0] for each in running]


def test_two_processes_see_the_same_runs(elsewhere: list[str]) -> None:
    """Sets and dicts of strings have other orders there, memory other addresses, and files other names."""
    first, second = elsewhere
    assert first == second
    assert len(first.splitlines()) == len(SEEDS) + 1


def test_a_second_run_is_the_same_byte_for_byte(elsewhere: list[str]) -> None:
    """In one process, after other runs, and as in the other processes."""
    traces = []
    for _ in range(2):
        trace = Trace(keep=True)
        simulate_checked(plan_of(SEEDS[0]), trace)
        traces.append(trace)
    assert traces[0].lines == traces[1].lines
    assert traces[0].digest() in elsewhere[0]


def test_other_seeds_are_other_runs(elsewhere: list[str]) -> None:
    digests = [line.split()[2] for line in elsewhere[0].splitlines()]
    assert len(set(digests)) == len(SEEDS) + 1


def test_tasks_take_turns_as_the_seed_says() -> None:
    """`run` is of use without a cluster: the order of ready tasks, and time that nobody waits for."""

    async def order() -> tuple[float, list[int]]:
        seen: list[int] = []

        async def note(number: int) -> None:
            await trio.sleep(3600)
            seen.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(note, number)
        return trio.current_time(), seen

    first = triode.testing.run(order, seed=1)
    assert first == triode.testing.run(order, seed=1)
    assert first[0] == 3600
    assert first[1] != triode.testing.run(order, seed=2)[1]
