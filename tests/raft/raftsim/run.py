"""Run seeds, and say how a failing one is replayed."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable

from triode.raft import InvariantBroken

from .bugs import BUGS
from .checkers.violation import Violation
from .simulation import STEPS, run_seed

__all__ = ["find", "main", "replay"]


def replay(seed: int, steps: int = STEPS) -> str:
    """The command that runs a seed again."""
    return f"python tests/raft/simulate.py --seed {seed} --steps {steps} --trace"


def find(seeds: Iterable[int], steps: int = STEPS) -> tuple[int, str] | None:
    """The first seed that fails, and how; None when all hold."""
    for seed in seeds:
        try:
            run_seed(seed, steps)
        except (Violation, InvariantBroken) as error:
            return seed, f"{error}\nreplay: {replay(seed, steps)}"
        except Exception as error:
            error.add_note(f"replay: {replay(seed, steps)}")
            raise
    return None


def main(arguments: list[str]) -> int:
    """The program; its exit code is 1 when a seed fails."""
    parser = argparse.ArgumentParser(description="Simulate clusters of the bare Raft library.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int, help="run one")
    what.add_argument("--seeds", metavar="FIRST:END", help="run all of a range")
    parser.add_argument("--steps", type=int, default=STEPS, help="how long the faults last")
    parser.add_argument("--trace", action="store_true", help="tell everything that happens")
    parser.add_argument("--bug", choices=sorted(BUGS), help="switch a deliberate bug on")
    given = parser.parse_args(arguments)
    if given.bug is not None:
        with BUGS[given.bug][0]():
            return _run(given)
    return _run(given)


def _run(given: argparse.Namespace) -> int:
    if given.seed is not None:
        try:
            run_seed(given.seed, given.steps, print if given.trace else None)
        except (Violation, InvariantBroken) as error:
            print(f"seed {given.seed}: {error}")
            return 1
        print(f"seed {given.seed}: holds")
        return 0
    first, _, end = given.seeds.partition(":")
    seeds = range(int(first), int(end))
    begin = time.perf_counter()
    found = find(seeds, given.steps)
    if found is not None:
        print(f"seed {found[0]}: {found[1]}")
        return 1
    seconds = time.perf_counter() - begin
    print(f"{len(seeds)} seeds hold, {len(seeds) / seconds * 60:.0f} per minute")
    return 0
