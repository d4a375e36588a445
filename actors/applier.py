"""The MVCC applier: executes committed entries, in order, exactly once.

The consistent index is committed in the same backend transaction as what it covers, and a start goes on from
there. A membership change is executed on the table of members and told to raft at once.

A snapshot from the leader takes the place of everything. Its content goes into the engine beside the loop,
which may take seconds; what comes to the applier meanwhile waits, and reads that need the engine are refused.

A request that fails (`EtcdError`) fails alike on every member: that is a result, and it is sent to the
client. Any other exception means that this member can no longer follow the others: the node stops. It may have
come in the middle of an entry, whose index stands in the buffer already; so from that moment on nobody can
commit the buffer, and the next start executes the entry again, as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from ..backends.buffer import Backend
from ..backends.contract import Engine, View
from ..errors import (
    CorruptData,
    DiskFull,
    EtcdError,
    InvariantBroken,
    LeaderChanged,
    Stopped,
    TooManyRequests,
)
from ..mvcc.restore import Restored, read_state
from ..raft.codec import decode_conf_change
from ..raft.types import NO_NODE, ConfChange, Entry, EntryType, Snapshot
from . import proposals
from .actor import PromptActor, Restart
from .call import Call
from .errors import MailboxClosed
from .execute import Executor
from .log import Log, duration
from .pending import Pending
from .world import World

__all__ = ["Applier", "Apply", "CommitBackend", "Install", "Run", "ServeReads"]


log = Log("triode.applier")
RUNS_WAITING_MAX = 1024


@attrs.frozen
class Apply:
    """Execute these committed entries."""

    entries: Sequence[Entry]


@attrs.frozen
class Install:
    """Make a received snapshot the state, then call `done`. The log has recorded it already."""

    snapshot: Snapshot
    done: Callable[[], None]


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


Message = Apply | Install | ServeReads | CommitBackend | Run


class Applier(PromptActor[Message]):
    """Owns the state machine; nothing else changes it."""

    restart = Restart.NEVER
    mailbox_messages_max = 4 * RUNS_WAITING_MAX

    def __init__(
        self,
        executor: Executor,
        world: World,
        pending: Pending,
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
        self.applied_term = executor.store.term
        self.applied_total = 0
        self.slow_total = 0
        self._waiting: list[ServeReads] = []
        self._installing = False
        self._after_install: list[Message] = []
        self.conf_change: Callable[[ConfChange], None]
        self.read_snapshot: Callable[[Snapshot], View]
        self.restore: Callable[[Snapshot, Restored], None]
        self.on_disk_full: Callable[[DiskFull], None]
        self.on_commit: Callable[[float], None] = lambda _seconds: None
        self.after_batch: Callable[[], None] = lambda: None
        self.on_answered: Callable[[Call, float], None] = lambda _oldest, _now: None
        self._oldest: Call | None = None

    def run_between(self, work: Callable[[], None]) -> None:
        """Have `work` done between two entries, see `Run`; raises TooManyRequests, or Stopped."""
        waiting = len(self.mailbox) + len(self._after_install)
        if waiting >= RUNS_WAITING_MAX:  # the rest of the mailbox is for the entries
            raise TooManyRequests
        try:
            self.ref.tell(Run(work))
        except MailboxClosed:
            raise Stopped from None

    def handle_now(self, batch: list[Message]) -> None:
        if self._installing:  # a commit that is due comes again
            self._after_install += [one for one in batch if type(one) is not CommitBackend]
            return
        started = self._world.clock.now()
        try:
            self._work(batch)
        except BaseException as error:
            self._store.backend.refuse_commits(error)
            raise
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

    def _work(self, batch: list[Message]) -> None:
        """Everything up to an install; what comes after it waits until that is done."""
        commit = False
        for message in batch:
            if type(message) is Apply:
                self._apply(message.entries)
            elif type(message) is ServeReads:
                self._waiting.append(message)
            elif type(message) is Run:
                message.work()
            elif type(message) is Install:
                self._installing = True
                self._after_install = batch[batch.index(message) + 1 :]
                self.nursery.start_soon(self._install, message)
                break
            else:
                commit = True
        if self._waiting:
            self._serve_reads()
        if commit or self._store.backend.pending_ops >= self._batch_limit:
            self.commit()

    def _apply(self, entries: Sequence[Entry]) -> None:
        by_index = self._pending.by_index
        store = self._store
        if by_index and self._oldest is None and entries:
            self._oldest = by_index.get(entries[0].index)
        for entry in entries:
            term, index, kind, data = entry
            if index != self.applied_index + 1:
                raise InvariantBroken(
                    f"entry {index} was to be applied after entry {self.applied_index}"
                )
            call = by_index.pop(index, None) if by_index else None
            if call is not None and call.term != term:
                call.refuse(LeaderChanged())
                call = None
            if term != self.applied_term:
                self._pending.new_term(term)
            # before the entry's writes, so that whichever commit takes them takes the index too
            store.consistent_index = index
            store.term = term
            if kind is EntryType.NORMAL:
                if data:
                    self._execute(data, call)
            else:
                self._change_membership(entry)
            self.applied_index = index
            self.applied_term = term
        self.applied_total += len(entries)

    def _execute(self, data: bytes, call: Call | None) -> None:
        if call is None:
            kind, request, request_id = proposals.decode(data)
            call = self._pending.by_id.pop(request_id, None)
        else:
            kind, request = call.kind, call.request
        try:
            answer = self._executor.execute(kind, request, answered=call is not None)
        except EtcdError as error:
            if call is not None:  # otherwise the member that the client asked tells it
                call.refuse(error)
        else:
            if call is not None:
                call.answer(answer)

    def _change_membership(self, entry: Entry) -> None:
        """A change that the table refuses is told to raft as one of nobody, which ends it all the same."""
        change = decode_conf_change(entry.data)
        call = self._pending.by_id.pop(change.id, None)
        error = self._executor.change_membership(change)
        self.conf_change(change if error is None else attrs.evolve(change, node_id=NO_NODE))
        if call is not None and error is not None:
            call.refuse(error)
        elif call is not None:
            call.answer(b"")

    async def _install(self, message: Install) -> None:
        """See the module; the engine changes in one transaction, so a crash leaves the old state or the new."""
        try:
            await self._install_state(message.snapshot)
        except BaseException as error:
            self._store.backend.refuse_commits(error)
            raise
        self._installing = False
        waiting, self._after_install = self._after_install, []
        message.done()
        self.handle_now(waiting)

    async def _install_state(self, snapshot: Snapshot) -> None:
        meta, backend = snapshot.metadata, self._store.backend
        started = self._world.clock.now()
        log.info(
            "applying snapshot", current_applied_index=self.applied_index, incoming_index=meta.index
        )
        with self.read_snapshot(snapshot) as content:
            engine = backend.replacing()
            try:
                state = await self._world.in_thread(lambda: take_over(engine, content))
            finally:
                backend.replaced(engine)
        self.restore(snapshot, state)
        if self._store.consistent_index > meta.index:
            raise CorruptData(
                f"the snapshot at log index {meta.index} has a state of {self._store.consistent_index}"
            )
        self._store.consistent_index, self._store.term = meta.index, meta.term
        self.applied_index, self.applied_term = meta.index, meta.term
        self._pending.installed(meta.index, meta.term)
        took = duration(self._world.clock.now() - started)
        log.info("applied snapshot", applied_index=meta.index, took=took)

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


def take_over(engine: Engine, content: View) -> Restored:
    """Make `content` the engine's own, and read from it what the store keeps in memory. It takes seconds per million keys."""
    engine.replace(content)
    return read_state(Backend(engine))
