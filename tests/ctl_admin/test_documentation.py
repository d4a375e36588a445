"""docs/triodectl-cluster.md names every command of these groups, and every flag."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from triode.cli.ctl.main import PROGRAM

PAGE = (Path(__file__).parents[2] / "docs" / "triodectl-cluster.md").read_text()
GROUPS = [
    "alarm",
    "auth",
    "check",
    "defrag",
    "downgrade",
    "elect",
    "endpoint",
    "lock",
    "make-mirror",
    "member",
    "move-leader",
    "role",
    "snapshot",
    "top",
    "tree",
    "user",
]


@pytest.mark.parametrize("group", GROUPS)
def test_every_command_and_flag(group: str) -> None:
    for command in PROGRAM.family(group):
        if command.run is None:
            continue
        assert re.search(rf"`{command.path}\b", PAGE), command.path
        for flag in command.flags:
            in_another_place = command.path == "snapshot restore"  # docs/triodeutl.md
            assert in_another_place or re.search(rf"`--{flag.name}\b", PAGE), flag.name


@pytest.mark.parametrize("group", GROUPS)
def test_every_command_has_an_example(group: str) -> None:
    """Whose commands and flags exist."""
    for command in PROGRAM.family(group):
        lines = [line.strip() for line in command.example.splitlines()]
        calls = [line.split() for line in lines if line.startswith("triodectl ")]
        assert calls, command.path
        for words in calls:
            found = PROGRAM.find(words[1:])
            assert found.command.path.split(" ")[0] in GROUPS
            flags = PROGRAM.flags_of(found.command)
            for word in found.arguments:
                if word == "--":
                    break
                if word.startswith("--"):
                    assert flags.find(word[2:].partition("=")[0]), words
