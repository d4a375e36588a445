"""Every command with words that it does not take: a message, an exit code, and nothing of its inside."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from triode.cli.ctl.main import PROGRAM

CODES = {1, 2, 3, 4, 5, 6, 128}
BYTES = b"\xff\xfe\x80"


ALL = sorted(command.path for command in PROGRAM.commands() if command.run is not None)


def test_there_are_commands() -> None:
    assert len(ALL) > 45


@pytest.mark.parametrize("command", ALL)
def test_an_unknown_flag(run: Callable[..., Any], command: str) -> None:
    done = run(*command.split(), "--nonsense=1")
    assert done.code == 1
    assert done.stderr.startswith(b"Error: unknown flag: --nonsense\n")


@pytest.mark.parametrize("command", ALL)
def test_a_flag_of_bytes(run: Callable[..., Any], command: str) -> None:
    """What is no UTF-8 is no flag either."""
    done = run(*command.split(), b"--" + BYTES)
    assert done.code == 1
    assert done.stderr.startswith(b"Error: unknown flag: --")


@pytest.mark.parametrize(
    "extra",
    [
        ("--command-timeout=soon",),
        ("--write-out=yaml", "1", "2", "3", "4", "5", "6"),
        ("--endpoints=http://[::1", "1"),
        ("--endpoints=127.0.0.1:99999", "1"),
        ("--cert=/no/such/file", "1", "2"),
        ("--cacert=/dev/null", "1", "2"),
        (
            "--user=",
            "--password=x",
            "--endpoints=127.0.0.1:1",
            "--command-timeout=50ms",
            "--dial-timeout=50ms",
            *"1234567",
        ),
    ],
    ids=["timeout", "format", "address", "port", "certificate", "authority", "arguments"],
)
def test_bad_values(run: Callable[..., Any], extra: tuple[str, ...]) -> None:
    """Whatever is wrong first: a command ends by itself, and says something about it."""

    def with_extra(command: str) -> Any:
        return run(*command.split(), *extra, stdin=b"\n\n\n")

    commands = [
        name for name in ALL if name.split()[0] not in {"completion", "options", "version", "help"}
    ]
    if "--user=" in extra:  # these wait until somebody can be reached
        commands = [
            name
            for name in commands
            if name not in {"watch", "elect", "top", "lease keep-alive", "make-mirror"}
        ]
    with ThreadPoolExecutor(4) as pool:
        for command, done in zip(commands, pool.map(with_extra, commands), strict=True):
            assert done.code in CODES, command
            assert done.stderr, command


@pytest.mark.parametrize(
    "command",
    ["get", "del", "user get", "role get", "user add", "role add", "lock", "put", "member add"],
)
def test_names_of_bytes(run: Callable[..., Any], server: Any, command: str) -> None:
    """Keys may be anything; names are text, and a message says so."""
    more = {
        "put": [b"\x80"],
        "lock": [b"true"],
        "member add": [b"--peer-urls", BYTES],
        "user add": [b"--no-password"],
    }
    words = [*command.split(), BYTES, *more.get(command, [])]
    done = run("--endpoints", server.address, *words)
    if command in {"get", "del", "put", "lock"}:
        assert done.code == 0
    else:
        assert done.code in CODES
        assert done.stderr.startswith(b"Error: ")
