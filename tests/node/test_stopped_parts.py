"""A node stops its actors one after the other; those that still work must do without the others."""

from __future__ import annotations

import pytest

from triode import Config, open_node
from triode.errors import Stopped
from triode.rpc.pb.rpc_pb2 import CompactionRequest


async def test_entries_are_applied_to_the_end() -> None:
    """A compaction wakes the compactor, which has stopped before the applier does."""
    async with open_node(Config(backend="memory", listen_client_urls=())) as node:
        for number in range(3):
            await node.local.put(b"k", b"%d" % number)
        for actor in (node.compactor, node.broadcaster, node.tasks):
            actor.stop()
            await actor.wait_stopped()
        await node.local.call("KV/Compact", CompactionRequest(revision=2))
        node.broadcaster.wake()
        with pytest.raises(Stopped):
            node.tasks.spawn(node.wait_led)
