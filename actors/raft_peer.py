"""The raft peer: the one task that drives the consensus state machine.

Each turn it takes everything in its mailbox, steps the state machine, and makes at most one `Ready` of it:
messages go to the links, entries to the WAL writer, committed entries to the applier. While a save is on its way to
the disk, proposals gather in the mailbox and in raft's log, which is what makes the next fsync a group
fsync. What a leader tells its followers leaves before its own save: their disks work beside its own, and it
counts itself only when its entries are durable (dissertation, 10.2.1).

Membership changes take effect when they are applied. The applier says so by a direct call, in the turn that
handed it the entries, so that raft's next step knows the new configuration. Before that the commit index is made
durable: who has been removed goes away when others act on the change, so these must not forget that it was committed.

What clients bring goes through `offer`, and what other members send through `step`; both leave room in the
mailbox for what the node's own actors must be able to say: a `Saved` that does not fit would be the end of
the node.

A full disk has two degrees. When the backend cannot commit, new proposals are refused, and those that are in the
log already are executed and answered; a leader hands over (`handover`). When the log itself cannot be written, these
wait for nothing: they are told a timeout, for what became of them only the next start will show; and a leader of
others resigns at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import trio

from ..errors import (
    DiskFull,
    EtcdError,
    InvariantBroken,
    RequestTimeout,
    Stopped,
    TooManyRequests,
)
from ..raft.errors import ProposalDropped, StepLocalMessage, StepPeerNotFound
from ..raft.raw_node import RawNode
from ..raft.ready import Ready
from ..raft.state import StateType
from ..raft.storage import MemoryStorage
from ..raft.types import NO_NODE, ConfChange, ConfState, Entry, EntryType, HardState, MessageType
from ..raft.types import Message as RaftMessage
from ..raft.wal import WalSnapshot
from .actor import PromptActor, Restart
from .applier import Apply, Install, ServeReads
from .call import Call
from .errors import MailboxClosed, MailboxFull
from .log import Log
from .proposals import RequestIds
from .proposing import Proposing
from .raft_mail import (
    AdvanceTicks,
    Campaign,
    CompactLog,
    Installed,
    Look,
    ProposeAsLeader,
    ProposeChange,
    SnapshotSent,
    Tick,
    TransferLeader,
    Unreachable,
)
from .read_rounds import READS_WAITING_MAX, ReadIndex, ReadRounds
from .wal_writer import Save, Saved, SaveFailed
from .world import World

__all__ = ["RaftPeer"]

log = Log("triode.raft")
OFFERS_WAITING_MAX = 16_384
PEER_MESSAGES_WAITING_MAX = 4_096
OWN_MESSAGES_MAX = 4_096  # of the node's actors, and ticks

OwnMessage = (
    AdvanceTicks
    | Campaign
    | CompactLog
    | Installed
    | Look
    | Saved
    | SaveFailed
    | SnapshotSent
    | Tick
    | TransferLeader
    | Unreachable
)
Message = Call | ReadIndex | ProposeChange | ProposeAsLeader | RaftMessage | OwnMessage


class RaftPeer(PromptActor[Message]):
    """Owns the raft node; everybody else talks to it by message."""

    restart = Restart.NEVER
    mailbox_messages_max = OFFERS_WAITING_MAX + PEER_MESSAGES_WAITING_MAX + OWN_MESSAGES_MAX

    def __init__(
        self,
        node: RawNode,
        storage: MemoryStorage,
        world: World,
        *,
        applied_index: Callable[[], int],
        request_ids: RequestIds,
        request_seconds_max: float,
    ) -> None:
        super().__init__(name="raft-peer")
        self._node = node
        self._storage = storage
        self._world = world
        self._request_ids = request_ids
        self._request_seconds_max = request_seconds_max
        self._saving: Ready | None = None
        self._unapplied: Ready | None = None
        self._installing = 0
        # What is known of the commit index at a restart may be more than the log was told.
        state = storage.initial_state()[0]
        self._unsaved: HardState | None = None if state == HardState() else state
        self._campaigning = False
        self._in_turn = False
        self._apply_after: Sequence[Entry] = ()
        self._log_full = False
        self.disk_full: DiskFull | None = None
        self._disk_filled = trio.Event()
        self._offers = self.mailbox
        self._rounds = ReadRounds()
        self._leader_changed = trio.Event()
        self.proposing = Proposing(
            node,
            world.clock,
            unapplied=lambda: self.commit_index - applied_index(),
            request_seconds_max=request_seconds_max,
        )
        self.save: Callable[[Save], bool]
        self.apply: Callable[[Apply | ServeReads | Install], None]
        self.send: Callable[[Sequence[RaftMessage]], None] = lambda _messages: None
        self.on_disk_full: Callable[[], None] = lambda: None
        self.on_log_full: Callable[[DiskFull], None] = lambda _error: None
        self.on_new_term: Callable[[int], None] = lambda _term: None
        self.on_leader_change: Callable[[int, int], None] = lambda _leader, _term: None
        self.leader = 0
        self.term = state.term
        self.commit_index = state.commit
        self.last_index = storage.last_index()
        self.leader_changes = 0
        self.reads_failed = 0
        self.reads_late = 0

    # --- for others -----------------------------------------------------------------------------

    def offer(self, message: Call | ReadIndex | ProposeChange | ProposeAsLeader) -> None:
        """Mail what a client brought. Raises TooManyRequests, or Stopped when the node is stopping."""
        offers = self._offers  # the property takes longer than all the rest
        if len(offers) >= OFFERS_WAITING_MAX:
            raise TooManyRequests
        try:
            offers.put_nowait(message)
        except MailboxClosed:
            raise Stopped from None

    def step(self, message: RaftMessage, *, more: bool = False) -> None:
        """What another member sent; it is dropped if there is no room, as the network may do too.

        It is handled in the caller's turn, unless there is `more` to come: a mail for each of the four messages
        on the way of a single write costs more than all that raft does with them.
        """
        if len(self._offers) < OFFERS_WAITING_MAX + PEER_MESSAGES_WAITING_MAX:
            with suppress(MailboxClosed):
                if more or self._in_turn:
                    self._offers.put_nowait(message)
                else:
                    self.take(message)

    def tell(self, message: OwnMessage) -> None:
        """Mail something that raft can do without, at the worst: it is not told once it has stopped."""
        with suppress(MailboxClosed, MailboxFull):
            self.ref.tell(message)

    def apply_conf_change(self, change: ConfChange) -> ConfState:
        """Switch to the membership of an applied change; see the module for when."""
        conf_state = self._node.apply_conf_change(change)
        if not self._in_turn:
            self.tell(Look())
        return conf_state

    def match_index(self, member: int) -> int | None:
        """The last log index that `member` is known to have; None when this node does not lead."""
        raft = self._node.raft
        if raft.state is not StateType.LEADER:
            return None
        progress = raft.tracker.progress.get(member)
        return None if progress is None else progress.match

    async def wait_disk_full(self) -> None:
        """Return when this member refuses writes, as its disk is full."""
        await self._disk_filled.wait()

    async def wait_leader_change(self) -> None:
        """Return when this member knows of another leader, or of none any more."""
        await self._leader_changed.wait()

    @property
    def sole_voter(self) -> bool:
        """Whether nobody else has to agree to anything."""
        raft = self._node.raft
        return raft.tracker.config.voters.ids == {raft.id}

    @property
    def is_leader(self) -> bool:
        """Whether this member may append to the log."""
        return self.leader != 0 and self.leader == self._node.raft.id

    # --- a turn ---------------------------------------------------------------------------------

    def handle_now(self, batch: list[Message]) -> None:
        self._in_turn = True
        proposals: list[Call] = []
        reads: list[ReadIndex] = []
        for message in batch:
            kind = type(message)
            if kind is Call:
                proposals.append(message)  # type: ignore[arg-type]
            elif kind is RaftMessage:
                self._step(message)  # type: ignore[arg-type]
            elif kind is ReadIndex:
                reads.append(message)  # type: ignore[arg-type]
            else:
                self._on_message(message)  # type: ignore[arg-type]
        if proposals:
            self.proposing.requests(proposals)
        if reads:
            self._read(reads)
        self._make_ready()
        if self._campaigning:
            self._campaign()
        self._in_turn = False

    def _on_message(self, message: ProposeChange | ProposeAsLeader | OwnMessage) -> None:
        match message:
            case Saved():
                self._saved()
            case Tick():
                self._tick()
            case ProposeChange():
                self.proposing.change(message)
            case ProposeAsLeader():
                self.proposing.as_leader(message)
            case Installed():
                self._installed()
            case CompactLog():
                self._compact(message)
            case Campaign():
                self._campaigning = True
            case AdvanceTicks(ticks=ticks):
                for _ in range(ticks):
                    self._node.tick()
            case TransferLeader(to=to):
                self._node.transfer_leader(to)
            case Unreachable(member=member):
                self._node.report_unreachable(member)
            case SnapshotSent(member=member, failed=failed):
                self._node.report_snapshot(member, failed=failed)
            case SaveFailed(error=error):
                self._log_failed(error)
            case Look():
                pass

    def _step(self, message: RaftMessage) -> None:
        if self.proposing.defers(message):
            return
        try:
            self._node.step(message)
        except (ProposalDropped, StepPeerNotFound):
            pass  # the sender asks again, or is no member any more
        except StepLocalMessage:
            log.warning(
                "refused a message that only a member itself may send", type=str(message.type)
            )

    def _tick(self) -> None:
        self._node.tick()
        self.proposing.sweep(self._step)
        now = self._world.clock.now()
        late = self._rounds.late_total
        self._rounds.sweep(now)
        self.reads_late += self._rounds.late_total - late
        self._ask_reads(now)
        self.save_commit()

    def _campaign(self) -> None:
        """Try to be elected; not as long as membership changes may wait to be applied."""
        if self._node.raft.log.applied < self._node.raft.log.committed:
            return
        self._node.campaign()
        if self._node.raft.state is not StateType.FOLLOWER:
            self._campaigning = False
            self._make_ready()

    # --- reads ----------------------------------------------------------------------------------

    def _read(self, reads: list[ReadIndex]) -> None:
        """All reads of a turn share one ReadIndex; a round trip serves them all."""
        if self._rounds.waiting > READS_WAITING_MAX:
            self.reads_failed += 1
            for read in reads:
                read.call.refuse(TooManyRequests())
            return
        now = self._world.clock.now()
        context = self._request_ids.number().to_bytes(8, "big")
        self._rounds.begin(context, reads, now + self._request_seconds_max)
        self._ask_reads(now)

    def _ask_reads(self, now: float) -> None:
        """Ask the leader for what it was not asked yet, or has not answered."""
        if not len(self._rounds) or not self._node.raft.lead:
            return
        for context in self._rounds.due(now):
            if self._log_full and self.sole_voter and self._committed_in_own_term():
                # raft waits for the log, and nobody else can lead
                self.apply(ServeReads(self.commit_index, self._rounds.confirmed(context)))
            else:
                self._node.read_index(context)

    def _committed_in_own_term(self) -> bool:
        """Whether the commit index is at least that of all leaders before this one."""
        raft = self._node.raft
        return (
            raft.state is StateType.LEADER
            and raft.log.term_or_zero(raft.log.committed) == raft.term
        )

    # --- what raft wants done -------------------------------------------------------------------

    def _make_ready(self) -> None:
        node = self._node
        while self._saving is None and not self._log_full and node.has_ready():
            ready = node.ready()
            if ready.early:
                self.send(ready.messages[: ready.early])
            self._note(ready)
            for state in ready.read_states:
                reads = self._rounds.confirmed(state.context)
                if reads:
                    self.apply(ServeReads(state.index, reads))
            committed, entries = ready.committed_entries, ready.entries
            # what is only now being written must be durable before it is applied
            early = ready.snapshot is None and (
                not entries or not committed or committed[-1].index < entries[0].index
            )
            changes = changes_membership(committed)
            early = early and not changes
            if committed and early:
                self.apply(Apply(committed))
            if entries or ready.must_sync or ready.snapshot is not None or changes:
                self._saving = ready
                self._apply_after = () if early else committed
                if self._save(ready, must_sync=changes):
                    self._saved()
                continue
            if ready.hard_state is not None:
                # A commit index alone: a restart finds it again, so it goes with the next save or tick.
                self._unsaved = ready.hard_state
                self._storage.set_hard_state(ready.hard_state)
            self._send_late(ready)
            self._advance(ready)

    def _save(self, ready: Ready, *, must_sync: bool) -> bool:
        """Have it written; True if it is durable already, otherwise a Saved tells when."""
        snapshot = None
        if ready.snapshot is not None:
            meta = ready.snapshot.metadata
            snapshot = WalSnapshot(meta.index, meta.term, meta.conf_state)
        state = ready.hard_state or self._unsaved
        self._unsaved = None
        must_sync = must_sync or ready.must_sync or snapshot is not None
        return self.save(Save(state, ready.entries, must_sync, snapshot))

    def save_commit(self) -> None:
        """Write the commit index if no save has taken it along; before a snapshot is marked, it must be."""
        if self._unsaved is not None and not self._log_full:
            self.save(Save(self._unsaved, (), must_sync=False))
            self._unsaved = None

    def _note(self, ready: Ready) -> None:
        if ready.hard_state is not None:
            if self.term != ready.hard_state.term:
                self.term = ready.hard_state.term
                self.on_new_term(self.term)
            self.commit_index = ready.hard_state.commit
        if ready.entries:
            self.last_index = ready.entries[-1].index
        if ready.soft_state is not None and ready.soft_state.lead != self.leader:
            self._led_by(ready.soft_state.lead)
            self._rounds.ask_all_again()
            self._ask_reads(self._world.clock.now())
            self.proposing.take_up()

    def _saved(self) -> None:
        """What was written is durable: it may be spoken of, and applied."""
        ready = self._saving
        if ready is None:
            raise InvariantBroken("a save was answered twice")
        if ready.snapshot is not None:
            self._storage.apply_snapshot(ready.snapshot)
            self.last_index = self._storage.last_index()
        if ready.entries:
            self._storage.append(ready.entries)
        if ready.hard_state is not None:
            self._storage.set_hard_state(ready.hard_state)
        if ready.snapshot is not None:
            self._installing += 1
            self.apply(Install(ready.snapshot, lambda: self.tell(Installed())))
        self._saving = None
        self._send_late(ready)
        if self._apply_after:
            self.apply(Apply(self._apply_after))
        self._advance(ready)

    def _advance(self, ready: Ready) -> None:
        """Tell raft that it is done, what was handed to the applier included.

        While that installs snapshots, entries wait there. This is of no matter for most of them, but raft must not
        take a membership change for applied that is not: then the next Ready waits until all are installed.
        """
        if self._installing and changes_membership(ready.committed_entries):
            self._saving = self._unapplied = ready
        else:
            self._node.advance(ready)

    def _installed(self) -> None:
        self._installing -= 1
        ready, self._unapplied = self._unapplied, None
        if ready is not None:
            self._saving = None
            self._advance(ready)

    def _send_late(self, ready: Ready) -> None:
        if len(ready.messages) > ready.early:
            self.send(latest_answers(ready.messages[ready.early :]))

    def _compact(self, message: CompactLog) -> None:
        storage = self._storage
        if message.index > storage.snapshot().metadata.index:
            storage.create_snapshot(message.index, message.conf_state, b"")
        if message.keep_from >= storage.first_index():
            storage.compact(message.keep_from)

    # --- a full disk, and the end ---------------------------------------------------------------

    def refuse_writes(self, error: DiskFull) -> None:
        """The disk is full: from now on proposals are refused, and reads go on."""
        if self.proposing.refuses_writes:
            return
        self.proposing.refuses_writes = True
        self.disk_full = error
        self._disk_filled.set()
        self.on_disk_full()
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
            if self.is_leader and not self.sole_voter:
                self._resign()
            self.on_log_full(error)

    def _resign(self) -> None:
        """Lead no more: others can write. The one that has most of the log may stand for election at once.

        A hand-over as others make it (`TransferLeader`) would have to go through raft's next Ready, which there will
        not be, as nothing can be saved.
        """
        raft = self._node.raft
        progress = raft.tracker.progress
        voters = raft.tracker.config.voters.ids - {raft.id}
        alive = [one for one in sorted(voters) if progress[one].recent_active]
        if alive:
            successor = max(alive, key=lambda one: progress[one].match)
            log.info("leadership transfer starting", to=f"{successor:x}", reason="the log is full")
            self.send([RaftMessage(MessageType.TIMEOUT_NOW, successor, raft.id, raft.term)])
        raft.become_follower(raft.term, NO_NODE)
        self._led_by(NO_NODE)

    def _led_by(self, leader: int) -> None:
        self.leader = leader
        self.leader_changes += 1
        self._leader_changed.set()
        self._leader_changed = trio.Event()
        self.on_leader_change(self.leader, self.term)

    def _fail_pending(self, error: type[EtcdError]) -> None:
        self.proposing.fail(error)
        self._rounds.fail(error)

    async def stopping(self) -> None:
        self._fail_pending(Stopped)
        with suppress(MailboxClosed):  # the log's writer has failed
            self.save_commit()


def changes_membership(entries: Sequence[Entry]) -> bool:
    """Whether there is a membership change among them."""
    return any(entry.type is not EntryType.NORMAL for entry in entries)


def latest_answers(messages: Sequence[RaftMessage]) -> Sequence[RaftMessage]:
    """Without those acknowledgements that a later one to the same leader includes."""
    if len(messages) < 2:
        return messages
    told: set[int] = set()
    kept: list[RaftMessage] = []
    for message in reversed(messages):
        if message.type is MessageType.APP_RESP and not message.reject:
            if message.to in told:
                continue
            told.add(message.to)
        kept.append(message)
    kept.reverse()
    return kept
