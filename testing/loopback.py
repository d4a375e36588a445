"""Real links between the members of a test's cluster: etcd's protocol over the loopback, with cuts.

A cut closes the connections that cross it and refuses new ones. Which cuts there are is the `Network`'s to know.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

import trio

from .network import Network

__all__ = ["LoopbackNetwork", "free_port"]

HOST = "127.0.0.1"


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on now."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        port: int = found.getsockname()[1]
        return port


class Cable(trio.abc.Stream):
    """A TCP connection that can be cut from outside."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()

    @property
    def open(self) -> bool:
        """Whether this end has not been closed."""
        return self._stream.socket.fileno() >= 0

    def cut(self) -> None:
        """Both ends learn that the connection is over."""
        if self.open:
            with suppress(OSError):
                self._stream.socket.shutdown(socket.SHUT_RDWR)


class LoopbackNetwork:
    """The network as one machine sees it (`actors.world.Network`).

    Args:
        network: who reaches whom.
        name: of the machine.
        machine_at: the name of the machine that listens on a port, None for others than members.
    """

    def __init__(
        self, network: Network, name: str, machine_at: Callable[[int], str | None]
    ) -> None:
        self._network = network
        self._name = name
        self._machine_at = machine_at
        self._open: dict[Cable, str] = {}
        network.on_block.append(self._cut)

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        """Connect to a member; raises OSError, across a cut as well."""
        other = self._machine_at(port)
        if other is not None and not self._reaches(other):
            await trio.lowlevel.checkpoint()
            raise ConnectionRefusedError(f"{self._name} does not reach {other}")
        cable = Cable(await trio.open_tcp_stream(host, port))
        if other is not None:
            self._open = {each: name for each, name in self._open.items() if each.open}
            self._open[cable] = other
        return cable

    async def listen(self, host: str, port: int) -> Sequence[trio.SocketListener]:
        """Listen, as always."""
        return await trio.open_tcp_listeners(port, host=host)

    def _reaches(self, other: str) -> bool:
        """Whether both directions are free: TCP needs both."""
        members = {name: member for member, name in self._network.names.items()}
        mine, theirs = members.get(self._name), members.get(other)
        if mine is None or theirs is None:
            return True
        conditions = self._network.conditions
        return not (conditions[mine, theirs].blocked or conditions[theirs, mine].blocked)

    def _cut(self) -> None:
        for cable, other in list(self._open.items()):
            if not self._reaches(other):
                del self._open[cable]
                cable.cut()
