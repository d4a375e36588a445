"""Which stream carries which watch: those with the same metadata share one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import trio

from ..rpc.pb.rpc_pb2 import WatchCreateRequest
from .contract import Channel
from .errors import ClientClosed
from .watch import BUFFER_BYTES_MAX, Watch
from .watch_stream import WatchStream

__all__ = ["WatchHub", "start_in"]

_Key = tuple[tuple[str, str], ...]


class WatchHub:
    """All watches of a client. Its streams run in the nursery that is given."""

    def __init__(self, channel: Channel, nursery: trio.Nursery) -> None:
        self._channel = channel
        self._nursery = nursery
        self._shared: dict[_Key, WatchStream] = {}

    @asynccontextmanager
    async def watch(
        self,
        create: WatchCreateRequest,
        *,
        metadata: Mapping[str, str],
        cut: int = 0,
        yields_progress: bool = False,
        resume_compacted: bool = False,
        buffer_bytes_max: int = BUFFER_BYTES_MAX,
    ) -> AsyncIterator[Watch]:
        """A watch that ends with the block; the block begins when the server has taken it.

        Args:
            create: what to watch, by the cluster's names of the keys.
            metadata: what goes along with the call.
            cut: how many bytes of each key that comes are left out.
            yields_progress: whether iterating yields progress that the server tells of by itself.
            resume_compacted: go on with what there is when history is gone.
            buffer_bytes_max: how much may wait for the user.

        Raises:
            EtcdError: the server refuses the watch.
        """
        watch = Watch(
            create,
            cut=cut,
            yields_progress=yields_progress,
            resume_compacted=resume_compacted,
            buffer_bytes_max=buffer_bytes_max,
        )
        self._place(watch, metadata)
        try:
            await watch.wait_created()
            yield watch
        finally:
            watch.close()
            stream = watch.stream
            if isinstance(stream, WatchStream):
                stream.remove(watch)

    def _place(self, watch: Watch, metadata: Mapping[str, str]) -> None:
        key = tuple(sorted(metadata.items()))
        stream = self._shared.get(key)
        if stream is None or stream.closed or stream.stalled:
            stream = self._shared[key] = self._start(watch, metadata)
        else:
            stream.add(watch)

    def _start(self, watch: Watch, metadata: Mapping[str, str]) -> WatchStream:
        stream = WatchStream(self._channel, metadata, self._move_out)
        stream.add(watch)
        start_in(self._nursery, stream.run)
        return stream

    def _move_out(self, watch: Watch, metadata: Mapping[str, str]) -> None:
        """Let a slow watch go on, alone."""
        self._start(watch, metadata)


def start_in(
    nursery: trio.Nursery, run: Callable[..., Awaitable[None]], *arguments: object
) -> None:
    """Start a task of the client. Raises ClientClosed when its block has ended."""
    try:
        nursery.start_soon(run, *arguments)
    except RuntimeError:  # closed to new arrivals
        raise ClientClosed from None
