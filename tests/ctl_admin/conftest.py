"""Servers of both kinds, and triodectl: in this process, as a process of its own, and on a terminal."""

from __future__ import annotations

import contextlib
import io
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from triode.cli.common.output import Output
from triode.cli.common.run import execute
from triode.cli.ctl.main import PROGRAM

SECONDS_MAX = 30
PROGRAM_TEXT = "from triode.cli.ctl.main import main; main()"
ENVIRONMENT = {
    key: text for key, text in os.environ.items() if not key.startswith(("ETCDCTL_", "TRIODECTL_"))
}


@attrs.frozen
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def error(self) -> str:
        """The last line of stderr; log lines may precede it."""
        return (self.err.splitlines() or [""])[-1]


def text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def run_here(*arguments: str) -> Done:
    """A command line, in this process."""
    out, err, usual = io.BytesIO(), io.BytesIO(), sys.stderr
    sys.stderr = io.TextIOWrapper(err, "utf-8", "surrogateescape", write_through=True)
    try:
        code = execute(PROGRAM, arguments, Output(out))
        return Done(code, text(out.getvalue()), text(err.getvalue()))
    finally:
        sys.stderr = usual


class Running:
    """A command as a process. Its output comes line by line."""

    def __init__(self, words: list[str], stdin: Any = subprocess.DEVNULL) -> None:
        self.process = subprocess.Popen(
            words,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            start_new_session=True,
        )
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._pump = threading.Thread(target=self._read, daemon=True)
        self._pump.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def line(self) -> str:
        """The next line of output, without its end; "" at the end of all."""
        line = self._lines.get(timeout=SECONDS_MAX)
        return "" if line is None else text(line.rstrip(b"\n"))

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> Done:
        """Wait for its end."""
        code = self.process.wait(SECONDS_MAX)
        self._pump.join(SECONDS_MAX)
        rest = b"".join(iter(lambda: self._lines.get() or b"", b""))
        assert self.process.stderr is not None
        return Done(code, text(rest), text(self.process.stderr.read()))

    def close(self) -> None:
        """End it, and what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._pump.join(SECONDS_MAX)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture(params=["etcd", "triode"])
def server(request: pytest.FixtureRequest) -> Any:
    """A server that all tests share; each uses keys of its own."""
    return request.getfixturevalue(f"shared_{request.param}")


@pytest.fixture(scope="session")
def launchers(pytestconfig: pytest.Config) -> Any:
    """The module above this one, which knows how to start servers."""
    plugins = pytestconfig.pluginmanager.get_plugins()
    return next(plugin for plugin in plugins if hasattr(plugin, "triode_launcher"))


@pytest.fixture(scope="session")
def shared_etcd(launchers: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with launchers.etcd_launcher(tmp_path_factory.mktemp("etcd")) as launch:
        yield launch()


@pytest.fixture(scope="session")
def shared_triode(launchers: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with launchers.triode_launcher(tmp_path_factory.mktemp("triode")) as launch:
        yield launch("--ui", "read-only", backend="memory")


@pytest.fixture
def ctl(server: Any) -> Callable[..., Done]:
    """Run triodectl against `server`, in this process."""
    return lambda *arguments: run_here("--endpoints", server.address, *arguments)


@pytest.fixture
def start(server: Any) -> Iterator[Callable[..., Running]]:
    """Start triodectl against `server` as a process."""
    started: list[Running] = []

    def launch(
        *arguments: str, program: str = PROGRAM_TEXT, before: tuple[str, ...] = (), **options: Any
    ) -> Running:
        words = [sys.executable, "-c", program, "--endpoints", server.address, *arguments]
        started.append(Running([*before, *words], **options))
        return started[-1]

    yield launch
    for one in started:
        one.close()


@pytest.fixture
def terminal(on_terminal: Any, terminal_process: Any) -> Callable[..., Any]:
    """Start triodectl on a terminal of 200 columns."""

    def launch(*arguments: str, colours: bool = False, term: str = "xterm-256color") -> Any:
        words = [sys.executable, "-c", PROGRAM_TEXT, *arguments]
        variables = ENVIRONMENT | {"TERM": term, "COLUMNS": "200", "LINES": "50"}
        return on_terminal(
            terminal_process(words, variables | ({} if colours else {"NO_COLOR": "1"}))
        )

    return launch


@pytest.fixture
def here() -> Callable[..., Done]:
    """Run triodectl in this process, against whatever it is told."""
    return run_here


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
