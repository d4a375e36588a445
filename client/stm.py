"""Transactions as functions: a function reads and writes, and is called again when others have been in its way.

Writes wait in memory until the function returns; then one transaction checks what was read and writes. The levels
are those of etcd's Go client, except that reads here are never stale: Go's weaker levels ask any member for what it has.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import attrs

from ..errors import Compacted
from ..rpc.pb.kv_pb2 import KeyValue
from .compares import Condition
from .compares import key as compared
from .errors import Conflict
from .keys import KeyLike, as_bytes
from .ops import Op, delete, get, put
from .recipe_ops import RecipeClient

__all__ = ["Isolation", "Stm", "run_stm"]

T = TypeVar("T")


class Isolation(enum.Enum):
    """What a function may notice of others that run at the same time."""

    SERIALIZABLE_SNAPSHOT = "serializable snapshot"
    """Nothing; and it conflicts also with who has written what it writes without reading it."""
    SERIALIZABLE = "serializable"
    """Nothing: all reads are of one revision, and still true when it commits."""
    REPEATABLE_READS = "repeatable reads"
    """Reads of different keys may be of different revisions; all are still true when it commits."""
    READ_COMMITTED = "read committed"
    """What it has read may be true no more when it commits: it never conflicts."""

    @property
    def pins(self) -> bool:
        """Whether all reads are of one revision."""
        return self in {Isolation.SERIALIZABLE_SNAPSHOT, Isolation.SERIALIZABLE}


@attrs.frozen
class _Write:
    value: bytes | None  # None: a deletion
    op: Op


class Stm:
    """One attempt, for the function to read and write through.

    Attributes:
        attempt: 1, 2, ...
        revision: the revision of all reads, with levels that pin it; 0 before the first.
    """

    def __init__(self, client: RecipeClient, isolation: Isolation) -> None:
        self._client = client
        self._isolation = isolation
        self._reads: dict[bytes, KeyValue | None] = {}
        self._ready: dict[bytes, KeyValue | None] = {}
        self._writes: dict[bytes, _Write] = {}
        self.attempt = 0
        self.revision = 0

    async def get(self, key: KeyLike) -> bytes | None:
        """The value of a key, as this function has written it or as it is in the store; None: no such key."""
        written = self._writes.get(as_bytes(key))
        if written is not None:
            return written.value
        found = await self._read(as_bytes(key))
        return found.value if found is not None else None

    async def mod_revision(self, key: KeyLike) -> int:
        """The revision that last changed a key in the store; 0: no such key."""
        found = await self._read(as_bytes(key))
        return found.mod_revision if found is not None else 0

    def put(self, key: KeyLike, value: KeyLike, *, lease: int = 0) -> None:
        """Write a key, if the function returns."""
        self._writes[as_bytes(key)] = _Write(as_bytes(value), put(key, value, lease=lease))

    def delete(self, key: KeyLike) -> None:
        """Delete a key, if the function returns."""
        self._writes[as_bytes(key)] = _Write(None, delete(key))

    async def prefetch(self, keys: Iterable[KeyLike]) -> None:
        """Read several keys by one request; `get` then has them."""
        missing = [key for key in map(as_bytes, keys) if key not in self._reads]
        self._reads |= {key: self._ready.pop(key) for key in missing if key in self._ready}
        missing = [key for key in missing if key not in self._reads]
        if missing:
            pinned = self.revision if self._isolation.pins else 0
            gets = [get(key, revision=pinned) for key in missing]
            result = await self._client.txn().then(*gets).commit()
            if self._isolation.pins and not pinned:
                self.revision = result.revision
            self._take(missing, result, self._reads)

    async def _read(self, key: bytes) -> KeyValue | None:
        if key not in self._reads:
            await self.prefetch([key])
        return self._reads[key]

    @staticmethod
    def _take(keys: Iterable[bytes], found: Iterable, into: dict[bytes, KeyValue | None]) -> None:  # type: ignore[type-arg]
        for key, response in zip(keys, found, strict=True):
            into[key] = response.kvs[0] if response.kvs else None

    # --- attempts -------------------------------------------------------------------------------

    def begin(self, *, afresh: bool = False) -> None:
        """Forget what was read and written; what the last commit has found is kept for this attempt."""
        self.attempt += 1
        self._reads, self._writes = {}, {}
        if afresh or not self._isolation.pins:
            self._ready = {}
        if not self._ready:
            self.revision = 0

    async def commit(self) -> bool:
        """Write, if nobody has been in the way; returns whether that was so."""
        read = list(self._reads)
        txn = self._client.txn().when(*self._conditions())
        txn = txn.then(*(write.op for write in self._writes.values()))
        if self._isolation.pins:  # on a conflict, its answer brings what the next attempt will read
            txn = txn.otherwise(*(get(key) for key in read))
        result = await txn.commit()
        if not result and self._isolation.pins:
            self._ready = {}
            self._take(read, result, self._ready)
            self.revision = result.revision
        return bool(result)

    def _conditions(self) -> list[Condition]:
        if self._isolation is Isolation.READ_COMMITTED:
            return []
        conditions = [
            compared(key).mod_revision == (found.mod_revision if found is not None else 0)
            for key, found in self._reads.items()
        ]
        if self._isolation is Isolation.SERIALIZABLE_SNAPSHOT and self.revision:
            conditions += [
                compared(key).mod_revision < self.revision + 1
                for key in self._writes
                if key not in self._reads
            ]
        return conditions


async def run_stm(
    client: RecipeClient,
    function: Callable[[Stm], Awaitable[T]],
    *,
    isolation: Isolation,
    prefetch: Iterable[KeyLike],
    attempts_max: int,
) -> T:
    """See `client.stm`."""
    keys = [as_bytes(key) for key in prefetch]
    stm = Stm(client, isolation)
    afresh = True
    while stm.attempt < attempts_max:
        stm.begin(afresh=afresh)
        afresh = False
        try:
            if keys:
                await stm.prefetch(keys)
            value = await function(stm)
            if await stm.commit():
                return value
        except Compacted:  # the revision that was read has gone meanwhile
            if not stm.revision:
                raise
            afresh = True
    raise Conflict(f"others were in the way {attempts_max} times")
