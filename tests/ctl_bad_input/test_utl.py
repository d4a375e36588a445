"""Triodeutl with words, files and streams that are wrong: a message, an exit code, and nothing of its inside."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from triode.cli.utl.main import PROGRAM

ALL = sorted(command.path for command in PROGRAM.commands() if command.run is not None)


@pytest.fixture(scope="session")
def triodeutl(tools: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with tools.fork_server("triodeutl", "triode.cli.utl", tmp_path_factory.mktemp("utl")) as server:
        yield server


@pytest.fixture
def utl(tools: Any, triodeutl: Any, tmp_path: Path) -> Callable[..., Any]:
    """Run it to its end."""

    def run_one(*words: str | Path) -> Any:
        done = tools.run(
            triodeutl,
            [os.fsdecode(word) for word in words],
            stdin=b"",
            environment=tools.ENVIRONMENT,
            folder=tmp_path,
        )
        assert b"Traceback" not in done.stderr, done.stderr
        assert b"internal error" not in done.stderr, done.stderr
        assert isinstance(done.code, int)
        return done

    return run_one


@pytest.mark.parametrize("command", ALL)
def test_an_unknown_flag(utl: Callable[..., Any], command: str) -> None:
    done = utl(*command.split(), "--nonsense")
    assert done.code == 1
    assert done.stderr.startswith(b"Error: unknown flag: --nonsense\n")


@pytest.mark.parametrize(
    "command", [name for name in ALL if name not in {"version", "help", "completion"}]
)
@pytest.mark.parametrize("what", ["none", "missing", "empty", "folder", "garbage", "device"])
def test_files_that_are_none(
    utl: Callable[..., Any], tmp_path: Path, command: str, what: str
) -> None:
    """As the file, and as the data directory."""
    paths = {
        "none": [],
        "missing": ["missing"],
        "empty": ["empty"],
        "folder": ["folder"],
        "garbage": ["garbage"],
        "device": ["/dev/null"],
    }[what]
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "garbage").write_bytes(os.urandom(100_000))
    flags = {
        flag.name for each in PROGRAM.commands() if each.path == command for flag in each.flags
    }
    words = [*paths]
    if "data-dir" in flags and not command.startswith("snapshot"):
        words = [f"--data-dir={path}" for path in paths]
    done = utl(*command.split(), *words)
    assert done.code in {1, 2, 3, 4, 5, 6, 128}
    assert done.stderr or done.stdout


def test_a_directory_in_use(utl: Callable[..., Any], launch_triode: Callable[..., Any]) -> None:
    """Whoever changes files is not to do so below a member that runs."""
    server = launch_triode(backend="sqlite")
    done = utl("defrag", "--timeout=200ms", "--data-dir", server.data_dir)
    assert done.code != 0
    assert b"in use" in done.stderr or b"lock" in done.stderr
    assert server.ctl("put", "a", "1").returncode == 0


def test_a_reader_that_leaves(tools: Any, triodeutl: Any, tmp_path: Path) -> None:
    process = triodeutl.start(["--help"], environment=tools.ENVIRONMENT, folder=tmp_path)
    process.stdout.close()
    try:
        assert process.wait(20) in {0, -signal.SIGPIPE}
        assert process.stderr.read() == b""
    finally:
        process.kill()
        process.stdin.close()
        process.stderr.close()


def test_as_a_process(tools: Any) -> None:
    done = subprocess.run(
        [tools.BIN / "triodeutl", "snapshot", "status", "/no/such/file"],
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode not in {0, 2}
    assert done.stderr.startswith(b"Error: ")
    assert done.stderr.count(b"\n") == 1
