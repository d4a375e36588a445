"""A key that stays as long as this program does.

    python examples/keep_alive.py [ENDPOINT ...]

The block holds a lease, which is renewed by itself; at its end the lease is revoked and the key goes. If the lease is
lost, the block is cancelled at once and LeaseLost is raised.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

import triode

KEY = "/hb/etcd/keepalive"


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
        async with client.lease(ttl=2) as lease:
            await client.put(KEY, "keepalive", lease=lease.id)
            renewals = 0
            async for ttl in lease.renewals():
                print("renewed, TTL:", ttl)
                renewals += 1
                if renewals == 3:
                    break
            print("still there:", await client.get(KEY) is not None)
        print("after the block:", await client.get(KEY))


if __name__ == "__main__":
    trio.run(main)
