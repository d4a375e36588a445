"""Of several workers one does the work; when it stops, the next takes over where it was."""

from __future__ import annotations

import trio

import triode

ROUNDS = 6


async def worker(client: triode.Client, name: str, rounds: int, log: list[str]) -> None:
    """Work for some rounds once elected. `held` makes each step count only while this one leads."""
    async with client.election("worker").campaign(name, ttl=10) as leadership:
        for _ in range(rounds):
            kv = await client.get("step")
            step = int(kv.value) if kv is not None else 0
            if step == ROUNDS:
                return
            done = (
                await client.txn()
                .when(leadership.held)
                .then(triode.put("step", str(step + 1)))
                .commit()
            )
            if not done:
                return  # another one leads by now
            log.append(f"step {step + 1} by {name}")


async def main() -> None:
    config = triode.Config(backend="memory", listen_client_urls=())
    log: list[str] = []
    async with triode.open_node(config) as node, node.client() as client:
        async with trio.open_nursery() as nursery:
            for name in ("anna", "bert", "cleo"):
                nursery.start_soon(worker, client, name, 2, log)
        kv = await client.get("step")
        assert kv is not None
        print(f"{kv.value.decode()} steps by {len({line.split()[-1] for line in log})} workers")
        for line in log:
            print(line.partition(" by ")[0])


if __name__ == "__main__":
    trio.run(main)
