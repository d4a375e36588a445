"""Queues of many writers and many readers. The keys are those of etcd's recipes."""

from __future__ import annotations

from contextlib import suppress

from ..rpc.pb.kv_pb2 import KeyValue
from .compares import key as compared
from .errors import WatchCompacted
from .keys import KeyLike, as_bytes
from .layout import NUMBER, Layout, of_priorities, of_queue
from .ops import delete, put
from .recipe_ops import RecipeClient, create_numbered, first_event, first_pairs
from .requests import SortBy

__all__ = ["PriorityQueue", "Queue"]

PRIORITY_MAX = 65535
LOOK_KEYS_MAX = 16  # read at once: with many readers, the first ones are soon gone


class _Queue:
    """What both kinds have in common: taking from it."""

    order: SortBy

    def __init__(self, client: RecipeClient, layout: Layout) -> None:
        self._client = client
        self._layout = layout

    async def dequeue(self) -> bytes:
        """Take the first value out; waits for one if there is none.

        Each value goes to one reader, once. It is out of the queue when this returns: a program that fails
        afterwards has lost it. If the answer is lost on the way, EtcdError (Unavailable) is raised, and the value may be.
        """
        while True:
            found, now = await first_pairs(
                self._client, self._layout, LOOK_KEYS_MAX, sort_by=self.order
            )
            for pair in found:
                if await self._claim(pair):
                    return pair.value
            if not found:
                with suppress(WatchCompacted):  # then we look again
                    await first_event(self._client, self._layout, now + 1, put=True)

    async def _claim(self, pair: KeyValue) -> bool:
        """Delete a pair, unless somebody else has done so."""
        unchanged = compared(pair.key).mod_revision == pair.mod_revision
        return bool(await self._client.txn().when(unchanged).then(delete(pair.key)).commit())


class Queue(_Queue):
    """First in, first out, by the revision at which a value was put. Made by `client.queue`."""

    order = "mod_revision"

    def __init__(self, client: RecipeClient, name: KeyLike) -> None:
        super().__init__(client, of_queue(name))
        self._start = as_bytes(name)

    async def enqueue(self, value: KeyLike) -> None:
        """Put a value in."""
        await create_numbered(self._client, self._start, as_bytes(value))


class PriorityQueue(_Queue):
    """The least number first; of equal ones, first in, first out. Made by `client.priority_queue`."""

    order = "key"

    def __init__(self, client: RecipeClient, name: KeyLike) -> None:
        super().__init__(client, of_priorities(name))

    async def enqueue(self, value: KeyLike, priority: int = 0) -> None:
        """Put a value in; `priority` is 0 (first) to 65535."""
        if not 0 <= priority <= PRIORITY_MAX:
            raise ValueError(f"a priority is 0 to {PRIORITY_MAX}, not {priority}")
        start = b"%s%05d" % (self._layout.start, priority)
        while not await self._try_enqueue(start, as_bytes(value)):
            pass

    async def _try_enqueue(self, start: bytes, value: bytes) -> bool:
        """Take the next number; a key beside the queue says whether somebody else has taken one since we looked."""
        numbers = Layout(start + b"/", NUMBER)
        found, now = await first_pairs(self._client, numbers, 1, sort_by="key", descending=True)
        number = int(found[0].key.rpartition(b"/")[2]) + 1 if found else 0
        guard = b"__" + start
        result = await (
            self._client.txn()
            .when(compared(guard).mod_revision < now + 1)
            .then(put(guard), put(b"%s/%016d" % (start, number), value))
            .commit()
        )
        return bool(result)
