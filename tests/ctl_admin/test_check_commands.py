"""Short checks: the verdict, the exit code, and nothing left behind."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from typing import Any

import pytest

from triode.cli.ctl.commands import check

PERF = "/etcdctl-check-perf/"
SCALE = "/etcdctl-check-datascale/"
ON_TRIODE = pytest.mark.parametrize("server", ["triode"], indirect=True)


def keys(server: Any, prefix: str) -> int:
    done = server.ctl("get", "--prefix", prefix, "--count-only", "-w", "fields")
    found = re.search(r'"Count" : (\d+)', done.stdout)
    assert found
    return int(found[1])


def test_a_cluster_that_is_fast_enough(server: Any, ctl: Callable[..., Any]) -> None:
    """The figures of one that may be shared with others: the words count here."""
    done = ctl("check", "perf", "--duration=1s", "--auto-compact", "--auto-defrag")
    lines = done.lines
    assert re.fullmatch(r"Compacting with revision \d+", lines[0])
    assert re.fullmatch(r"Compacted with revision \d+", lines[1])
    assert lines[2:4] == [f'Defragmenting "{server.address}"', f'Defragmented "{server.address}"']
    assert re.fullmatch(r"(PASS: Throughput is|FAIL: Throughput too low:) \d+ writes/s", lines[4])
    assert re.match(r"(PASS: )?Slowest request took .*\d\.\d{6}s", lines[5])
    assert re.match(r"(PASS: )?Stddev .*\d\.\d{6}s", lines[6])
    assert lines[7] == ("FAIL" if done.code else "PASS")
    assert keys(server, PERF) == 0


@ON_TRIODE
def test_a_cluster_that_is_too_slow(
    server: Any, ctl: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody writes a million keys a second."""
    from triode.cli.ctl.checks.loads import PERF as LOADS
    from triode.cli.ctl.checks.loads import PerfLoad

    monkeypatch.setitem(LOADS, "s", PerfLoad(1_000_000, 10))
    done = ctl("check", "perf", "--duration=300ms")
    assert done.code == 1
    assert done.lines[0].startswith("FAIL: Throughput too low: ")
    assert done.lines[-1] == "FAIL"
    assert keys(server, PERF) == 0


@pytest.mark.parametrize(("command", "prefix"), [("perf", PERF), ("datascale", SCALE)])
def test_keys_of_others_are_not_deleted(
    server: Any, ctl: Callable[..., Any], command: str, prefix: str
) -> None:
    ctl("put", prefix + "mine", "v")
    done = ctl("check", command)
    assert done.code == 3
    assert done.error == (
        f"Error: prefix \"{prefix}\" has keys. Delete with 'triodectl del --prefix {prefix}' first"
    )
    assert ctl("get", "--print-value-only", prefix + "mine").out == "v\n"
    ctl("del", prefix + "mine")
    assert ctl("check", command, "--prefix=").code == 128


@ON_TRIODE
def test_wrong_loads(ctl: Callable[..., Any]) -> None:
    for command in ("perf", "datascale"):
        done = ctl("check", command, "--load=huge")
        assert (done.code, done.error) == (4, "Error: unknown load option huge")


def test_how_much_memory_keys_take(server: Any, ctl: Callable[..., Any]) -> None:
    done = ctl("check", "datascale", "--pairs=300", "--auto-compact", "--auto-defrag")
    assert done.code == 0, done.err
    assert done.lines[0] == (
        "Start data scale check for work load [300 key-value pairs, 1024 bytes per key-value,"
        " 50 concurrent clients]."
    )
    assert re.fullmatch(r"PASS: Approximate system memory used : -?\d+\.\d\d MB\.", done.lines[-1])
    assert keys(server, SCALE) == 0


@ON_TRIODE
def test_memory_that_cannot_be_read_leaves_no_keys(
    server: Any, ctl: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [b"process_resident_memory_bytes 5\n", b""]

    async def fetch(*_: object, **__: object) -> bytes:
        return pages.pop(0)

    monkeypatch.setattr(check, "fetch", fetch)
    done = ctl("check", "datascale", "--pairs=10")
    assert done.code == 1
    assert done.lines[-1].startswith("FAIL: Could not read process_resident_memory_bytes after")
    assert keys(server, SCALE) == 0


@ON_TRIODE
def test_keys_that_could_not_be_deleted(
    server: Any, start: Callable[..., Any], ctl: Callable[..., Any]
) -> None:
    """It does not say that they were, and it has not passed."""
    program = (
        "import sys; from triode.cli.ctl.checks import run; from triode.cli.ctl.main import main;"
        " run.CLEANUP_SECONDS = 0.0; main()"
    )
    done = start("check", "datascale", "--prefix=stay/", "--pairs=10", program=program).end()
    assert done.code == 1
    failed = "FAIL: Cleanup failed during key deletion: ERROR(context deadline exceeded)"
    assert done.lines[1:] == [failed]
    ctl("del", "--prefix", "stay/")
    running = start("check", "perf", "--prefix=stay/", program=program)
    while not keys(server, "stay/"):
        pass
    running.signal(signal.SIGTERM)
    done = running.end()
    assert (done.code, done.lines) == (5, [failed])
    assert done.error == "Error: interrupted; the keys below stay/ are still there"
    ctl("del", "--prefix", "stay/")


@ON_TRIODE
@pytest.mark.parametrize(
    ("words", "prefix"),
    [(("perf", "--duration=60s"), PERF), (("datascale", "--pairs=1000000"), SCALE)],
)
def test_an_interruption_takes_the_keys_away(
    server: Any, terminal: Callable[..., Any], words: tuple[str, ...], prefix: str
) -> None:
    screen = terminal("--endpoints", server.address, "check", *words)
    screen.until("writes/s|pairs ")
    while not keys(server, prefix):
        pass
    screen.type("\x03")
    screen.until(re.escape(f"Error: interrupted; the keys below {prefix} were deleted"))
    assert screen.end()[0] == 5
    assert keys(server, prefix) == 0


@ON_TRIODE
def test_sigterm_too(server: Any, start: Callable[..., Any]) -> None:
    running = start("check", "perf", "--prefix=term/")
    while not keys(server, "term/"):
        pass
    running.signal(signal.SIGTERM)
    done = running.end()
    assert (done.code, done.out) == (5, "")
    assert keys(server, "term/") == 0
