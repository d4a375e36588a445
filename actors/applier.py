"""The MVCC applier: executes committed entries, in order, exactly once.

An entry whose index is not beyond the store's consistent index has been executed before a restart and is
skipped; membership changes are still told to raft, which keeps no state of its own on disk. The consistent
index is committed in the same backend transaction as what it covers.

A request that fails (`EtcdError`) fails alike on every member: that is a result, and it is sent to the
client. Any other exception means that this member can no longer follow the others: the node stops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from ..errors import DiskFull, EtcdError, LeaderChanged, Stopped, TooManyRequests
from ..raft.codec import decode_conf_change
from ..raft.types import ConfChange, Entry, EntryType
from . import proposals
from .actor import PromptActor, Restart
from .call import Call
from .errors import MailboxClosed
from .execute import Executor
from .log import Log, duration
from .world import World

__all__ = ["Applier", "Apply", "CommitBackend", "Run", "ServeReads"]


log = Log("triode.applier")
RUNS_WAITING_MAX = 1024


@attrs.frozen
class Apply:
    """Execute these committed entries."""

    entries: Sequence[Entry]


@attrs.frozen
class ServeReads:
    """Call each of `reads` as soon as the entry at `index` is applied."""

    index: int
    reads: list[Callable[[], None]]


class CommitBackend:
    """Commit what the backend has buffered."""


@attrs.frozen
class Run:
    """Call `work` between two entries, on the applied state; it must not write to the store."""

    work: Callable[[], None]


Message = Apply | ServeReads | CommitBackend | Run


class Applier(PromptActor[Message]):
    """Owns the state machine; nothing else changes it."""

    restart = Restart.NEVER
    mailbox_messages_max = 4 * RUNS_WAITING_MAX

    def __init__(
        self,
        executor: Executor,
        world: World,
        pending: Callable[[], dict[int, Call]],
        *,
        applied_index: int,
        batch_limit: int,
        warning_seconds: float,
    ) -> None:
        super().__init__(name="applier")
        self._executor = executor
        self._store = executor.store
        self._world = world
        self._pending = pending
        self._batch_limit = batch_limit
        self._warning_seconds = warning_seconds
        self.applied_index = applied_index
        self.applied_term = 0
        self.applied_total = 0
        self.slow_total = 0
        self._waiting: list[ServeReads] = []
        self.conf_change: Callable[[ConfChange], None]
        self.on_disk_full: Callable[[DiskFull], None]
        self.on_commit: Callable[[float], None] = lambda _seconds: None
        self.after_batch: Callable[[], None] = lambda: None
        self.on_answered: Callable[[Call, float], None] = lambda _oldest, _now: None
        self._oldest: Call | None = None

    def run_between(self, work: Callable[[], None]) -> None:
        """Have `work` done between two entries, see `Run`; raises TooManyRequests, or Stopped."""
        if len(self.mailbox) >= RUNS_WAITING_MAX:  # the rest of the mailbox is for the entries
            raise TooManyRequests
        try:
            self.ref.tell(Run(work))
        except MailboxClosed:
            raise Stopped from None

    def handle_now(self, batch: list[Message]) -> None:
        started = self._world.clock.now()
        commit = False
        for message in batch:
            if type(message) is Apply:
                self._apply(message.entries)
            elif type(message) is ServeReads:
                self._waiting.append(message)
            elif type(message) is Run:
                message.work()
            else:
                commit = True
        if self._waiting:
            self._serve_reads()
        if commit or self._store.backend.pending_ops >= self._batch_limit:
            self.commit()
        self.after_batch()
        now = self._world.clock.now()
        if self._oldest is not None:
            self.on_answered(self._oldest, now)
            self._oldest = None
        took = now - started
        if took > self._warning_seconds:
            self.slow_total += 1
            log.warning(
                "apply request took too long",
                took=duration(took),
                expected_duration=duration(self._warning_seconds),
                messages=len(batch),
            )

    def _apply(self, entries: Sequence[Entry]) -> None:
        pending = self._pending()
        store = self._store
        executed_before = store.consistent_index
        if pending and self._oldest is None and entries:
            self._oldest = pending.get(entries[0].index)
        for entry in entries:
            term, index, kind, data = entry
            assert index == self.applied_index + 1, "no entry is left out"
            call = pending.pop(index, None) if pending else None
            if call is not None and call.term != term:
                call.refuse(LeaderChanged())
                call = None
            if index > executed_before:
                # before the entry's writes, so that whichever commit takes them takes the index too
                store.consistent_index = index
                store.term = term
                if kind is EntryType.NORMAL and data:
                    self._execute(data, call)
            if kind is not EntryType.NORMAL:
                self._change_membership(entry, execute=index > executed_before)
            self.applied_index = index
            self.applied_term = term
        self.applied_total += len(entries)

    def _execute(self, data: bytes, call: Call | None) -> None:
        if call is not None:
            try:
                call.answer(self._executor.execute(call.kind, call.request))
            except EtcdError as error:
                call.refuse(error)
            return
        kind, request, _ = proposals.decode(data)
        try:
            self._executor.execute(kind, request)
        except EtcdError:
            return  # the member that the client asked tells it

    def _change_membership(self, entry: Entry, *, execute: bool) -> None:
        change = decode_conf_change(entry.data)
        if execute:
            self._executor.change_membership(change)
        self.conf_change(change)

    def _serve_reads(self) -> None:
        still = []
        for waiting in self._waiting:
            if waiting.index > self.applied_index:
                still.append(waiting)
                continue
            for read in waiting.reads:
                read()
        self._waiting = still

    def commit(self) -> None:
        """Commit the backend's buffer; a full disk keeps it in memory, where reads still see it."""
        started = self._world.clock.now()
        try:
            self._store.backend.commit()
        except DiskFull as error:
            self.on_disk_full(error)
        else:
            self.on_commit(self._world.clock.now() - started)

    async def stopping(self) -> None:
        self.commit()
