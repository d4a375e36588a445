"""Services register themselves under a lease; whoever needs them keeps a list that is always current."""

from __future__ import annotations

import trio

import triode

SERVICES = "services/web/"


async def service(
    client: triode.Client, name: str, address: str, stop: trio.Event, done: trio.Event
) -> None:
    """Registered as long as this runs. A program that dies is gone from the list after the TTL."""
    async with client.lease(ttl=10) as lease:
        await client.put(SERVICES + name, address, lease=lease.id)
        await stop.wait()
    done.set()


class Directory:
    """Who is there now; `changed` is set anew with each change."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}
        self.changed = trio.Event()

    async def follow(self, client: triode.Client) -> None:
        """Read everything once, then apply what changes since that revision: nothing falls in between."""
        found = await client.range(triode.prefix(SERVICES))
        for kv in found.kvs:
            self._set(kv.key, kv.value.decode())
        async with client.watch(
            triode.prefix(SERVICES), start_revision=found.header.revision + 1
        ) as watch:
            async for event in watch:
                self._set(event.key, event.value.decode() if event.is_put else None)

    def _set(self, key: bytes, address: str | None) -> None:
        name = key.decode().removeprefix(SERVICES)
        if address is None:
            self.addresses.pop(name, None)
        else:
            self.addresses[name] = address
        self.changed.set()
        self.changed = trio.Event()

    async def wait_size(self, size: int) -> None:
        while len(self.addresses) != size:
            await self.changed.wait()


async def main() -> None:
    config = triode.Config(backend="memory", listen_client_urls=())
    async with (
        triode.open_node(config) as node,
        node.client() as client,
        trio.open_nursery() as nursery,
    ):
        directory = Directory()
        stops, done = [trio.Event() for _ in range(3)], [trio.Event() for _ in range(3)]
        nursery.start_soon(service, client, "a", "10.0.0.1:80", stops[0], done[0])
        nursery.start_soon(directory.follow, client)
        nursery.start_soon(service, client, "b", "10.0.0.2:80", stops[1], done[1])
        nursery.start_soon(service, client, "c", "10.0.0.3:80", stops[2], done[2])
        await directory.wait_size(3)
        print("there are", sorted(directory.addresses))
        stops[1].set()
        await directory.wait_size(2)
        print("there are", sorted(directory.addresses), "at", directory.addresses["a"])
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
