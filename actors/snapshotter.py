"""The snapshotter: keeps the log short.

The backend is the snapshot. Once it is durable up to an index, a snapshot record in the WAL says so: the
next start replays from there, older segments may be deleted, and raft forgets old entries, keeping some for
followers that are a little behind. The order matters: first the backend, then the record.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from ..backends.buffer import Backend
from ..errors import DiskFull
from ..raft.types import ConfState
from ..raft.wal import WalSnapshot
from .actor import Actor, Restart
from .applier import Applier
from .errors import MailboxClosed, MailboxFull
from .log import Log
from .raft_mail import CompactLog
from .raft_peer import RaftPeer
from .wal_writer import MarkSnapshot, WalWriter
from .world import World

__all__ = ["Snapshotter"]

log = Log("triode.snapshot")


class Take:
    """Enough has been applied since the last snapshot."""


class Snapshotter(Actor[Take]):
    """Marks a snapshot whenever `snapshot_count` entries were applied since the last one."""

    restart = Restart.NEVER
    mailbox_messages_max = 4

    def __init__(
        self,
        backend: Backend,
        applier: Applier,
        peer: RaftPeer,
        wal_writer: WalWriter,
        world: World,
        *,
        on_durable: Callable[[int], None],
        keep_from: Callable[[int], int],
        conf_state: ConfState,
        last_index: int,
        snapshot_count: int,
        catchup_entries: int,
    ) -> None:
        super().__init__(name="snapshotter")
        self._backend = backend
        self._applier = applier
        self._peer = peer
        self._wal_writer = wal_writer
        self._world = world
        self._last_index = last_index
        self._snapshot_count = snapshot_count
        self._catchup_entries = catchup_entries
        self._on_durable = on_durable
        self._keep_from = keep_from
        self.conf_state = conf_state
        self._asked = False
        self.on_disk_full: Callable[[DiskFull], None]

    def set_conf_state(self, conf_state: ConfState) -> None:
        """The membership that the next snapshot records; kept in the backend too, as etcd does."""
        self.conf_state = conf_state
        record: dict[str, object] = {"voters": list(conf_state.voters)}
        if conf_state.learners:
            record["learners"] = list(conf_state.learners)
        record["auto_leave"] = conf_state.auto_leave
        value = json.dumps(record, separators=(",", ":")).encode()
        self._backend.put("meta", b"confState", value)

    def installed(self, index: int, conf_state: ConfState) -> None:
        """A snapshot from the leader has become the state; the log has recorded it."""
        self._last_index = max(self._last_index, index)
        self.conf_state = conf_state
        self._ask()

    def look(self) -> None:
        """Called after each applied batch."""
        applied = self._applier.applied_index - self._last_index
        if not self._asked and (applied >= self._snapshot_count or self._backend.engine.sync_due):
            self._ask()

    def _ask(self) -> None:
        self._asked = True
        try:
            self.ref.tell(Take())
        except (MailboxFull, MailboxClosed):  # when the node stops, the next start takes one
            self._asked = False

    async def handle(self, batch: list[Take]) -> None:
        del batch
        try:
            await self._take()
        except DiskFull as error:  # the log simply stays longer
            self.on_disk_full(error)
        self._asked = False

    async def _take(self) -> None:
        if self._backend.away:  # a snapshot of the leader's is being installed, and asks again
            return
        index, term = self._applier.applied_index, self._applier.applied_term
        conf_state = self.conf_state
        self._backend.commit()
        await self._world.in_thread(self._backend.engine.sync)
        self._on_durable(index)
        if index <= self._last_index:
            return
        record = WalSnapshot(index=index, term=term, conf_state=conf_state)
        self._peer.save_commit()
        self._wal_writer.ref.tell(MarkSnapshot(record, index))
        keep_from = self._keep_from(index - self._catchup_entries)
        self._peer.tell(CompactLog(index, keep_from, conf_state))
        self._last_index = index
        log.debug("marked a snapshot", index=index, term=term)
