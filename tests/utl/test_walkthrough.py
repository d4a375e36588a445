"""The page's walk-through, as somebody would type it."""

from __future__ import annotations

import os
import random
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from triode.cli.common.flags import parse
from triode.cli.ctl import main as ctl
from triode.cli.utl import main as utl

PAGE = Path(__file__).parents[2] / "docs" / "triodeutl.md"
BIN = Path(sys.executable).parent
SECONDS_MAX = 90


def commands() -> list[str]:
    section = PAGE.read_text().partition("## Disaster recovery")[2]
    blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def test_every_command_line_is_understood() -> None:
    """Names and flags of both tools, as their grammars have them."""
    understood = 0
    for line in PAGE.read_text().splitlines():
        for program in (ctl.PROGRAM, utl.PROGRAM):
            for words in re.findall(rf"\b{program.name} ((?:[^\s|&;`]+ ?)+)", line):
                given = shlex.split(words)
                if not line.startswith("$ "):
                    continue
                found = program.find(given)
                parse(program.flags_of(found.command), found.arguments)
                assert found.command.run is not None, line
                understood += 1
    assert understood > 15


@pytest.mark.long
def test_disaster_recovery(tmp_path: Path) -> None:
    """On a loopback address of its own, so that the page's ports are free."""
    typed = commands()
    assert len(typed) > 20
    numbers = random.Random(os.getpid())
    address = (
        f"127.{numbers.randrange(2, 250)}.{numbers.randrange(250)}.{numbers.randrange(2, 250)}"
    )
    script = "set -emuo pipefail\n" + "\n".join(
        f"echo '#' {n}\n{line}" for n, line in enumerate(typed)
    )
    script = script.replace("127.0.0.1", address) + "\nkill %1 %2 %3; wait\n"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TRIODE", "ETCD"))}
    environment["PATH"] = f"{BIN}:{os.environ['PATH']}"
    with subprocess.Popen(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=SECONDS_MAX)
        finally:
            end_session(process.pid)
    assert process.returncode == 0, said
    said_by = dict(re.findall(r"^# (\d+)\n(.*?)(?=^# |\Z)", said, re.MULTILINE | re.DOTALL))

    def answer(beginning: str) -> str:
        at = max(n for n, line in enumerate(typed) if line.startswith(beginning))
        return str(said_by[str(at)])

    hashes = {
        line.split(", ", 1)[1]
        for line in answer("triodectl --endpoints $ENDPOINTS endpoint hashkv").splitlines()
    }
    assert len(hashes) == 1
    offline = [
        line
        for line in answer("for n in 1 2 3; do triodeutl check").splitlines()
        if line[0].isdigit()
    ]
    assert len(offline) == 3
    assert len(set(offline)) == 1
    assert {
        line.rpartition(", ")[0] for line in offline
    } == hashes  # what was foretold is what they say
    assert answer("triodectl --endpoints $ENDPOINTS get config/limit") == "config/limit\n20\n"
    assert "told that it is compacted" in answer("triodectl --endpoints $ENDPOINTS watch")
    assert "required revision has been compacted" in answer(
        "triodectl --endpoints $ENDPOINTS watch"
    )
    assert 'key:"config/limit" value:"20"' in answer("triodeutl wal dump")
    assert answer("triodectl --endpoints $ENDPOINTS member list").count("started") == 3


def end_session(session: int) -> None:
    """End what the script has started, each process by its id."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                os.kill(int(entry.name), signal.SIGKILL)
        except (OSError, IndexError):
            continue
