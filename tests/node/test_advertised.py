"""Where a member tells clients that it is: where they reach it, unless it was told otherwise."""

from __future__ import annotations

import socket
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

import triode
from triode.actors.listener import Bound
from triode.actors.node import Node, open_node
from triode.config import Config


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def node_of(*urls: str, **settings: Any) -> AbstractAsyncContextManager[Node]:
    return open_node(Config(backend="memory", listen_client_urls=urls, **settings))


async def test_a_client_that_asks_for_the_members_stays_with_this_node() -> None:
    """Not with whoever listens on the usual port."""
    url = f"http://127.0.0.1:{free_port()}"
    async with node_of(url) as node:
        assert node.client_urls == (url,)
        async with triode.connect(url) as client:
            await client.sync()
            await client.put("k", "v")
        assert (await node.local.get(b"k")).count == 1


async def test_two_urls_and_a_unix_socket(tmp_path: Path) -> None:
    urls = (f"http://127.0.0.1:{free_port()}", f"unix://{tmp_path}/s")
    async with node_of(*urls) as node:
        assert node.client_urls == urls


async def test_what_is_advertised_is_told() -> None:
    advertised = ("http://etcd.example:2379",)
    async with node_of(f"http://127.0.0.1:{free_port()}", advertise_client_urls=advertised) as node:
        assert node.client_urls == advertised


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("http://0.0.0.0:0", "http://localhost:{}"),
        ("http://[::]:2379", "http://localhost:{}"),
        ("http://[::1]:0", "http://[::1]:{}"),
        ("http://127.0.0.1:0", "http://127.0.0.1:{}"),
    ],
)
def test_who_listens_everywhere_is_at_home(asked: str, told: str) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        bound = Bound(sock, asked)
        assert bound.reachable_url == told.format(bound.port)
