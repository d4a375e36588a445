"""Reading more keys than one answer should hold: page by page, and all as they were at one moment.

While the pages are read, others write; none of that is seen, because all pages are of the first one's revision.
"""

from __future__ import annotations

import trio

import triode

KEYS = 5000


async def fill(client: triode.Client) -> None:
    for start in range(0, KEYS, 100):
        puts = [triode.put(f"big/{number:06}", "1") for number in range(start, start + 100)]
        await client.txn().then(*puts).commit()


async def main() -> None:
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node, node.client() as client:
        await fill(client)
        scan = client.scan(triode.prefix("big/"), page_keys=500)
        seen = total = 0
        async for kv in scan:
            seen += 1
            total += int(kv.value)
            if seen % 1000 == 0:  # somebody changes keys that are still to come
                await client.put(f"big/{KEYS - 1:06}", "1000")
                await client.delete(f"big/{KEYS - 2:06}")
        print(f"{seen} keys, in total {total}, at revision {scan.revision}")
        now = await client.count(triode.prefix("big/"))
        print(f"{now} keys by now; the newest, only counted")


if __name__ == "__main__":
    trio.run(main)
