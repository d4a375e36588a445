"""The main job: start, put, get, watch, lease, stop, and everything is still there."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any


def test_put_get_and_restart(launch_triode: Callable[..., Any]) -> None:
    """What was put is there after a graceful stop and after a kill."""
    server = launch_triode()
    assert server.ctl("put", "a", "1").stdout == "OK\n"
    assert server.stop() == 0
    server = launch_triode(data_dir=server.data_dir)
    assert server.ctl("get", "a").stdout == "a\n1\n"
    assert server.ctl("put", "a", "2").stdout == "OK\n"
    server.kill()
    server = launch_triode(data_dir=server.data_dir)
    assert server.ctl("get", "a").stdout == "a\n2\n"


def test_watch_sees_history(launch_triode: Callable[..., Any]) -> None:
    """A watch from the first revision replays what happened before it."""
    server = launch_triode(backend="memory")
    server.ctl("put", "k", "1")
    server.ctl("del", "k")
    with subprocess.Popen(
        [*server.ctl_words, "watch", "k", "--rev", "1"],
        stdout=subprocess.PIPE,
        text=True,
    ) as watch:
        assert watch.stdout is not None
        lines = [watch.stdout.readline() for _ in range(5)]
        watch.kill()
    assert lines == ["PUT\n", "k\n", "1\n", "DELETE\n", "k\n"]


def test_lease_grant(launch_triode: Callable[..., Any]) -> None:
    """A lease is granted for the time that was asked."""
    server = launch_triode(backend="memory")
    granted = server.ctl("lease", "grant", "100").stdout
    assert granted.startswith("lease ")
    assert granted.endswith(" granted with TTL(100s)\n")
