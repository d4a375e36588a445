"""The real client over simulated machines: a `Channel` that goes from one member to the next, as over sockets.

No socket and no thread: a call goes to the dispatcher of the node that runs on a machine, and is lost with it. What is
made again, and what is not, is decided by the client's own rules, so that programs under test meet what they meet in
life. It picks members in turn and waits without jitter: the same seed gives the same run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from ..actors.node_client import NodeChannel
from ..client.block_nursery import block_nursery
from ..client.client import Client, opened
from ..client.contract import ChannelStream, Metadata
from ..client.errors import ConnectionLost as CallLost
from ..client.errors import Unreachable
from ..client.retry import Retries
from ..errors import EtcdError
from ..rpc.methods import Method
from .errors import ConnectionLost

if TYPE_CHECKING:
    from .machine import Machine

__all__ = ["MachinesChannel", "connected"]

DIAL_SECONDS = 2.0
POLL_SECONDS = 0.05


@asynccontextmanager
async def connected(machines: Callable[[], Sequence[Machine]]) -> AsyncIterator[Client]:
    """A client of the machines that there are at the time of each call."""
    async with block_nursery() as nursery, opened(MachinesChannel(machines, nursery)) as client:
        yield client


class MachinesChannel:
    """A `Channel` whose endpoints are machines, by name."""

    def __init__(self, machines: Callable[[], Sequence[Machine]], nursery: trio.Nursery) -> None:
        self._machines = machines
        self._nursery = nursery
        self._turn = 0

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The names of the machines."""
        return tuple(machine.name for machine in self._machines())

    async def unary(
        self,
        method: Method,
        request: bytes,
        *,
        metadata: Metadata | None = None,
        endpoint: str | None = None,
    ) -> bytes:
        """See `Channel`."""
        retries = Retries(method.path, len(self.endpoints), lambda: 0.5)
        while True:
            machine = await self._serving(endpoint)
            asked = False
            try:
                async with machine.reachable() as node:
                    asked = True
                    channel = NodeChannel(node.dispatcher, node.outbox)
                    return await channel.attempt(method.path, request, metadata)
            except ConnectionLost:
                error: EtcdError = CallLost()
            except EtcdError as answer:
                error = answer
            wait = retries.wait_seconds(error, processed=asked)
            if wait is None:
                raise error
            await trio.sleep(wait)

    @asynccontextmanager
    async def stream(
        self, method: Method, *, metadata: Metadata | None = None, endpoint: str | None = None
    ) -> AsyncIterator[ChannelStream]:
        """See `Channel`."""
        machine = await self._serving(endpoint)
        node = machine.node
        if node is None:
            raise CallLost
        channel = NodeChannel(node.dispatcher, node.outbox)
        async with channel.stream(method, metadata=metadata) as stream:
            gone = trio.CancelScope()
            self._nursery.start_soon(self._look_after, machine, stream.lose, gone)
            try:
                yield stream
            finally:
                gone.cancel()

    async def _look_after(
        self, machine: Machine, lose: Callable[[EtcdError], None], gone: trio.CancelScope
    ) -> None:
        """End a stream when its machine does."""
        with gone:
            try:
                async with machine.connected():
                    await trio.sleep_forever()
            except ConnectionLost:
                lose(CallLost())

    async def _serving(self, endpoint: str | None) -> Machine:
        """The machine whose turn it is; raises Unreachable when none serves for a while."""
        with trio.move_on_after(DIAL_SECONDS):
            while True:
                machines = [
                    machine
                    for machine in self._machines()
                    if machine.node is not None and endpoint in (None, machine.name)
                ]
                if machines:
                    self._turn += 1
                    return machines[self._turn % len(machines)]
                await trio.sleep(POLL_SECONDS)
        names = self.endpoints if endpoint is None else (endpoint,)
        raise Unreachable(dict.fromkeys(names, "the member does not serve"))
