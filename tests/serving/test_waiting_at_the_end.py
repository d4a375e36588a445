"""A node that ends by an error ends, whoever waits for something."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import triode
from triode.config import Config
from triode.rpc.pb.v3election_pb2 import CampaignRequest
from triode.rpc.pb.v3lock_pb2 import LockRequest

METHODS: dict[str, Any] = {
    "v3lockpb.Lock/Lock": LockRequest(name=b"x"),
    "v3electionpb.Election/Campaign": CampaignRequest(name=b"x"),
}


async def fails_while_somebody_waits(method: str) -> None:
    config = Config(backend="memory", listen_client_urls=())
    async with triode.open_node(config) as node, trio.open_nursery() as nursery:
        await node.local.call(f"/{method}", METHODS[method])
        nursery.start_soon(node.local.call, f"/{method}", METHODS[method])
        await trio.testing.wait_all_tasks_blocked(0.05)
        raise ValueError("of the block")


@pytest.mark.parametrize("method", METHODS)
async def test_a_block_that_raises_while_somebody_waits_in_a_queue(method: str) -> None:
    """The place in the queue is given up, but there is nobody left who could say so."""
    with trio.fail_after(20), pytest.raises(ExceptionGroup) as raised:
        await fails_while_somebody_waits(method)
    assert raised.group_contains(ValueError, match="of the block")
