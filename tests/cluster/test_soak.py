"""One fault after the other, drawn from a seed, for as long as is asked for.

`SOAK_SECONDS=600 SOAK_SEED=7 pytest -m long tests/cluster/test_soak.py`
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
SMALL_LOG = ("--snapshot-count", "200")
ROUND_ANSWERS = 400  # of a life, so that histories stay short enough to be judged


class Faults:
    """What happens to a cluster. Not more than a minority is away at any time."""

    def __init__(self, cluster: Any, load: Any, seed: int) -> None:
        self.cluster = cluster
        self.load = load
        self.chance = random.Random(seed)
        self.done: list[str] = []

    def one(self) -> None:
        """A fault, some work meanwhile, and its end."""
        minority = (len(self.cluster.members) - 1) // 2
        victims = self.chance.sample(self.cluster.members, self.chance.randint(1, minority))
        if self.chance.random() < 0.5:
            leader = self.cluster.leader()
            victims = [leader, *(one for one in victims if one is not leader)][:minority]
        how = self.chance.choice([self.kill, self.pause, self.stop, self.move])
        self.done.append(f"{how.__name__} {[one.name for one in victims]}")
        how(victims)
        self.work(10)

    def work(self, most: int) -> None:
        self.load.wait_answers(self.chance.randint(0, most), 60)

    def kill(self, victims: list[Any]) -> None:
        for one in victims:
            one.kill()
        self.work(40)
        for one in victims:
            one.start()

    def pause(self, victims: list[Any]) -> None:
        for one in victims:
            one.pause()
        self.work(40)
        for one in victims:
            one.resume()

    def stop(self, victims: list[Any]) -> None:
        for one in victims:
            one.stop(60)
        self.work(40)
        for one in victims:
            one.start()

    def move(self, victims: list[Any]) -> None:
        leader = self.cluster.leader()
        leader.ctl("move-leader", f"{victims[0].member_id:x}")


@pytest.mark.long
@pytest.mark.timeout(SECONDS * 3 + 300)
@pytest.mark.parametrize("size", [3, 5])
def test_faults_from_a_seed(
    make_cluster: Callable[..., Any], start_load: Any, verify: Any, size: int
) -> None:
    """Nothing that was acknowledged is lost, nothing stale is read, all members end up the same."""
    end = time.monotonic() + SECONDS
    turn = 0
    while time.monotonic() < end:
        cluster = make_cluster(size, *SMALL_LOG)
        load = start_load(cluster, seed=SEED + turn, call_seconds=1.5)
        faults = Faults(cluster, load, SEED + turn)
        try:
            load.wait_answers(20)
            while len(load.operations) < ROUND_ANSWERS * size and time.monotonic() < end:
                faults.one()
            verify(cluster, load)
        except BaseException:
            print(f"seed {SEED + turn}: {faults.done}")
            raise
        cluster.close()
        turn += 1
