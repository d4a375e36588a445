"""With clocks that run alike, two never hold a lock at once, whatever happens to members and links: from seeds."""

from __future__ import annotations

from random import Random

import pytest
import trio

import triode
import triode.testing

TTL = 4
WORKERS = 4
SECONDS = 120.0


class Referee:
    """Watches who holds the lock, and with which tokens."""

    def __init__(self) -> None:
        self.holders: set[int] = set()
        self.tokens: list[int] = []
        self.lost = 0

    def enters(self, worker: int, token: int) -> None:
        assert not self.holders, f"{worker} enters while {self.holders} are inside"
        assert not self.tokens or token > self.tokens[-1]
        self.holders.add(worker)
        self.tokens.append(token)


async def work(client: triode.Client, worker: int, random: Random, referee: Referee) -> None:
    while True:
        try:
            async with client.lock("name", ttl=TTL) as lock:
                referee.enters(worker, lock.token)
                try:
                    await trio.sleep(random.uniform(0, 2 * TTL))
                finally:
                    referee.holders.remove(worker)
        except triode.LeaseLost:
            referee.lost += 1
        except triode.EtcdError:  # no lease was to be had
            await trio.sleep(0.1)


async def harm(cluster: triode.testing.Cluster, random: Random) -> None:
    """Crashes, cuts and pauses, one at a time."""
    while True:
        await trio.sleep(random.uniform(0.5, TTL))
        victim = random.choice(list(cluster.machines.values()))
        what = random.choice(["crash", "cut", "cut one way", "pause"])
        if what == "crash":
            await cluster.crash(victim)
        elif what == "cut":
            cluster.partition(victim)
        elif what == "cut one way":
            others = [m for m in cluster.machines.values() if m is not victim]
            cluster.partition_one_way(victim, others)
        else:
            cluster.pause(victim)
        await trio.sleep(random.uniform(0.1, 2 * TTL))
        if what == "crash":
            await cluster.restart(victim)
        elif what == "pause":
            cluster.resume(victim)
        else:
            cluster.heal()


async def contend(seed: int) -> Referee:
    random, referee = Random(seed), Referee()
    async with triode.testing.cluster(members=3, seed=seed) as cluster:
        names = [None, None, "m1", "m2"]  # half of them know one member only

        async def one(worker: int, which: str | None) -> None:
            async with cluster.connect(which) as client:
                await work(client, worker, Random(f"{seed} {worker}"), referee)

        with trio.move_on_after(SECONDS):
            async with trio.open_nursery() as nursery:
                for worker in range(WORKERS):
                    nursery.start_soon(one, worker, names[worker])
                nursery.start_soon(harm, cluster, random)
        cluster.heal()
        for machine in cluster.machines.values():
            if machine.paused:
                cluster.resume(machine)
    return referee


@pytest.mark.parametrize("seed", range(2))
def test_two_never_hold_it(seed: int) -> None:
    referee = triode.testing.run(contend, seed, seed=seed)
    assert len(referee.tokens) > 5
    assert referee.lost > 0  # it was worth it


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 60))
def test_two_never_hold_it_for_long(seed: int) -> None:
    assert triode.testing.run(contend, seed, seed=seed).tokens
