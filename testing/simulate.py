"""Run simulated clusters from seeds: `python -m triode.testing.simulate --seeds 1-100`.

Each seed is one run, alone in its loop; `--processes` runs several at once. A run that breaks a promise is
told with the one command that replays it, and makes the exit status 1.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import islice

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .plan import plan_of
from .scenario import Result
from .trace import Trace
from .workload.simulated import simulate_checked

__all__ = ["main"]

TASKS_PER_PROCESS = 4
TELL_SECONDS = 60.0


def replay_command(seed: int, members: int | None) -> str:
    """What to type to see a run again."""
    size = f" --members {members}" if members else ""
    return f"python -m triode.testing.simulate --seed {seed}{size} --trace"


def run_seed(seed: int, members: int | None = None) -> Result:
    """One run."""
    return simulate_checked(plan_of(seed, members=members))


def _report(result: Result, members: int | None) -> None:
    print(f"\nFAILED {result.plan.describe()}")
    for violation in result.violations:
        print(f"  {violation}")
    print(f"  replay: {replay_command(result.plan.seed, members)}", flush=True)


class _Totals:
    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.runs = self.failed = self.answered = self.events = 0
        self.seconds = self.virtual_seconds = 0.0
        self.faults: Counter[str] = Counter()

    def add(self, result: Result) -> None:
        self.runs += 1
        self.failed += bool(result.violations)
        self.answered += result.answered
        self.events += result.events
        self.seconds += result.seconds
        self.virtual_seconds += result.virtual_seconds
        self.faults += result.faults

    def told(self) -> str:
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        return (
            f"{self.runs} seeds, {self.failed} failed; {self.rate()}; {self.virtual_seconds:.0f} virtual s,"
            f" {self.answered} operations answered, {self.events} events; faults: {faults}"
        )

    def rate(self) -> str:
        """How fast it goes, with all processes together."""
        took = time.perf_counter() - self.started
        return (
            f"{60 * self.runs / took:.0f} seeds a minute ({self.seconds / max(1, self.runs):.3f} s each),"
            f" {self.virtual_seconds / took:.0f} virtual s a second, {self.answered / took:.0f} operations a second"
        )


class _End:
    """When no more runs begin: after some time, or at the first SIGINT or SIGTERM; the second one kills."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.perf_counter() + seconds

    def passed(self) -> bool:
        return time.perf_counter() > self._deadline

    def at_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._signalled)

    def _signalled(self, number: int, _frame: object) -> None:
        self._deadline = float("-inf")
        signal.signal(number, signal.SIG_DFL)
        print("finishing the runs that have begun", file=sys.stderr, flush=True)


def _results(
    seeds: Iterator[int], members: int | None, processes: int, end: _End
) -> Iterator[Result]:
    """The results in the order in which they come, until seeds or time are used up."""
    if processes == 1:
        for seed in seeds:
            yield run_seed(seed, members)
            if end.passed():
                return
        return
    ignore = (signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all
    with ProcessPoolExecutor(processes, initializer=signal.signal, initargs=ignore) as pool:
        waiting = {
            pool.submit(run_seed, seed, members)
            for seed in islice(seeds, processes * TASKS_PER_PROCESS)
        }
        while waiting:
            done = next(as_completed(waiting))
            waiting.discard(done)
            if not end.passed():
                waiting |= {pool.submit(run_seed, seed, members) for seed in islice(seeds, 1)}
            yield done.result()


def _seeds(text: str) -> range:
    first, dash, last = text.partition("-")
    try:
        return range(int(first), int(last if dash else first) + 1)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not A-B", param_hint="--seeds") from None


def _watched(results: Iterator[Result], total: int, totals: _Totals) -> Iterator[Result]:
    """The same, with a bar of progress on a terminal, and a line a minute elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("seeds"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("seeds", total=total)
        told = time.perf_counter()
        for done, result in enumerate(results, 1):
            yield result
            bar.advance(task)
            if bar.disable and time.perf_counter() - told > TELL_SECONDS:
                told = time.perf_counter()
                print(f"{done} of {total} seeds: {totals.rate()}", file=sys.stderr, flush=True)


@click.command()
@click.option("--seed", type=int, help="Run this seed alone.")
@click.option("--seeds", default="1-100", help="Run the seeds A-B.", show_default=True)
@click.option("--seconds", type=float, default=float("inf"), help="Begin no run after this time.")
@click.option(
    "--processes", type=int, default=os.cpu_count() or 1, help="Runs at once.", show_default=True
)
@click.option("--members", type=int, help="Members at first, whatever the seed says.")
@click.option("--trace", is_flag=True, help="Print every event.")
def main(
    seed: int | None,
    seeds: str,
    seconds: float,
    processes: int,
    members: int | None,
    trace: bool,
) -> None:
    """Simulate whole clusters under faults, and judge what their clients saw."""
    totals = _Totals()
    if seed is not None:
        plan = plan_of(seed, members=members)
        print(plan.describe())
        results = iter([simulate_checked(plan, Trace(out=sys.stdout if trace else None))])
    else:
        wanted = _seeds(seeds)
        end = _End(seconds)
        end.at_signals()
        found = _results(iter(wanted), members, processes, end)
        results = _watched(found, len(wanted), totals)
    for result in results:
        totals.add(result)
        if result.violations:
            _report(result, members)
    print(totals.told())
    if seed is not None:
        print(f"trace {result.digest}")
    sys.exit(bool(totals.failed))


if __name__ == "__main__":
    main()
