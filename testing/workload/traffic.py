"""What clients do: mixes of requests, each a coroutine that does one thing and returns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random

import trio

from ..checkers import requests as r
from ..checkers.history import Operation
from .client import RecordingClient

__all__ = ["MIXES", "Counters", "Kubernetes", "Leases", "LongLeases", "Mix", "Plain"]

LEASE_ID_MAX = 1 << 40
TTL_SECONDS = (2, 3, 5, 9)  # of a run at its usual pace
LONG_TTL_SECONDS = (60, 3600)
LONG_LEASES_MAX = 2


class Mix:
    """One client's traffic. `one` makes a request or a few that belong together."""

    def __init__(self, client: RecordingClient, random: Random, scale: float = 1.0) -> None:
        self.client = client
        self.random = random
        self.scale = scale  # how much longer leases last than usual
        self.revision = 0  # the newest that this client has seen
        self._values = 0

    async def one(self) -> None:
        """Do something."""
        kinds, weights = zip(*self.choices(), strict=True)
        await self.random.choices(kinds, weights)[0]()

    def choices(self) -> list[tuple[Callable[[], Awaitable[object]], int]]:
        """What there is to do, and how often it is done."""
        raise AssertionError("a mix has choices")

    async def do(self, request: r.Request) -> Operation:
        """Make a request."""
        op = await self.client.do(request)
        self.revision = max(self.revision, op.revision)
        return op

    def value(self) -> bytes:
        """A value that nobody else writes: by it a write is known again."""
        self._values += 1
        return b"%d.%d" % (self.client.number, self._values)


class Plain(Mix):
    """Puts, reads, deletes and transactions of few keys; reads of the past, serializable reads, compactions."""

    prefix = b"plain/"
    keys_count = 6

    def choices(self) -> list[tuple[Callable[[], Awaitable[object]], int]]:
        return [
            (self.put, 8),
            (self.get, 6),
            (self.list, 3),
            (self.delete, 2),
            (self.txn, 4),
            (self.stale, 3),
            (self.past, 2),
            (self.compact, 1),
        ]

    def key(self) -> bytes:
        return self.prefix + b"%d" % self.random.randrange(self.keys_count)

    async def put(self) -> None:
        prev = self.random.random() < 0.3
        await self.do(r.Put(self.key(), self.value(), prev_kv=prev))

    async def get(self) -> None:
        await self.do(r.Range(self.key()))

    async def list(self) -> None:
        limit = self.random.choice([0, 0, 2])
        await self.do(r.Range(self.prefix, self.prefix[:-1] + b"0", limit=limit))

    async def delete(self) -> None:
        await self.do(r.Delete(self.key(), prev_kv=self.random.random() < 0.3))

    async def txn(self) -> None:
        one, other = self.key(), self.key()
        compare = r.Compare(one, r.VERSION, r.GREATER, self.random.randrange(3))
        success: list[r.Op] = [r.Put(one, self.value())]
        if other != one:
            change: r.Op = r.Put(other, self.value())
            delete = r.Delete(other, prev_kv=self.random.random() < 0.5)
            success.append(change if self.random.random() < 0.5 else delete)
        # where it stands in the middle, a read that fails leaves half a txn
        place = len(success) - self._values % len(success)
        success.insert(place, r.Range(self.prefix, self.prefix[:-1] + b"0"))
        await self.do(r.Txn((compare,), tuple(success), (r.Put(other, self.value()),)))

    async def stale(self) -> None:
        await self.do(r.Range(self.prefix, self.prefix[:-1] + b"0", serializable=True))

    async def past(self) -> None:
        if self.revision > 2:
            at = self.random.randrange(max(1, self.revision - 30), self.revision + 1)
            serializable = self.random.random() < 0.5
            await self.do(r.Range(self.key(), revision=at, serializable=serializable))

    async def compact(self) -> None:
        if self.revision > 10 and self.random.random() < 0.5:
            physical = self.random.random() < 0.2
            await self.do(r.Compact(self.revision - self.random.randrange(10), physical))


class Kubernetes(Mix):
    """Optimistic changes of objects, as an API server makes them: each compares the revision that it has read."""

    prefix = b"registry/"
    objects_count = 5

    def choices(self) -> list[tuple[Callable[[], Awaitable[object]], int]]:
        return [(self.create, 3), (self.update, 6), (self.remove, 2), (self.list, 4)]

    def key(self) -> bytes:
        return self.prefix + b"pods/%d" % self.random.randrange(self.objects_count)

    async def create(self) -> None:
        key = self.key()
        absent = r.Compare(key, r.MOD, r.EQUAL, 0)
        await self.do(r.Txn((absent,), (r.Put(key, self.value()),), (r.Range(key),)))

    async def update(self) -> None:
        await self._change(lambda key: r.Put(key, self.value()))

    async def remove(self) -> None:
        await self._change(r.Delete)

    async def _change(self, how: Callable[[bytes], r.Op]) -> None:
        key = self.key()
        found = await self.do(r.Range(key))
        if isinstance(found.response, r.Got) and found.response.kvs:
            seen = found.response.kvs[0].mod_revision
            same = r.Compare(key, r.MOD, r.EQUAL, seen)
            await self.do(r.Txn((same,), (how(key),), (r.Range(key),)))

    async def list(self) -> None:
        first = await self.do(r.Range(self.prefix, b"registry0", limit=2))
        if isinstance(first.response, r.Got) and first.response.more:
            last = first.response.kvs[-1].key
            await self.do(r.Range(last + b"\0", b"registry0", revision=first.revision))


class Counters(Mix):
    """Numbers that are counted up, and texts that are appended to, by comparing values."""

    def choices(self) -> list[tuple[Callable[[], Awaitable[object]], int]]:
        return [(self.count, 4), (self.append, 2), (self.look, 1)]

    async def count(self) -> None:
        await self._swap(b"counter/%d" % self.random.randrange(2), _next)

    async def append(self) -> None:
        mark = b"%d;" % self.client.number
        await self._swap(b"text/0", lambda old: (old + mark)[-200:])

    async def look(self) -> None:
        await self.do(r.Range(b"counter/", b"counter0"))

    async def _swap(self, key: bytes, change: Callable[[bytes], bytes]) -> None:
        found = await self.do(r.Range(key))
        if not isinstance(found.response, r.Got):
            return
        if found.response.kvs:
            old = found.response.kvs[0].value
            same = r.Compare(key, r.VALUE, r.EQUAL, old)
        else:
            old, same = b"", r.Compare(key, r.VERSION, r.EQUAL, 0)
        await self.do(r.Txn((same,), (r.Put(key, change(old)),), (r.Range(key),)))


def _next(old: bytes) -> bytes:
    return b"%d" % (int(old or b"0") + 1)


class Leases(Mix):
    """Leases of a few seconds: kept alive for a while, then revoked or left to end."""

    def __init__(self, client: RecordingClient, random: Random, scale: float = 1.0) -> None:
        super().__init__(client, random, scale)
        self.leases: list[int] = []

    def choices(self) -> list[tuple[Callable[[], Awaitable[object]], int]]:
        return [(self.grant, 2), (self.put, 5), (self.keep_alive, 8), (self.end, 1), (self.look, 3)]

    async def grant(self) -> None:
        if len(self.leases) < 3:
            lease = self.random.randrange(1, LEASE_ID_MAX)
            ttl = round(self.random.choice(TTL_SECONDS) * self.scale)
            await self.do(r.Grant(lease, ttl))
            self.leases.append(lease)

    async def put(self) -> None:
        if self.leases:
            key = b"leased/%d" % self.random.randrange(4)
            await self.do(r.Put(key, self.value(), self.random.choice(self.leases)))

    async def keep_alive(self) -> None:
        if self.leases:
            lease = self.random.choice(self.leases)
            op = await self.do(r.KeepAlive(lease))
            if op.response == r.KeptAlive(0):
                self.leases.remove(lease)

    async def end(self) -> None:
        """Revoke a lease, or forget it."""
        if self.leases:
            lease = self.leases.pop(self.random.randrange(len(self.leases)))
            if self.random.random() < 0.3:
                await self.do(r.Revoke(lease))

    async def look(self) -> None:
        await self.do(r.Range(b"leased/", b"leased0"))


class LongLeases(Mix):
    """Leases of a minute to an hour, each with a key of its own, renewed every few seconds.

    That is rare enough for a checkpoint to be much older than the next renewal, which must not be forgotten.
    """

    def __init__(self, client: RecordingClient, random: Random, scale: float = 1.0) -> None:
        super().__init__(client, random, scale)
        self.leases: list[int] = []

    def choices(self) -> list[tuple[Callable[[], Awaitable[object]], int]]:
        return [(self.grant, 2), (self.keep_alive, 1), (self.rest, 15)]

    async def grant(self) -> None:
        if len(self.leases) < LONG_LEASES_MAX:
            lease = self.random.randrange(1, LEASE_ID_MAX)
            self.leases.append(lease)
            await self.do(r.Grant(lease, self.random.randint(*LONG_TTL_SECONDS)))
            await self.do(r.Put(b"leased/long/%x" % lease, self.value(), lease))

    async def keep_alive(self) -> None:
        if self.leases:
            await self.do(r.KeepAlive(self.random.choice(self.leases)))

    async def rest(self) -> None:
        """Leave them alone."""
        await trio.lowlevel.checkpoint()


MIXES: tuple[type[Mix], ...] = (Plain, Kubernetes, Counters, Leases)
