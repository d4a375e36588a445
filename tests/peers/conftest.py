"""Fixtures of the tests of links between nodes."""

from __future__ import annotations

import importlib.util
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


def _load(file: str) -> ModuleType:
    name = f"_peers_tests{file}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / f"{file}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def t() -> ModuleType:
    """The helpers of `_peers`."""
    return _load("_peers")


@pytest.fixture(scope="session")
def raft_owner() -> ModuleType:
    """A member with raft behind its links."""
    return _load("_raft_owner")


@pytest.fixture
def free_ports() -> Callable[[int], list[int]]:
    """Ports that were free a moment ago, for processes that cannot choose their own."""

    def find(count: int) -> list[int]:
        sockets = [socket.socket() for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        ports = [int(one.getsockname()[1]) for one in sockets]
        for one in sockets:
            one.close()
        return ports

    return find
