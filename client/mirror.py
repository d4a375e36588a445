"""A copy that follows: everything as it was at one revision, then each change since."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from itertools import groupby
from typing import TypeVar

from ..rpc.pb.kv_pb2 import KeyValue
from .keys import KeysLike
from .ops import Op, delete, put
from .paging import PAGE_KEYS, PagingCalls
from .recipe_ops import RecipeClient
from .watch import Watch
from .watch_events import Event

__all__ = ["Mirror", "MirrorClient"]

T = TypeVar("T")
OPS_MAX = 128  # in one transaction; the servers' default of `max-txn-ops`


class MirrorClient(RecipeClient, PagingCalls):
    """What a mirror needs of a client."""


class Mirror:
    """Made by `client.mirror`.

    Attributes:
        revision: what `base` shows; then, during `copy_to`, up to where the copy has followed.
        keys_copied: how many keys `copy_to` has written or deleted.
    """

    def __init__(self, client: MirrorClient, keys: KeysLike, revision: int) -> None:
        self._client = client
        self._keys = keys
        self.revision = revision
        self.keys_copied = 0

    def base(self, *, page_keys: int = PAGE_KEYS) -> MirrorBase:
        """`async for pairs in mirror.base()`: all keys as they were at one revision, a page at a time."""
        return MirrorBase(self, page_keys)

    def updates(self) -> AbstractAsyncContextManager[Watch]:
        """The changes since `base`, as a watch. Call it when `base` has been read, or at least begun."""
        if not self.revision:
            raise RuntimeError("read `base` first: it says since when")
        return self._client.watch(self._keys, start_revision=self.revision + 1)

    async def copy_to(
        self,
        target: RecipeClient,
        *,
        rename: Callable[[bytes], bytes] = bytes,
        ops_max: int = OPS_MAX,
        follow: bool = True,
    ) -> None:
        """Copy everything to another cluster, or another part of this one; then follow, for ever.

        What one revision has changed is changed by one transaction there, if it fits. Leases are not copied.

        Args:
            target: where to.
            rename: the key there, for a key here; each must have its own.
            ops_max: how many operations a transaction there may have.
            follow: whether to go on when everything is copied.

        Raises:
            EtcdError: of either cluster. Begin anew, with a new mirror: copying twice does no harm.
        """
        async for pairs in self.base():
            for some in _chunks(pairs, ops_max):
                await target.txn().then(*(put(rename(kv.key), kv.value) for kv in some)).commit()
                self.keys_copied += len(some)
        if not follow:
            return
        async with self.updates() as watch:
            async for batch in watch.batches():
                events = map(Event, batch.events)
                for revision, changes in groupby(events, key=lambda event: event.revision):
                    for few in _chunks(list(changes), ops_max):
                        await target.txn().then(*(_same(event, rename) for event in few)).commit()
                        self.keys_copied += len(few)
                    self.revision = revision


class MirrorBase:
    """The pages of a mirror's base."""

    def __init__(self, mirror: Mirror, page_keys: int) -> None:
        self._mirror = mirror
        self._scan = mirror._client.scan(
            mirror._keys, page_keys=page_keys, revision=mirror.revision
        )

    def __aiter__(self) -> MirrorBase:
        return self

    async def __anext__(self) -> list[KeyValue]:
        page = await self._scan.next_page()
        self._mirror.revision = self._scan.revision
        if page is None:
            raise StopAsyncIteration
        return page


def _same(event: Event, rename: Callable[[bytes], bytes]) -> Op:
    """What does there what has happened here."""
    if event.is_delete:
        return delete(rename(event.key))
    return put(rename(event.key), event.value)


def _chunks(items: list[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
