from __future__ import annotations

import pytest

from triode.errors import ConfigError
from triode.mvcc.autocompact import (
    AutoCompactor,
    Periodic,
    Revision,
    auto_compactor,
    duration_seconds,
)

MINUTE, HOUR = 60.0, 3600.0


def run(compactor: AutoCompactor, seconds: float, step: float = MINUTE) -> list[tuple[float, int]]:
    """One revision per second; what was proposed, in minutes, all of it done.

    As in etcd the revision is that of one period and one sample ago, except the first time.
    """
    proposals = []
    for number in range(int(seconds / step) + 1):
        now = number * step
        revision = compactor.tick(now, int(now) + 1)
        if revision is not None:
            proposals.append((now / MINUTE, revision))
            compactor.done(revision, now)
    return proposals


def test_a_period_below_an_hour_is_kept_and_compacted_each_period() -> None:
    assert run(Periodic(10 * MINUTE), 35 * MINUTE) == [(10, 1), (20, 541), (30, 1141)]


def test_a_longer_period_is_compacted_every_hour() -> None:
    found = run(Periodic(3 * HOUR), 6 * HOUR)
    assert found == [(180, 1), (240, 3241), (300, 6841), (360, 10441)]


def test_revision_mode_keeps_a_number_of_revisions() -> None:
    assert run(Revision(500), 16 * MINUTE) == [(10, 101), (15, 401)]


@pytest.mark.parametrize("mode", ["periodic", "revision"])
def test_nothing_is_proposed_twice_while_nothing_is_written(mode: str) -> None:
    compactor = auto_compactor(mode, "10m" if mode == "periodic" else "10")
    assert compactor
    compactor.tick(0, 1000)
    found = []
    for minute in range(1, 60):
        revision = compactor.tick(minute * MINUTE, 1000)
        if revision is not None:
            found.append(revision)
            compactor.done(revision, minute * MINUTE)
    assert len(found) == 1


def test_a_failed_compaction_is_proposed_again_at_the_next_sample() -> None:
    compactor = Periodic(10 * MINUTE)
    proposals = [
        minute for minute in range(16) if compactor.tick(minute * MINUTE, minute + 1) is not None
    ]
    assert proposals == [10, 11, 12, 13, 14, 15]


def test_a_follower_samples_and_is_ready_when_it_is_elected() -> None:
    compactor = Periodic(10 * MINUTE)
    compactor.paused = True
    assert run(compactor, 25 * MINUTE) == []
    compactor.paused = False
    assert compactor.tick(26 * MINUTE, 5000) == 15 * 60 + 1


def test_settings() -> None:
    assert auto_compactor("periodic", "0") is None
    assert auto_compactor("revision", "0") is None
    assert auto_compactor("periodic", "0s") is None
    hours = auto_compactor("periodic", "2")
    assert isinstance(hours, Periodic)
    assert run(hours, 2 * HOUR) == [(120, 1)]
    assert isinstance(auto_compactor("revision", "1000"), Revision)
    for mode, retention in [
        ("revision", "1h"),
        ("periodic", "soon"),
        ("periodic", "-1"),
        ("hourly", "1"),
    ]:
        with pytest.raises(ConfigError):
            auto_compactor(mode, retention)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h30m", 5400), ("500ms", 0.5), ("1.5h", 5400), ("90s", 90), ("1us", 1e-6)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_seconds(text) == pytest.approx(seconds)
