"""Where Triode's answer is not that of etcd 3.5.1 on purpose: what docs/differences.md says, held."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.etcd


@pytest.fixture(scope="module")
def server(launch_triode_once: Callable[..., Any]) -> Any:
    return launch_triode_once(backend="memory")


def test_a_negative_start_revision(server: Any) -> None:
    """3.6 refuses such a watch; 3.5.1 waits."""
    done = subprocess.run(
        [*server.ctl_words, "watch", "a", "--rev", "-1"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 5
    assert "required revision has been compacted" in done.stderr


def test_the_hash_at_the_compacted_revision(server: Any) -> None:
    """3.6 has it, from the compaction; 3.5.1 refuses."""
    for value in "123":
        server.ctl("put", "h", value)
    revision = json.loads(server.ctl("get", "h", "-w", "json").stdout)["header"]["revision"]
    server.ctl("compaction", str(revision), "--physical")
    answer = server.ctl("endpoint", "hashkv", "--rev", str(revision), "-w", "json")
    assert answer.returncode == 0
    assert json.loads(answer.stdout)[0]["HashKV"]["hash"] > 0


def test_looking_is_not_writing(server: Any) -> None:
    """Etcd sends each AlarmList through the log, so that every health check is a write."""

    def index() -> int:
        status = json.loads(server.ctl("endpoint", "status", "-w", "json").stdout)
        return int(status[0]["Status"]["raftIndex"])

    before = index()
    assert server.ctl("endpoint", "health").returncode == 0
    assert server.ctl("alarm", "list").returncode == 0
    assert index() == before
