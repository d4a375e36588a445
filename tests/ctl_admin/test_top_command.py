"""`top`: one frame for scripts, and the live view on a terminal."""

from __future__ import annotations

import re
import signal
import termios
from collections.abc import Callable
from typing import Any

import pytest

ON_TRIODE = pytest.mark.parametrize("server", ["triode"], indirect=True)


def fact(done: Any, name: str) -> str:
    lines: list[str] = done.lines
    return next(line[len(name) :].strip() for line in lines if line.startswith(name))


def test_one_frame(server: Any, ctl: Callable[..., Any]) -> None:
    ctl("put", "top/key", "v")
    ctl("lease", "grant", "100")
    done = ctl("top", "--once", "--interval=100ms")
    assert done.code == 0, done.err
    assert fact(done, "leader").startswith("default (")
    assert fact(done, "alarms") == "none"
    assert re.fullmatch(r"\d+   leases [1-9]\d*   watchers \d+ in \d+ streams", fact(done, "keys"))
    assert re.fullmatch(r"\d+   raft term \d+, index \d+", fact(done, "revision"))
    assert re.fullmatch(
        r"puts [\d.]+   deletes [\d.]+   reads [\d.]+   events [\d.]+", fact(done, "per second")
    )
    row = next(line for line in done.lines if line.startswith(server.address))
    assert " leader " in row
    if server.name == "triode":
        assert "actors of default" in done.lines
        assert any(line.strip().startswith("raft-peer ") for line in done.lines)
        assert "actors of default" not in ctl("top", "--interval=100ms", "--no-actors").lines
    else:
        assert "actors of default" not in done.lines


@ON_TRIODE
def test_a_terminal_that_cannot_draw(
    server: Any, terminal: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = terminal("--endpoints", server.address, "top", "--interval=100ms", term="dumb")
    screen.until("leader +default")
    code, rest = screen.end()
    assert code == 0
    assert "\x1b" not in rest


def test_members_that_the_cluster_names(server: Any, ctl: Callable[..., Any]) -> None:
    done = ctl("top", "--once", "--cluster", "--interval=100ms", "--no-actors")
    assert any(line.startswith(server.url) for line in done.lines)


def test_nobody_there(here: Callable[..., Any]) -> None:
    """It says so and goes on; one frame of it is a failure."""
    common = ("--endpoints", "127.0.0.1:1", "--dial-timeout=100ms")
    done = here(*common, "top", "--once", "--interval=100ms")
    assert done.code == 1
    assert fact(done, "leader") == "no member answers"
    assert re.search(r"^127\.0\.0\.1:1 .* down .*\S", done.out, re.MULTILINE)


@ON_TRIODE
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("x",), 128), (("--interval=1ms",), 128), (("-w", "json"), 4), (("--once=maybe",), 1)],
)
def test_wrong(ctl: Callable[..., Any], arguments: tuple[str, ...], code: int) -> None:
    done = ctl("top", *arguments)
    assert done.code == code
    assert "Error: " in done.err


@ON_TRIODE
@pytest.mark.parametrize("leave", ["q", "\x03", "\x1b", "SIGTERM"])
def test_live(server: Any, terminal: Callable[..., Any], leave: str) -> None:
    """It draws on a screen of its own, goes on drawing, and leaves the terminal as it was."""
    screen = terminal("--endpoints", server.address, "top", "--interval=100ms")
    usual = termios.tcgetattr(screen.master)
    screen.until(r"\x1b\[\?1049h")  # the other screen
    screen.until("leader")
    screen.until("raft-peer")
    screen.until("raft-peer")
    if leave == "SIGTERM":
        screen.process.send_signal(signal.SIGTERM)
    else:
        screen.type(leave)
    screen.until(r"\x1b\[\?1049l")
    code, rest = screen.end()
    assert code == 0
    assert "Traceback" not in rest
    assert termios.tcgetattr(screen.master) == usual


def test_a_member_goes_away(
    launch_triode: Callable[..., Any], terminal: Callable[..., Any]
) -> None:
    """The view says so and stays."""
    server = launch_triode(backend="memory")
    screen = terminal("--endpoints", server.address, "top", "--interval=100ms")
    screen.until("leader")
    server.kill()
    screen.until("no member answers")
    screen.type("q")
    assert screen.end()[0] == 0
