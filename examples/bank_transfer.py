"""Money is moved by many tasks at once and none is lost: software transactional memory.

A function reads and writes accounts; when somebody else has changed what it read, it is called again.
"""

from __future__ import annotations

from random import Random

import trio

import triode

ACCOUNTS = ("anna", "bert", "cleo")


class NotEnough(Exception):
    pass


async def transfer(client: triode.Client, source: str, target: str, amount: int) -> None:
    async def move(stm: triode.Stm) -> None:
        left = int(await stm.get(f"account/{source}") or 0) - amount
        if left < 0:
            raise NotEnough  # nothing is written
        there = int(await stm.get(f"account/{target}") or 0)
        stm.put(f"account/{source}", str(left))
        stm.put(f"account/{target}", str(there + amount))

    await client.stm(move)


async def customer(client: triode.Client, random: Random, refused: list[str]) -> None:
    for _ in range(10):
        source, target = random.sample(ACCOUNTS, 2)
        try:
            await transfer(client, source, target, random.randrange(1, 60))
        except NotEnough:
            refused.append(source)


async def main() -> None:
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node, node.client() as client:
        for name in ACCOUNTS:
            await client.put(f"account/{name}", "100")
        refused: list[str] = []
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(customer, client, Random(number), refused)
        found = await client.range(triode.prefix("account/"))
        amounts = [int(kv.value) for kv in found.kvs]
        print("together:", sum(amounts), "- none below zero:", min(amounts) >= 0)


if __name__ == "__main__":
    trio.run(main)
