"""The mutants fit the package as it is: `make mutants` applies and runs them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from triode.testing.plan import FAULTS, Plan, plan_of

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PATCHES = sorted((HERE / "patches").glob("*.patch"))


def load_runner() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutants_run", HERE / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    return load_runner()


@pytest.mark.parametrize("path", PATCHES, ids=lambda path: path.stem)
def test_a_mutant_applies_and_says_who_is_to_catch_it(path: Path, runner: ModuleType) -> None:
    done = subprocess.run(
        ["git", "apply", "--check", "--unidiff-zero", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    mutant = runner.read(path)
    assert mutant.breaks
    assert mutant.tests
    for test in mutant.tests:
        file, _, name = test.partition("::")
        text = (ROOT / file).read_text()
        assert not name or f"def {name}(" in text, f"{test} does not exist"
    assert mutant.simulator in ("cluster", "raft", "none")
    assert 0 < mutant.seeds_max <= 2000
    assert set(mutant.faults or ()) <= set(FAULTS)
    assert set(mutant.fields) <= set(Plan.__annotations__)
    assert set(mutant.settings) <= {*plan_of(1).settings, "corrupt_check_time"}


@pytest.mark.parametrize("path", PATCHES, ids=lambda path: path.stem)
def test_the_seed_that_finds_a_mutant_holds_without_it(path: Path, runner: ModuleType) -> None:
    """These are the faults that were once in the package, each with the faults of machines that showed it."""
    mutant = runner.read(path)
    assert (mutant.seed is None) == (mutant.simulator == "none")
    if mutant.seed is not None:
        fails, told = runner.simulate(mutant, ROOT, 1, mutant.seeds)
        assert fails is None, told


def test_there_are_mutants() -> None:
    assert len(PATCHES) > 20


def test_a_line_that_means_nothing(tmp_path: Path, runner: ModuleType) -> None:
    path = tmp_path / "x.patch"
    path.write_text("brakes: everything\n\ndiff --git a/x b/x\n")
    with pytest.raises(ValueError, match="means nothing"):
        runner.read(path)
