"""The recipes, by name. Each has a module of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, TypeVar

from .keys import ALL_KEYS, KeyLike, KeysLike
from .mirror import Mirror, MirrorClient
from .stm import Isolation, Stm, run_stm

if TYPE_CHECKING:
    from .barrier import Barrier
    from .election import Election
    from .lease import Lease
    from .lock import Lock
    from .queue import PriorityQueue, Queue
    from .rwlock import RWLock

__all__ = ["RecipeCalls"]

TTL_SECONDS = 60.0  # of leases that recipes make, as in etcd's sessions
ATTEMPTS_MAX = 1000

T = TypeVar("T")


class RecipeCalls(MirrorClient):
    """The part of a client that makes programs work together."""

    def lock(
        self,
        name: KeyLike,
        *,
        ttl: float = TTL_SECONDS,
        lease: Lease | None = None,
        wait: bool = True,
    ) -> AbstractAsyncContextManager[Lock]:
        """Hold a lock for a block: `async with client.lock("name") as lock: ...`.

        The block begins when all who came before have gone, and is cancelled when the lease is lost. That does not
        protect what the lock is for by itself: guard writes by `lock.held`, or pass `lock.token` along.

        Args:
            name: which lock.
            ttl: how long others wait when this program vanishes, in seconds.
            lease: hang on this lease, instead of one made for the lock.
            wait: False: raise Locked if it is not to be had at once.

        Raises:
            Locked: somebody else has it, and `wait` is False.
            LeaseLost: the lease is lost, and with it the lock.
        """
        from .lock import locked

        return locked(self, name, ttl=ttl, lease=lease, wait=wait)

    def rwlock(self, name: KeyLike, *, ttl: float = TTL_SECONDS) -> RWLock:
        """A lock for many readers or one writer: `async with client.rwlock("name").read(): ...`."""
        from .rwlock import RWLock

        return RWLock(self, name, ttl=ttl)

    def election(self, name: KeyLike) -> Election:
        """An election: `async with client.election("name").campaign("me") as leadership: ...`."""
        from .election import Election

        return Election(self, name)

    async def stm(
        self,
        function: Callable[[Stm], Awaitable[T]],
        *,
        isolation: Isolation = Isolation.SERIALIZABLE_SNAPSHOT,
        prefetch: Iterable[KeyLike] = (),
        attempts_max: int = ATTEMPTS_MAX,
    ) -> T:
        """Call a function that reads and writes, as a transaction; returns what it returns.

        It is called again when others have changed what it has read, so it must do nothing else that lasts. If
        it raises, nothing is written. If the answer to the commit is lost (Unavailable), it may have been written.

        Args:
            function: takes an `Stm`: `await stm.get(key)`, `stm.put(key, value)`, `stm.delete(key)`.
            isolation: what it may notice of others.
            prefetch: keys that it will read, read by one request.
            attempts_max: how often it is called at most.

        Raises:
            Conflict: `attempts_max` times others were in the way.
        """
        return await run_stm(
            self, function, isolation=isolation, prefetch=prefetch, attempts_max=attempts_max
        )

    def barrier(self, name: KeyLike) -> Barrier:
        """A barrier: `hold()`, `release()`, `wait()`."""
        from .barrier import Barrier

        return Barrier(self, name)

    def double_barrier(
        self,
        name: KeyLike,
        count: int,
        *,
        ttl: float = TTL_SECONDS,
        lease: Lease | None = None,
    ) -> AbstractAsyncContextManager[None]:
        """A block that `count` programs begin together, and leave together.

        A program that fails in its block, or vanishes, is not waited for.

        Raises:
            TooManyClients: so many are there without this one.
            LeaseLost: the lease is lost; the block was cancelled.
        """
        from .barrier import DoubleBarrier

        return DoubleBarrier(self, name, count).block(ttl, lease)

    def queue(self, name: KeyLike) -> Queue:
        """A queue, first in, first out: `enqueue(value)`, `dequeue()`."""
        from .queue import Queue

        return Queue(self, name)

    def priority_queue(self, name: KeyLike) -> PriorityQueue:
        """A queue, least number first: `enqueue(value, priority)`, `dequeue()`."""
        from .queue import PriorityQueue

        return PriorityQueue(self, name)

    def mirror(self, keys: KeysLike = ALL_KEYS, *, revision: int = 0) -> Mirror:
        """A copy that follows: `mirror.base()` is everything at one revision, `mirror.updates()` what came then."""
        return Mirror(self, keys, revision)
