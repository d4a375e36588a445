"""A Raft node without IO, threads or time: the library's interface.

The owner feeds it (`tick`, `step`, `propose`, ...), and whenever `has_ready()` does what
`ready()` says; `ready` explains the order. A node of a single voter runs the same way, it merely
needs no messages.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import bootstrap, leader, membership
from .codec import encode_conf_change, encode_conf_change_v2
from .config import Config
from .errors import InvariantBroken, StepLocalMessage, StepPeerNotFound
from .raft import Raft
from .ready import (
    Ready,
    append_message,
    append_response,
    apply_message,
    apply_response,
    early_count,
)
from .state import StateType
from .status import BasicStatus, Status, basic_status, status
from .types import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    ConfChange,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
)

__all__ = ["RawNode"]

_THREADS = (LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD)
_LOCAL = frozenset(
    (
        MessageType.HUP,
        MessageType.BEAT,
        MessageType.UNREACHABLE,
        MessageType.SNAP_STATUS,
        MessageType.CHECK_QUORUM,
        MessageType.STORAGE_APPEND,
        MessageType.STORAGE_APPEND_RESP,
        MessageType.STORAGE_APPLY,
        MessageType.STORAGE_APPLY_RESP,
    )
)
_RESPONSES = frozenset(
    (
        MessageType.APP_RESP,
        MessageType.VOTE_RESP,
        MessageType.HEARTBEAT_RESP,
        MessageType.UNREACHABLE,
        MessageType.READ_INDEX_RESP,
        MessageType.PRE_VOTE_RESP,
        MessageType.STORAGE_APPEND_RESP,
        MessageType.STORAGE_APPLY_RESP,
    )
)


class RawNode:
    """See the module. Any method may raise InvariantBroken: then the node must stop."""

    def __init__(self, config: Config) -> None:
        self.raft = Raft(config)
        self._async = config.async_storage_writes
        # Committed entries that are only being written may be applied when one Ready says both: the
        # order within it holds. With asynchronous writes nothing orders the two threads.
        self._apply_unstable = not config.async_storage_writes
        self._soft_state = self.raft.soft_state
        self._hard_state = self.raft.hard_state
        self._steps_on_advance: list[Message] | None = None

    def bootstrap(self, peers: Sequence[bootstrap.Peer]) -> None:
        """Begin a cluster's log with its members; see `bootstrap`. Raises ConfigError."""
        bootstrap.bootstrap(self.raft, peers)
        self._hard_state = HardState()

    # --- Input
    # --------------------------------------------------------------------------------------

    def tick(self) -> None:
        """One unit of time has passed; timeouts are counted in them."""
        self.raft.tick()

    def campaign(self) -> None:
        """Try to become leader now."""
        self.raft.step(Message(MessageType.HUP))

    def propose(self, data: bytes) -> None:
        """Have `data` appended to the log. Raises ProposalDropped; may be lost without notice."""
        entry = Entry(data=data)
        self.raft.step(Message(MessageType.PROP, from_=self.raft.id, entries=(entry,)))

    def propose_batch(self, batch: Sequence[bytes]) -> tuple[int, int]:
        """Propose many at once, at a fraction of the cost: all or none.

        The first and the last index that they get; (0, 0) when they are passed on to the leader.
        Raises ProposalDropped.
        """
        raft = self.raft
        if raft.state is StateType.LEADER:
            return leader.propose_data(raft, batch)
        entries = [Entry(data=data) for data in batch]
        raft.step(Message(MessageType.PROP, from_=raft.id, entries=entries))
        return 0, 0

    def propose_conf_change(self, change: ConfChange | ConfChangeV2) -> None:
        """Propose a membership change. Raises ProposalDropped.

        An empty entry takes its place when another change is under way or it does not fit.
        """
        if isinstance(change, ConfChange):
            entry = Entry(type=EntryType.CONF_CHANGE, data=encode_conf_change(change))
        else:
            entry = Entry(type=EntryType.CONF_CHANGE_V2, data=encode_conf_change_v2(change))
        self.raft.step(Message(MessageType.PROP, entries=(entry,)))

    def apply_conf_change(self, change: ConfChange | ConfChangeV2) -> ConfState:
        """Switch to the membership of a committed change; the result belongs into snapshots.

        To be called for every change that is applied, unless the application rejects it. Raises
        ConfChangeRefused for an impossible one, and nothing has changed.
        """
        return membership.apply(self.raft, change.as_v2())

    def step(self, m: Message) -> None:
        """Handle a message of a peer or of a local storage thread.

        Raises StepLocalMessage or StepPeerNotFound for one that should not have come, and
        ProposalDropped.
        """
        kind = m.type
        if m.from_ not in _THREADS:
            if kind in _LOCAL:
                raise StepLocalMessage
            if kind in _RESPONSES and m.from_ not in self.raft.tracker.progress:
                raise StepPeerNotFound
        self.raft.step(m)

    def read_index(self, context: bytes) -> None:
        """Ask for an index to read at; it comes in a Ready's `read_states`, with `context`.

        It may get lost, as when there is no leader: ask again.
        """
        self.raft.step(Message(MessageType.READ_INDEX, entries=(Entry(data=context),)))

    def transfer_leader(self, to: int) -> None:
        """Ask the leader to hand over to the voter `to`."""
        self.raft.step(Message(MessageType.TRANSFER_LEADER, from_=to))

    def forget_leader(self) -> None:
        """Make a follower know no leader, so that it may vote for another at once."""
        self.raft.step(Message(MessageType.FORGET_LEADER))

    def report_unreachable(self, node: int) -> None:
        """The last message to `node` could not be sent."""
        self.raft.step(Message(MessageType.UNREACHABLE, from_=node))

    def report_snapshot(self, node: int, *, failed: bool) -> None:
        """A snapshot was sent to `node`, or could not be."""
        self.raft.step(Message(MessageType.SNAP_STATUS, from_=node, reject=failed))

    # --- Output
    # -------------------------------------------------------------------------------------

    def has_ready(self) -> bool:
        """Whether there is anything for the application to do."""
        raft = self.raft
        log = raft.log
        soft, hard = self._soft_state, self._hard_state
        return bool(
            raft.msgs
            or raft.msgs_after_append
            or log.unstable.has_next_entries()
            or raft.read_states
            or log.committed != hard.commit
            or log.has_next_committed(self._apply_unstable)
            or raft.term != hard.term
            or raft.vote != hard.vote
            or raft.lead != soft.lead
            or raft.state is not soft.state
            or log.unstable.next_snapshot() is not None
        )

    def ready(self) -> Ready:
        """Take out all that is to be done now. Do it, then call `advance`."""
        raft = self.raft
        if self._steps_on_advance is not None:
            raise InvariantBroken("two accepted Ready structs without call to Advance")
        log = raft.log
        soft_state, hard_state = raft.soft_state, raft.hard_state
        before = self._hard_state
        entries = log.unstable.next_entries()
        ready = Ready(
            soft_state if soft_state != self._soft_state else None,
            hard_state if hard_state != before else None,
            raft.read_states,
            entries,
            log.unstable.next_snapshot(),
            log.next_committed(self._apply_unstable),
            raft.msgs,
            early_count(raft.msgs),
            bool(entries) or hard_state[:2] != before[:2],
        )
        if self._async:
            self._add_storage_messages(ready)
        else:
            self._plan_advance(ready)
        self._soft_state, self._hard_state = soft_state, hard_state
        raft.msgs, raft.msgs_after_append, raft.read_states = [], [], []
        log.unstable.accept_in_progress()
        if ready.committed_entries:
            log.accept_applying(ready.committed_entries, self._apply_unstable)
        return ready

    def _add_storage_messages(self, ready: Ready) -> None:
        m = append_message(self.raft, ready)
        if m is not None:
            ready.messages.append(m)
        if ready.committed_entries:
            ready.messages.append(apply_message(self.raft, ready.committed_entries))

    def _plan_advance(self, ready: Ready) -> None:
        """What the storage threads would answer, to be stepped when the application is done."""
        raft = self.raft
        steps: list[Message] = []
        for m in raft.msgs_after_append:
            (steps if m.to == raft.id else ready.messages).append(m)
        response = append_response(raft, ready)
        if response is not None:
            steps.append(response)
        if ready.committed_entries:
            steps.append(apply_response(raft, ready.committed_entries))
        self._steps_on_advance = steps

    def advance(self, _ready: Ready | None = None) -> None:
        """The last Ready is stored and applied. Not with asynchronous storage writes."""
        if self._async:
            raise InvariantBroken("Advance must not be called when using AsyncStorageWrites")
        steps, self._steps_on_advance = self._steps_on_advance, None
        for m in steps or ():
            self.raft.step(m)

    # --- Looking in
    # ---------------------------------------------------------------------------------

    def status(self) -> Status:
        """Everything, as a copy."""
        return status(self.raft)

    def basic_status(self) -> BasicStatus:
        return basic_status(self.raft)
