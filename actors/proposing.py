"""How proposals get into the log: appended here, passed on to the leader, held, or refused.

Requests of a turn are proposed as one batch. While there is no leader, or one that hands over, raft drops them:
then they are held, and taken up when a leader is known. Membership changes go one at a time: raft would put an empty
entry in the place of one that is proposed before the last is applied, so that its proposer waits in vain.
A leader therefore keeps such changes, its own and those that followers pass on, until it is their turn.
"""

from __future__ import annotations

from collections.abc import Callable

from ..errors import (
    EtcdError,
    InvariantBroken,
    NoLeader,
    NoSpace,
    NotLeader,
    RequestTimeout,
    TooManyRequests,
)
from ..raft.errors import ProposalDropped
from ..raft.raw_node import RawNode
from ..raft.state import StateType
from ..raft.types import EntryType, MessageType
from ..raft.types import Message as RaftMessage
from .call import Call
from .pending import Pending
from .raft_mail import ProposeAsLeader, ProposeChange
from .world import Clock

__all__ = ["Proposing"]

PROPOSALS_PENDING_MAX = 20_000
COMMITTED_UNAPPLIED_ENTRIES_MAX = 5_000
CHANGES_WAITING_MAX = 1_000  # membership changes behind one that is not applied yet


class Proposing:
    """The proposals of one member.

    Attributes:
        pending: those that have no result yet.
        failed: how many were refused.
        refuses_writes: the disk is full.
    """

    def __init__(
        self,
        node: RawNode,
        clock: Clock,
        *,
        unapplied: Callable[[], int],
        request_seconds_max: float,
    ) -> None:
        """`unapplied` is the number of entries that are committed and not applied here."""
        self._node = node
        self._clock = clock
        self._unapplied = unapplied
        self._request_seconds_max = request_seconds_max
        self._deferred: list[ProposeChange | RaftMessage] = []
        self.pending = Pending()
        self.failed = 0
        self.refuses_writes = False

    def requests(self, calls: list[Call]) -> None:
        """Propose the requests of clients."""
        refusal = self._refusal()
        if refusal is not None:
            self.failed += len(calls)
            for call in calls:
                call.refuse(refusal())
            return
        deadline = self._deadline()
        for call in calls:
            call.deadline = deadline
        self._append(calls)

    def as_leader(self, message: ProposeAsLeader) -> None:
        """Propose what only the leader of a term may."""
        call, raft = message.call, self._node.raft
        refusal = self._refusal()
        if refusal is None and (raft.state is not StateType.LEADER or raft.term != message.term):
            refusal = NotLeader
        if refusal is None:
            try:
                _, index = self._node.propose_batch([call.data])
            except ProposalDropped:  # it hands its leadership over
                refusal = NotLeader
        if refusal is not None:
            self._refuse(call, refusal)
            return
        call.deadline = self._deadline()
        self.pending.appended(call, index, raft.term)

    def change(self, message: ProposeChange) -> None:
        """Propose a membership change of this member's."""
        change, call = message.change, message.call
        if not call.deadline:
            call.deadline = self._deadline()
        if self._change_pending():
            self._defer(message)
            return
        refusal = self._refusal()
        if refusal is None:
            try:
                self._node.propose_conf_change(change)
            except ProposalDropped:
                refusal = NoLeader
        if refusal is not None:
            self._refuse(call, refusal)
            return
        call.term = self._node.raft.term
        self.pending.by_id[change.id] = call

    def defers(self, message: RaftMessage) -> bool:
        """Whether a message of another member brings a membership change that is kept for later."""
        if message.type is not MessageType.PROP or not self._change_pending():
            return False
        if all(entry.type is EntryType.NORMAL for entry in message.entries):
            return False
        self._defer(message)
        return True

    def sweep(self, step: Callable[[RaftMessage], None]) -> None:
        """A tick: tell those that have waited too long, take up what can be; `step` is for messages of others."""
        now = self._clock.now()
        self.pending.sweep(now)
        self.take_up()
        deferred, self._deferred = self._deferred, []
        for message in deferred:
            if not isinstance(message, ProposeChange):
                step(message)
            elif message.call.deadline <= now:
                message.call.refuse(RequestTimeout())
            else:
                self.change(message)

    def take_up(self) -> None:
        """Propose what was held, if there is a leader now."""
        if self.pending.held and self._node.raft.lead:
            self._append(self.pending.take_held())

    def fail(self, error: type[EtcdError]) -> None:
        """Tell everybody the same."""
        self.pending.fail(error)
        deferred, self._deferred = self._deferred, []
        for message in deferred:
            if isinstance(message, ProposeChange):
                message.call.refuse(error())

    def _append(self, calls: list[Call]) -> None:
        """Put them into the log here, or pass them on to the leader; without one they are held."""
        pending = self.pending
        try:
            first, last = self._node.propose_batch([call.data for call in calls])
        except ProposalDropped:
            pending.held += calls
            return
        term, by_index = self._node.raft.term, pending.by_index
        if not last:
            for call in calls:
                call.term = term
                pending.by_id[call.request_id] = call
            return
        if last - first + 1 != len(calls):
            raise InvariantBroken(f"of {len(calls)} proposals {last - first + 1} were appended")
        if by_index and not by_index.keys().isdisjoint(range(first, last + 1)):
            for index, call in enumerate(calls, first):
                pending.appended(call, index, term)
            return
        for index, call in enumerate(calls, first):
            call.term = term
            by_index[index] = call

    def _refusal(self) -> type[EtcdError] | None:
        """Why a proposal cannot be taken now, or None."""
        if self.refuses_writes:
            return NoSpace
        if len(self.pending) > PROPOSALS_PENDING_MAX:
            return TooManyRequests
        if self._unapplied() > COMMITTED_UNAPPLIED_ENTRIES_MAX:
            return TooManyRequests
        return None

    def _refuse(self, call: Call, error: type[EtcdError]) -> None:
        self.failed += 1
        call.refuse(error())

    def _change_pending(self) -> bool:
        """Whether raft would drop a membership change, as this leader has not applied the one before it."""
        raft = self._node.raft
        return raft.state is StateType.LEADER and raft.pending_conf_index > raft.log.applied

    def _defer(self, message: ProposeChange | RaftMessage) -> None:
        """Look at a membership change again at the next tick."""
        if len(self._deferred) < CHANGES_WAITING_MAX:
            self._deferred.append(message)
        elif isinstance(message, ProposeChange):
            message.call.refuse(TooManyRequests())

    def _deadline(self) -> float:
        return self._clock.now() + self._request_seconds_max
