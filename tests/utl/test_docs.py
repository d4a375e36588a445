"""The page names every command and every flag."""

from __future__ import annotations

import re
from pathlib import Path

from triode.cli.utl.main import PROGRAM
from triode.mvcc.examine import Problem

PAGE = (Path(__file__).parents[2] / "docs" / "triodeutl.md").read_text()


def test_every_command_and_flag() -> None:
    commands = [each for each in PROGRAM.commands() if each.run is not None]
    assert len(commands) > 12
    for command in commands:
        assert re.search(rf"`{re.escape(command.path)}[ `]", PAGE), command.path
    flags = {flag.name for command in commands for flag in (*command.flags, *PROGRAM.flags)}
    assert [name for name in sorted(flags) if f"--{name}" not in PAGE] == []


def test_every_area_of_check() -> None:
    """As `Finding.area` has them."""
    source = (Path(__file__).parents[2] / "cli" / "utl" / "examination.py").read_text()
    areas = set(re.findall(r'Finding\(\s*"(\w+)"', source))
    assert areas == {"files", "database", "store", "tables", "log", "agreement"}
    assert all(f"\n| {area} |" in PAGE for area in areas)
    assert Problem("somewhere", "something").note is False
