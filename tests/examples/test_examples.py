"""Every example runs and prints what it promises."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
WATCHED = "".join(f"PUT /hb/etcd/watch/key_{n} world\n" for n in range(10)) + "".join(
    f"DELETE /hb/etcd/watch/key_{n} \n" for n in range(10)
)
OUTPUT = {
    "backend_comparison.py": (
        "memory: 200 keys at revision 302; on disk: nothing\n"
        "sqlite: 200 keys at revision 302; on disk: something\n"
    ),
    "bank_transfer.py": "together: 300 - none below zero: True\n",
    "base.py": "key=/hb/etcd/base value=123456\nNone\n",
    "config_reload.py": ("{'host': 'db-1', 'port': '5432'}\n{'host': 'db-2', 'pool': '10'}\n"),
    "custom_actor.py": "2 keys\n2 lines written\n",
    "embedded.py": "revision 2: queued\nrevision 3: running\n",
    "huge_range.py": (
        "5000 keys, in total 5000, at revision 51\n4999 keys by now; the newest, only counted\n"
    ),
    "in_a_test.py": "the job was taken once\n",
    "keep_alive.py": (
        "renewed, TTL: 2\nrenewed, TTL: 2\nrenewed, TTL: 2\n"
        "still there: True\nafter the block: None\n"
    ),
    "leader_elected_worker.py": (
        "6 steps by 3 workers\nstep 1\nstep 2\nstep 3\nstep 4\nstep 5\nstep 6\n"
    ),
    "lease.py": (
        "key=/hb/etcd/lease value=lease\nDELETE /hb/etcd/lease\nNone\nseconds to live: 60\n"
    ),
    "lock_under_faults.py": (
        "test_the_lock_outlives_the_leader\ntest_who_is_cut_off_stops_before_the_next_begins\n"
    ),
    "lock_with_fencing.py": (
        "sleeper writes: True\nthe next one writes: True\nsleeper writes: False\n"
        "sleeper writes to etcd: False\n['from the sleeper', 'from the next one']\n"
    ),
    "mirror.py": (
        "the copy has followed: copy/app/000\n500 keys in the copy\n"
        "a backup of more than its keys: True\n"
    ),
    "served.py": "a client at http://127.0.0.1:PORT sees etcd 3.6.0\n",
    "service_discovery.py": ("there are ['a', 'b', 'c']\nthere are ['a', 'c'] at 10.0.0.1:80\n"),
    "sync_script.py": (
        "config/host = db-1\nconfig/port = 5432\nchanged while locked: True\nthen db-1\nthen db-2\n"
    ),
    "watch.py": WATCHED,
    "web_server.py": "visit 1 of /\nvisit 1 of /about\nvisit 2 of /\nvisits/ 2\nvisits/about 1\n",
    "work_queue.py": ("put out the fire, cook, wash up, sweep\n20 jobs, each done once: True\n"),
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
    assert not done.stderr
    lines = done.stdout.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("# "))  # those are figures


def test_every_example_is_known_here() -> None:
    """A new example comes with what it prints."""
    assert {path.name for path in EXAMPLES.glob("*.py")} == OUTPUT.keys()


@pytest.mark.parametrize("name", sorted(OUTPUT))
def test_example(name: str) -> None:
    """It ends by itself and prints what it promises."""
    assert run(EXAMPLES / name) == OUTPUT[name]


@pytest.fixture(scope="module")
def etcd(launch_etcd_once: Callable[..., Any]) -> Any:
    """The real one."""
    return launch_etcd_once("--unsafe-no-fsync")


@pytest.mark.parametrize("name", ["base.py", "watch.py", "lease.py", "keep_alive.py"])
def test_the_first_programs_run_against_etcd(name: str, etcd: Any) -> None:
    """The same program, with an endpoint."""
    assert run(EXAMPLES / name, etcd.url) == OUTPUT[name]


def test_the_readme_program_runs(tmp_path: Path) -> None:
    """The first program that a reader tries."""
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    programs = [block for block in blocks if ".run(" in block]  # the others are parts of one
    assert programs
    for number, program in enumerate(programs):
        path = tmp_path / f"program{number}.py"
        path.write_text(program)
        run(path)
