"""Three members over sockets, of which one dies: the client goes on with the others."""

from __future__ import annotations

import pytest
import trio

import triode
import triode.testing
from triode.errors import EtcdError


async def put(client: triode.Client, key: str, value: str) -> None:
    """Until there is an answer; it may be put twice."""
    while True:
        try:
            await client.put(key, value)
        except EtcdError:
            await trio.sleep(0.05)
        else:
            return


@pytest.mark.parametrize("victim", ["leader", "follower"])
async def test_everything_goes_on_elsewhere(victim: str) -> None:
    with trio.fail_after(60):
        async with (
            triode.testing.cluster(members=3, real_network=True) as cluster,
            triode.connect(
                *(m.node.client_urls[0] for m in cluster.machines.values() if m.node is not None)
            ) as client,
            client.watch("k") as watch,
            client.lock("name", ttl=5) as lock,
            client.election("boss").campaign("me", ttl=5) as leadership,
        ):
            leader = await cluster.leader()
            others = [m for m in cluster.machines.values() if m is not leader]
            await put(client, "k", "before")
            assert (await anext(watch)).value == b"before"
            # Whichever member carries the streams, it is gone after two deaths with a return in between.
            for dies in (leader, others[0]) if victim == "leader" else others:
                await cluster.kill(dies)
                await put(client, "k", dies.name)
                while (await anext(watch)).value != dies.name.encode():
                    pass  # something that was put twice
                await cluster.restart(dies)
            assert not lock.lease.lost
            await leadership.proclaim("still me")
            assert await client.txn().when(lock.held, leadership.held).commit()
