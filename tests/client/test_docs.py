"""The client's page: its program runs, and it names what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import triode
from triode.client import errors

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "client.md").read_text()


def test_the_program_runs(capsys: pytest.CaptureFixture[str]) -> None:
    [program] = [
        code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "trio.run(" in code
    ]
    exec(compile(program, "client.md", "exec"), {"__name__": "example"})
    assert "job/1" in capsys.readouterr().out


def test_every_module_is_named() -> None:
    modules = {path.name for path in (ROOT / "client").glob("[!_]*.py")}
    assert len(modules) > 30
    assert [name for name in sorted(modules) if f"`{name}`" not in PAGE] == []


def test_every_error_is_named() -> None:
    everything = PAGE + (ROOT / "docs" / "coordination.md").read_text()
    names = {name for name in errors.__all__ if isinstance(getattr(errors, name), type)}
    names.remove("CallFailed")
    assert [name for name in sorted(names) if f"`{name}`" not in everything] == []


def test_what_is_exported_is_there() -> None:
    """`triode.<name>` for everything that the package says it has."""
    assert [name for name in triode.__all__ if getattr(triode, name, None) is None] == []
    assert set(triode._HOMES) == set(triode.__all__) - {"__version__"}


@pytest.mark.parametrize("name", triode._MODULES)
def test_modules_are_there_after_import_triode_alone(name: str) -> None:
    """As the pages use them: nothing else has been imported in a new process."""
    program = f"import triode; triode.{name}.__name__; print(triode.{name}.__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == f"triode.{name}\n", done.stderr


def test_names_for_annotations() -> None:
    """Of what programs hand around: strict type checkers want them."""

    def work(lease: triode.Lease, lock: triode.Lock, watch: triode.Watch) -> triode.Event | None:
        return None

    hints = get_type_hints(work)
    assert hints["lease"] is triode.Lease
    assert issubclass(triode.Unreachable, triode.EtcdError)
    assert issubclass(triode.ConnectionLost, triode.EtcdError)
