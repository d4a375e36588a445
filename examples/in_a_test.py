"""Testing your own code against a real etcd API, in milliseconds and without a container.

Run with pytest; the fixture gives each test a fresh store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

import triode


@asynccontextmanager
async def fresh_client() -> AsyncIterator[triode.Client]:
    """Make this a fixture of pytest-trio in your own tests."""
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node, node.client() as client:
        yield client


async def take_job(client: triode.Client, job: str, worker: str) -> bool:
    """The code under test: only one worker gets the job."""
    free = triode.key(job).absent
    return bool(await client.txn().when(free).then(triode.put(job, worker)).commit())


async def test_a_job_is_taken_once() -> None:
    async with fresh_client() as client:
        assert await take_job(client, "job/1", "anna")
        assert not await take_job(client, "job/1", "bert")


if __name__ == "__main__":
    trio.run(test_a_job_is_taken_once)
    print("the job was taken once")
