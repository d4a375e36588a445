"""Both tools as processes, one server, and what can be wrong with a network."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SECONDS_MAX = 30
_NAME = "_ctl_bad_input_tools"


def _tools() -> ModuleType:
    if _NAME not in sys.modules:
        path = Path(__file__).parents[1] / "ctl_parity" / "_tools.py"
        spec = importlib.util.spec_from_file_location(_NAME, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[_NAME] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[_NAME]


@pytest.fixture(scope="session")
def tools() -> Any:
    """The module of command line tools."""
    return _tools()


@pytest.fixture(scope="session")
def triodectl(tools: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Triodectl, imported once: each command line is a child of a process that has it in memory."""
    with tools.fork_server(
        "triodectl", "triode.cli.ctl", tmp_path_factory.mktemp("forks")
    ) as server:
        yield server


@pytest.fixture(scope="module")
def server(launch_triode_once: Callable[..., Any]) -> Any:
    """A server that all tests of a module share; each uses keys of its own."""
    return launch_triode_once(backend="memory")


def text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def clean(done: Any) -> Any:
    """Fails when the tool has shown its inside; returns what it was given."""
    errors = text(done.stderr)
    assert "Traceback" not in errors, errors
    assert "internal error" not in errors, errors
    assert not re.search(r"\wWarning: ", errors), errors
    assert isinstance(done.code, int), f"it did not end; {errors}"
    return done


@pytest.fixture(scope="session")
def run(tools: Any, triodectl: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """`run(*words, stdin=..., tool=..., **environment)`: to its end; what it says is held to be clean."""
    folder = tmp_path_factory.mktemp("run")

    def run_one(
        *words: str | bytes, stdin: bytes = b"", tool: Any = None, **environment: str
    ) -> Any:
        done = tools.run(
            tool or triodectl,
            [os.fsdecode(word) for word in words],
            stdin=stdin,
            environment=tools.ENVIRONMENT | environment,
            folder=folder,
        )
        return clean(done) if tool is None else done

    return run_one


@pytest.fixture
def said() -> Callable[[Any], tuple[str, str, int]]:
    """What a tool has said, without its log, times and name: to compare both."""

    def without(done: Any) -> tuple[str, str, int]:
        errors = "".join(
            f"{line}\n"
            for line in text(done.stderr).splitlines()
            if not line.startswith('{"level"')
        )
        return text(done.stdout), re.sub(r"[\d.]+(ms|µs|s)\b", "<time>", errors), done.code

    return without


class Running:
    """A command that goes on, and its output as it comes."""

    def __init__(self, process: Any) -> None:
        self.process = process

    def line(self) -> str:
        """The next line of output."""
        return text(self.process.stdout.readline()).rstrip("\n")

    def error(self) -> str:
        """The next line of standard error."""
        return text(self.process.stderr.readline()).rstrip("\n")

    def tell(self, line: str) -> None:
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> Any:
        """Wait for its end."""
        code = self.process.wait(SECONDS_MAX)
        return clean(_tools().Done(self.process.stdout.read(), self.process.stderr.read(), code))

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except BrokenPipeError:
                continue


@pytest.fixture
def start(tools: Any, triodectl: Any, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """`start(*words, **environment)` begins a command; it is ended with the test."""
    started: list[Running] = []

    def launch(*words: str, tool: Any = None, **environment: str) -> Running:
        process = (tool or triodectl).start(
            words, environment=tools.ENVIRONMENT | environment, folder=tmp_path
        )
        guard = threading.Timer(SECONDS_MAX, process.kill)
        guard.daemon = True
        guard.start()
        started.append(Running(process))
        guards.append(guard)
        return started[-1]

    guards: list[threading.Timer] = []
    yield launch
    for guard in guards:
        guard.cancel()
    for one in started:
        one.close()


@pytest.fixture
def terminal(on_terminal: Any, tools: Any, triodectl: Any, tmp_path: Path) -> Callable[..., Any]:
    """`terminal(*words, **environment)` begins a command on a terminal."""

    def launch(*words: str, tool: Any = None, **environment: str) -> Any:
        variables = tools.ENVIRONMENT | {"TERM": "xterm-256color"} | environment
        return on_terminal(
            lambda worker: (tool or triodectl).start(
                words,
                environment=variables,
                folder=tmp_path,
                streams=(worker, worker, worker),
                terminal=True,
            )
        )

    return launch


@pytest.fixture
def closed_port() -> str:
    """An address where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def babbling() -> Iterator[str]:
    """An address that answers everything with something that is no HTTP/2, and hangs up."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)

        def babble() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(4096):
                        pass

        thread = threading.Thread(target=babble, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
