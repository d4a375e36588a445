"""Whole clusters under faults, a seed each; every promise is checked."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from triode.testing.plan import FAULTS, plan_of
from triode.testing.scenario import Result
from triode.testing.workload.simulated import simulate_checked

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "200"))
SEEDS_PER_TEST = 20
REGRESSIONS = {
    59: "a leader that was removed from two members answered reads of its own for a second",
    10518: "a member that joined and restarted before it had a log was not answered by simulated links",
    20049: "the record of an older snapshot of its own followed that of a received one in the log",
    100027: "after a snapshot a member executed the calls of its former leadership in place of the log's entries",
    900678: "a leader that was cut off answered TTL 0 for a lease whose time was up, which the next leader had renewed",
    400141: "a member that was stopping failed when it applied a compaction, as the compactor had stopped before",
}
"""Seeds that have found a mistake, and which."""


def simulate(*arguments: str, seconds_max: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "triode.testing.simulate", *arguments],
        capture_output=True,
        text=True,
        timeout=seconds_max,
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", range(1, SEEDS + 1, SEEDS_PER_TEST))
def test_some_seeds(first: int) -> None:
    """As many as the time of the suite allows; `make sim` runs more."""
    last = first + SEEDS_PER_TEST - 1
    done = simulate("--seeds", f"{first}-{last}", seconds_max=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{SEEDS_PER_TEST} seeds, 0 failed" in done.stdout


def test_some_seeds_make_every_kind_of_fault() -> None:
    assert {name for seed in range(1, SEEDS + 1) for name in plan_of(seed).faults} == set(FAULTS)


@pytest.mark.long
@pytest.mark.timeout(0)
def test_many_seeds() -> None:
    """`SIMULATION_SEEDS_LONG`, 2000 by default."""
    last = 1_000_000 + int(os.environ.get("SIMULATION_SEEDS_LONG", "2000"))
    done = simulate("--seeds", f"1000001-{last}", "--processes", "2", seconds_max=36_000)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("seed", sorted(REGRESSIONS))
def test_seed_that_found_a_bug(seed: int) -> None:
    assert simulate_checked(plan_of(seed)).violations == []


def test_a_failure_is_told_with_the_command_that_replays_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from triode.testing import simulate as module

    def broken(plan: object, trace: object = None) -> Result:
        del trace
        return Result(plan, violations=["a promise was broken"])  # type: ignore[arg-type]

    monkeypatch.setattr(module, "simulate_checked", broken)
    with pytest.raises(SystemExit) as ended:
        module.main(["--seed", "17"], standalone_mode=False)
    assert ended.value.code == 1
    told = capsys.readouterr().out
    assert "a promise was broken" in told
    assert "replay: python -m triode.testing.simulate --seed 17 --trace\n" in told


def test_a_trace_tells_what_happens() -> None:
    done = simulate("--seed", "3", "--trace", seconds_max=60)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^ +\d+\.\d{6} m\d +starts$", done.stdout, re.MULTILINE)
    assert "< m" in done.stdout
    assert " peace" in done.stdout
