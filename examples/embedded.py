"""A node inside your program: no files, no sockets, calls in process."""

from __future__ import annotations

import trio

import triode


async def main() -> None:
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node:
        await node.local.put(b"job/1", b"queued")
        await node.local.put(b"job/1", b"running")
        async with node.local.watch(b"job/", b"job0", start_revision=1) as responses:
            seen = 0
            async for response in responses:
                for event in response.events:
                    print(f"revision {event.kv.mod_revision}: {event.kv.value.decode()}")
                    seen += 1
                if seen == 2:
                    break


if __name__ == "__main__":
    trio.run(main)
