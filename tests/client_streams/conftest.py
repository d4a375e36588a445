"""One suite for three servers: a node in this program, a node over sockets, and the real etcd 3.5.1."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import triode

KINDS = ["in-process", "sockets", "etcd"]


@pytest.fixture(scope="module")
def etcd(launch_etcd_once: Callable[..., Any]) -> Any:
    """One real etcd for all tests of a module."""
    return launch_etcd_once("--unsafe-no-fsync")


@asynccontextmanager
async def _in_process() -> AsyncIterator[triode.Client]:
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node, node.client() as client:
        yield client


@asynccontextmanager
async def _over_sockets() -> AsyncIterator[triode.Client]:
    config = triode.Config(backend="memory", listen_client_urls=("http://127.0.0.1:0",))
    async with (
        triode.open_node(config) as node,
        triode.connect(node.client_urls[0]) as client,
    ):
        yield client


@asynccontextmanager
async def _of_etcd(address: str) -> AsyncIterator[triode.Client]:
    async with triode.connect(address) as client:
        await client.delete(triode.ALL_KEYS)
        yield client


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def address(kind: str, request: pytest.FixtureRequest) -> str:
    """Of the real etcd, when it is its turn."""
    return str(request.getfixturevalue("etcd").address) if kind == "etcd" else ""


@pytest.fixture
async def client(kind: str, address: str) -> AsyncIterator[triode.Client]:
    """A client of an empty store."""
    made = {"in-process": _in_process, "sockets": _over_sockets}
    async with _of_etcd(address) if kind == "etcd" else made[kind]() as client:
        yield client


@pytest.fixture(params=["sockets", "etcd"])
async def served(request: pytest.FixtureRequest) -> AsyncIterator[triode.Client]:
    """A client of a server that foreign programs reach, too, at `client.endpoints[0]`."""
    if request.param == "etcd":
        async with _of_etcd(request.getfixturevalue("etcd").address) as client:
            yield client
    else:
        async with _over_sockets() as client:
            yield client
