"""What a person sees, and what a terminal is left like."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

TRIODECTL = Path(sys.executable).with_name("triodectl")
LOGIN = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"
VARIABLES = {"ETCDCTL_", "TRIODECTL_", "NO_COLOR", "TERM"}


@attrs.frozen
class Terminal:
    """triodectl with a terminal of its own."""

    master: int
    process: subprocess.Popen[bytes]

    def until(self, wanted: str) -> str:
        seen = b""
        while wanted.encode() not in seen:
            seen += os.read(self.master, 65536)
        return seen.decode()

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.master)[3] & termios.ECHO)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    started: list[tuple[Terminal, int]] = []

    def launch(*arguments: str, **variables: str) -> Terminal:
        master, slave = pty.openpty()
        kept = {k: v for k, v in os.environ.items() if not k.startswith(tuple(VARIABLES))}
        process = subprocess.Popen(
            [sys.executable, "-c", LOGIN, TRIODECTL, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**kept, "TERM": "xterm", **variables},
        )
        started.append((Terminal(master, process), slave))
        return started[-1][0]

    yield launch
    for each, slave in started:
        each.process.kill()
        each.process.wait()
        os.close(each.master)
        os.close(slave)


def test_colours(server: Any, ctl: Callable[..., Any], terminal: Callable[..., Terminal]) -> None:
    ctl("put", "seen", "1")
    command = ("get", "seen", "--endpoints", server.address)
    assert terminal(*command).until("1\r\n") == "\x1b[36mseen\x1b[0m\r\n1\r\n"
    assert terminal(*command, NO_COLOR="1").until("1\r\n") == "seen\r\n1\r\n"
    assert terminal(*command, TERM="dumb").until("1\r\n") == "seen\r\n1\r\n"


def test_a_hint(terminal: Callable[..., Terminal]) -> None:
    seen = terminal("get", "a", "--endpoints", "127.0.0.1:1", "--command-timeout", "1s")
    assert seen.until("exceeded\r\n") == (
        "Hint: 127.0.0.1:1: connection refused\r\n"
        "\x1b[31mError:\x1b[0m context deadline exceeded\r\n"
    )


def test_a_password_is_not_shown(server: Any, terminal: Callable[..., Terminal]) -> None:
    """Servers without users take any; a Triode that knows of no users, too."""
    shell = terminal("get", "a", "--user", "root", "--endpoints", server.address)
    shell.until("Password: ")
    assert not shell.echoes
    os.write(shell.master, b"secret\n")
    assert shell.process.wait(60) == 0
    assert shell.echoes


def test_ctrl_c_at_a_password(
    terminal: Callable[..., Terminal], interrupt: Callable[..., None]
) -> None:
    """The terminal must show again what is typed."""
    shell = terminal("get", "a", "--user", "root", "--endpoints", "127.0.0.1:1")
    shell.until("Password: ")
    interrupt(shell.process, shell.master)
    assert shell.process.wait(60) == -signal.SIGINT
    assert shell.echoes


def test_a_transaction_by_hand(server: Any, terminal: Callable[..., Terminal]) -> None:
    shell = terminal("txn", "-i", "--endpoints", server.address)
    shell.until("compares:\r\n")
    os.write(shell.master, b'mod("by hand") = "0"\n\n')
    shell.until("success requests (get, put, del):\r\n")
    os.write(shell.master, b"put 'by hand' 1\n\n")
    shell.until("failure requests (get, put, del):\r\n")
    os.write(shell.master, b"del 'by hand'\n\n")
    assert "\x1b[32mSUCCESS\x1b[0m\r\n\r\n\x1b[32mOK\x1b[0m\r\n" in shell.until("OK\x1b[0m\r\n")
    assert shell.process.wait(60) == 0


def test_help_has_headings(terminal: Callable[..., Terminal]) -> None:
    seen = terminal("lease", "grant", "--help").until("write-out")
    assert seen.startswith("\x1b[1mNAME:\x1b[0m\r\n  lease grant - Creates leases\r\n")
