"""The client's channel to a node in the same program: calls go to its dispatcher, and no socket is used.

Imported when `Node.client` is called, so that a node on its own knows nothing of the client.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import outcome
import trio

from ..client.client import Client, opened
from ..client.contract import Metadata
from ..client.errors import Unreachable
from ..client.retry import Retries
from ..errors import EtcdError
from ..rpc.methods import Method
from .call import NO_METADATA, Call, Stream
from .call import Metadata as CallMetadata
from .dispatch import Dispatcher
from .failures import refusal_of
from .outbox import Outbox

__all__ = ["NodeChannel", "node_client"]

IN_PROCESS = "in-process"


@asynccontextmanager
async def node_client(dispatcher: Dispatcher, outbox: Outbox) -> AsyncIterator[Client]:
    """A client of a node in the same program, for the length of the block."""
    async with opened(NodeChannel(dispatcher, outbox)) as client:
        yield client


class NodeChannel:
    """A `Channel` whose only endpoint is a node of this program."""

    def __init__(self, dispatcher: Dispatcher, outbox: Outbox) -> None:
        self._dispatcher = dispatcher
        self._outbox = outbox

    @property
    def endpoints(self) -> tuple[str, ...]:
        """One name, which stands for the node."""
        return (IN_PROCESS,)

    async def unary(
        self,
        method: Method,
        request: bytes,
        *,
        metadata: Metadata | None = None,
        endpoint: str | None = None,
    ) -> bytes:
        """See `Channel`."""
        _check(endpoint)
        retries: Retries | None = None
        while True:
            try:
                return await self.attempt(method.path, request, metadata)
            except EtcdError as error:
                retries = retries or Retries(method.path, 1, random.random)
                wait = retries.wait_seconds(error, processed=True)
                if wait is None:
                    raise
            await trio.sleep(wait)

    async def attempt(self, path: str, request: bytes, metadata: CallMetadata | None) -> bytes:
        """Make a call once."""
        await trio.lowlevel.checkpoint_if_cancelled()
        waiter = _Waiter(trio.lowlevel.current_task())
        scope = self._dispatcher.call(path, request, Call(waiter, 0, metadata or NO_METADATA))
        self._outbox.flush()
        try:
            return await waiter.wait()
        finally:
            if scope is not None:
                scope.cancel()

    @asynccontextmanager
    async def stream(
        self, method: Method, *, metadata: Metadata | None = None, endpoint: str | None = None
    ) -> AsyncIterator[NodeStream]:
        """See `Channel`."""
        _check(endpoint)
        await trio.lowlevel.checkpoint_if_cancelled()
        inbox = _Inbox()
        opened = self._dispatcher.open(method.path, inbox, metadata or NO_METADATA)
        self._outbox.flush()
        stream = NodeStream(opened, inbox, self._outbox)
        try:
            yield stream
        finally:
            stream.cancel()


class _Waiter:
    """A sink that wakes the task of the caller; one answer, which may come before the task waits."""

    __slots__ = ("_parked", "_result", "_task")

    def __init__(self, task: trio.lowlevel.Task) -> None:
        self._task = task
        self._parked = False
        self._result: outcome.Outcome[bytes] | None = None

    def answer(self, tag: int, message: bytes) -> None:
        """See `Sink`."""
        del tag
        self._done(outcome.Value(message))

    def refuse(self, tag: int, error: EtcdError) -> None:
        """See `Sink`."""
        del tag
        self._done(outcome.Error(error))

    def _done(self, result: outcome.Outcome[bytes]) -> None:
        if self._parked:
            self._parked = False
            trio.lowlevel.reschedule(self._task, result)
        elif self._result is None:
            self._result = result

    async def wait(self) -> bytes:
        """The answer; raises the EtcdError that the call was refused with."""
        if self._result is not None:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return self._result.unwrap()
        self._parked = True

        def abort(_: object) -> trio.lowlevel.Abort:
            self._parked = False
            return trio.lowlevel.Abort.SUCCEEDED

        message: bytes = await trio.lowlevel.wait_task_rescheduled(abort)
        return message


class _Inbox:
    """The outlet of a service: what it has sent and nobody has received yet."""

    def __init__(self) -> None:
        self.messages: deque[bytes] = deque()
        self.bytes = 0
        self.over = False
        self.error: EtcdError | None = None
        self.news = trio.lowlevel.ParkingLot()

    def send(self, message: bytes) -> None:
        """See `Outlet`."""
        self.messages.append(message)
        self.bytes += len(message)
        self.news.unpark_all()

    def backlog(self) -> int:
        """See `Outlet`."""
        return self.bytes

    def finish(self, error: EtcdError | None = None) -> None:
        """See `Outlet`."""
        self.over = True
        self.error = error
        self.news.unpark_all()


class NodeStream:
    """Both halves of a streaming call; a `ChannelStream`."""

    def __init__(self, service: Stream | None, inbox: _Inbox, outbox: Outbox) -> None:
        self._service = service
        self._inbox = inbox
        self._outbox = outbox

    @property
    def endpoint(self) -> str:
        """The node."""
        return IN_PROCESS

    async def send(self, message: bytes) -> None:
        """Send one message; without effect when the call has ended."""
        await trio.lowlevel.checkpoint()
        if self._service is not None and not self._inbox.over:
            try:
                self._service.message(message)
            except Exception as error:  # noqa: BLE001  # it ends the call, as for a remote client
                self._inbox.finish(refusal_of(error))
                self._service.cancelled()
            self._outbox.flush()

    async def half_close(self) -> None:
        """Say that no more messages come."""
        await trio.lowlevel.checkpoint()
        if self._service is not None and not self._inbox.over:
            self._service.half_closed()
            self._outbox.flush()

    async def receive(self) -> bytes | None:
        """The next message, or None when the service has ended the call; raises EtcdError."""
        await trio.lowlevel.checkpoint_if_cancelled()
        inbox = self._inbox
        while not inbox.messages:
            if inbox.over:
                if inbox.error is not None:
                    raise inbox.error
                return None
            await inbox.news.park()
        message = inbox.messages.popleft()
        inbox.bytes -= len(message)
        if not inbox.messages and self._service is not None and not inbox.over:
            self._service.writable()
        return message

    def lose(self, error: EtcdError) -> None:
        """The node is gone: the stream ends with `error`."""
        if not self._inbox.over:
            self._inbox.finish(error)

    def cancel(self) -> None:
        """The user has done with it."""
        service, self._service = self._service, None
        if service is not None and not self._inbox.over:
            self._inbox.over = True
            service.cancelled()


def _check(endpoint: str | None) -> None:
    if endpoint not in (None, IN_PROCESS):
        raise Unreachable(
            {endpoint or "": "a client in a node's own program reaches that node only"}
        )
