"""The WAL writer: makes the raft log durable, one fdatasync for all that a turn brought.

A save is answered by a `Saved` to whoever asked, after the bytes are on the disk, and never otherwise. A failed
write or fsync ends the node: what the disk holds then is unknown, and trying again would hide it
(fsync may report an error once and succeed the next time with the pages dropped). The one exception is
a full disk, found while a file is extended or the next one preallocated: nothing after the last `Saved` was
acknowledged, so the node refuses writes and goes on serving reads until it is restarted with space. What
the failed save left in the file may or may not be found then.

fdatasync blocks. On a disk that answers within the world's `inline_seconds_max` it is called on the loop's own thread,
because a hop to a worker thread and back costs as much as the call; on a slower one it is called in a
worker, so that reads, watches and heartbeats go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import attrs

from ..errors import DiskFull
from ..raft.types import Entry, HardState
from ..raft.wal import WalSnapshot
from .actor import Actor, Restart
from .errors import MailboxClosed
from .log import Log, duration
from .world import World

__all__ = ["MarkSnapshot", "NoLog", "RaftLog", "Save", "Saved", "SaveFailed", "WalWriter"]

SMOOTHING = 0.2  # weight of the newest fsync in the moving average
SLOW_SYNC_SECONDS = 1.0  # the log says so when one takes longer, as etcd does

log = Log("triode.wal")


@attrs.frozen
class Save:
    """Write these, make them durable if `must_sync`, then call `done` with a Saved or SaveFailed.

    A `snapshot` came from the leader and takes the place of the log: its record is written first, and
    counts once a hard state that commits it has followed.
    """

    hard_state: HardState | None
    entries: Sequence[Entry]
    must_sync: bool
    snapshot: WalSnapshot | None = None

    @property
    def awaited(self) -> bool:
        """Whether `done` is called: not for a commit index alone, which a restart finds again."""
        return self.must_sync or bool(self.entries)


@attrs.frozen
class Saved:
    """Everything up to and including this save is durable."""

    save: Save


@attrs.frozen
class SaveFailed:
    """The disk is full: nobody knows what became of the save, and none after it will happen."""

    error: DiskFull


@attrs.frozen
class MarkSnapshot:
    """The backend is durable up to this snapshot: segments before it are not needed any more."""

    snapshot: WalSnapshot
    release_to: int


class RaftLog(Protocol):
    """What the writer needs of a log: `raft.wal.WAL`, or `NoLog` for a node that keeps nothing."""

    def save(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None: ...
    def save_snapshot(self, snapshot: WalSnapshot) -> None: ...
    def sync(self) -> None: ...
    def release_to(self, index: int) -> None: ...
    def purge(self, max_wals: int) -> list[str]: ...
    def close(self) -> None: ...


class NoLog:
    """The log of a node whose backend keeps nothing either: a restart begins empty."""

    def save(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Nothing is written."""

    def save_snapshot(self, snapshot: WalSnapshot) -> None:
        """Nothing is written."""

    def sync(self) -> None:
        """Nothing to wait for."""

    def release_to(self, index: int) -> None:
        """Nothing is held."""

    def purge(self, max_wals: int) -> list[str]:
        """Nothing to delete."""
        del max_wals
        return []

    def close(self) -> None:
        """Nothing is open."""


class WalWriter(Actor["Save | MarkSnapshot"]):
    """Owns the write-ahead log; nothing else touches its files."""

    restart = Restart.NEVER
    mailbox_messages_max = 1024

    def __init__(
        self,
        wal: RaftLog,
        world: World,
        done: Callable[[Saved | SaveFailed], None],
        *,
        max_wals: int,
        fsync: bool = True,
    ) -> None:
        super().__init__(name="wal-writer")
        self._wal = wal
        self._world = world
        self._done = done
        self._max_wals = max_wals
        self._fsync = fsync
        self._sync_seconds = 0.0
        self._snapshot_index = 0
        self._full: DiskFull | None = None
        self._failure: Exception | None = None
        self._free = False
        self.on_fsync: Callable[[float], None] = lambda _seconds: None
        self.on_write: Callable[[float], None] = lambda _seconds: None

    async def started(self) -> None:
        self._free = True

    def cleanup(self) -> None:
        self._free = False

    def save(self, save: Save) -> bool:
        """Save at once and return True, if the disk is quick and nothing is under way; else mail it.

        A mail would cost as much as the write. What fails is mailed as well, to fail in this actor's own task.
        """
        world = self._world
        if self._free and not len(self.mailbox) and self._sync_seconds <= world.inline_seconds_max:
            try:
                started = world.stopwatch()
                self._write(save)
                self.on_write(world.stopwatch() - started)
                if save.must_sync and self._fsync:
                    self._note_sync(self._timed_sync())
            except DiskFull as error:
                self._full = error
            except Exception as error:  # noqa: BLE001  # see above
                self._failure = error
            else:
                return True
        self.ref.tell(save)
        return False

    async def handle(self, batch: list[Save | MarkSnapshot]) -> None:
        if self._failure is not None:
            raise self._failure
        self._free = False
        await self._handle(batch)
        self._free = self._full is None

    async def _handle(self, batch: list[Save | MarkSnapshot]) -> None:
        saves: list[Save] = []
        must_sync = False
        stopwatch = self._world.stopwatch
        started = stopwatch()
        try:
            for message in batch:
                if type(message) is Save:
                    self._write(message)
                    saves.append(message)
                    must_sync |= message.must_sync
                elif type(message) is MarkSnapshot and self._full is None:
                    must_sync |= self._mark(message)
            if saves:
                self.on_write(stopwatch() - started)
            if must_sync and self._fsync:
                await self._sync()
        except DiskFull as error:
            self._full = error
        if self._full is not None:
            self._tell(SaveFailed(self._full))
            return
        for save in saves:
            if save.awaited:
                self._tell(Saved(save))
        if len(saves) != len(batch) and self._max_wals:
            self._wal.purge(self._max_wals)

    def _mark(self, message: MarkSnapshot) -> bool:
        """Record a snapshot; not one that the leader's has overtaken, for a start goes by the last record."""
        if message.snapshot.index <= self._snapshot_index:
            return False
        self._snapshot_index = message.snapshot.index
        self._wal.save_snapshot(message.snapshot)
        self._wal.release_to(message.release_to)
        return True

    def _tell(self, result: Saved | SaveFailed) -> None:
        """Report to raft, unless it has been stopped in the meantime: then nobody waits any more."""
        with suppress(MailboxClosed):
            self._done(result)

    def _write(self, save: Save) -> None:
        if self._full is not None:
            raise self._full
        if save.snapshot is not None:
            self._snapshot_index = save.snapshot.index
            self._wal.save_snapshot(save.snapshot)
        self._wal.save(save.hard_state, save.entries)
        if save.snapshot is not None:
            self._wal.sync()
            self._wal.release_to(save.snapshot.index)

    async def _sync(self) -> None:
        world = self._world
        if self._sync_seconds <= world.inline_seconds_max:
            took = self._timed_sync()
        else:
            took = await world.in_thread(self._timed_sync)
        self._note_sync(took)

    def _note_sync(self, took: float) -> None:
        self._sync_seconds += SMOOTHING * (took - self._sync_seconds)
        self.on_fsync(took)
        if took > SLOW_SYNC_SECONDS:
            log.warning(
                "slow fdatasync", took=duration(took), expected_duration=duration(SLOW_SYNC_SECONDS)
            )

    def _timed_sync(self) -> float:
        """Sync, and return how long the disk took, without the way to a worker thread and back.

        It decides about a thread of this process, and nothing else.
        """
        stopwatch = self._world.stopwatch
        started = stopwatch()
        self._wal.sync()
        return stopwatch() - started

    async def stopping(self) -> None:
        if self._full is None:
            self._wal.sync()
        self._wal.close()
