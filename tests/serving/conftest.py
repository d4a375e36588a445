"""A node with clients on real sockets."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from triode import Config, Node, open_node

_PEERS = Path(__file__).with_name("_peers.py")


@pytest.fixture(scope="session")
def peers() -> ModuleType:
    """The clients of `_peers`."""
    name = "_serving_tests_peers"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _PEERS)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
def unforeseen(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Exceptions that no code had foreseen, as log lines; a test may take those out that it expects."""
    expected: list[str] = []
    with caplog.at_level(logging.WARNING, logger="triode"):
        yield expected
    found = [
        f"{record.getMessage()}: {record.exc_info[1]!r}"
        for record in caplog.get_records("call")
        if record.name.startswith("triode") and record.exc_info
    ]
    assert [line for line in found if not any(text in line for text in expected)] == []


@pytest.fixture
def run_node(
    unforeseen: list[str], peers: ModuleType
) -> Callable[..., AbstractAsyncContextManager[Node]]:
    """`async with run_node(setting=...) as node`: in memory, on a port of its own."""

    @asynccontextmanager
    async def run(**settings: Any) -> AsyncIterator[Node]:
        config = Config(
            **{"backend": "memory", "listen_client_urls": ("http://127.0.0.1:0",), **settings}
        )
        try:
            async with open_node(config) as node:
                yield node
        finally:
            while peers.opened:
                peers.opened.pop().close()

    return run


@pytest.fixture
async def node(run_node: Callable[..., Any]) -> AsyncIterator[Node]:
    """A node with the default settings."""
    async with run_node() as node:
        yield node
