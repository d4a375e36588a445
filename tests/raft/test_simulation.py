"""Whole clusters under hostile schedules, and the checkers of Raft's promises; see `raftsim`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from raftsim.bugs import BUGS  # type: ignore[import-not-found]
from raftsim.checkers.election_safety import ElectionSafety  # type: ignore[import-not-found]
from raftsim.checkers.leader_completeness import LeaderCompleteness  # type: ignore[import-not-found]
from raftsim.checkers.linearizable_reads import LinearizableReads  # type: ignore[import-not-found]
from raftsim.checkers.log_matching import LogMatching  # type: ignore[import-not-found]
from raftsim.checkers.state_machine_safety import StateMachineSafety  # type: ignore[import-not-found]
from raftsim.checkers.violation import Violation  # type: ignore[import-not-found]
from raftsim.disk import Disk  # type: ignore[import-not-found]
from raftsim.member import Mode  # type: ignore[import-not-found]
from raftsim.run import find, main  # type: ignore[import-not-found]
from raftsim.simulation import run_seed  # type: ignore[import-not-found]

from triode.raft import Entry, HardState, MemoryStorage

PROGRAM = Path(__file__).parent / "simulate.py"
BLOCK = 50
RARE = {"half-of-a-joint-quorum", "votes-asked-for-before-the-save"}
"""Bugs that few seeds show: for the long runs."""


@pytest.mark.parametrize("first", range(0, 200, BLOCK))
def test_clusters_keep_their_promises(first: int) -> None:
    found = find(range(first, first + BLOCK))
    assert found is None, found


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(10_000, 20_000, 500))
def test_many_clusters_keep_their_promises(first: int) -> None:
    found = find(range(first, first + 500))
    assert found is None, found


# --- Deliberate bugs ------------------------------------------------------------------------------


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] * (name in RARE)) for name in BUGS]
)
def test_a_deliberate_bug_is_caught(name: str) -> None:
    bug, seeds = BUGS[name]
    with bug():
        assert find(range(seeds)) is not None


# --- The simulator itself -------------------------------------------------------------------------


def test_a_seed_gives_the_same_trace_again_in_any_process() -> None:
    seeds = (0, 1, 5)
    traces: list[list[str]] = []
    modes = set()
    for seed in seeds:
        traces.append([])
        modes.add(run_seed(seed, 300, traces[-1].append).mode)
    assert modes == set(Mode)
    for seed, trace in zip(seeds, traces, strict=True):
        command = [sys.executable, str(PROGRAM), "--seed", str(seed), "--steps", "300", "--trace"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        lines = "\n".join([*trace, f"seed {seed}: holds", ""])
        assert done.stdout == lines


def test_a_failing_seed_prints_the_command_that_replays_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bug = ["--bug", "skip-fsync"]
    assert main(["--seeds", "0:50", *bug]) == 1
    told = capsys.readouterr().out
    command = told.partition("replay: python tests/raft/simulate.py ")[2].split()
    assert main([*command, *bug]) == 1
    replayed = capsys.readouterr().out.splitlines()[-1]
    assert replayed == told.splitlines()[0]
    assert main(["--seeds", "0:2"]) == 0
    assert "2 seeds hold" in capsys.readouterr().out


def test_seeds_meet_every_kind_of_trouble() -> None:
    lines: list[str] = []
    for seed in range(30):
        run_seed(seed, trace=lines.append)
    told = "\n".join(lines)
    for what in (
        "lost: ",
        "cut off",
        "crashes, with 2 unsynced",
        "compacts",
        "MsgSnap",
        "MsgTimeoutNow",
        "Rejected",
        "ConfChange(",
        "ConfChangeV2(",
        "ADD_LEARNER",
        "forgets",
    ):
        assert what in told, what


def test_the_disk_loses_a_suffix_of_what_was_not_synced() -> None:
    disk = Disk()
    disk.write(MemoryStorage.append, [Entry(1, 1)])
    disk.sync()
    disk.write(MemoryStorage.append, [Entry(1, 2)])
    disk.write(MemoryStorage.set_hard_state, HardState(1, 1, 2))
    disk.write(MemoryStorage.append, [Entry(1, 3)])
    assert disk.unsynced == 3
    disk.crash(2)
    assert disk.view.last_index() == 2
    assert disk.view.initial_state()[0] == HardState(1, 1, 2)
    disk.write(MemoryStorage.append, [Entry(2, 2)])
    disk.crash(0)
    assert disk.view.term(2) == 1


# --- Each checker by itself -----------------------------------------------------------------------


def test_one_leader_and_one_life_per_term() -> None:
    check = ElectionSafety()
    check.leads(1, 1, 5)
    check.leads(1, 1, 5)
    check.leads(2, 1, 6)
    with pytest.raises(Violation, match="term 5 had node 1, now node 2"):
        check.leads(2, 1, 5)
    with pytest.raises(Violation, match="now node 2 again"):
        check.leads(2, 2, 6)


def test_entries_of_one_index_and_term_are_one_and_follow_one() -> None:
    check = LogMatching()
    check.appends(1, 1, [Entry(2, 5, data=b"a"), Entry(2, 6)])
    check.appends(2, 0, [Entry(2, 5, data=b"a")])  # after a snapshot
    check.appends(2, 2, [Entry(3, 6)])
    with pytest.raises(Violation, match="log matching"):
        check.appends(3, 1, [Entry(2, 5, data=b"b")])
    with pytest.raises(Violation, match="log matching"):
        check.appends(3, 3, [Entry(2, 6)])


def test_a_leader_has_what_is_committed() -> None:
    check = LeaderCompleteness()
    check.leads(1, 0)
    check.commits(1, 4, 2)
    check.commits(2, 3, 9)
    check.leads(2, 2)
    with pytest.raises(Violation, match="term 2 is committed"):
        check.leads(3, 1)
    with pytest.raises(Violation, match="another committed"):
        check.commits(3, 4, 3)


def test_all_apply_the_same_once_and_in_order() -> None:
    check = StateMachineSafety()
    one = check.applies(1, Entry(1, 1, data=b"a"), 0)
    two = check.applies(1, Entry(1, 2, data=b"b"), one)
    assert check.applies(2, Entry(1, 1, data=b"a"), 0) == one
    check.restores(3, 2, two)
    for wrong in (Entry(1, 1, data=b"b"), Entry(2, 1, data=b"a")):
        with pytest.raises(Violation):
            check.applies(2, wrong, 0)
    with pytest.raises(Violation, match="another state"):
        check.applies(2, Entry(1, 2, data=b"b"), two)
    with pytest.raises(Violation):
        check.restores(3, 2, one)


def test_a_read_is_not_older_than_its_question() -> None:
    check = LinearizableReads()
    check.asks(b"r", 7)
    check.answers(1, b"r", 7)
    with pytest.raises(Violation, match="reads at 6"):
        check.answers(1, b"r", 6)
