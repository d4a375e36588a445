"""What a person sees, and what a terminal is left like."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TRIODECTL = Path(sys.executable).with_name("triodectl")
LOGIN = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"
VARIABLES = {"ETCDCTL_", "TRIODECTL_", "NO_COLOR", "TERM"}


@pytest.fixture
def terminal(on_terminal: Any, terminal_process: Any) -> Callable[..., Any]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(tuple(VARIABLES))}

    def launch(*arguments: str, **variables: str) -> Any:
        words = [str(TRIODECTL), *arguments]
        return on_terminal(terminal_process(words, {**kept, "TERM": "xterm", **variables}))

    return launch


def test_colours(server: Any, ctl: Callable[..., Any], terminal: Callable[..., Any]) -> None:
    ctl("put", "seen", "1")
    command = ("get", "seen", "--endpoints", server.address)
    assert terminal(*command).end()[1] == "\x1b[36mseen\x1b[0m\r\n1\r\n"
    assert terminal(*command, NO_COLOR="1").end()[1] == "seen\r\n1\r\n"
    assert terminal(*command, TERM="dumb").end()[1] == "seen\r\n1\r\n"


def test_a_hint(terminal: Callable[..., Any]) -> None:
    seen = terminal("get", "a", "--endpoints", "127.0.0.1:1", "--command-timeout", "1s")
    assert seen.end()[1] == (
        "Hint: 127.0.0.1:1: connection refused\r\n"
        "\x1b[31mError:\x1b[0m context deadline exceeded\r\n"
    )


def test_a_password_is_not_shown(server: Any, terminal: Callable[..., Any]) -> None:
    """Servers without users take any; a Triode that knows of no users, too."""
    shell = terminal("get", "a", "--user", "root", "--endpoints", server.address)
    shell.until("Password: ")
    assert not shell.echoes
    shell.type("secret\n")
    assert shell.end()[0] == 0
    assert shell.echoes


def test_ctrl_c_at_a_password(terminal: Callable[..., Any]) -> None:
    """The terminal must show again what is typed."""
    shell = terminal("get", "a", "--user", "root", "--endpoints", "127.0.0.1:1")
    shell.until("Password: ")
    shell.interrupt()
    assert shell.end()[0] == -signal.SIGINT
    assert shell.echoes


def test_a_transaction_by_hand(server: Any, terminal: Callable[..., Any]) -> None:
    shell = terminal("txn", "-i", "--endpoints", server.address)
    shell.until("compares:")
    shell.type('mod("by hand") = "0"\n\n')
    shell.until("success requests .*:")
    shell.type("put 'by hand' 1\n\n")
    shell.until("failure requests .*:")
    shell.type("del 'by hand'\n\n")
    code, shown = shell.end()
    assert code == 0
    assert shown.endswith("\x1b[32mSUCCESS\x1b[0m\r\n\r\n\x1b[32mOK\x1b[0m\r\n")


def test_help_has_headings(terminal: Callable[..., Any]) -> None:
    _, seen = terminal("lease", "grant", "--help").end()
    assert seen.startswith("\x1b[1mNAME:\x1b[0m\r\n  lease grant - Creates leases\r\n")
