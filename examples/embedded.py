"""A node inside your program: no files, no sockets, calls in process."""

from __future__ import annotations

import trio

import triode


async def main() -> None:
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node, node.client() as client:
        await client.put("job/1", "queued")
        await client.put("job/1", "running")
        async with client.watch(triode.prefix("job/"), start_revision=1) as watch:
            async for event in watch:
                print(f"revision {event.revision}: {event.value.decode()}")
                if event.value == b"running":
                    break


if __name__ == "__main__":
    trio.run(main)
