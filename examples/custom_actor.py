"""An actor of your own in a node's tree: it is started, supervised and stopped with the node."""

from __future__ import annotations

import trio

import triode
from triode.actors import Actor


class Auditor(Actor[str]):
    """Writes lines into the store; crashes are the supervisor's business, not its own."""

    mailbox_messages_max = 100

    def __init__(self, node: triode.Node) -> None:
        super().__init__(name="auditor")
        self._node = node
        self._written = 0

    async def handle(self, batch: list[str]) -> None:
        for line in batch:
            self._written += 1
            await self._node.local.put(b"audit/%04d" % self._written, line.encode())

    async def stopping(self) -> None:
        print(f"{self._written} lines written")


async def main() -> None:
    config = triode.Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node:
        auditor = await node.supervisor.start_child(Auditor(node))
        auditor.tell("somebody came")
        auditor.tell("somebody left")
        async with node.local.watch(b"audit/0002") as responses:
            found = await node.local.get(b"audit/0002")
            if not found.count:
                async for _ in responses:
                    break
        print((await node.local.get(b"audit/", b"audit0", count_only=True)).count, "keys")


if __name__ == "__main__":
    trio.run(main)
