"""The client that programs use, over a simulated cluster."""

from __future__ import annotations

import pytest
import trio

from triode import key, prefix, put
from triode.client.errors import LeaseLost, Unreachable
from triode.errors import EtcdError
from triode.testing import Cluster, cluster, run


async def test_calls_go_on_when_a_member_dies(triode_cluster: Cluster) -> None:
    async with triode_cluster.connect() as client:
        assert client.endpoints == ("m1", "m2", "m3")
        await client.put("key", "1")
        for _ in range(3):
            leader = await triode_cluster.leader()
            await triode_cluster.crash(leader)
            await triode_cluster.leader()
            for _ in range(4):
                assert (await client.get("key")).value == b"1"  # type: ignore[union-attr]
            await triode_cluster.restart(leader)
        result = await client.txn().when(key("key").value == "1").then(put("key", "2")).commit()
        assert result


async def test_a_watch_outlives_its_member(triode_cluster: Cluster) -> None:
    async with triode_cluster.connect() as client, client.watch(prefix("k")) as watch:
        for number in range(6):
            victim = await triode_cluster.leader() if number % 2 else None
            if victim is not None:
                await triode_cluster.crash(victim)
                await triode_cluster.leader()
            while True:
                try:
                    await client.put(f"k{number}", str(number))
                    break
                except EtcdError:
                    continue
            if victim is not None:
                await triode_cluster.restart(victim)
        seen: list[bytes] = []
        with trio.fail_after(60):
            async for event in watch:
                if event.key not in seen:
                    seen.append(event.key)
                if len(seen) == 6:
                    break
        assert seen == [b"k0", b"k1", b"k2", b"k3", b"k4", b"k5"]


async def test_a_lease_is_kept_while_leaders_come_and_go(triode_cluster: Cluster) -> None:
    async with triode_cluster.connect() as client, client.lease(10) as lease:
        await client.put("mine", "1", lease=lease.id)
        for _ in range(2):
            leader = await triode_cluster.leader()
            await triode_cluster.crash(leader)
            await triode_cluster.advance_time(15)
            await triode_cluster.restart(leader)
        assert await client.get("mine") is not None


async def test_a_holder_that_is_cut_off_knows(triode_cluster: Cluster) -> None:
    await triode_cluster.leader()
    async with triode_cluster.connect("m1") as client:
        with pytest.raises(LeaseLost):  # noqa: PT012
            async with client.lease(5):
                await triode_cluster.crash("m1")
                await trio.sleep(60)


async def test_nobody_serves(triode_cluster: Cluster) -> None:
    async with triode_cluster.connect() as client:
        for name in client.endpoints:
            await triode_cluster.crash(name)
        with pytest.raises(Unreachable, match="does not serve"):
            await client.get("key")


def test_it_is_the_same_each_time() -> None:
    """Two runs of one seed give the same revisions at the same times."""

    async def main() -> list[tuple[float, int]]:
        seen: list[tuple[float, int]] = []
        async with cluster(members=3, seed=5) as made, made.connect() as client:
            for number in range(10):
                response = await client.put(str(number), "x")
                await client.get(str(number))
                seen.append((trio.current_time(), response.header.revision))
            await made.crash(await made.leader())
            await client.get("1")
            seen.append((trio.current_time(), 0))
        return seen

    first, second = run(main, seed=3), run(main, seed=3)
    start, again = first[0][0], second[0][0]
    assert [(at - start, n) for at, n in first] == [(at - again, n) for at, n in second]
