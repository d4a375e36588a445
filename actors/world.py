"""What an actor may know of the world outside: clock, chance, disk, network and threads, as one record.

Everything that makes two runs of a program differ comes to the actors through a `World`: the real
one, or a simulated one. Waiting is Trio's (`trio.sleep`, cancel scopes), whose clock is
exchangeable already; `Clock.now` reads the same one.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs
import trio

from ..backends.contract import Engine
from ..backends.lock import Lock, lock_directory, lock_file

if TYPE_CHECKING:
    from ..config import Config
    from ..raft.disk import Disk
    from .peers.contract import PeerOwner, PeerReply, Peers

__all__ = ["Clock", "Network", "RealClock", "TcpNetwork", "World"]

T = TypeVar("T")
INLINE_SECONDS_MAX = 0.005  # a hop to a worker thread and back costs about as much as a quick fsync


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


class Locks(Protocol):
    """Keep a data directory to one node: see `backends.lock`. Both raise DataDirLocked."""

    def directory(self, path: Path) -> Lock:
        """Take the directory `path`, which exists."""
        ...

    def file(self, path: Path) -> Lock:
        """Take the file `path`, which need not exist, by a lock beside it."""
        ...


class RealLocks:
    """The kernel's locks."""

    def directory(self, path: Path) -> Lock:
        return lock_directory(path)

    def file(self, path: Path) -> Lock:
        return lock_file(path)


class MakePeers(Protocol):
    """Makes the links of a node: an actor that is started before raft, and the `Peers` that it is."""

    def __call__(self, owner: PeerOwner, config: Config, world: World) -> Peers: ...


class AskUrl(Protocol):
    """An HTTP GET to a peer URL of a node that there are no links to: by one that has yet to join."""

    async def __call__(
        self, network: Network, url: str, target: str, *, seconds_max: float
    ) -> PeerReply:
        """The reply; raises OSError when there is none in time."""
        ...


async def _ask_url(network: Network, url: str, target: str, *, seconds_max: float) -> PeerReply:
    from .peer_fetch import fetch

    return await fetch(network, url, target, seconds_max=seconds_max)


def _engine_class(name: str) -> type[Engine]:
    from ..backends.registry import engine_class

    return engine_class(name)


def _in_thread(work: Callable[[], T]) -> Awaitable[T]:
    return trio.to_thread.run_sync(work)


def _http_peers(owner: PeerOwner, config: Config, world: World) -> Peers:
    from .peers.links import HttpPeers

    return HttpPeers(owner, config, world)


@attrs.frozen
class World:
    """The sources of time, chance and bytes.

    `in_thread` runs slow work beside the loop; a simulation, which may have no threads, runs it at once.
    Work with the disk that is expected to take at most `inline_seconds_max` is done on the loop's own thread;
    a negative bound sends all of it to `in_thread`. `stopwatch` measures such work, in seconds, on any thread.
    """

    clock: Clock
    random: Random
    disk: Disk
    network: Network
    locks: Locks = attrs.Factory(RealLocks)
    engine_class: Callable[[str], type[Engine]] = _engine_class
    in_thread: Callable[[Callable[[], Any]], Awaitable[Any]] = _in_thread
    inline_seconds_max: float = INLINE_SECONDS_MAX
    stopwatch: Callable[[], float] = time.perf_counter
    segment_bytes: int | None = None
    """The space that a file of the log is given at first; None for etcd's 64 MiB."""
    checkpoint_seconds: float | None = None
    """How often the time that a lease has left is replicated; None for etcd's five minutes."""
    peers: MakePeers = _http_peers
    ask_url: AskUrl = _ask_url

    @classmethod
    def real(cls, *, seed: int | None = None) -> World:
        """The real world. With `seed`, chance repeats itself."""
        from ..raft.disk import RealDisk

        return cls(clock=RealClock(), random=Random(seed), disk=RealDisk(), network=TcpNetwork())
