"""`client.watch`."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from ..rpc.pb.rpc_pb2 import WatchCreateRequest
from .call import REQUIRE_LEADER, Caller
from .keys import Keys, KeysLike, keys_of
from .watch import BUFFER_BYTES_MAX, Watch

__all__ = ["WatchCalls"]


class WatchCalls(Caller):
    """The part of a client that watches."""

    def watch(
        self,
        keys: KeysLike,
        *,
        start_revision: int = 0,
        prev_kv: bool = False,
        progress_notify: bool = False,
        puts: bool = True,
        deletes: bool = True,
        fragment: bool = True,
        resume_compacted: bool = False,
        require_leader: bool = True,
        buffer_bytes_max: int = BUFFER_BYTES_MAX,
    ) -> AbstractAsyncContextManager[Watch]:
        """Watch keys: `async with client.watch(keys) as watch: async for event in watch: ...`.

        The block begins when the server has taken the watch: what is written from then on is yielded. When the
        connection, or the member, is lost, the watch goes on elsewhere with the next event.

        Args:
            keys: which keys.
            start_revision: begin with the changes of this revision; 0: with those that come.
            prev_kv: have `event.prev_kv`.
            progress_notify: yield events PROGRESS when nothing has happened for a while (10 minutes in etcd).
            puts: whether puts are wanted.
            deletes: whether deletions are wanted.
            fragment: let the server send large responses in parts; they are put together here.
            resume_compacted: when history is gone that the watch needs, go on with what there is;
                `watch.compactions` counts it. Otherwise WatchCompacted is raised.
            require_leader: leave a member that sees no leader, instead of waiting in silence.
            buffer_bytes_max: how much waits in memory for who reads slowly; then the server waits.

        Raises:
            ValueError: the revision is negative.
            EtcdError: the server refuses the watch.
        """
        if start_revision < 0:
            raise ValueError(f"start_revision is negative: {start_revision}")
        wanted = keys_of(keys)
        if not wanted.key:  # etcd's watches read it so; a namespace must not be left by it
            wanted = Keys(b"\0", wanted.range_end)
        full = self.keyspace.full_range(wanted)
        filters = [
            filter_
            for filter_, wanted in (
                (WatchCreateRequest.NOPUT, puts),
                (WatchCreateRequest.NODELETE, deletes),
            )
            if not wanted
        ]
        return self.streams.watches.watch(
            WatchCreateRequest(
                key=full.key,
                range_end=full.range_end,
                start_revision=start_revision,
                prev_kv=prev_kv,
                # The server's notes of progress move the position of a quiet watch, so always.
                progress_notify=True,
                filters=filters,
                fragment=fragment,
            ),
            metadata={**self.metadata, **REQUIRE_LEADER} if require_leader else self.metadata,
            cut=len(self.keyspace.prefix),
            yields_progress=progress_notify,
            resume_compacted=resume_compacted,
            buffer_bytes_max=buffer_bytes_max,
        )

    def watch_full(self, keys: Keys, start_revision: int) -> AbstractAsyncContextManager[Watch]:
        """Watch keys by the cluster's names, as recipes do."""
        return self.streams.watches.watch(
            WatchCreateRequest(
                key=keys.key,
                range_end=keys.range_end,
                start_revision=start_revision,
                progress_notify=True,
            ),
            metadata={**self.metadata, **REQUIRE_LEADER},
        )
