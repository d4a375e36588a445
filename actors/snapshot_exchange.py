"""The state of a member as a whole, on its way out to a peer and in from the leader.

Out: a view of the backend between two entries, with its place in the log. It is newer than the snapshot that
raft spoke of, which is allowed: the receiver has just more. In: the image goes to a file, then the raft message
is stepped, and the rest is the applier's (`Install`).

While a snapshot is under way, and some time after, the entries that follow it stay in raft's log: without them
the receiver would need another snapshot as soon as it has the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from ..backends.bbolt_image import image
from ..backends.buffer import Backend
from ..backends.contract import View
from ..raft.types import ConfState, Message, Snapshot, SnapshotMetadata
from .log import Log
from .snapshot_files import ReceivedFile, SnapshotFiles
from .world import World

__all__ = ["IncomingImage", "OutgoingImage", "SnapshotExchange"]

CATCH_UP_SECONDS = 30.0  # etcd's: so long the log is kept for one who has just had a snapshot
log = Log("triode.snapshot")


@attrs.frozen
class Position:
    """Where the applied state stands in the log."""

    index: int
    term: int
    conf_state: ConfState
    members: bytes
    """What members of etcd want to have in the message; see `membership_v2`."""


class SnapshotExchange:
    """Opens outgoing and incoming snapshots, and knows what the log must keep for them."""

    def __init__(
        self,
        backend: Backend,
        files: SnapshotFiles,
        world: World,
        position: Callable[[], Position],
        step: Callable[[Message], None],
    ) -> None:
        self._backend = backend
        self._files = files
        self._world = world
        self._position = position
        self._step = step
        self._out: dict[OutgoingImage, float | None] = {}

    def open(self) -> OutgoingImage:
        """The state as it is applied now; raises DiskFull, or InstallingSnapshot."""
        at = self._position()
        view = self._backend.snapshot()
        snapshot = Snapshot(at.members, SnapshotMetadata(at.conf_state, at.index, at.term))
        outgoing = OutgoingImage(self, snapshot, view, self._world)
        self._out[outgoing] = None
        return outgoing

    def receive(self, message: Message) -> IncomingImage:
        """Room for the state of a SNAP message; raises StorageError."""
        assert message.snapshot is not None
        index = message.snapshot.metadata.index
        return IncomingImage(self._files.create(index), message, self._world, self._step)

    def closed(self, outgoing: OutgoingImage) -> None:
        """An outgoing snapshot has been sent, or not."""
        self._out[outgoing] = self._world.clock.now()

    def keep_from(self, index: int) -> int:
        """The first index that may be forgotten, at most `index`."""
        now = self._world.clock.now()
        for outgoing, closed in list(self._out.items()):
            if closed is not None and now - closed > CATCH_UP_SECONDS:
                del self._out[outgoing]
        return min([index, *(one.snapshot.metadata.index for one in self._out)])


class OutgoingImage:
    """See `peers.contract.OutgoingSnapshot`."""

    def __init__(
        self, exchange: SnapshotExchange, snapshot: Snapshot, view: View, world: World
    ) -> None:
        self.snapshot = snapshot
        self._exchange = exchange
        self._view: View | None = view
        self._world = world
        self._chunks: Iterator[bytes] = iter(())

    async def size(self) -> int:
        """The image's size; a pass over the data beside the loop."""
        view = self._view
        assert view is not None, "a closed snapshot cannot be sent"
        size: int
        size, self._chunks = await self._world.in_thread(lambda: image(view))
        return size

    def chunks(self) -> Iterator[bytes]:
        """The image."""
        return self._chunks

    def close(self) -> None:
        """Give the view back."""
        if self._view is not None:
            self._view.close()
            self._view = None
            self._exchange.closed(self)


class IncomingImage:
    """See `peers.contract.IncomingSnapshot`."""

    def __init__(
        self,
        file: ReceivedFile,
        message: Message,
        world: World,
        step: Callable[[Message], None],
    ) -> None:
        self._file = file
        self._message = message
        self._world = world
        self._step = step

    def write(self, data: bytes) -> None:
        """The next piece."""
        self._file.write(data)

    async def finish(self) -> None:
        """Make it durable beside the loop, then tell raft."""
        await self._world.in_thread(self._file.finish)
        log.info("received a snapshot", index=self._file.index, total_bytes=self._file.bytes)
        self._step(self._message)

    def abandon(self) -> None:
        """The rest will not come."""
        self._file.abandon()
