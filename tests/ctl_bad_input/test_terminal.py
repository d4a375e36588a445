"""On a terminal: prompts, Ctrl-C and Ctrl-D, narrow windows, colours and their absence."""

from __future__ import annotations

import fcntl
import re
import signal
import struct
import termios
from collections.abc import Callable
from typing import Any

import pytest

COLOUR = re.compile(r"\x1b\[[\d;]*m")


@pytest.fixture
def screen(terminal: Callable[..., Any], server: Any) -> Callable[..., Any]:
    def begin(*words: str, columns: int = 80, **more: Any) -> Any:
        opened = terminal("--endpoints", server.address, *words, COLUMNS="", LINES="", **more)
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(opened.master, termios.TIOCSWINSZ, size)
        return opened

    return begin


def test_a_transaction(screen: Callable[..., Any]) -> None:
    txn = screen("txn", "-i")
    txn.until("compares:")
    txn.type('ver("tty") = "0"\n\n')
    txn.until("success requests")
    txn.type("put tty 1\n\n")
    txn.until("failure requests")
    txn.type("\n")
    txn.until("SUCCESS")
    assert txn.end()[0] == 0


@pytest.mark.parametrize(("keys", "code"), [("\x03", -signal.SIGINT), ("\x04", 3)])
def test_a_transaction_that_is_left(screen: Callable[..., Any], keys: str, code: int) -> None:
    """By Ctrl-C, by Ctrl-D."""
    txn = screen("txn", "-i")
    txn.until("compares:")
    txn.type(keys)
    assert txn.end()[0] == code


@pytest.mark.parametrize(("keys", "code"), [("\x03", -signal.SIGINT), ("\x04", 3)])
def test_watches(
    screen: Callable[..., Any], run: Callable[..., Any], server: Any, keys: str, code: int
) -> None:
    run("--endpoints", server.address, "put", "tty-watch", "1")
    watch = screen("watch", "-i")
    watch.type("watch tty-watch --rev 1\n")
    watch.until("PUT")
    watch.type(keys)
    assert watch.end()[0] == code


def test_a_password(terminal: Callable[..., Any], server: Any) -> None:
    """Asked for, not shown, and the prompt is left by Ctrl-C with the terminal as it was."""
    prompt = terminal("--endpoints", server.address, "--user", "somebody", "get", "a")
    prompt.until("Password: ")
    assert not prompt.echoes
    prompt.type("secret\n")
    code, _ = prompt.end()
    assert code == 0  # nobody has to log in here
    assert "secret" not in prompt.all
    prompt = terminal("--endpoints", server.address, "--user", "somebody", "get", "a")
    prompt.until("Password: ")
    prompt.interrupt()
    assert prompt.end()[0] in {-signal.SIGINT, 1, 130}
    assert prompt.echoes


@pytest.mark.parametrize("columns", [1, 10, 40])
@pytest.mark.parametrize(
    "words",
    [
        ("tree",),
        ("get", "--help"),
        ("member", "list", "-w", "table"),
        ("endpoint", "status", "-w", "table"),
        ("top", "--once", "--interval=50ms"),
    ],
    ids=" ".join,
)
def test_narrow(screen: Callable[..., Any], words: tuple[str, ...], columns: int) -> None:
    assert screen(*words, columns=columns).end()[0] == 0


def test_top_in_a_narrow_window(screen: Callable[..., Any]) -> None:
    """It is drawn, made narrower while it runs, and left."""
    top = screen("top", "--interval=50ms", columns=60)
    top.until(r"\S")
    fcntl.ioctl(top.master, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 12, 0, 0))
    top.process.send_signal(signal.SIGWINCH)
    top.until(r"\S")
    top.type("\x03")
    assert top.end()[0] in {0, -signal.SIGINT}


@pytest.mark.parametrize(
    "words", [("get", "colour"), ("get", "--nonsense"), ("tree",)], ids=" ".join
)
def test_colours(
    screen: Callable[..., Any], run: Callable[..., Any], server: Any, words: tuple[str, ...]
) -> None:
    """None where NO_COLOR says so, or the terminal is dumb; none in a pipe."""
    run("--endpoints", server.address, "put", "colour", "1")
    for more in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = screen(*words, **more)
        plain.end()
        assert not COLOUR.search(plain.all)
    done = run("--endpoints", server.address, *words)
    assert b"\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize(
    "words",
    [("tree",), ("top", "--once", "--interval=50ms"), ("get", "", "--prefix")],
    ids=" ".join,
)
def test_keys_that_the_terminal_cannot_show(
    screen: Callable[..., Any],
    run: Callable[..., Any],
    server: Any,
    locale: str,
    words: tuple[str, ...],
) -> None:
    run("--endpoints", server.address, "put", "ключ/日本", b"\xff\xfe")
    shown = screen(*words, LC_ALL=locale, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert shown.end()[0] == 0
