"""A copy of a cluster's keys in another cluster, which follows every change; and a backup in a file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import trio

import triode


async def copy_all(source: triode.Client, target: triode.Client) -> None:
    """Everything below `app/`, under another name there; for ever."""
    mirror = source.mirror(triode.prefix("app/"))
    await mirror.copy_to(target, rename=lambda key: b"copy/" + key)


async def backup(client: triode.Client, path: Path) -> int:
    """The whole store as a snapshot file, as `etcdctl snapshot save` writes it; returns its size."""
    size = 0
    async with await trio.open_file(path, "wb") as file, client.maintenance.snapshot() as chunks:
        async for chunk in chunks:
            size += await file.write(chunk)
    return size


async def main() -> None:
    config = triode.Config(backend="memory", listen_client_urls=())
    async with (
        triode.open_node(config) as here,
        triode.open_node(config) as there,
        here.client() as source,
        there.client() as target,
        trio.open_nursery() as nursery,
    ):
        for number in range(500):
            await source.put(f"app/{number:03}", "old")
        nursery.start_soon(copy_all, source, target)
        async with target.watch(triode.prefix("copy/"), start_revision=2) as watch:
            await source.put("app/end", "new")
            await source.delete("app/000")
            async for event in watch:
                if event.is_delete:
                    print("the copy has followed:", event.key.decode())
                    break
        print(await target.count(triode.prefix("copy/")), "keys in the copy")
        with tempfile.TemporaryDirectory() as folder:
            size = await backup(target, Path(folder) / "backup.db")
            print("a backup of more than its keys:", size > 500)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
