"""Break the package in known ways, and see that the tests and the simulator notice.

    make mutants                                     # all, on all cores
    python tests/mutants/run.py --only NAME --no-simulation

A mutant is a patch in `patches/`, with what is to catch it ahead of the diff: see `Mutant`. Each is applied to a copy
of the package, of which everything is run. A patch that no longer applies, a test that does not fail, or a simulation
that finds nothing within its bound, or fails without the patch as well, makes the exit status 1.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import islice
from pathlib import Path
from typing import Any

import attrs
import click
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PATCHES = HERE / "patches"
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info", "build", "dist"
)
TEST_SECONDS_MAX = 600
TESTS_FAILED = 1  # pytest's exit status: they ran, and some failed


@attrs.frozen
class Mutant:
    """One patch.

    Attributes:
        breaks: what is wrong then, in a sentence.
        tests: pytest's names of what must fail, each of them.
        simulator: "cluster", "raft", or "none" with a reason in `breaks`.
        seed: one that finds it, which is tried before others; it holds without the patch.
        seeds_max: within how many seeds it must be found, from seed 0 on, if no seed is named.
        faults, members, settings, fields: of the plans; what is not given is as the seed says.
        promise: what is told when it is found, or a part of it; empty: anything.
    """

    name: str
    breaks: str = ""
    tests: tuple[str, ...] = ()
    simulator: str = "cluster"
    seed: int | None = None
    seeds_max: int = 2000
    faults: tuple[str, ...] | None = None
    members: int | None = None
    settings: dict[str, str] = attrs.Factory(dict)
    fields: dict[str, str] = attrs.Factory(dict)
    promise: str = ""

    @property
    def seeds(self) -> range:
        """Those that are tried."""
        return range(self.seeds_max) if self.seed is None else range(self.seed, self.seed + 1)

    @property
    def patch(self) -> Path:
        return PATCHES / f"{self.name}.patch"


def read(path: Path) -> Mutant:
    """A mutant from the lines ahead of its diff; raises ValueError for a line that means nothing."""
    head, _, _ = path.read_text().partition("\ndiff --git")
    found: dict[str, Any] = {}
    for line in filter(None, head.splitlines()):
        key, colon, value = (part.strip() for part in line.partition(":"))
        words = tuple(value.replace(",", " ").split())
        if key in ("breaks", "simulator", "promise"):
            found[key] = value
        elif key in ("tests", "faults"):
            found[key] = words
        elif key in ("members", "seed", "seeds_max"):
            found[key] = int(value)
        elif key in ("settings", "fields"):
            found[key] = dict(word.split("=", 1) for word in words)
        else:
            raise ValueError(f"{path.name}: {line!r} means nothing{'' if colon else ' (no colon)'}")
    return Mutant(path.stem, **found)


def mutants() -> list[Mutant]:
    """All of them, by name."""
    return [read(path) for path in sorted(PATCHES.glob("*.patch"))]


# --- the copy -----------------------------------------------------------------------------------


def copy_of(mutant: Mutant, folder: Path) -> Path:
    """A copy of the whole repository with the patch applied; raises CalledProcessError if it does not apply."""
    copy = folder / mutant.name
    shutil.copytree(ROOT, copy, symlinks=True, ignore=LEFT_OUT)
    words = ["git", "apply", "--unidiff-zero", str(mutant.patch)]
    subprocess.run(words, cwd=copy, check=True, capture_output=True, text=True)
    return copy


def environment(copy: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(copy / ".tree"), "PYTHONDONTWRITEBYTECODE": "1"}


def run(copy: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=copy,
        env=environment(copy),
        capture_output=True,
        text=True,
        timeout=TEST_SECONDS_MAX,
    )


def is_mutated(copy: Path) -> bool:
    """Whether it is the copy that is imported."""
    place = run(copy, "-c", "import triode; print(triode.__file__)").stdout.strip()
    return Path(place).is_relative_to(copy)


def caught_by_tests(mutant: Mutant, copy: Path) -> list[str]:
    """The tests that do not fail, though they should."""
    survived = []
    for test in mutant.tests:
        try:
            done = run(copy, "-m", "pytest", "-q", "-x", "-n0", "-p", "no:cacheprovider", test)
        except subprocess.TimeoutExpired:
            continue
        if done.returncode != TESTS_FAILED:
            survived.append(test)
    return survived


# --- the simulator ------------------------------------------------------------------------------


def hunt(mutant: Mutant, processes: int, among: range) -> tuple[int | None, str]:
    """The first seed that finds it, of those that are done then, and what it says. In this process's package."""
    done = 0
    with ProcessPoolExecutor(processes) as pool:
        seeds = iter(among)
        waiting = {pool.submit(judge, mutant, seed) for seed in islice(seeds, 2 * processes)}
        while waiting:
            future = next(as_completed(waiting))
            waiting.discard(future)
            done += 1
            seed, violation = future.result()
            if violation:
                pool.shutdown(wait=False, cancel_futures=True)
                return seed, violation
            waiting |= {pool.submit(judge, mutant, seed) for seed in islice(seeds, 1)}
    return None, f"nothing in {done} seeds"


def judge(mutant: Mutant, seed: int) -> tuple[int, str]:
    """The first violation of one run that counts, or nothing."""
    from triode.testing.plan import plan_of
    from triode.testing.workload.simulated import simulate_checked

    plan = plan_of(seed, members=mutant.members)
    changes: dict[str, Any] = {name: _number(value) for name, value in mutant.fields.items()}
    if mutant.faults is not None:
        changes["faults"] = mutant.faults
    settings = {name: _number(value) for name, value in mutant.settings.items()}
    changes["settings"] = {**plan.settings, **settings}
    result = simulate_checked(attrs.evolve(plan, **changes))
    counts = [one for one in result.violations if mutant.promise in one]
    return seed, counts[0].splitlines()[0][:200] if counts else ""


def _number(text: str) -> object:
    return float(text) if "." in text else int(text)


def simulate(mutant: Mutant, copy: Path, processes: int, among: range) -> tuple[int | None, str]:
    """Which seed finds it in the copy."""
    if mutant.simulator == "raft":
        words = ["tests/raft/simulate.py", "--seeds", f"{among.start}:{among.stop}"]
        told = run(copy, *words).stdout.strip()
        found = re.search(r"^seed (\d+): (.*)", told, re.MULTILINE)
        return (int(found[1]), found[2]) if found else (None, told or "nothing")
    words = [str(HERE / "run.py"), "--hunt", mutant.name, "--processes", str(processes)]
    words += ["--first", str(among.start), "--seeds-max", str(len(among))]
    done = subprocess.run(
        [sys.executable, *words], cwd=copy, env=environment(copy), capture_output=True, text=True
    )
    seed, _, what = done.stdout.strip().partition(" ")
    return (int(seed), what) if seed.isdigit() else (None, what or done.stderr[-500:])


@attrs.define
class Verdict:
    """What became of one mutant."""

    mutant: Mutant
    trouble: str = ""
    seed: int | None = None
    told: str = ""
    seconds: float = 0.0


def verdict_of(mutant: Mutant, folder: Path, processes: int, simulation: bool) -> Verdict:
    verdict = Verdict(mutant)
    began = time.perf_counter()
    try:
        copy = copy_of(mutant, folder)
    except subprocess.CalledProcessError as error:
        verdict.trouble = f"the patch does not apply: {error.stderr.strip()}"
        return verdict
    if not is_mutated(copy):
        verdict.trouble = "another package is imported than the copy"
        return verdict
    survived = caught_by_tests(mutant, copy)
    if survived:
        verdict.trouble = f"not caught by {', '.join(survived)}"
    if simulation and mutant.simulator != "none":
        verdict.seed, verdict.told = simulate(mutant, copy, processes, mutant.seeds)
        if verdict.seed is None:
            verdict.trouble += f" not found by the simulator: {verdict.told}"
        else:
            only = range(verdict.seed, verdict.seed + 1)
            fails, told = simulate(mutant, ROOT, 1, only)
            if fails is not None:
                verdict.trouble += f" seed {fails} fails without the patch, too: {told}"
    verdict.seconds = time.perf_counter() - began
    shutil.rmtree(copy)
    return verdict


@click.command()
@click.option("--only", multiple=True, help="Try this mutant alone; may be given several times.")
@click.option("--simulation/--no-simulation", default=True, help="Whether to run the simulator.")
@click.option("--processes", default=os.cpu_count() or 1, show_default=True, help="Runs at once.")
@click.option("--search", is_flag=True, help="Search from seed 0 on, whatever seed is named.")
@click.option("--seeds-max", type=int, help="Give up after so many seeds, if that is fewer.")
@click.option("--first", default=0, hidden=True, help="The first seed.")
@click.option("--hunt", "hunted", hidden=True, help="Simulate with the package that is imported.")
def main(
    only: tuple[str, ...],
    simulation: bool,
    processes: int,
    search: bool,
    seeds_max: int | None,
    first: int,
    hunted: str | None,
) -> None:
    """Apply each mutant to a copy, and tell who was caught by what."""
    if hunted is not None:
        mutant = read(PATCHES / f"{hunted}.patch")
        count = min(mutant.seeds_max, seeds_max or mutant.seeds_max)
        seed, what = hunt(mutant, processes, range(first, first + count))
        print("-" if seed is None else seed, what)
        return
    console = Console()
    wanted = [
        attrs.evolve(
            mutant,
            seed=None if search else mutant.seed,
            seeds_max=min(mutant.seeds_max, seeds_max or mutant.seeds_max),
        )
        for mutant in mutants()
        if not only or mutant.name in only
    ]
    if unknown := set(only) - {mutant.name for mutant in wanted}:
        raise click.BadParameter(f"there is no mutant {', '.join(sorted(unknown))}")
    table = Table("mutant", "tests", "seed", "what the simulator says", "s")
    failed = 0
    with tempfile.TemporaryDirectory(prefix="triode-mutants-") as folder:
        for mutant in wanted:
            verdict = verdict_of(mutant, Path(folder), processes, simulation)
            failed += bool(verdict.trouble)
            at = "-" if verdict.seed is None else str(verdict.seed)
            tests = f"{len(mutant.tests)} fail" if not verdict.trouble else verdict.trouble
            row = [mutant.name, tests, at, verdict.told, f"{verdict.seconds:.0f}"]
            print(*row, sep=" | ", flush=True)
            table.add_row(*row)
    console.print(table)
    print(f"{len(wanted)} mutants, {failed} survived or do not apply")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
