"""Settings that change while a program runs: each part reads `settings`, and may wait until it changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

import triode

PREFIX = "config/app/"


class Settings:
    """The newest settings, always all of one revision: what one transaction changes is never seen by halves."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = dict(values)
        self.changed = trio.Event()

    def apply(self, changes: Mapping[str, str | None]) -> None:
        self.values |= {name: value for name, value in changes.items() if value is not None}
        for name in [name for name, value in changes.items() if value is None]:
            self.values.pop(name, None)
        self.changed.set()
        self.changed = trio.Event()


@asynccontextmanager
async def live_settings(client: triode.Client) -> AsyncIterator[Settings]:
    """Settings that follow the store for the length of the block."""
    space = client.namespace(PREFIX)
    found = await space.range(triode.ALL_KEYS)
    settings = Settings({kv.key.decode(): kv.value.decode() for kv in found.kvs})

    async def follow() -> None:
        start = found.header.revision + 1
        async with space.watch(triode.ALL_KEYS, start_revision=start) as watch:
            async for batch in watch.batches():
                settings.apply(
                    {
                        event.kv.key.decode(): None if event.type else event.kv.value.decode()
                        for event in batch.events
                    }
                )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        yield settings
        nursery.cancel_scope.cancel()


async def main() -> None:
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node, node.client() as client:
        await client.put(PREFIX + "host", "db-1")
        await client.put(PREFIX + "port", "5432")
        async with live_settings(client) as settings:
            print(settings.values)
            changed = settings.changed
            # The operator changes two settings at once, and removes one.
            await (
                client.txn()
                .then(
                    triode.put(PREFIX + "host", "db-2"),
                    triode.put(PREFIX + "pool", "10"),
                    triode.delete(PREFIX + "port"),
                )
                .commit()
            )
            await changed.wait()
            print(settings.values)


if __name__ == "__main__":
    trio.run(main)
