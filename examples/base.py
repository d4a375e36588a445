"""Put a key, get it, delete it.

    python examples/base.py [ENDPOINT ...]

Without an endpoint, a node is started in this program. Any etcd cluster will do as well.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

import triode

KEY = "/hb/etcd/base"


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


async def main() -> None:
    async with a_client() as client:
        await client.put(KEY, "123456")
        kv = await client.get(KEY)
        assert kv is not None
        print(f"key={kv.key.decode()} value={kv.value.decode()}")
        await client.delete(KEY)
        print(await client.get(KEY))


if __name__ == "__main__":
    trio.run(main)
