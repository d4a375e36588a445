"""What waits for the answers of a connection: one record per call.

A unary call parks the caller's own task and is woken with the answer, so that it costs no task and no channel. A
stream keeps the messages that nobody has taken yet, and stops the server when these are too many.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import outcome
import trio

from ..errors import Code, EtcdError
from .errors import CallFailed

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["STREAM_BYTES_MAX", "LoneCall", "StreamCall", "UnaryCall"]

STREAM_BYTES_MAX: Final = 4 << 20
"""Bytes of messages that wait to be received on one stream; beyond it the server gets no credit to send more."""
_NO_MESSAGE: Final = "the server answered without a message"


class UnaryCall:
    """A caller that waits for one message and a status."""

    __slots__ = ("_message", "_task")

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self._task = task
        self._message: bytes | None = None

    def answered(self, data: bytes) -> None:
        """The answer has come, and the call has succeeded."""
        trio.lowlevel.reschedule(self._task, outcome.Value(data))

    def message(self, data: bytes) -> None:
        """The answer has come; the status follows."""
        self._message = data

    def finished(self, error: EtcdError | None, *, processed: bool) -> None:
        """The call is over."""
        message = self._message
        result: outcome.Outcome[bytes]
        if error is None and message is not None:
            result = outcome.Value(message)
        else:
            error = error or EtcdError(_NO_MESSAGE, code=Code.INTERNAL)
            result = outcome.Error(CallFailed(error, processed=processed))
        trio.lowlevel.reschedule(self._task, result)

    def writable(self) -> None:
        """All of the request has gone out."""


class LoneCall:
    """A caller that reads its answer itself; see `reader.py`."""

    __slots__ = ("_error", "_message", "over")

    def __init__(self) -> None:
        self.over = False
        self._message: bytes | None = None
        self._error: CallFailed | None = None

    def result(self) -> bytes:
        """What came of it; raises CallFailed."""
        if self._error is not None:
            raise self._error
        assert self._message is not None
        return self._message

    def answered(self, data: bytes) -> None:
        """The answer has come, and the call has succeeded."""
        self._message = data
        self.over = True

    def message(self, data: bytes) -> None:
        """The answer has come; the status follows."""
        self._message = data

    def finished(self, error: EtcdError | None, *, processed: bool) -> None:
        """The call is over."""
        if error is None and self._message is None:
            error = EtcdError(_NO_MESSAGE, code=Code.INTERNAL)
        if error is not None:
            self._error = CallFailed(error, processed=processed)
        self.over = True

    def writable(self) -> None:
        """All of the request has gone out."""


class StreamCall:
    """Both halves of a streaming call on one connection; a `ChannelStream`."""

    def __init__(self, connection: Connection, stream_id: int) -> None:
        self._connection = connection
        self.stream_id = stream_id
        self._messages: deque[bytes] = deque()
        self._bytes = 0
        self._paused = False
        self.over = False
        self._error: EtcdError | None = None
        self._processed = True
        self._news = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()

    @property
    def endpoint(self) -> str:
        """Which endpoint serves it."""
        return self._connection.endpoint

    @property
    def refused_unseen(self) -> bool:
        """The call has ended, and the server has surely not seen it."""
        return self.over and not self._processed

    # --- what the connection says -----------------------------------------------------------------

    def answered(self, data: bytes) -> None:
        """The only message, and the end."""
        self.message(data)
        self.finished(None, processed=True)

    def message(self, data: bytes) -> None:
        """The next message has come."""
        self._messages.append(data)
        self._bytes += len(data)
        if self._bytes > STREAM_BYTES_MAX and not self._paused:
            self._paused = True
            self._connection.session.pause(self.stream_id, whole=True)
        self._news.unpark_all()

    def finished(self, error: EtcdError | None, *, processed: bool) -> None:
        """The call is over; messages may still wait to be received."""
        self.over = True
        self._error = error
        self._processed = processed
        self._news.unpark_all()
        self._room.unpark_all()

    def writable(self) -> None:
        """What was sent has gone out."""
        self._room.unpark_all()

    # --- what the user does -----------------------------------------------------------------------

    async def send(self, message: bytes) -> None:
        """Send one message; waits while the server takes no more. Without effect when the call has ended.

        Raises:
            EtcdError: the message is larger than `max_send_bytes`.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if len(message) > self._connection.message_bytes_max:
            raise self._connection.too_large(message).error
        session = self._connection.session
        while not self.over and session.backlog_bytes(self.stream_id) > STREAM_BYTES_MAX:
            await self._room.park()
        if not self.over:
            session.send_message(self.stream_id, message)
            self._connection.send_soon()
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def half_close(self) -> None:
        """Say that no more messages come."""
        await trio.lowlevel.checkpoint()
        if not self.over:
            self._connection.session.half_close(self.stream_id)
            self._connection.send_soon()

    async def receive(self) -> bytes | None:
        """The next message, or None when the server has ended the call with OK; raises EtcdError."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._messages:
            if self.over:
                if self._error is not None:
                    raise self._error
                return None
            await self._news.park()
        message = self._messages.popleft()
        self._bytes -= len(message)
        if self._paused and self._bytes * 2 <= STREAM_BYTES_MAX:
            self._paused = False
            self._connection.session.resume(self.stream_id)
            self._connection.send_soon()
        return message
