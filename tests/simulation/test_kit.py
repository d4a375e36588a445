"""What people who test their own programs find: one seed, errors as they are, and words for what went wrong."""

from __future__ import annotations

import pytest
import trio

import triode.testing
from triode.testing import Cluster
from triode.testing.determinism import next_seed


async def elected() -> tuple[str, float]:
    """Who leads a cluster to whom no seed is given, and since when."""
    async with triode.testing.cluster() as cluster:
        return (await cluster.leader()).name, trio.current_time()


def test_the_seed_of_run_is_that_of_the_clusters_in_it() -> None:
    """Elections differ with it, and repeat themselves."""
    found = {seed: triode.testing.run(elected, seed=seed) for seed in range(8)}
    assert len({when for _, when in found.values()}) > 4
    assert len({leader for leader, _ in found.values()}) > 1
    assert triode.testing.run(elected, seed=5) == found[5]


def test_two_clusters_of_a_run_differ() -> None:
    async def main() -> set[float]:
        times = set()
        for _ in range(4):
            began = trio.current_time()
            _, when = await elected()
            times.add(round(when - began, 6))
        return times

    assert len(triode.testing.run(main, seed=3)) > 2


def test_outside_of_run_clusters_are_alike() -> None:
    assert [next_seed(), next_seed()] == [0, 0]


@pytest.mark.triode_cluster(5, seed=9)
async def test_the_marker_takes_the_number_by_its_place(triode_cluster: Cluster) -> None:
    """And its seed is the scheduler's as well."""
    assert list(triode_cluster.machines) == ["m1", "m2", "m3", "m4", "m5"]
    assert next_seed() == 9


@pytest.mark.parametrize("raised", [ValueError, triode.testing.ConnectionLost])
def test_what_a_block_raises_comes_out_as_it_is(raised: type[Exception]) -> None:
    """As from the real client and the real node."""

    async def main() -> None:
        async with triode.testing.cluster(1) as cluster, cluster.connect():
            raise raised()

    with pytest.raises(raised):
        triode.testing.run(main)


async def test_no_leader_is_told_with_who_is_up_and_who_reaches_whom(
    triode_cluster: Cluster,
) -> None:
    leader = await triode_cluster.leader()
    await triode_cluster.crash(leader)
    left = [machine for machine in triode_cluster.machines.values() if machine is not leader]
    triode_cluster.partition([left[0]])
    triode_cluster.pause(left[1])
    with pytest.raises(trio.TooSlowError) as slow:
        await triode_cluster.leader(seconds_max=30)
    told = str(slow.value)
    assert told.startswith("no leader within 30 s: ")
    assert f"{leader.name} is down" in told
    assert f"{left[0].name} is up, in term " in told
    assert f"{left[1].name} is up, paused, in term " in told
    assert f"{left[0].name} does not reach {left[1].name}" in told
