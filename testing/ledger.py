"""The simplest workload: each client writes numbers to keys of its own, and reads what it has written.

It needs no search to judge: what was acknowledged is there, what was read never goes back, and every value that
is found was written.
"""

from __future__ import annotations

from random import Random

import trio

from ..errors import EtcdError
from .cluster import Cluster
from .machine import Machine

__all__ = ["LedgerClient"]

REPLY_SECONDS_MAX = 3.0


class LedgerClient:
    """Writes 1, 2, 3, ... to its key through members at random.

    Attributes:
        acknowledged: the greatest number that a put or a read was answered with.
        asked: the greatest number that may have been written.
        violations: what was promised and not kept.
    """

    def __init__(self, cluster: Cluster, number: int, random: Random) -> None:
        self._cluster = cluster
        self._random = random
        self.key = b"ledger/%d" % number
        self.acknowledged = 0
        self.asked = 0
        self.answered = 0
        self.violations: list[str] = []

    async def run(self) -> None:
        """Write and read until cancelled."""
        while True:
            await trio.sleep(self._random.uniform(0.01, 0.3))
            with trio.move_on_after(REPLY_SECONDS_MAX):
                try:
                    await (self.put() if self._random.random() < 0.6 else self.get())
                except EtcdError:
                    continue

    async def put(self) -> None:
        """Write the next number."""
        self.asked += 1
        number = self.asked
        await self._cluster.client(self._any()).put(self.key, b"%d" % number)
        self.answered += 1
        self.acknowledged = max(self.acknowledged, number)

    async def get(self, which: Machine | None = None) -> None:
        """Read the newest number, linearizably, from that member or any."""
        floor = self.acknowledged
        response = await self._cluster.client(which or self._any()).get(self.key)
        self.answered += 1
        self.found(int(response.kvs[0].value) if response.kvs else 0, floor)

    def found(self, number: int, floor: int) -> None:
        """A read that began when `floor` was acknowledged has shown `number`."""
        if not floor <= number <= self.asked:
            self.violations.append(
                f"{self.key.decode()} was read as {number}: acknowledged were {floor}, asked for {self.asked}"
            )
        self.acknowledged = max(self.acknowledged, number)

    def _any(self) -> Machine:
        return self._random.choice(list(self._cluster.machines.values()))
