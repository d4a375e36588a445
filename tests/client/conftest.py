"""Servers for the client's tests: the real etcd, shared by a module, and nodes of ours for each test."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import triode

Opened = Callable[..., AbstractAsyncContextManager[triode.Client]]
_numbers = itertools.count(1)
_SERVERS = Path(__file__).with_name("_servers.py")


@pytest.fixture(scope="session")
def servers() -> ModuleType:
    """The servers of `_servers`, which do what they are told."""
    name = "_client_tests_servers"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _SERVERS)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="module")
def etcd(launch_etcd_once: Callable[..., Any]) -> Any:
    """The real etcd, without fsync. Tests keep to keys below `base`."""
    return launch_etcd_once("--unsafe-no-fsync")


@pytest.fixture
async def node() -> AsyncIterator[triode.Node]:
    """A node of ours that listens."""
    config = triode.Config(backend="memory", listen_client_urls=("http://127.0.0.1:0",))
    async with triode.open_node(config) as opened:
        yield opened


@asynccontextmanager
async def _to_triode(**options: Any) -> AsyncIterator[triode.Client]:
    config = triode.Config(backend="memory", listen_client_urls=("http://127.0.0.1:0",))
    async with (
        triode.open_node(config) as node,
        triode.connect(node.client_urls[0], **options) as client,
    ):
        yield client


@asynccontextmanager
async def _in_process() -> AsyncIterator[triode.Client]:
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node, node.client() as client:
        yield client


@pytest.fixture(params=["etcd", "triode", "node"])
def opened(request: pytest.FixtureRequest) -> Opened:
    """A client of each kind of server."""
    if request.param == "etcd":
        server = request.getfixturevalue("etcd")
        return lambda **options: triode.connect(server.url, **options)
    return _to_triode if request.param == "triode" else _in_process


@pytest.fixture
async def client(opened: Opened) -> AsyncIterator[triode.Client]:
    """A client of each kind of server, which tells a test that hangs to end."""
    async with opened() as client:
        yield client


@pytest.fixture
def base() -> str:
    """A prefix of keys that no other test uses."""
    return f"test-{next(_numbers)}/"
