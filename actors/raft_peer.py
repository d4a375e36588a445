"""The raft peer: the one task that drives the consensus state machine.

Each turn it takes everything in its mailbox, steps the state machine, and makes at most one `Ready` of it:
entries go to the WAL writer, committed entries to the applier. While a save is on its way to the disk,
proposals gather in the mailbox and in raft's log, which is what makes the next fsync a group fsync.

Who waits for what: `pending` maps the index of a proposed entry to its call. An index alone names nothing (a
new leader may put another entry there), but index and term together do: if the entry that is committed at the
index has the term in which the call was appended, it is the call's entry (Raft paper, section 5.3).

What clients bring goes through `offer`, which leaves room in the mailbox for what the node's own actors must be
able to say: a `Saved` that does not fit would be the end of the node.

A full disk has two degrees. When the backend cannot commit, new proposals are refused, and those that are in the
log already are executed and answered. When the log itself cannot be written, these wait for nothing: they are
told a timeout, for what became of them only the next start will show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import attrs

from ..errors import (
    DiskFull,
    EtcdError,
    NoLeader,
    NoSpace,
    RequestTimeout,
    Stopped,
    TooManyRequests,
)
from ..raft.errors import ProposalDropped
from ..raft.raw_node import RawNode
from ..raft.ready import Ready
from ..raft.state import StateType
from ..raft.storage import MemoryStorage
from ..raft.types import ConfChange, ConfState, Entry, HardState
from .actor import PromptActor, Restart
from .applier import Apply, ServeReads
from .call import Call
from .errors import MailboxClosed
from .log import Log
from .wal_writer import Save, Saved, SaveFailed
from .world import World

__all__ = ["ApplyConfChange", "Campaign", "CompactLog", "RaftPeer", "ReadIndex", "Tick"]

log = Log("triode.raft")
OFFERS_WAITING_MAX = 16_384
OWN_MESSAGES_MAX = 4_096  # of the node's actors, and ticks
PROPOSALS_PENDING_MAX = 20_000
COMMITTED_UNAPPLIED_ENTRIES_MAX = 5_000


class Tick:
    """One heartbeat interval has passed."""


@attrs.frozen
class Campaign:
    """Stand for election now: a single voter need not wait for its timeout."""


@attrs.frozen
class ApplyConfChange:
    """A committed membership change: tell raft, then call `done` with the new configuration."""

    change: ConfChange
    done: Callable[[ConfState], None]


class ReadIndex:
    """Call `then` when this member has applied all that was committed before now."""

    __slots__ = ("call", "then")

    def __init__(self, call: Call, then: Callable[[], None]) -> None:
        self.call = call
        self.then = then


@attrs.frozen
class CompactLog:
    """The state up to `index` is in a durable snapshot; raft may forget entries before `keep_from`."""

    index: int
    keep_from: int
    conf_state: ConfState


Message = Call | ReadIndex | Tick | Campaign | Saved | SaveFailed | ApplyConfChange | CompactLog


class RaftPeer(PromptActor[Message]):
    """Owns the raft node; everybody else talks to it by message."""

    restart = Restart.NEVER
    mailbox_messages_max = OFFERS_WAITING_MAX + OWN_MESSAGES_MAX

    def __init__(
        self,
        node: RawNode,
        storage: MemoryStorage,
        world: World,
        *,
        applied_index: Callable[[], int],
        request_seconds_max: float,
    ) -> None:
        super().__init__(name="raft-peer")
        self._node = node
        self._storage = storage
        self._world = world
        self._applied_index = applied_index
        self._saving: Ready | None = None
        self._unsaved: HardState | None = None
        self._campaigning = False
        self._apply_after: Sequence[Entry] = ()
        self._refuses_writes = False
        self._log_full = False
        self.on_log_full: Callable[[DiskFull], None] = lambda _error: None
        self.pending: dict[int, Call] = {}
        self._reads: dict[bytes, list[ReadIndex]] = {}
        self._reads_asked = 0
        self._request_seconds_max = request_seconds_max
        self._offers = self.mailbox
        self.save: Callable[[Save], None]
        self.apply: Callable[[Apply | ServeReads], None]
        self.on_leader_change: Callable[[int, int], None] = lambda _leader, _term: None
        self.leader = 0
        self.term = 0
        self.commit_index = 0
        self.last_index = 0
        self.leader_changes = 0
        self.proposals_failed = 0
        self.reads_failed = 0
        self.reads_late = 0

    def offer(self, message: Call | ReadIndex) -> None:
        """Mail what a client brought. Raises TooManyRequests, or Stopped when the node is stopping."""
        offers = self._offers  # the property takes longer than all the rest
        if len(offers) >= OFFERS_WAITING_MAX:
            raise TooManyRequests
        try:
            offers.put_nowait(message)
        except MailboxClosed:
            raise Stopped from None

    def handle_now(self, batch: list[Message]) -> None:
        proposals: list[Call] = []
        reads: list[ReadIndex] = []
        for message in batch:
            if type(message) is Call:
                proposals.append(message)
            elif type(message) is ReadIndex:
                reads.append(message)
            else:
                self._on_message(message)
        if proposals:
            self._propose(proposals)
        if reads:
            self._read(reads)
        self._make_ready()
        if self._campaigning:
            self._campaign()

    def _on_message(self, message: Message) -> None:
        if type(message) is Saved:
            self._saved()
        elif type(message) is Tick:
            self._node.tick()
            self._sweep()
            self.save_commit()
        elif type(message) is ApplyConfChange:
            message.done(self._node.apply_conf_change(message.change))
        elif type(message) is CompactLog:
            self._compact(message)
        elif type(message) is Campaign:
            self._campaigning = True
        elif type(message) is SaveFailed:
            self._log_failed(message.error)

    def _campaign(self) -> None:
        """Try to be elected; raft refuses as long as membership changes wait to be applied."""
        self._node.campaign()
        if self._node.raft.state is not StateType.FOLLOWER:
            self._campaigning = False
            self._make_ready()

    def _propose(self, calls: list[Call]) -> None:
        refusal = self._refusal()
        if refusal is not None:
            self.proposals_failed += len(calls)
            for call in calls:
                call.refuse(refusal())
            return
        try:
            first, last = self._node.propose_batch([call.data for call in calls])
        except ProposalDropped:
            self.proposals_failed += len(calls)
            for call in calls:
                call.refuse(NoLeader())
            return
        assert last - first + 1 == len(calls), "a batch is appended whole"
        term, pending = self._node.raft.term, self.pending
        deadline = self._world.clock.now() + self._request_seconds_max
        for index, call in enumerate(calls, first):
            call.term = term
            call.deadline = deadline
            pending[index] = call

    def _read(self, reads: list[ReadIndex]) -> None:
        """All reads of a turn share one ReadIndex; a round trip serves them all."""
        if not self.leader:
            self.reads_failed += 1
            for read in reads:
                read.call.refuse(NoLeader())
            return
        self._reads_asked += 1
        context = self._reads_asked.to_bytes(8, "big")
        self._reads[context] = reads
        deadline = self._world.clock.now() + self._request_seconds_max
        for read in reads:
            read.call.deadline = deadline
        self._node.read_index(context)

    def _refusal(self) -> type[EtcdError] | None:
        """Why a proposal cannot be taken now, or None."""
        if self._refuses_writes:
            return NoSpace
        if not self.is_leader:
            return NoLeader
        if len(self.pending) > PROPOSALS_PENDING_MAX:
            return TooManyRequests
        if self.commit_index - self._applied_index() > COMMITTED_UNAPPLIED_ENTRIES_MAX:
            return TooManyRequests
        return None

    @property
    def is_leader(self) -> bool:
        """Whether this member may append to the log."""
        return self.leader != 0 and self.leader == self._node.raft.id

    def _make_ready(self) -> None:
        node = self._node
        while self._saving is None and not self._log_full and node.has_ready():
            ready = node.ready()
            self._note(ready)
            for state in ready.read_states:
                reads = self._reads.pop(state.context, [])
                self.apply(ServeReads(state.index, [read.then for read in reads]))
            committed, entries = ready.committed_entries, ready.entries
            # what is only now being written must be durable before it is applied
            early = not entries or not committed or committed[-1].index < entries[0].index
            if committed and early:
                self.apply(Apply(committed))
            if entries or ready.must_sync:
                self._saving = ready
                self._apply_after = () if early else committed
                self.save(Save(ready.hard_state or self._unsaved, entries, ready.must_sync))
                self._unsaved = None
                continue
            if ready.hard_state is not None:
                # A commit index alone: a restart finds it again, so it goes with the next save or tick.
                self._unsaved = ready.hard_state
                self._storage.set_hard_state(ready.hard_state)
            node.advance(ready)

    def save_commit(self) -> None:
        """Write the commit index if no save has taken it along; before a snapshot is marked, it must be."""
        if self._unsaved is not None and not self._log_full:
            self.save(Save(self._unsaved, (), must_sync=False))
            self._unsaved = None

    def _note(self, ready: Ready) -> None:
        if ready.hard_state is not None:
            self.term = ready.hard_state.term
            self.commit_index = ready.hard_state.commit
        if ready.entries:
            self.last_index = ready.entries[-1].index
        if ready.soft_state is not None and ready.soft_state.lead != self.leader:
            self.leader = ready.soft_state.lead
            self.leader_changes += 1
            self.on_leader_change(self.leader, self.term)

    def _saved(self) -> None:
        ready = self._saving
        assert ready is not None, "a save is answered once"
        self._saving = None
        if ready.entries:
            self._storage.append(ready.entries)
        if ready.hard_state is not None:
            self._storage.set_hard_state(ready.hard_state)
        if self._apply_after:
            self.apply(Apply(self._apply_after))
        self._node.advance(ready)

    def _compact(self, message: CompactLog) -> None:
        self._storage.create_snapshot(message.index, message.conf_state, b"")
        if message.keep_from >= self._storage.first_index():
            self._storage.compact(message.keep_from)

    def _sweep(self) -> None:
        """Tell the calls that waited too long; what they proposed may still happen."""
        now = self._world.clock.now()
        late = [index for index, call in self.pending.items() if call.deadline <= now]
        for index in late:
            self.pending.pop(index).refuse(RequestTimeout())
        for context, reads in list(self._reads.items()):
            if reads[0].call.deadline <= now:
                self.reads_late += 1
                for read in self._reads.pop(context):
                    read.call.refuse(RequestTimeout())

    def refuse_writes(self, error: DiskFull) -> None:
        """The disk is full: from now on proposals are refused, and reads go on."""
        if self._refuses_writes:
            return
        self._refuses_writes = True
        log.error(
            "the disk is full: writes are refused, reads go on; free space and restart",
            error=str(error),
        )

    def _log_failed(self, error: DiskFull) -> None:
        """The log takes nothing more, so what is not durable now will not be before the next start."""
        self.refuse_writes(error)
        if not self._log_full:
            self._log_full = True
            self._fail_pending(RequestTimeout)
            self.on_log_full(error)

    def _fail_pending(self, error: type[EtcdError]) -> None:
        pending, self.pending = self.pending, {}
        for call in pending.values():
            call.refuse(error())
        asked, self._reads = self._reads, {}
        for reads in asked.values():
            for read in reads:
                read.call.refuse(error())

    async def stopping(self) -> None:
        self._fail_pending(Stopped)
        with suppress(MailboxClosed):  # the log's writer has failed
            self.save_commit()
