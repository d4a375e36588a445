"""Every example runs and prints what it promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
OUTPUT = {
    "embedded.py": "revision 2: queued\nrevision 3: running\n",
    "served.py": "a client at http://127.0.0.1:PORT sees etcd 3.6.0\n",
    "custom_actor.py": "2 keys\n2 lines written\n",
    "in_a_test.py": "the job was taken once\n",
    "lock_under_faults.py": (
        "test_the_lock_outlives_the_leader\ntest_the_lock_of_a_dead_owner_is_free\n"
    ),
}


def run(program: str | Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(program), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_known_here() -> None:
    """A new example comes with what it prints."""
    assert {path.name for path in EXAMPLES.glob("*.py")} == OUTPUT.keys()


@pytest.mark.parametrize("name", sorted(OUTPUT))
def test_example(name: str) -> None:
    """It ends by itself and prints what it promises."""
    assert run(EXAMPLES / name) == OUTPUT[name]


def test_the_readme_program_runs(tmp_path: Path) -> None:
    """The first program that a reader tries."""
    text = (ROOT / "README.md").read_text()
    programs = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert programs
    for number, program in enumerate(programs):
        path = tmp_path / f"program{number}.py"
        path.write_text(program)
        run(path)
