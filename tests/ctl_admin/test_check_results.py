"""How a load is paced and judged."""

from __future__ import annotations

import pytest

from triode.cli.ctl.checks.loads import DATASCALE, LOADS, PERF
from triode.cli.ctl.checks.pace import Pace
from triode.cli.ctl.checks.results import Results, Summary, judge_perf


def test_loads_are_those_of_etcd() -> None:
    perf = {
        name: (load.writes_per_second, load.clients, load.seconds) for name, load in PERF.items()
    }
    assert perf == {
        "s": (150, 50, 60),
        "m": (1000, 200, 60),
        "l": (8000, 500, 60),
        "xl": (15000, 1000, 60),
    }
    scale = {name: (load.pairs, load.clients, load.pair_bytes) for name, load in DATASCALE.items()}
    assert scale == {
        "s": (10_000, 50, 1024),
        "m": (100_000, 200, 1024),
        "l": (1_000_000, 500, 1024),
        "xl": (3_000_000, 1000, 1024),
    }
    assert {LOADS[name] for name in ("small", "medium", "large", "xLarge")} == PERF.keys()


def test_the_figures_of_a_run() -> None:
    results = Results()
    for seconds in (0.1, 0.2, 0.3):
        results.add(seconds)
    results.fail("boom")
    results.fail("boom")
    summary = results.summary(2.0)
    assert len(results) == 5
    assert summary.requests_per_second == 1.5
    assert summary.slowest == 0.3
    assert summary.stddev == pytest.approx((0.02 / 3) ** 0.5)
    assert summary.errors == {"boom": 2}


def test_a_run_without_a_request_is_judged_too() -> None:
    lines, passed = judge_perf(Results().summary(0.0), 150)
    assert lines[0] == "FAIL: Throughput too low: 1 writes/s"
    assert not passed


def judged(**change: object) -> tuple[list[str], bool]:
    given: dict[str, object] = {
        "requests": 9000,
        "requests_per_second": 150.0,
        "slowest": 0.5,
        "stddev": 0.1,
        "errors": {},
    }
    return judge_perf(Summary(**{**given, **change}), 150)  # type: ignore[arg-type]


def test_a_pass_in_the_words_of_etcd() -> None:
    assert judged() == (
        [
            "PASS: Throughput is 151 writes/s",
            "PASS: Slowest request took 0.500000s",
            "PASS: Stddev is 0.100000s",
        ],
        True,
    )


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"requests_per_second": 135.0}, "FAIL: Throughput too low: 136 writes/s"),
        ({"slowest": 0.51}, "Slowest request took too long: 0.510000s"),
        ({"stddev": 0.11}, "Stddev too high: 0.110000s"),
        ({"errors": {"no": 3}}, "FAIL: ERROR(no) -> 3"),
    ],
)
def test_each_threshold(change: dict[str, object], line: str) -> None:
    lines, passed = judged(**change)
    assert line in lines
    assert not passed


def test_the_pace_is_kept() -> None:
    """Woken often or seldom, the rate comes out."""
    pace = Pace(1000, 0.0)
    started = sum(pace.take(n * 0.003) for n in range(1, 1001))
    assert started == pytest.approx(3000, abs=3)


def test_a_stall_is_not_made_up_for() -> None:
    """A server that was away is not flooded when it comes back."""
    pace = Pace(1000, 0.0)
    assert pace.take(10.0) == 20
    assert pace.take(10.0) == 0


def test_waiting_until_one_is_due() -> None:
    pace = Pace(100, 0.0)
    assert pace.take(0.0) == 1
    assert pace.wait_seconds() == pytest.approx(0.01)
    assert pace.take(0.01) == 1
