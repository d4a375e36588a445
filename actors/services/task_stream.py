"""Server-streaming calls that need a task: one request, then messages as fast as the client reads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from ...errors import Code, EtcdError
from ..call import Outlet
from ..context import NodeContext

__all__ = ["Sender", "TaskStream"]

OUTLET_BYTES_MAX = 1024 * 1024


class Sender:
    """The sending half as a task sees it: `send` waits while the client is behind."""

    def __init__(self, out: Outlet) -> None:
        self._out = out
        self._writable = trio.Event()

    async def send(self, message: bytes) -> None:
        """Send one message."""
        self._out.send(message)
        await trio.lowlevel.checkpoint()
        while self._out.backlog() > OUTLET_BYTES_MAX:
            self._writable = trio.Event()
            await self._writable.wait()

    def wake(self) -> None:
        """The client has read."""
        self._writable.set()


class TaskStream:
    """Runs `work(request bytes, sender)` in a task of the node when the request is there."""

    def __init__(
        self, node: NodeContext, out: Outlet, work: Callable[[bytes, Sender], Awaitable[None]]
    ) -> None:
        self._node = node
        self._out = out
        self._work = work
        self._sender = Sender(out)
        self._scope = trio.CancelScope()
        self._started = False

    def message(self, data: bytes) -> None:
        """The request; a second one is not looked at."""
        if not self._started:
            self._started = True
            self._node.spawn(lambda: self._run(data))

    async def _run(self, data: bytes) -> None:
        with self._scope:
            try:
                await self._work(data, self._sender)
            except Exception as error:  # noqa: BLE001  # one call fails, not the node
                self._out.finish(self._node.refusal_of(error))
            else:
                self._out.finish()
        self._node.flush()

    def half_closed(self) -> None:
        """Expected right after the request; without one there is nothing to do, in grpc-go's words."""
        if not self._started:
            self._started = True
            self._out.finish(EtcdError("EOF", code=Code.UNKNOWN))

    def cancelled(self) -> None:
        """The client is gone."""
        self._scope.cancel()

    def writable(self) -> None:
        """The client has read."""
        self._sender.wake()
