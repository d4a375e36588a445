"""Watch a prefix while another task puts and deletes ten keys.

    python examples/watch.py [ENDPOINT ...]

Without an endpoint, a node is started in this program. Any etcd cluster will do as well.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

import triode

KEYS = "/hb/etcd/watch/"


@asynccontextmanager
async def a_client() -> AsyncIterator[triode.Client]:
    """Of the cluster on the command line, or of a node of our own."""
    if sys.argv[1:]:
        async with triode.connect(*sys.argv[1:]) as client:
            yield client
    else:
        config = triode.Config(backend="memory", listen_client_urls=())
        async with triode.open_node(config) as node, node.client() as client:
            yield client


async def write(client: triode.Client) -> None:
    for number in range(10):
        await client.put(f"{KEYS}key_{number}", "world")
    for number in range(10):
        await client.delete(f"{KEYS}key_{number}")


async def main() -> None:
    async with (
        a_client() as client,
        client.watch(triode.prefix(KEYS)) as watch,  # from here on, nothing is missed
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(write, client)
        deleted = 0
        async for event in watch:
            print(event.type.name, event.key.decode(), event.value.decode())
            deleted += event.is_delete
            if deleted == 10:
                break


if __name__ == "__main__":
    trio.run(main)
