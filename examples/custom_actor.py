"""An actor of your own in a node's tree: it is started, supervised and stopped with the node."""

from __future__ import annotations

import trio

import triode
from triode.actors import Actor


class Auditor(Actor[str]):
    """Writes lines into the store; crashes are the supervisor's business, not its own."""

    mailbox_messages_max = 100

    def __init__(self, client: triode.Client) -> None:
        super().__init__(name="auditor")
        self._client = client
        self._written = 0

    async def handle(self, batch: list[str]) -> None:
        for line in batch:
            self._written += 1
            await self._client.put(f"audit/{self._written:04}", line)

    async def stopping(self) -> None:
        print(f"{self._written} lines written")


async def main() -> None:
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node, node.client() as client:
        auditor = await node.supervisor.start_child(Auditor(client))
        auditor.tell("somebody came")
        auditor.tell("somebody left")
        async with client.watch("audit/0002", start_revision=1) as watch:
            await anext(watch)
        print(await client.count(triode.prefix("audit/")), "keys")


if __name__ == "__main__":
    trio.run(main)
