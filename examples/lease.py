"""A key that goes when its lease runs out.

    python examples/lease.py [ENDPOINT ...]

Without an endpoint, a node is started in this program, with elections so short that leases of one second are
possible; a server with usual settings raises them to two.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

import triode

KEY = "/hb/etcd/lease"


@asynccontextmanager
async def a_client() -> AsyncIterator[triode.Client]:
    """Of the cluster on the command line, or of a node of our own."""
    if sys.argv[1:]:
        async with triode.connect(*sys.argv[1:]) as client:
            yield client
    else:
        config = triode.Config(
            backend="memory",
            listen_client_urls=(),
            heartbeat_interval=0.05,
            election_timeout=0.5,
        )
        async with triode.open_node(config) as node, node.client() as client:
            yield client


async def main() -> None:
    async with a_client() as client:
        lease = await client.grant(ttl=1)
        await client.put(KEY, "lease", lease=lease.ID)
        kv = await client.get(KEY)
        assert kv is not None
        print(f"key={kv.key.decode()} value={kv.value.decode()}")

        # No sleeping: a watch tells when it is gone.
        async with client.watch(KEY, start_revision=kv.mod_revision + 1) as watch:
            event = await anext(watch)
            print(f"{event.type.name} {event.key.decode()}")
        print(await client.get(KEY))

        # The short way: a key with a time to live.
        await client.put(KEY, "gone soon", ttl=60)
        kv = await client.get(KEY)
        assert kv is not None
        print("seconds to live:", (await client.time_to_live(kv.lease)).grantedTTL)


if __name__ == "__main__":
    trio.run(main)
