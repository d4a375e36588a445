"""docs/triodectl.md names every command about keys, watches and leases, every flag of theirs, and all global ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from triode.cli.common import exits
from triode.cli.ctl.main import PROGRAM

PAGE = (Path(__file__).parents[2] / "docs" / "triodectl.md").read_text()
OURS = (
    "compaction",
    "completion",
    "del",
    "get",
    "lease",
    "options",
    "put",
    "txn",
    "version",
    "watch",
)


@pytest.mark.parametrize("top", OURS)
def test_every_command_and_flag(top: str) -> None:
    for command in PROGRAM.family(top):
        if command.run is not None:
            assert re.search(rf"[` ]{command.path}\b", PAGE), command.path
        assert all(f"`--{flag.name}`" in PAGE for flag in command.flags), command.path


def test_every_global_flag() -> None:
    for flag in PROGRAM.flags:
        assert f"`--{flag.name}`" in PAGE
        assert not flag.short or f"`-{flag.short}`" in PAGE


def test_every_exit_code() -> None:
    codes = {getattr(exits, name) for name in exits.__all__ if name.isupper()}
    assert codes == set(map(int, re.findall(r"^\| (\d+) \| ", PAGE, re.MULTILINE)))


def test_its_commands_exist() -> None:
    for line in re.findall(r"^\$ triodectl (.*)$", PAGE, re.MULTILINE):
        assert PROGRAM.find(line.split()).command.run is not None
