"""The same work on each storage engine, side by side: they differ in speed and in what is left, not in what they do."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import trio

import triode

KEYS = 300
BACKENDS = ("memory", "sqlite")


async def work(client: triode.Client) -> int:
    """Puts from many tasks, a deletion, a read; returns how many keys are left."""

    async def put(number: int) -> None:
        await client.put(f"k/{number:04}", "v" * 100)

    async with trio.open_nursery() as nursery:
        for number in range(KEYS):
            nursery.start_soon(put, number)
    await client.delete(triode.key_range("k/0000", "k/0100"))
    return await client.count(triode.prefix("k/"))


def bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def compare(folder: Path) -> None:
    for backend in BACKENDS:
        config = triode.Config(backend=backend, data_dir=folder / backend, listen_client_urls=())
        begin = time.perf_counter()
        async with triode.open_node(config) as node, node.client() as client:
            count = await work(client)
            revision = (await client.range("k/0200")).header.revision
        seconds = time.perf_counter() - begin
        left = bytes_below(folder / backend)
        kept = "something" if left else "nothing"
        print(f"{backend}: {count} keys at revision {revision}; on disk: {kept}")
        print(f"# {seconds:.2f} s, {left:,} bytes", flush=True)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        await compare(Path(folder))


if __name__ == "__main__":
    trio.run(main)
