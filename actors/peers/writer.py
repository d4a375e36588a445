"""The outgoing half of a stream: messages to one member, written once per turn.

A stream is dialled by its receiver; the connection that serves the request hands its transport over here. Messages are
encoded when they are queued, since what follows on a msgappv2 stream depends on what went before, and share the bytes
of their entries. What the kernel does not take at once is written by the connection's task.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from ...raft.types import Message
from ...rpc.peer_chunks import chunk
from ..log import Log
from ..transport import Transport
from .codec import AppendEncoder, MessageEncoder
from .home import Home
from .status import PeerStatus

__all__ = ["STREAM_BYTES_MAX", "STREAM_MESSAGES_MAX", "StreamWriter"]

log = Log("triode.peers")

STREAM_MESSAGES_MAX: Final = 4096
"""Messages that a stream keeps while its peer takes none, as in etcd."""
STREAM_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of such messages."""


class StreamWriter:
    """One of the two streams to a member.

    Attributes:
        working: a peer has dialled the stream, and it has not failed since.
    """

    def __init__(
        self,
        kind: str,
        member: int,
        home: Home,
        status: PeerStatus,
        make_encoder: Callable[[], MessageEncoder | AppendEncoder],
        on_unreachable: Callable[[], None],
    ) -> None:
        self.kind = kind
        self._member = member
        self._home = home
        self._status = status
        self._make_encoder = make_encoder
        self._on_unreachable = on_unreachable
        self._encoder = make_encoder()
        self._transport: Transport | None = None
        self._parts: list[bytes] = []  # frames that are not written
        self._messages = 0  # in `_parts` and in `_unsent`
        self._bytes = 0
        self._unsent: memoryview | None = None  # of a write that the kernel took in part
        self._stuck = trio.Event()
        self.working = False

    def queue(self, message: Message) -> bool:
        """Keep a message for the next `flush`; False when there is no room."""
        if self._messages >= STREAM_MESSAGES_MAX or self._bytes >= STREAM_BYTES_MAX:
            return False
        self._add(self._encoder.encode(message))
        return True

    def _add(self, frame: bytes) -> None:
        self._messages += 1
        self._bytes += len(frame)
        self._parts.append(frame)

    def heartbeat(self) -> None:
        """Tell the peer that the stream lives."""
        if self.working and self._unsent is None:
            self._add(self._encoder.heartbeat)
            self.flush()

    def flush(self) -> None:
        """Write what is queued, as far as the kernel takes it now."""
        if not self._parts or self._unsent is not None or self._transport is None:
            return
        data = chunk(self._parts)
        self._parts = []
        self._write(memoryview(data))

    def _write(self, data: memoryview) -> None:
        transport = self._transport
        assert transport is not None
        try:
            sent = transport.write_nowait(data)
        except OSError as error:
            self._fail(error)
            return
        self._home.traffic.sent_bytes[self._member] += sent
        if sent < len(data):
            self._unsent = data[sent:]
            self._stuck.set()
            return
        self._unsent = None
        if not self._parts:
            self._messages = self._bytes = 0

    # --- a connection ---------------------------------------------------------------------------

    async def serve(self, transport: Transport) -> None:
        """Write to `transport` until it ends or another takes its place. In the connection's task."""
        if self.working:
            self.close()
        self._transport = transport
        self._encoder = self._make_encoder()
        self._stuck = trio.Event()
        self.working = True
        self._status.activate()
        log.info(
            "established TCP streaming connection with remote peer",
            stream=self.kind,
            peer_id=f"{self._member:x}",
        )
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write_rests, transport)
                while await transport.receive():  # the peer has nothing to say but the end
                    pass
                nursery.cancel_scope.cancel()
        finally:
            if self._transport is transport:
                self.close()
            transport.close()

    async def _write_rests(self, transport: Transport) -> None:
        while True:
            await self._stuck.wait()
            self._stuck = trio.Event()
            while self._transport is transport and self._unsent is not None:
                with trio.move_on_after(self._home.write_seconds_max) as waiting:
                    await transport.wait_writable()
                if self._transport is not transport or self._unsent is None:
                    break
                if waiting.cancelled_caught:
                    self._fail(TimeoutError("the peer takes no more bytes"))
                    break
                self._write(self._unsent)
                self.flush()

    def _fail(self, error: OSError) -> None:
        self._status.deactivate(self.kind, error)
        self._home.traffic.sent_failures[self._member] += 1
        self.close()

    def close(self) -> None:
        """Give the connection up; messages that were not written are lost."""
        transport, self._transport = self._transport, None
        if transport is None:
            return
        transport.close()
        if self._messages:
            self._on_unreachable()
        self._parts = []
        self._unsent = None
        self._messages = self._bytes = 0
        self.working = False
        log.warning(
            "lost TCP streaming connection with remote peer",
            stream=self.kind,
            peer_id=f"{self._member:x}",
        )
