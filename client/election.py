"""An election: whoever has the oldest key below its name leads, and what it proclaims is the value of that key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..errors import ElectionNoLeader, ElectionNotLeader
from ..rpc.pb.kv_pb2 import KeyValue
from .compares import Condition, key
from .errors import WatchCompacted
from .keys import KeyLike, as_bytes
from .layout import Layout, of_leases
from .lease import Lease
from .ops import delete, get, put
from .recipe_ops import (
    RecipeClient,
    committed,
    first_event,
    first_pairs,
    forget,
    held_lease,
    own_key,
    see_held,
    wait_predecessors,
)

__all__ = ["Election", "LeaderChanges", "Leadership"]


class Leadership:
    """To be the leader, as long as the lease lives. Made by `Election.campaign` and `Election.resume`.

    Attributes:
        key: the key that leads.
        token: the revision at which the key was created: it grows from leader to leader, as a fencing token.
        lease_id: what it hangs on.
    """

    def __init__(self, client: RecipeClient, key: bytes, token: int, lease_id: int) -> None:
        self._client = client
        self.key = key
        self.token = token
        self.lease_id = lease_id
        self._written = 0  # the revision of what was proclaimed last, as far as we know

    @property
    def held(self) -> Condition:
        """For `client.txn().when(leadership.held)`: true as long as it leads, by the servers' judgement."""
        return key(self.key).create_revision == self.token

    async def proclaim(self, value: KeyLike) -> int:
        """Say something else; returns the revision. Raises ElectionNotLeader if it does not lead any more."""
        raw = as_bytes(value)
        own = put(self.key, raw, lease=self.lease_id)
        while True:
            # It comes after what was said last: a late repetition of something older changes nothing.
            last = self._written
            unchanged = key(self.key).mod_revision == last
            txn = self._client.txn().when(self.held, unchanged).then(own).otherwise(get(self.key))
            result = await committed(txn)
            if result:
                self._written = result.revision
                return result.revision
            found = result[0].kvs
            if not found or found[0].create_revision != self.token:
                raise ElectionNotLeader
            self._written = found[0].mod_revision
            if last and found[0].value == raw:  # we have said it; the answer was lost
                return self._written

    async def resign(self) -> None:
        """Lead no more, before the block ends. Others may do it then; without effect if it does not lead."""
        await committed(self._client.txn().when(self.held).then(delete(self.key)))


class Election:
    """An election by name. Made by `client.election`."""

    def __init__(self, client: RecipeClient, name: KeyLike) -> None:
        self._client = client
        self._layout = of_leases(name)

    @asynccontextmanager
    async def campaign(
        self, value: KeyLike = b"", *, ttl: float = 60, lease: Lease | None = None
    ) -> AsyncIterator[Leadership]:
        """Lead for a block, which begins when it is one's turn; resigns at its end.

        Args:
            value: what the leader proclaims first, and candidates have ready.
            ttl: how long others wait when this program vanishes, in seconds.
            lease: hang on this lease, instead of one made for it.

        Raises:
            LeaseLost: the lease is lost, and with it the leadership; the block was cancelled.
            ElectionNotLeader: somebody has deleted the key while it waited.
        """
        client = self._client
        async with held_lease(client, lease, ttl) as session:
            own = own_key(self._layout.start, session)
            token: int | None = None
            try:
                leadership = await self._enter(own, as_bytes(value), session.id)
                token = leadership.token
                await wait_predecessors(client, self._layout, own, token)
                if not await see_held(client, own, token, session):
                    raise ElectionNotLeader
                yield leadership
            finally:
                if lease is not None and not session.lost:  # a lease of its own takes its key along
                    await forget(client, own, session.id, token)

    async def _enter(self, own: bytes, value: bytes, lease_id: int) -> Leadership:
        """Stand in the queue."""
        result = await committed(
            self._client.txn()
            .when(key(own).create_revision == 0)
            .then(put(own, value, lease=lease_id))
            .otherwise(get(own))
        )
        leadership = Leadership(self._client, own, result.revision, lease_id)
        leadership._written = result.revision
        if not result:
            found = result[0].kvs[0]
            leadership.token, leadership._written = found.create_revision, found.mod_revision
            if found.value != value:
                await leadership.proclaim(value)
        return leadership

    def resume(self, key: KeyLike, token: int, lease_id: int) -> Leadership:
        """The leadership that this program had before it was started again, as long as its lease lives."""
        return Leadership(self._client, as_bytes(key), token, lease_id)

    async def leader(self) -> KeyValue:
        """The leader's key, with what it proclaims. Raises ElectionNoLeader."""
        found, _ = await first_pairs(self._client, self._layout, 1, sort_by="create_revision")
        if not found:
            raise ElectionNoLeader
        return found[0]

    def observe(self) -> LeaderChanges:
        """`async for kv in election.observe()`: each leader and each thing it proclaims, beginning with the present.

        What is proclaimed and overtaken before it is read may be left out; the order is kept.
        """
        return LeaderChanges(self._client, self._layout)


class LeaderChanges:
    """What leaders proclaim. It holds nothing open between two steps, so it can be left at any time."""

    def __init__(self, client: RecipeClient, layout: Layout) -> None:
        self._client = client
        self._layout = layout
        self._key = b""  # the leader's, if one is known
        self._revision = 0  # up to which we have looked

    def __aiter__(self) -> LeaderChanges:
        return self

    async def __anext__(self) -> KeyValue:
        while True:
            try:
                found = await (self._of_leader() if self._key else self._new_leader())
            except WatchCompacted:
                self._key = b""
                continue
            if found is not None:
                return found

    async def _new_leader(self) -> KeyValue | None:
        found, now = await first_pairs(self._client, self._layout, 1, sort_by="create_revision")
        if found:
            self._key, self._revision = found[0].key, now
            return found[0]
        event = await first_event(self._client, self._layout, now + 1, put=True)
        self._key, self._revision = event.key, event.revision
        return event.kv

    async def _of_leader(self) -> KeyValue | None:
        """What the leader says next; None when it leads no more."""
        event = await first_event(self._client, self._key, self._revision + 1)
        self._revision = event.revision
        if event.is_delete:
            self._key = b""
            return None
        return event.kv
