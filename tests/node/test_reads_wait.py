"""A read that waits for an entry is served when that is applied, and each entry is applied once."""

from __future__ import annotations

from triode import Config, open_node


async def test_a_read_waits_for_its_entry() -> None:
    async with open_node(Config(backend="memory", listen_client_urls=())) as node:
        seen: list[int] = []
        for ahead in (2, 1):
            index = node.applier.applied_index + ahead
            node.context.when_applied(index, lambda: seen.append(node.applier.applied_index))
        assert seen == []
        await node.local.put(b"k", b"1")
        assert len(seen) == 1
        await node.local.put(b"k", b"2")
        assert len(seen) == 2
        assert seen[1] == seen[0] + 1


async def test_each_put_makes_one_revision() -> None:
    async with open_node(Config(backend="memory", listen_client_urls=())) as node:
        for number in range(50):
            assert (await node.local.put(b"k", b"")).header.revision == number + 2
