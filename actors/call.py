"""Calls: what the parts of a node hand to each other for a client that waits.

A call does not own a task. It carries a `sink`, the thing that the answer goes to (a connection, the JSON
gateway, an embedding program), and a `tag` by which the sink knows the call. Whoever completes the call
says `answer` or `refuse`, once, from synchronous code; the sink decides when bytes leave.

Streams are the same in both directions: a `Stream` receives the client's messages, and sends through the
`Outlet` that it was opened with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import trio

from ..errors import EtcdError, RequestTimeout
from .traffic import MethodCounter

__all__ = ["NO_METADATA", "Call", "Metadata", "Outlet", "Sink", "Stream", "Waiter"]

Metadata = Mapping[str, "str | bytes"]
NO_METADATA: Metadata = {}
_UNCOUNTED = MethodCounter()  # of calls that the node makes itself


class Sink(Protocol):
    """Where answers go."""

    def answer(self, tag: int, message: bytes) -> None:
        """The call succeeded; `message` is the encoded response."""

    def refuse(self, tag: int, error: EtcdError) -> None:
        """The call failed with a result that the client is told."""


class Call:
    """One unary call on its way through the node.

    Attributes:
        kind: the field number of InternalRaftRequest for a proposal, 0 otherwise.
        request: the decoded request.
        data: the encoded proposal, empty for calls that are not proposed.
        request_id: the number that the proposal bears, on whichever member it is applied.
        term: the raft term in which the proposal was appended.
        deadline: seconds of the node's clock after which nobody waits any more.
    """

    __slots__ = (
        "counter",
        "data",
        "deadline",
        "kind",
        "metadata",
        "request",
        "request_id",
        "sink",
        "tag",
        "term",
    )

    def __init__(
        self,
        sink: Sink,
        tag: int,
        metadata: Metadata = NO_METADATA,
        counter: MethodCounter = _UNCOUNTED,
    ) -> None:
        self.sink = sink
        self.tag = tag
        self.metadata = metadata
        self.counter = counter
        self.kind = 0
        self.request: Any = None
        self.data = b""
        self.request_id = 0
        self.term = 0
        self.deadline = 0.0

    def answer(self, message: bytes) -> None:
        """Complete the call."""
        self.counter.ok += 1
        self.sink.answer(self.tag, message)

    def refuse(self, error: EtcdError) -> None:
        """Complete the call with an error."""
        self.counter.ended[error.status] += 1
        self.sink.refuse(self.tag, error)


class Waiter:
    """A sink for one task of this process that waits for one answer."""

    __slots__ = ("_done", "_error", "_message")

    def __init__(self) -> None:
        self._done = trio.Event()
        self._message: bytes | None = None
        self._error: EtcdError | None = None

    def answer(self, tag: int, message: bytes) -> None:
        """See `Sink`."""
        del tag
        self._message = message
        self._done.set()

    def refuse(self, tag: int, error: EtcdError) -> None:
        """See `Sink`."""
        del tag
        self._error = error
        self._done.set()

    async def wait(self, timeout_seconds: float | None = None) -> bytes:
        """The encoded response; raises the EtcdError that the call was refused with."""
        if timeout_seconds is None:
            await self._done.wait()
        else:
            with trio.move_on_after(timeout_seconds) as scope:
                await self._done.wait()
            if scope.cancelled_caught:
                raise RequestTimeout
        if self._error is not None:
            raise self._error
        assert self._message is not None, "an answered call has a message"
        return self._message


class Outlet(Protocol):
    """The sending half of a stream, towards the client."""

    def send(self, message: bytes) -> None:
        """Queue an encoded message; look at `backlog` first."""

    def backlog(self) -> int:
        """Bytes queued that the client's flow control has not let go yet."""

    def finish(self, error: EtcdError | None = None) -> None:
        """End the stream with a status; nothing may be sent after it."""


class Stream(Protocol):
    """The receiving half of a streaming call: what a service does with what the client says."""

    def message(self, data: bytes) -> None:
        """The client sent a message."""

    def half_closed(self) -> None:
        """The client will send no more."""

    def cancelled(self) -> None:
        """The client or the connection is gone: drop everything, send nothing."""

    def writable(self) -> None:
        """`backlog` has fallen: more can be sent."""
