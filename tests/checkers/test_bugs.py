"""The checkers bite: bugs that are switched on one by one are found within a stated number of seeds.

Bugs of the raft library itself (votes that are not kept, commits of older terms by counting) need rare schedules;
`tests/raft` finds them in its own, much faster simulation.
"""

from __future__ import annotations

from types import ModuleType

import pytest

QUICK = (
    "read_without_quorum",
    "read_locally",
    "skip_fsync",
    "apply_twice",
    "end_leases_early",
    "lose_an_event",
    "forget_watches",
)
LONG = (
    "commit_alone",
    "answer_before_fsync",
    "forget_consistent_index",
    "apply_twice_somewhere",
    "leave_one_out",
    "lose_renewals",
    "shorten_at_promotion",
    "keep_leases_for_ever",
    "notify_too_much",
    "forget_leases",
)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.long) for name in LONG)]
)
def test_a_deliberate_bug_is_found(
    name: str, bugs: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the name of the promise that it breaks, where one is stated."""
    bug = bugs.BUGS[name]
    bug.patch(monkeypatch)
    _, result = bug.seeds_until_found()
    assert any(bug.promise in violation for violation in result.violations), result.violations


def test_every_bug_is_tried(bugs: ModuleType) -> None:
    """None of the table is forgotten here."""
    assert sorted(bugs.BUGS) == sorted((*QUICK, *LONG))


@pytest.mark.parametrize("name", ["skip_fsync", "forget_watches"])
def test_without_the_bug_nothing_is_found(name: str, bugs: ModuleType) -> None:
    """In the same runs, so it is the bug that is found."""
    bug = bugs.BUGS[name]
    result = bugs.simulate_checked(bug.plan(0))
    assert result.violations == []
