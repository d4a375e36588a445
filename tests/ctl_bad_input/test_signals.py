"""Ctrl-C and SIGTERM in everything that goes on: a clean end, and nothing stays that was held."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SIGNALS = (signal.SIGINT, signal.SIGTERM)
TRIES = 400


@pytest.fixture
def count(run: Callable[..., Any], server: Any) -> Callable[[str], int]:
    """How many keys there are with a prefix."""

    def count_of(prefix: str) -> int:
        done = run("--endpoints", server.address, "get", prefix, "--prefix", "-w", "json")
        return int(json.loads(done.stdout).get("count", 0))

    return count_of


@pytest.fixture
def leases(run: Callable[..., Any], server: Any) -> Callable[[], set[str]]:
    """The IDs of all leases."""

    def ids() -> set[str]:
        done = run("--endpoints", server.address, "lease", "list")
        return set(done.stdout.decode().splitlines()[1:])

    return ids


@pytest.fixture
def begin(start: Callable[..., Any], server: Any) -> Callable[..., Any]:
    return lambda *words, **more: start("--endpoints", server.address, *words, **more)


def until(condition: Callable[[], bool]) -> None:
    """Ask until it is so; each question is a process, so this is no busy loop."""
    for _ in range(TRIES):
        if condition():
            return
    pytest.fail("it never came")


@pytest.mark.parametrize("number", SIGNALS)
def test_watch(
    begin: Callable[..., Any], run: Callable[..., Any], server: Any, number: signal.Signals
) -> None:
    run("--endpoints", server.address, "put", "w", "1")
    watch = begin("watch", "w", "--rev=1")
    assert watch.line() == "PUT"
    watch.signal(number)
    done = watch.end()
    assert (done.code, done.stderr) == (-number, b"")


@pytest.mark.parametrize("number", SIGNALS)
def test_watch_interactive(begin: Callable[..., Any], number: signal.Signals) -> None:
    watch = begin("watch", "-i")
    watch.tell("watch nothing")
    watch.tell("progress")
    assert watch.line().startswith("progress notify: ")
    watch.signal(number)
    done = watch.end()
    assert (done.code, done.stderr) == (-number, b"")


@pytest.mark.parametrize("number", SIGNALS)
def test_watch_with_a_command(
    begin: Callable[..., Any], run: Callable[..., Any], server: Any, number: signal.Signals
) -> None:
    """While the command runs."""
    key = f"wc{number}"
    run("--endpoints", server.address, "put", key, "1")
    watch = begin("watch", key, "--rev=1", "--", "sh", "-c", "echo began; exec sleep 60")
    assert [watch.line() for _ in range(4)] == ["PUT", key, "1", "began"]
    watch.signal(number)
    assert watch.process.wait(20) == -number


@pytest.mark.parametrize("number", SIGNALS)
def test_transaction(begin: Callable[..., Any], number: signal.Signals) -> None:
    """While it waits for the next line."""
    txn = begin("txn", "-i")
    assert txn.line() == "compares:"
    txn.tell('value("a") = "1"')
    txn.tell("")
    assert txn.line() == "success requests (get, put, del):"
    txn.signal(number)
    done = txn.end()
    assert (done.code, done.stderr) == (-number, b"")


@pytest.mark.parametrize("number", SIGNALS)
def test_put_that_waits_for_a_value(
    begin: Callable[..., Any], start: Callable[..., Any], number: signal.Signals
) -> None:
    """It reads standard input, which never ends: when it does so cannot be seen from outside but in /proc."""
    put = begin("put", "never")
    wait_channel = Path(f"/proc/{put.process.pid}/wchan")
    until(lambda: "pipe" in wait_channel.read_text() or wait_channel.read_text() == "0")
    put.signal(number)
    assert put.end().code == -number


@pytest.mark.parametrize("number", SIGNALS)
def test_lock(
    begin: Callable[..., Any],
    count: Callable[..., int],
    leases: Callable[..., set[str]],
    number: signal.Signals,
) -> None:
    """The key and the lease are gone when it has ended."""
    before = leases()
    lock = begin("lock", "held")
    assert lock.line().startswith("held/")
    lock.signal(number)
    done = lock.end()
    assert (done.code, done.stderr) == (0, b"")
    assert count("held/") == 0
    assert leases() == before


@pytest.mark.parametrize("number", SIGNALS)
def test_lock_that_waits(
    begin: Callable[..., Any],
    count: Callable[..., int],
    leases: Callable[..., set[str]],
    number: signal.Signals,
) -> None:
    name = (
        f"queue-{number}"  # the first is killed in the end, and holds the lock for ten seconds more
    )
    first = begin("lock", name)
    assert first.line().startswith(f"{name}/")
    before = leases()
    second = begin("lock", name)
    until(lambda: count(f"{name}/") == 2)
    second.signal(number)
    done = second.end()
    assert done.code == 1
    assert done.stderr == b"Error: context canceled\n"
    assert count(f"{name}/") == 1
    assert leases() == before


@pytest.mark.parametrize("number", SIGNALS)
def test_lock_with_a_command(
    begin: Callable[..., Any],
    count: Callable[..., int],
    leases: Callable[..., set[str]],
    number: signal.Signals,
) -> None:
    """The command is told, and it is waited for."""
    before = leases()
    script = "trap 'echo told; exit 9' INT TERM; echo began; while :; do sleep 0.01; done"
    lock = begin("lock", "command", "--", "sh", "-c", script)
    assert lock.line() == "began"
    assert count("command/") == 1
    lock.signal(number)
    done = lock.end()
    assert done.stdout == b"told\n"
    assert done.code == 9
    assert done.stderr == b"Error: exit status 9\n"
    assert count("command/") == 0
    assert leases() == before


@pytest.mark.parametrize("number", SIGNALS)
def test_election(
    begin: Callable[..., Any],
    count: Callable[..., int],
    leases: Callable[..., set[str]],
    number: signal.Signals,
) -> None:
    """A leader resigns, a candidate and an observer go away."""
    before = leases()
    leader = begin("elect", "el", "me")
    assert leader.line().startswith("el/")
    observer = begin("elect", "-l", "el")
    assert observer.line().startswith("el/")
    candidate = begin("elect", "el", "you")
    until(lambda: count("el/") == 2)
    observer.signal(number)
    assert observer.end().code == 0
    candidate.signal(number)
    done = candidate.end()
    assert (done.code, done.stderr) == (1, b"Error: context canceled\n")
    assert count("el/") == 1
    leader.signal(number)
    done = leader.end()
    assert (done.code, done.stderr) == (0, b"")
    assert count("el/") == 0
    assert leases() == before


@pytest.mark.parametrize("number", SIGNALS)
def test_keep_alive(
    begin: Callable[..., Any], run: Callable[..., Any], server: Any, number: signal.Signals
) -> None:
    """The lease is not ours to end."""
    granted = run("--endpoints", server.address, "lease", "grant", "600")
    name = granted.stdout.decode().split()[1]
    alive = begin("lease", "keep-alive", name)
    assert alive.line() == f"lease {name} keepalived with TTL(600)"
    alive.signal(number)
    done = alive.end()
    assert (done.code, done.stderr) == (-number, b"")
    left = run("--endpoints", server.address, "lease", "timetolive", name)
    assert b"granted with TTL(600s)" in left.stdout


@pytest.mark.parametrize("number", SIGNALS)
def test_mirror(
    begin: Callable[..., Any],
    run: Callable[..., Any],
    server: Any,
    count: Callable[..., int],
    number: signal.Signals,
) -> None:
    run("--endpoints", server.address, "put", "from/a", "1")
    run("--endpoints", server.address, "del", "to/", "--prefix")
    mirror = begin("make-mirror", server.address, "--prefix=from/", "--dest-prefix=to/")
    until(lambda: count("to/") == 1)
    mirror.signal(number)
    done = mirror.end()
    assert done.code == 5
    assert done.stderr.startswith(b"Error: interrupted; 1 changes mirrored, up to revision ")


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("load", ["perf", "datascale"])
def test_check(
    begin: Callable[..., Any], count: Callable[..., int], load: str, number: signal.Signals
) -> None:
    """It takes its keys away."""
    prefix = f"load-{load}-{number}/"
    check = begin("check", load, f"--prefix={prefix}", "--load=xl")
    until(lambda: count(prefix) > 0)
    check.signal(number)
    done = check.end()
    assert done.code == 5
    assert b"interrupted" in done.stderr
    assert count(prefix) == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_snapshot(
    start: Callable[..., Any], silent: str, tmp_path: Path, number: signal.Signals
) -> None:
    """Nothing stays that looks like one."""
    snapshot = start("--endpoints", silent, "snapshot", "save", "x.db", "--dial-timeout=60s")
    until(lambda: _pause() or (tmp_path / "x.db.part").exists())
    snapshot.signal(number)
    done = snapshot.end()
    assert done.code in {5, -number}
    assert list(tmp_path.glob("x.db*")) == []


def _pause() -> bool:
    time.sleep(0.005)  # a look at a file costs nothing, so that all of them would be over at once
    return False


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(
    "words",
    [("get", "a"), ("put", "a", "1"), ("member", "list"), ("endpoint", "health")],
    ids=" ".join,
)
def test_while_nobody_answers(
    start: Callable[..., Any], silent: str, number: signal.Signals, words: tuple[str, ...]
) -> None:
    """A command that waits for a server ends at once."""
    waiting = start("--endpoints", silent, "--command-timeout=60s", "--dial-timeout=300ms", *words)
    assert waiting.error().startswith('{"level":"warn"')  # it has given up on the first connection
    waiting.signal(number)
    begun = time.monotonic()
    done = waiting.end()
    assert time.monotonic() - begun < 5
    assert done.code == -number


def test_top(terminal: Callable[..., Any], server: Any) -> None:
    top = terminal("--endpoints", server.address, "top", "--interval=100ms")
    top.until("default")
    top.type("\x03")
    code, _ = top.end()
    assert code in {0, -signal.SIGINT}
    assert "\x1b[?25h" in top.all or "\x1b[?25l" not in top.all  # the cursor is back
    assert "\x1b[?1049l" in top.all or "\x1b[?1049h" not in top.all  # and the screen


@pytest.mark.parametrize("delay", range(0, 100, 12))
def test_any_moment_of_the_start(tools: Any, server: Any, tmp_path: Path, delay: int) -> None:
    """A true process: Ctrl-C while it still imports ends it, without telling where it was."""
    process = tools.TRIODECTL.start(
        ["--endpoints", server.address, "watch", "x"],
        environment=tools.ENVIRONMENT,
        folder=tmp_path,
    )
    try:
        time.sleep(delay / 1000)
        process.send_signal(signal.SIGINT)
        code = process.wait(20)
        errors = process.stderr.read()
    finally:
        process.kill()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
    assert code in {-signal.SIGINT, 1}  # 1: the interpreter itself was interrupted
    assert not re.search(rb"/cli/(?!ctl/entry)|/client/|/rpc/", errors)
