"""The shape of the house: small rooms, nothing unfinished, nothing that speaks of a workplace."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import setuptools

ROOT = Path(__file__).parents[2]
MODULE_LINES_MAX = 600
MODULE_LINES_MEDIAN_MAX = 200
FUNCTION_LINES_MAX = 70
FUNCTION_LINES_P90_MAX = 30
PACKAGE = ("actors", "auth", "backends", "cli", "client", "mvcc", "raft", "rpc", "testing")
# Written so that it does not find itself.
UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|X[X]X)\b|NotImplemented[E]rror|mark\.x[f]ail")


def tracked() -> list[Path]:
    """The files of the repository; of a copy without git, all of them."""
    done = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return [ROOT / line for line in done.stdout.splitlines() if (ROOT / line).is_file()]
    return [p for p in ROOT.rglob("*") if p.is_file() and ".venv" not in p.parts]


def package_sources() -> list[Path]:
    ours = [p for folder in PACKAGE for p in (ROOT / folder).rglob("*.py")]
    return sorted([*ours, *ROOT.glob("*.py")])


def handwritten() -> list[Path]:
    return [path for path in package_sources() if not path.name.endswith("_pb2.py")]


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def test_modules_are_small_rooms() -> None:
    """A file that outgrows the bound hides an idea that wants a file of its own."""
    lengths = {path: len(path.read_text().splitlines()) for path in handwritten()}
    large = [f"{p.relative_to(ROOT)}: {n}" for p, n in lengths.items() if n > MODULE_LINES_MAX]
    assert not large
    assert statistics.median(lengths.values()) <= MODULE_LINES_MEDIAN_MAX


def test_functions_are_short() -> None:
    """The longest fits on a screen; most are far shorter."""
    every = [(path, name, n) for path in handwritten() for name, n in functions(path)]
    long = [f"{p.relative_to(ROOT)} {f}: {n}" for p, f, n in every if n > FUNCTION_LINES_MAX]
    assert not long
    lengths = sorted(n for _, _, n in every)
    assert lengths[len(lengths) * 9 // 10] <= FUNCTION_LINES_P90_MAX


def test_nothing_is_left_unfinished() -> None:
    """What is not there is said in the documentation, not in the code."""
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked()
        if path.suffix == ".py" and not path.name.endswith("_pb2.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert not found


def test_every_folder_with_code_is_in_the_wheel() -> None:
    """The list of packages is found, so a folder without `__init__.py` would silently be left out."""
    find = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    rules = {name: find["find"][name] for name in ("include", "exclude")}
    found = set(setuptools.find_packages(str(ROOT / find["find"]["where"][0]), **rules))
    folders = {path.parent.relative_to(ROOT) for path in package_sources()}
    assert found == {".".join(("triode", *folder.parts)) for folder in folders}


def test_no_test_module_is_a_package() -> None:
    """Tests are collected by path; an `__init__.py` would make them importable by accident."""
    assert not list((ROOT / "tests").rglob("__init__.py"))


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "LICENSE", "Makefile", ".ci/run"])
def test_the_front_door_is_complete(name: str) -> None:
    """What everybody looks for first is there."""
    assert (ROOT / name).stat().st_size > 0
