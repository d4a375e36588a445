"""`kill -9` under load, again and again on the same directory."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SMALL = (
    "--snapshot-count=200",
    "--snapshot-catchup-entries=20",
    "--max-wals=1",
    "--compaction-batch-limit=50",
    "--compaction-sleep-interval=1ms",
)


@pytest.fixture
def kill_again_and_again(
    launch_triode: Any,
    start_load: Any,
    connect: Any,
    ledger: Any,
    tmp_path: Path,
    pause: Callable[[float], None],
) -> Callable[..., Path]:
    def run(times: int, *arguments: str, compacting: bool) -> Path:
        chance = random.Random(times)
        data_dir = tmp_path / "data"
        for turn in range(times):
            server = launch_triode(*arguments, data_dir=data_dir)
            load = start_load(server.address, ledger, turn, compacting=compacting)
            pause(chance.uniform(0.05, 0.8))
            server.kill()
            load.stop()
            assert load.written
            found: list[tuple[int, int]] = []
            for _ in range(2):
                server = launch_triode(*arguments, data_dir=data_dir)
                client = connect(server.address)
                if not found:
                    revision = ledger.check(client)
                found.append(client.hash_kv(revision))
                server.kill()
            assert found[0] == found[1], "reading the log again makes no difference"
        return data_dir

    return run


def test_kill_under_load(kill_again_and_again: Callable[..., Path]) -> None:
    """Every write that was acknowledged is there, with its revision, and no half of another one."""
    kill_again_and_again(3, compacting=False)


@pytest.mark.usefixtures("small_segments")
def test_kill_with_snapshots_and_compactions(kill_again_and_again: Callable[..., Path]) -> None:
    """The same while segments are cut and deleted, snapshots marked, history swept, files defragmented."""
    data_dir = kill_again_and_again(3, *SMALL, compacting=True)
    first = min((data_dir / "member" / "wal").glob("*.wal"))
    assert not first.name.startswith("0" * 16), "old segments were deleted on the way"


def test_kill_while_starting(
    launch_triode: Any, connect: Any, ledger: Any, start_load: Any, tmp_path: Path, pause: Any
) -> None:
    """A member that dies again and again before it serves anybody is whole when it lives at last."""
    data_dir = tmp_path / "data"
    words = [sys.executable, "-m", "triode", "--data-dir", str(data_dir), "--snapshot-count=3"]
    words += ["--listen-client-urls", "http://127.0.0.1:0"]
    for turn in range(2):
        for number in range(4):
            process = subprocess.Popen(words, stderr=subprocess.DEVNULL, cwd=tmp_path)
            pause(0.25 + number * 0.1)
            process.kill()
            process.wait()
        server = launch_triode(data_dir=data_dir)
        ledger.check(connect(server.address))
        load = start_load(server.address, ledger, turn)
        pause(0.2)
        server.kill()
        load.stop()


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("small", [False, True])
def test_many_kills(kill_again_and_again: Callable[..., Path], small: bool) -> None:
    """`KILLS` times, 100 by default."""
    arguments = SMALL if small else ()
    kill_again_and_again(int(os.environ.get("KILLS", "100")), *arguments, compacting=small)
