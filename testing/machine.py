"""A simulated computer: a clock, disks, a place in the network, and one member that runs on it.

It may lose power at any moment (`crash`), or at a chosen operation of its disks (`crash_at_operation`), be killed
(`kill`), paused, suspended, and started again with what was left. What a loss of power leaves of unsynced writes is
decided by the machine's random generator. The end of a process is no loss of power: what it wrote and did not sync is
in the page cache, where the next process sees it and a later loss of power may take it.

Threads are simulated: their work happens at some moment between its start and the moment at which the caller hears
of it, or at several, between two operations of a disk, and the loop goes on meanwhile (`threads`). As with real threads,
cancelling the caller does not stop the work; the end of the process does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context, copy_context
from pathlib import Path
from random import Random
from typing import TypeVar

import attrs
import trio

from ..actors.node import Node, open_node
from ..actors.peers.contract import PeerOwner, PeerReply, Peers
from ..actors.world import TcpNetwork, World
from ..backends.contract import Engine
from ..backends.lock import Lock
from ..backends.memory import MemoryEngine
from ..config import Config
from ..errors import MemberRemoved
from ..raft.simulated_disk import SimulatedDisk
from .clock import MachineClock
from .errors import ConnectionLost, PowerLoss, SimulationError, caused_by
from .links import SimulatedPeers
from .loopback import LoopbackNetwork
from .network import Network
from .pause import Freezer
from .platter import Platter, engine_on
from .sqlite_disk import SqliteDisk
from .threads import Threads
from .trace import MACHINE

__all__ = ["Machine"]

T = TypeVar("T")
SEGMENT_BYTES = 8192  # small, so that files of the log are cut, released and deleted


def _no_fault(_operation: str, _path: Path) -> None:
    pass


class _Free(Lock):
    """A lock without a file: a machine runs one node at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1


class _FreeLocks:
    def directory(self, path: Path) -> Lock:
        return _Free(path)

    def file(self, path: Path) -> Lock:
        return _Free(path)


class Machine:
    """A computer of a simulated cluster.

    Attributes:
        node: the member that runs on it, once it serves.
        dark: it is without power.
        unplugged: it has no network any more.
        failure: why the member went down by itself; None if it did not.
        sqlite: its members store on SQLite, see `use_sqlite`; otherwise on a simulated engine.
        disk_delay: how long the next slow operation of the disk takes, in seconds; None for no time at all.
        checkpoint_seconds: how often its members replicate the time that a lease has left, in seconds; None: as usual.
        install_delay: how long the next install of a snapshot takes; None: as any slow operation.
        served: a member has served here since the disks were empty.
        leaving: the cluster has been asked to remove its member.
        find: the machine with a peer URL.
        on_failed: told when the member ends by itself, and why.
        fault: called ahead of every operation of a disk with its name and file; may raise what it should raise.
        read_fault: called ahead of every read of the backend, if it is not None, with its name and file; likewise.
    """

    def __init__(
        self,
        number: int,
        network: Network,
        freezer: Freezer,
        random: Random,
        *,
        clock: MachineClock | None = None,
        real_port: int | None = None,
    ) -> None:
        self.name = name = f"m{number}"
        self.peer_url = f"http://10.0.{number >> 8}.{number & 255}:2380"
        if real_port is not None:
            self.peer_url = f"http://127.0.0.1:{real_port}"
        self.real_port = real_port
        self.network = network
        self.random = random
        self.clock = clock or MachineClock()
        self.node: Node | None = None
        self.dark = False
        self.paused = False
        self.unplugged = False
        self.leaving = False
        self.served = False
        self.sqlite = False
        self._sqlite_disk: SqliteDisk | None = None
        self.find: Callable[[str], Machine | None] = lambda _url: None
        self.on_failed: Callable[[Machine, BaseException], None] = lambda _machine, _error: None
        self.failure: BaseException | None = None
        self.disk_delay: Callable[[], float] | None = None
        self.install_delay: Callable[[], float] | None = None
        self.checkpoint_seconds: float | None = None
        self.fault: Callable[[str, Path], None] = _no_fault
        self.read_fault: Callable[[str, Path], None] | None = None
        self.operations = 0
        self.context: Context = copy_context()
        self.context.run(MACHINE.set, name)
        self._freezer = freezer
        self._crash_at: int | None = None
        self._peers: SimulatedPeers | None = None
        self._scope: trio.CancelScope | None = None
        self._down = trio.Event()
        self._down.set()
        self._ready = trio.Event()
        self._stop = trio.Event()
        self._visitors: dict[trio.CancelScope, None] = {}
        self._power_lost = False
        self._resumed = trio.Event()
        self._gone = trio.Event()
        self._threads = Threads(Random(random.getrandbits(64)))
        self.wipe()

    def wipe(self) -> None:
        """Exchange the disks for empty ones; only while the machine is down."""
        if not self._down.is_set():
            raise SimulationError(f"{self.name} runs: crash or stop it before its disks are wiped")
        self.served = False
        self.dispose()
        self.disk = SimulatedDisk(choose=self.random.randrange)
        self.disk.before = self._operation
        self.platter: Platter | SqliteDisk
        self._engine: type[Engine]
        if self.sqlite:
            self.platter = self._sqlite_disk = SqliteDisk(choose=self.random.randrange)
            self._engine = self.platter.engine
        else:
            self.platter = Platter(choose=self.random.randrange)
            self._engine = engine_on(self.platter)
        self.platter.before = self._operation
        self.platter.before_read = self._read

    def dispose(self) -> None:
        """The machine is not used any more: remove what it has on the real disk."""
        if self._sqlite_disk is not None:
            self._sqlite_disk.remove()
            self._sqlite_disk = None

    def use_sqlite(self) -> None:
        """Store on SQLite from now on; the disks are exchanged."""
        self.sqlite = True
        self.wipe()

    # --- the world of the node ------------------------------------------------------------------

    def world(self) -> World:
        """The world as the next incarnation of the member sees it."""
        instant = self.disk_delay is None
        world = World(
            clock=self.clock,
            random=Random(self.random.getrandbits(64)),
            disk=self.disk,
            network=TcpNetwork(),
            locks=_FreeLocks(),
            engine_class=self._engine_class,
            in_thread=self._in_thread,
            inline_seconds_max=1.0 if instant else -1.0,
            stopwatch=lambda: 0.0,
            segment_bytes=SEGMENT_BYTES,
            checkpoint_seconds=self.checkpoint_seconds,
            peers=self._make_peers,
            ask_url=self._ask_url,
        )
        if self.real_port is None:
            return world
        network = LoopbackNetwork(self.network, self.name, self._name_at)
        real = World.real()
        return attrs.evolve(world, network=network, peers=real.peers, ask_url=real.ask_url)

    def _engine_class(self, name: str) -> type[Engine]:
        return MemoryEngine if name == MemoryEngine.name else self._engine

    def _name_at(self, port: int) -> str | None:
        found = self.find(f"http://127.0.0.1:{port}")
        return None if found is None else found.name

    async def _ask_url(
        self, network: object, url: str, target: str, *, seconds_max: float
    ) -> PeerReply:
        """Ask a node that there are no links to; it may be on its way up, and then has no answer."""
        del network
        other = self.find(url)
        await trio.sleep(self.network.usual.delay(self.network.random))
        if other is None or other.dark or other._peers is None or self.unplugged:
            raise ConnectionRefusedError(f"{url} is not reachable")
        with trio.move_on_after(seconds_max):
            try:
                async with other.connected():
                    return await other._peers.answer("GET", target, b"")
            except ConnectionLost as error:
                raise ConnectionResetError(f"{url} is gone") from error
        raise TimeoutError(f"{url} did not answer {target}")

    def _make_peers(self, owner: PeerOwner, config: Config, world: World) -> Peers:
        del config, world
        self._peers = SimulatedPeers(owner, self.network, self)
        return self._peers

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """As `trio.to_thread.run_sync`: cancelling the caller does not stop the work. See `threads`."""
        delay = self.disk_delay
        if self.install_delay is not None and "_install" in getattr(work, "__qualname__", ""):
            delay = self.install_delay
        await trio.lowlevel.checkpoint_if_cancelled()
        process = self._gone
        if delay is None:
            await self._thread_waits(0.0, process)
            result = work()
            await self._thread_waits(0.0, process)
            return result
        left = delay()
        stepped, ended = self._threads.begin(work), False
        try:
            while not ended:
                pause = left * self.random.random()
                left -= pause
                await self._thread_waits(pause, process)
                ended = self._threads.go_on(stepped)
            await self._thread_waits(left, process)
        finally:
            self._threads.lose_one(stepped)
        return stepped.result()

    async def _thread_waits(self, seconds: float, process: trio.Event) -> None:
        """Let time pass for a thread, which only the end of its process stops."""
        if seconds:
            with trio.CancelScope(shield=True), trio.move_on_after(seconds):
                await process.wait()
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()
        if process.is_set():
            await trio.lowlevel.checkpoint()
            raise PowerLoss(f"{self.name} is gone: its threads are, too")

    def _operation(self, operation: str, path: Path) -> None:
        """Something is about to be done to a disk."""
        self._threads.may_stop()
        self.operations += 1
        if self.operations == self._crash_at:
            self._power_lost = True
            self._go_dark()
        if self.dark:
            raise PowerLoss(f"cannot {operation} {path}: the machine is without power")
        self.fault(operation, path)

    def _read(self, operation: str, path: Path) -> None:
        """Something is about to be read from the backend."""
        self._threads.may_stop()
        if self.read_fault is not None:
            self.read_fault(operation, path)

    @property
    def peers(self) -> SimulatedPeers | None:
        """The links of the member that runs here, or has run."""
        return self._peers

    # --- life -----------------------------------------------------------------------------------

    @property
    def up(self) -> bool:
        """Whether a member runs here, or is about to."""
        return not self._down.is_set()

    def start(self, nursery: trio.Nursery, config: Config) -> None:
        """Start the member in a task of `nursery`; `wait_ready` tells when it serves."""
        if self.up:
            raise SimulationError(f"{self.name} runs already")
        self._down, self._ready, self._stop = trio.Event(), trio.Event(), trio.Event()
        self._gone = trio.Event()
        self.failure, self.dark, self._power_lost = None, False, False
        self.operations = 0
        self._scope = trio.CancelScope()
        self.network.trace.event(self.name, "starts")
        nursery.start_soon(self._run, config, self._scope, name=self.name)

    async def _run(self, config: Config, scope: trio.CancelScope) -> None:
        MACHINE.set(self.name)
        try:
            with scope:
                async with open_node(config, world=self.world()) as node:
                    self.node, self.served = node, True
                    self._ready.set()
                    self.network.trace.event(self.name, "serves")
                    await self._stop.wait()
        except Exception as error:  # noqa: BLE001  # the member's end is an event here
            self._ended(error)
        except BaseExceptionGroup as group:
            failures, rest = group.split(Exception)
            if failures is not None:
                self._ended(failures)
            if rest is not None:
                raise rest from None
        finally:
            self._settle()

    @property
    def left(self) -> bool:
        """Whether its member has ended as it was removed: nobody starts it again."""
        return caused_by(self.failure, MemberRemoved)

    def _ended(self, error: BaseException) -> None:
        if not self.dark:
            self.failure = error
            self.network.trace.event(self.name, f"failed: {error!r}")
            self.on_failed(self, error)

    def _settle(self) -> None:
        """The node is gone: what it has left on the disks is now what there is."""
        if self._peers is not None:
            self._peers.cut()
        self._lose_visitors()
        self.node, self._crash_at = None, None
        self._gone.set()
        self._threads.lose()
        if self._power_lost:
            self._lose_power()
        else:
            self.disk.end_process()
            self.platter.end_process()
        self.network.trace.event(self.name, "is dark" if self.dark else "is down")
        self.dark = True
        self._down.set()
        self._ready.set()

    def _lose_power(self) -> None:
        self.disk.crash()
        self.platter.crash()

    async def wait_ready(self) -> None:
        """Return when the member serves; raises what kept it from doing so, or ConnectionLost."""
        await self._ready.wait()
        if self.node is None:
            raise self.failure or ConnectionLost(f"{self.name} went down before it served")

    async def wait_started(self) -> None:
        """Return when the member serves, or has gone down before it did."""
        await self._ready.wait()

    async def wait_down(self) -> None:
        """Return when no member runs here."""
        await self._down.wait()

    async def stop(self) -> None:
        """Stop the member gracefully."""
        self.resume()
        self._stop.set()
        if not self._ready.is_set() and self._scope is not None:
            self._scope.cancel()
        await self._down.wait()

    async def crash(self) -> None:
        """Lose power at once; afterwards unsynced writes are there, or not, or in part.

        So they are when no member runs: an earlier process has left them in the page cache.
        """
        if self._down.is_set():
            self._lose_power()
            self.network.trace.event(self.name, "loses power")
        self._power_lost = True
        await self._die()

    async def kill(self) -> None:
        """Kill the member's process: what it has written is there, though not on the disk if it was not synced."""
        await self._die()

    async def _die(self) -> None:
        if self.up:
            self._go_dark()
            self.resume()
        await self._down.wait()

    def _go_dark(self) -> None:
        self.dark = True
        self._gone.set()
        if self._peers is not None:
            self._peers.cut()
        if self._scope is not None:
            self._scope.cancel()
        self._lose_visitors()

    def crash_at_operation(self, number: int) -> None:
        """Lose power ahead of the disks' `number`th operation from now."""
        self._crash_at = self.operations + number

    def fill_disk(self, left: int) -> None:
        """Leave so many bytes of space on the disks."""
        self.disk.capacity_bytes = self.disk.used_bytes + left
        self.platter.capacity_bytes = left

    def free_space(self) -> None:
        """There is space again."""
        self.disk.capacity_bytes = None
        self.platter.capacity_bytes = None

    @property
    def disk_full(self) -> bool:
        """Whether the disks have a bound."""
        return self.disk.capacity_bytes is not None

    def disarm(self) -> None:
        """Nothing is planned any more: no crash at an operation, no fault of a disk."""
        self._crash_at = None
        self.fault = _no_fault
        self.read_fault = None

    def flip(self, folder: Path, suffix: str) -> bool:
        """Turn over one bit of one file in a folder, while the machine is down; False if there is none."""
        with self.looking() as disk:
            names = [name for name in disk.list_dir(folder) if name.endswith(suffix)]
            path = folder / self.random.choice(names or [""])
            size = len(disk.read(path)) if names else 0
            if size:
                disk.flip(path, self.random.randrange(size), self.random.randrange(8))
            return bool(size)

    @contextmanager
    def looking(self) -> Iterator[SimulatedDisk]:
        """The disk, for who looks at it from outside in the block: nothing fails, and nothing counts."""
        before, self.disk.before = self.disk.before, _no_fault
        try:
            yield self.disk
        finally:
            self.disk.before = before

    def flip_backend(self, suffix: str = "") -> bool:
        """Turn over one bit of a file of SQLite's ("" or "-wal"), while the machine is down; False if there is none."""
        disk = self._sqlite_disk
        if disk is None:
            return False
        name = self.random.choice(disk.names or [""])
        return bool(name) and disk.flip(f"{name}{suffix}", self.random.randrange(8))

    # --- pausing --------------------------------------------------------------------------------

    def pause(self, *, stall: bool = False) -> None:
        """Stop all tasks of the member where they are, until `resume`.

        With `stall` its clock stands still, too, as that of a virtual machine that is suspended.
        """
        if self.up and not self.paused:
            self.paused = True
            if stall:
                self.clock.stall()
            self._resumed = trio.Event()
            self._freezer.freeze(self.name)

    def resume(self) -> None:
        """Let a paused member go on; it learns of what it has missed."""
        if not self.paused:
            return
        self.paused = False
        self.clock.go_on()
        self._resumed.set()
        self._freezer.thaw(self.name)
        if self._peers is not None and not self.dark:
            self.network.resumed(self._peers.member_id)

    # --- visitors -------------------------------------------------------------------------------

    @asynccontextmanager
    async def reachable(self) -> AsyncIterator[Node]:
        """Talk to the node in the block; raises ConnectionLost when it is down or goes down meanwhile."""
        async with self.connected():
            if self.node is None:
                await trio.lowlevel.checkpoint()
                raise ConnectionLost(f"{self.name} does not serve")
            yield self.node

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """As `reachable`, for peers, which talk to a node before it serves."""
        while self.paused:
            await self._resumed.wait()
        if self.dark or not self.up:
            await trio.lowlevel.checkpoint()
            raise ConnectionLost(f"{self.name} is down")
        scope = trio.CancelScope()
        self._visitors[scope] = None
        try:
            with scope:
                yield
        finally:
            self._visitors.pop(scope, None)
        if scope.cancelled_caught:
            raise ConnectionLost

    def _lose_visitors(self) -> None:
        for scope in self._visitors:
            scope.cancel()
