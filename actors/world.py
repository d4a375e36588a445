"""What an actor may know of the world outside: clock, chance, disk and network, as one record.

Everything that makes two runs of a program differ comes to the actors through a `World`: the real
one, or a simulated one. Waiting is Trio's (`trio.sleep`, cancel scopes), whose clock is
exchangeable already; `Clock.now` reads the same one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Protocol

import attrs
import trio

if TYPE_CHECKING:
    from ..raft.disk import Disk

__all__ = ["Clock", "Network", "RealClock", "TcpNetwork", "World"]


class Network(Protocol):
    """Byte streams to and from other machines."""

    async def connect(self, host: str, port: int) -> trio.abc.Stream:
        """A stream to a listener; raises `OSError`."""
        ...

    async def listen(self, host: str, port: int) -> Sequence[trio.abc.Listener[trio.abc.Stream]]:
        """Listeners on an address; port 0 lets the system choose. Raises `OSError`."""
        ...


class TcpNetwork:
    """The `Network` of this machine."""

    async def connect(self, host: str, port: int) -> trio.SocketStream:
        return await trio.open_tcp_stream(host, port)

    async def listen(self, host: str, port: int) -> list[trio.SocketListener]:
        return await trio.open_tcp_listeners(port, host=host)


class Clock(Protocol):
    """Two readings of time; waiting is Trio's."""

    def now(self) -> float:
        """Monotonic seconds with an arbitrary zero: for durations and deadlines."""
        ...

    def wall(self) -> float:
        """Seconds since 1970: for people and certificates."""
        ...


class RealClock:
    """Trio's clock and the system's. Under a `MockClock`, `now` is virtual time."""

    def now(self) -> float:
        return trio.current_time()

    def wall(self) -> float:
        return time.time()


@attrs.frozen
class World:
    """The sources of time, chance and bytes."""

    clock: Clock
    random: Random
    disk: Disk
    network: Network

    @classmethod
    def real(cls, *, seed: int | None = None) -> World:
        """The real world. With `seed`, chance repeats itself."""
        from ..raft.disk import RealDisk

        return cls(clock=RealClock(), random=Random(seed), disk=RealDisk(), network=TcpNetwork())
