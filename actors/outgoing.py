"""What a connection has to send, and when to stop producing more.

Answers wait in three places: in the codec's outbox until the end of the turn (`queued_bytes`), in the codec for
the client's flow control, and here for the kernel (`unsent`). Together they are what a client has asked for
and not taken. Each bound below is a designed case: streams pause at `ROOM_BYTES`, calls are set aside at
`CROWDED_BYTES`, and a client that makes even more wait is cut off.

Writes happen where answers are made: `flush` hands everything to the kernel at once, and only what that
does not take is left to the task in `run`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import trio

from ..rpc.grpc.server import GrpcServer
from ..rpc.h2.errors import ErrorCode
from .outbox import Outbox
from .traffic import Traffic
from .transport import Transport

__all__ = ["CROWDED_BYTES", "Outgoing"]

ROOM_BYTES = 256 * 1024  # ahead of a stream's next message: beyond it the stream waits
TURN_BYTES_MAX = 1024 * 1024  # answers made before the first of them is written
CROWDED_BYTES = 16 * 1024 * 1024  # beyond it no more calls are begun
HOPELESS_BYTES = 256 * 1024 * 1024  # calls begun before may add so much more


class Outgoing:
    """The sending half of one gRPC connection; an `Outbox` member.

    Attributes:
        unsent: bytes that the kernel has not taken.
        queued_bytes: messages given to the codec since the last write.
        dirty: something is to be written at the end of this turn.
        gone: the connection is over.
        rests_taken: how often the kernel took more of `unsent`: a slow client lives if it grows.
    """

    def __init__(
        self,
        grpc: GrpcServer,
        transport: Transport,
        outbox: Outbox,
        traffic: Traffic,
        on_room: Callable[[int], None],
        on_closed: Callable[[], None],
    ) -> None:
        self._grpc = grpc
        self._transport = transport
        self._outbox = outbox
        self._traffic = traffic
        self._on_room = on_room
        self._on_closed = on_closed
        self._blocked: OrderedDict[int, None] = OrderedDict()
        self._writer_wanted = trio.Event()
        self._less = trio.Event()
        self.unsent: memoryview | None = None
        self.queued_bytes = 0
        self.dirty = False
        self.gone = False
        self.rests_taken = 0

    # --- how much waits -------------------------------------------------------------------------

    @property
    def waiting_bytes(self) -> int:
        """Everything that the client has asked for and not taken."""
        return self._grpc.backlog_bytes_total + self._near()

    def _near(self) -> int:
        unsent = self.unsent
        return self.queued_bytes if unsent is None else self.queued_bytes + len(unsent)

    def backlog(self, stream_id: int) -> int:
        """Bytes ahead of the next message of a stream; `on_room` is called when that has changed.

        A connection on which too much waits already counts for all of its streams.
        """
        near, far = self._near(), self._grpc.backlog_bytes_total
        if far > CROWDED_BYTES:
            near += far
        if near >= ROOM_BYTES:
            self._blocked[stream_id] = None
        return near + self._grpc.backlog_bytes(stream_id)

    def forget(self, stream_id: int) -> None:
        """A stream has ended."""
        self._blocked.pop(stream_id, None)

    async def wait_below(self, waiting_bytes: int) -> None:
        """Return when no more than that waits, or the connection is gone."""
        await trio.lowlevel.checkpoint()
        while not self.gone and self.waiting_bytes > waiting_bytes:
            await self._wait_less()

    async def wait_socket_below(self, waiting_bytes: int) -> None:
        """The same, but only while it is the kernel that takes no more."""
        while self.unsent is not None and self.waiting_bytes > waiting_bytes:
            await self._wait_less()

    async def _wait_less(self) -> None:
        if self._less.is_set():
            self._less = trio.Event()
        await self._less.wait()

    # --- writing --------------------------------------------------------------------------------

    def touch(self) -> None:
        """There is something to send at the end of this turn."""
        if not self.dirty:
            self.dirty = True
            self._outbox.add(self)

    def added(self, size: int) -> None:
        """A message of `size` bytes was given to the codec."""
        if self.queued_bytes > HOPELESS_BYTES:
            self._grpc.terminate(ErrorCode.ENHANCE_YOUR_CALM, "answers are not read")
        self.queued_bytes += size
        if not self.dirty:
            self.dirty = True
            self._outbox.add(self)

    def flush(self) -> None:
        """Write what there is, as far as the kernel takes it now."""
        self.dirty = True
        while self.dirty:
            self.dirty = False
            if self.unsent is not None or self.gone or not self._write_new():
                break
            if self._blocked:
                self._wake_blocked()
        self._less.set()
        if self._grpc.closed:
            self._on_closed()

    def _write_new(self) -> bool:
        """Write what the codec has; tell whether the kernel took it all."""
        self.queued_bytes = 0
        data = self._grpc.data_to_send()
        if not data:
            return True
        self._traffic.sent_bytes += len(data)
        try:
            sent = self._transport.write_nowait(data)
        except OSError:
            self.lose()
            return False
        if sent == len(data):
            return True
        self.unsent = memoryview(data)[sent:]
        self._writer_wanted.set()
        return False

    def _wake_blocked(self) -> None:
        """Let streams go on in the order in which they stopped, as long as there is room."""
        blocked = self._blocked
        if self._grpc.backlog_bytes_total > CROWDED_BYTES:
            return
        for _ in range(len(blocked)):
            self._on_room(blocked.popitem(last=False)[0])
            if self.queued_bytes >= ROOM_BYTES or not blocked:
                return

    async def run(self) -> None:
        """Write what did not fit, whenever there is room again."""
        while not self.gone:
            await self._writer_wanted.wait()
            self._writer_wanted = trio.Event()
            while self.unsent is not None and not self.gone:
                await self._transport.wait_writable()
                self._write_rest()

    def _write_rest(self) -> None:
        if self.unsent is None:
            return
        try:
            sent = self._transport.write_nowait(self.unsent)
        except OSError:
            self.lose()
            return
        self.rests_taken += 1
        rest = self.unsent[sent:]
        self.unsent = rest if len(rest) else None
        if self.unsent is None:
            self.flush()
        self._less.set()

    def lose(self) -> None:
        """The connection is over: nothing is sent any more."""
        self.gone = True
        self.unsent = None
        self.queued_bytes = 0
        self._blocked.clear()
        self._less.set()
        self._transport.close()
