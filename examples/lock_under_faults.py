"""Testing code that holds a lock against a crash of the leader and the end of a lease, without sleeping.

Run with pytest; the fixture `triode_cluster` is a cluster of three members in virtual time.
"""

from __future__ import annotations

import trio

import triode
import triode.testing

TTL_SECONDS = 5

# --- the code under test --------------------------------------------------------------------------


async def work(client: triode.Client, name: str, log: list[str]) -> None:
    """Work for as long as one may, as the only one."""
    try:
        async with client.lock("work", ttl=TTL_SECONDS):
            log.append(f"{name} begins")
            await trio.sleep_forever()
    except triode.LeaseLost:
        log.append(f"{name} stops")


# --- the tests ------------------------------------------------------------------------------------


async def test_the_lock_outlives_the_leader(triode_cluster: triode.testing.Cluster) -> None:
    log: list[str] = []
    async with triode_cluster.connect() as client, trio.open_nursery() as nursery:
        nursery.start_soon(work, client, "anna", log)
        await triode_cluster.advance_time(1)
        nursery.start_soon(work, client, "bert", log)
        await triode_cluster.crash(await triode_cluster.leader())
        await triode_cluster.leader()  # another one
        await triode_cluster.advance_time(10 * TTL_SECONDS)
        assert log == ["anna begins"]
        nursery.cancel_scope.cancel()


async def test_who_is_cut_off_stops_before_the_next_begins(
    triode_cluster: triode.testing.Cluster,
) -> None:
    log: list[str] = []
    await triode_cluster.move_leader("m1")
    async with (
        triode_cluster.connect("m3") as far_away,
        triode_cluster.connect("m1") as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(work, far_away, "anna", log)
        await triode_cluster.advance_time(1)
        nursery.start_soon(work, client, "bert", log)
        await triode_cluster.advance_time(3 * TTL_SECONDS)
        assert log == ["anna begins"]
        triode_cluster.partition("m3")  # nobody renews anna's lease any more
        await triode_cluster.advance_time(3 * TTL_SECONDS)
        assert log == ["anna begins", "anna stops", "bert begins"]
        nursery.cancel_scope.cancel()


if __name__ == "__main__":

    async def main() -> None:
        for test in (
            test_the_lock_outlives_the_leader,
            test_who_is_cut_off_stops_before_the_next_begins,
        ):
            async with triode.testing.cluster(members=3) as cluster:
                await test(cluster)
                print(test.__name__)

    triode.testing.run(main)
