"""Jobs that several workers take from a queue: each job is done by one of them, urgent ones first."""

from __future__ import annotations

import trio

import triode


class Crew:
    """Workers that take jobs until a number of them is done."""

    def __init__(self, client: triode.Client, jobs: int) -> None:
        self.queue = client.priority_queue("jobs")
        self.done: list[str] = []
        self._jobs = jobs

    async def work(self, workers: int) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(workers):
                nursery.start_soon(self._worker, nursery.cancel_scope)

    async def _worker(self, everything: trio.CancelScope) -> None:
        while True:
            job = (await self.queue.dequeue()).decode()  # waits while there is nothing to do
            self.done.append(job)
            if len(self.done) == self._jobs:
                everything.cancel()


async def main() -> None:
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node, node.client() as client:
        one = Crew(client, 4)
        for job, priority in [("sweep", 9), ("cook", 5), ("put out the fire", 0), ("wash up", 5)]:
            await one.queue.enqueue(job, priority)
        await one.work(workers=1)
        print(", ".join(one.done))

        three = Crew(client, 20)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(three.work, 3)
            for number in range(20):
                await three.queue.enqueue(f"job {number}", number % 3)
        print(len(three.done), "jobs, each done once:", len(set(three.done)) == len(three.done))


if __name__ == "__main__":
    trio.run(main)
