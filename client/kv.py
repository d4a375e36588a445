"""Keys and values: read, write, delete, count, compact."""

from __future__ import annotations

from ..rpc.pb.kv_pb2 import KeyValue
from ..rpc.pb.rpc_pb2 import (
    CompactionRequest,
    CompactionResponse,
    DeleteRangeResponse,
    LeaseGrantRequest,
    PutResponse,
    RangeResponse,
)
from .call import Caller
from .keys import KeyLike, KeysLike
from .requests import SortBy, delete_request, put_request, range_request

__all__ = ["KVCalls"]


class KVCalls(Caller):
    """The part of a client that reads and writes keys."""

    async def get(
        self, key: KeyLike, *, revision: int = 0, serializable: bool = False
    ) -> KeyValue | None:
        """The pair of one key; None: there is no such key.

        Args:
            key: which.
            revision: as it was then; 0: as it is now.
            serializable: any member may answer from what it has, even if that is old.

        Raises:
            Compacted: the revision is gone.
            FutureRev: the revision has not been yet.
        """
        response = await self.range(_single(key), revision=revision, serializable=serializable)
        return response.kvs[0] if response.kvs else None

    async def range(
        self,
        keys: KeysLike,
        *,
        revision: int = 0,
        limit: int = 0,
        sort_by: SortBy | None = None,
        descending: bool = False,
        keys_only: bool = False,
        count_only: bool = False,
        serializable: bool = False,
        min_mod_revision: int = 0,
        max_mod_revision: int = 0,
        min_create_revision: int = 0,
        max_create_revision: int = 0,
    ) -> RangeResponse:
        """The pairs of many keys: `kvs`, `count` (of all that are meant), `more` (than `limit`), `header.revision`.

        For ranges that may be large use `scan`.

        Args:
            keys: which.
            revision: as they were then; 0: as they are now.
            limit: so many pairs at most; 0: all.
            sort_by: the server's order is that of keys unless another is wanted.
            descending: the largest first.
            keys_only: leave the values out.
            count_only: leave the pairs out.
            serializable: any member may answer from what it has, even if that is old.
            min_mod_revision: leave pairs out that changed before; 0: none.
            max_mod_revision: leave pairs out that changed after; 0: none.
            min_create_revision: leave pairs out that were created before; 0: none.
            max_create_revision: leave pairs out that were created after; 0: none.

        Raises:
            Compacted, FutureRev: as in `get`.
            ValueError: `sort_by` is unknown.
        """
        request = range_request(
            self.keyspace,
            keys,
            revision=revision,
            limit=limit,
            sort_by=sort_by,
            descending=descending,
            keys_only=keys_only,
            count_only=count_only,
            serializable=serializable,
            min_mod_revision=min_mod_revision,
            max_mod_revision=max_mod_revision,
            min_create_revision=min_create_revision,
            max_create_revision=max_create_revision,
        )
        response: RangeResponse = await self.call("KV/Range", request)
        self.keyspace.strip(response.kvs)
        return response

    async def count(self, keys: KeysLike, *, revision: int = 0, serializable: bool = False) -> int:
        """How many keys there are."""
        response = await self.range(
            keys, revision=revision, count_only=True, serializable=serializable
        )
        return response.count

    async def put(
        self,
        key: KeyLike,
        value: KeyLike = b"",
        *,
        lease: int = 0,
        ttl: int | None = None,
        prev_kv: bool = False,
        ignore_value: bool = False,
        ignore_lease: bool = False,
    ) -> PutResponse:
        """Set a key.

        Args:
            key: which.
            value: to what.
            lease: the lease with which the key goes; 0: it stays.
            ttl: delete the key after so many seconds: it gets a lease of its own, which nobody keeps alive. The
                server raises what is below its minimum. Setting the key again without `ttl` or `ignore_lease` keeps it.
            prev_kv: return the pair as it was, in `prev_kv`.
            ignore_value: keep the value, and only change the lease.
            ignore_lease: keep the lease, and only change the value.

        Raises:
            LeaseNotFound: there is no such lease.
            KeyNotFound: nothing is there that `ignore_…` could keep.
            ValueError: both `lease` and `ttl` were given.
        """
        if ttl is not None:
            if lease:
                raise ValueError("a key has one lease: give `lease` or `ttl`")
            granted = await self.call("Lease/LeaseGrant", LeaseGrantRequest(TTL=ttl))
            lease = granted.ID
        request = put_request(
            self.keyspace,
            key,
            value,
            lease=lease,
            prev_kv=prev_kv,
            ignore_value=ignore_value,
            ignore_lease=ignore_lease,
        )
        response: PutResponse = await self.call("KV/Put", request)
        if prev_kv and response.HasField("prev_kv"):
            self.keyspace.strip((response.prev_kv,))
        return response

    async def delete(self, keys: KeysLike, *, prev_kv: bool = False) -> DeleteRangeResponse:
        """Delete keys; `deleted` says how many there were.

        Args:
            keys: which.
            prev_kv: return the pairs as they were, in `prev_kvs`.
        """
        response: DeleteRangeResponse = await self.call(
            "KV/DeleteRange", delete_request(self.keyspace, keys, prev_kv=prev_kv)
        )
        self.keyspace.strip(response.prev_kvs)
        return response

    async def compact(self, revision: int, *, physical: bool = False) -> CompactionResponse:
        """Forget how keys were before `revision`. It concerns the whole cluster, whatever the namespace.

        Args:
            revision: the oldest that can be read afterwards.
            physical: return when the space is free for new data, not already when the revisions are gone.

        Raises:
            Compacted: that has been done.
            FutureRev: the revision has not been yet.
        """
        request = CompactionRequest(revision=revision, physical=physical)
        response: CompactionResponse = await self.call("KV/Compact", request)
        return response


def _single(key: KeyLike) -> KeyLike:
    if isinstance(key, str | bytes | bytearray | memoryview):
        return key
    raise TypeError(f"get takes one key, not {type(key).__name__}: use range or scan for many")
