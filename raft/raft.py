"""The state machine of one node: its state, and how it moves between roles.

Everything happens in `step`, which takes one message, and in `tick`. Neither waits, sends nor
stores: what is to be sent is queued in `msgs`, and in `msgs_after_append` what may be sent only
once all that was decided so far is durable. `RawNode` takes both out, with what is to be stored,
as a Ready.

The roles are modules: `follower`, `candidate` and `leader` handle the messages of a node in that
role, `election` asks for votes and casts them, `replication` sends entries, `membership` switches
configurations.
"""

from __future__ import annotations

from collections.abc import Callable

from . import candidate, election, follower, leader, membership
from .config import Config
from .errors import InvariantBroken, RaftError
from .log import RaftLog
from .read_only import ReadOnly
from .sizes import NO_LIMIT, payload_bytes
from .state import CampaignType, ReadState, SoftState, StateType
from .tracker import Progress, ProgressTracker
from .types import NO_NODE, Entry, EntryType, HardState, Message, MessageType, Snapshot

__all__ = ["Raft"]

_VOTING = frozenset(
    (
        MessageType.VOTE,
        MessageType.VOTE_RESP,
        MessageType.PRE_VOTE,
        MessageType.PRE_VOTE_RESP,
    )
)
_AFTER_APPEND = frozenset((MessageType.APP_RESP, MessageType.VOTE_RESP, MessageType.PRE_VOTE_RESP))
_PASSED_ON = frozenset((MessageType.PROP, MessageType.READ_INDEX))
_FROM_LEADER = frozenset((MessageType.APP, MessageType.HEARTBEAT, MessageType.SNAP))


class Raft:
    """See the module. Drive it through `RawNode`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.id = config.id
        self.logger = config.logger
        self.term = 0
        self.vote = NO_NODE
        self.lead = NO_NODE
        self.state = StateType.FOLLOWER
        self.is_learner = False
        self.log = RaftLog(config.storage, config.logger, config.applying_bytes_max)
        self.tracker = self.new_tracker()

        self.msgs: list[Message] = []
        self.msgs_after_append: list[Message] = []
        self.read_states: list[ReadState] = []

        # A leader's: whom it hands over to, the place of the last membership change in its log (no
        # other is let in before that is applied), the payload that is not yet applied, and reads.
        self.lead_transferee = NO_NODE
        self.pending_conf_index = 0
        self.uncommitted_bytes = 0
        self.uncommitted_bytes_max = config.uncommitted_bytes_max or NO_LIMIT
        self.read_only = ReadOnly()
        self.reads_before_commit: list[Message] = []

        # Ticks since the last election timeout, or since the leader was heard of; and since the
        # last heartbeat.
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.randomized_election_timeout = config.election_ticks

        self._step_role: Callable[[Raft, Message], None] = follower.step
        self._recover()

    def _recover(self) -> None:
        """Take up the state that the storage holds."""
        hard_state, conf_state = self.config.storage.initial_state()
        last_term, last_index = self.log.last_entry_id()
        membership.restore(self, conf_state)
        if hard_state != HardState():
            if not self.log.committed <= hard_state.commit <= self.log.last_index():
                raise InvariantBroken(
                    f"{self.id:x} state.commit {hard_state.commit} is out of range "
                    f"[{self.log.committed}, {self.log.last_index()}]"
                )
            self.log.committed = hard_state.commit
            self.term, self.vote = hard_state.term, hard_state.vote
        if self.config.applied > 0:
            self.log.applied_to(self.config.applied)
        self.become_follower(self.term, NO_NODE)
        peers = ",".join(f"{node:x}" for node in sorted(self.tracker.config.voters.ids))
        self.logger.info(
            f"newRaft {self.id:x} [peers: [{peers}], term: {self.term}, "
            f"commit: {self.log.committed}, applied: {self.log.applied}, "
            f"lastindex: {last_index}, lastterm: {last_term}]"
        )

    def new_tracker(self) -> ProgressTracker:
        return ProgressTracker(self.config.inflight_messages_max, self.config.inflight_bytes_max)

    @property
    def soft_state(self) -> SoftState:
        return SoftState(self.lead, self.state)

    @property
    def hard_state(self) -> HardState:
        return HardState(self.term, self.vote, self.log.committed)

    @property
    def promotable(self) -> bool:
        """Whether this node may become leader: a voter whose state is not being replaced."""
        progress = self.tracker.progress.get(self.id)
        return (
            progress is not None and not progress.is_learner and self.log.unstable.snapshot is None
        )

    # --- Sending ----------------------------------------------------------------------------------

    def send(self, m: Message) -> None:
        """Queue a message that was just made; sender and term are filled in.

        Votes and acknowledgements of entries speak of state which must survive a crash, so they
        wait until that is durable (dissertation, 3.8). Refusals wait as well: they may rest on it.
        """
        if m.from_ == NO_NODE:
            m.from_ = self.id
        kind = m.type
        if kind in _VOTING:
            # The term is the one voted about, which for a pre-vote is not ours.
            if m.term == 0:
                raise InvariantBroken(f"term should be set when sending {kind}")
        else:
            if m.term != 0:
                raise InvariantBroken(f"term should not be set when sending {kind} (was {m.term})")
            if kind not in _PASSED_ON:
                m.term = self.term
        if kind in _AFTER_APPEND:
            self.msgs_after_append.append(m)
        elif m.to == self.id:
            raise InvariantBroken(f"message should not be self-addressed when sending {kind}")
        else:
            self.msgs.append(m)

    # --- Roles ------------------------------------------------------------------------------------

    def reset(self, term: int) -> None:
        """Forget what belongs to the role that ends."""
        if self.term != term:
            self.term = term
            self.vote = NO_NODE
        self.lead = NO_NODE
        self.election_elapsed = self.heartbeat_elapsed = 0
        ticks = self.config.election_ticks
        self.randomized_election_timeout = ticks + self.config.random_below(ticks)
        self.lead_transferee = NO_NODE
        self.tracker.reset_votes()
        last = self.log.last_index()
        self.tracker.progress = {
            node: Progress(
                last + 1,
                self.tracker.new_inflights(),
                match=last if node == self.id else 0,
                is_learner=progress.is_learner,
            )
            for node, progress in self.tracker.progress.items()
        }
        self.pending_conf_index = 0
        self.uncommitted_bytes = 0
        self.read_only = ReadOnly()
        self.reads_before_commit = []

    def become_follower(self, term: int, lead: int) -> None:
        self._step_role = follower.step
        self.reset(term)
        self.lead = lead
        self.state = StateType.FOLLOWER
        self.logger.info(f"{self.id:x} became follower at term {self.term}")

    def become_candidate(self) -> None:
        if self.state is StateType.LEADER:
            raise InvariantBroken("invalid transition [leader -> candidate]")
        self._step_role = candidate.step
        self.reset(self.term + 1)
        self.vote = self.id
        self.state = StateType.CANDIDATE
        self.logger.info(f"{self.id:x} became candidate at term {self.term}")

    def become_pre_candidate(self) -> None:
        """Only ask: neither the term nor the vote changes."""
        if self.state is StateType.LEADER:
            raise InvariantBroken("invalid transition [leader -> pre-candidate]")
        self._step_role = candidate.step
        self.tracker.reset_votes()
        self.lead = NO_NODE
        self.state = StateType.PRE_CANDIDATE
        self.logger.info(f"{self.id:x} became pre-candidate at term {self.term}")

    def become_leader(self) -> None:
        if self.state is StateType.FOLLOWER:
            raise InvariantBroken("invalid transition [follower -> leader]")
        self._step_role = leader.step
        self.reset(self.term)
        self.lead = self.id
        self.state = StateType.LEADER
        progress = self.tracker.progress[self.id]
        progress.become_replicate()
        progress.recent_active = True
        # There may be a membership change in the tail of the log; rather than look, assume one.
        self.pending_conf_index = self.log.last_index()
        # Entries of earlier terms are committed only along with one of our own (Raft, 5.4.2 and 8).
        leader.append(self, [Entry(self.term, self.log.last_index() + 1)])
        self.logger.info(f"{self.id:x} became leader at term {self.term}")

    # --- Time -------------------------------------------------------------------------------------

    def tick(self) -> None:
        """One unit of time has passed."""
        if self.state is StateType.LEADER:
            leader.tick(self)
            return
        self.election_elapsed += 1
        if self.promotable and self.election_elapsed >= self.randomized_election_timeout:
            self.election_elapsed = 0
            self.step(Message(MessageType.HUP, from_=self.id))

    # --- Messages ---------------------------------------------------------------------------------

    def step(self, m: Message) -> None:
        """Handle one message. Raises ProposalDropped for a proposal that goes nowhere."""
        if m.term > self.term:
            if not self._meet_higher_term(m):
                return
        elif 0 < m.term < self.term:
            self._meet_lower_term(m)
            return
        kind = m.type
        if kind == MessageType.HUP:
            pre_vote = self.config.pre_vote
            election.hup(self, CampaignType.PRE_ELECTION if pre_vote else CampaignType.ELECTION)
        elif kind == MessageType.STORAGE_APPEND_RESP:
            if m.index:
                self.log.unstable.stable_to(m.log_term, m.index)
            if m.snapshot is not None:
                self._applied_snapshot(m.snapshot)
        elif kind == MessageType.STORAGE_APPLY_RESP:
            if m.entries:
                self.applied_to(m.entries[-1].index)
                self.uncommitted_bytes = max(0, self.uncommitted_bytes - payload_bytes(m.entries))
        elif kind == MessageType.VOTE or kind == MessageType.PRE_VOTE:  # noqa: PLR1714
            election.answer(self, m)
        else:
            self._step_role(self, m)

    def _meet_higher_term(self, m: Message) -> bool:
        """Follow a newer term (Raft, 5.1); False when the message is to be ignored."""
        kind = m.type
        if kind in (MessageType.VOTE, MessageType.PRE_VOTE):
            if election.in_lease(self) and m.context != CampaignType.TRANSFER.value:
                election.log_ignored(self, m)
                return False
            if kind == MessageType.PRE_VOTE:
                return True  # a question about a term does not begin it
        if kind == MessageType.PRE_VOTE_RESP and not m.reject:
            return True  # it names the term that we asked about; we begin it when enough agree
        self.logger.info(
            f"{self.id:x} [term: {self.term}] received a {kind} message with higher term "
            f"from {m.from_:x} [term: {m.term}]"
        )
        self.become_follower(m.term, m.from_ if kind in _FROM_LEADER else NO_NODE)
        return True

    def _meet_lower_term(self, m: Message) -> None:
        """A message from the past is not handled, but may need an answer."""
        kind = m.type
        config = self.config
        if (config.check_quorum or config.pre_vote) and kind in (
            MessageType.HEARTBEAT,
            MessageType.APP,
        ):
            # An old leader, or one that we have left behind: cut off from the others, we have
            # raised our term, and since they ignore our votes while they hear of their leader,
            # only this tells it of our term, so that it steps down and we can join again.
            self.send(Message(MessageType.APP_RESP, to=m.from_))
        elif kind == MessageType.PRE_VOTE:
            # Were it dropped, a candidate of a higher term with a shorter log could block all.
            election.log_verdict(self, m, "rejected")
            self.send(Message(MessageType.PRE_VOTE_RESP, to=m.from_, term=self.term, reject=True))
        elif kind == MessageType.STORAGE_APPEND_RESP:
            if m.index:
                # The entries may have been overwritten since; see `ready.append_response`.
                self.logger.info(
                    f"{self.id:x} [term: {self.term}] ignored entry appends from a {kind} "
                    f"message with lower term [term: {m.term}]"
                )
            if m.snapshot is not None:
                # What a snapshot holds is committed, whatever the term.
                self._applied_snapshot(m.snapshot)
        else:
            self.logger.info(
                f"{self.id:x} [term: {self.term}] ignored a {kind} message with lower term "
                f"from {m.from_:x} [term: {m.term}]"
            )

    # --- The application's progress
    # -----------------------------------------------------------------

    def applied_to(self, index: int) -> None:
        """The application has applied up to `index`; a joint configuration may be left now."""
        self.log.applied_to(max(index, self.log.applied))
        config = self.tracker.config
        if not (
            config.auto_leave
            and self.log.applied >= self.pending_conf_index
            and self.state is StateType.LEADER
        ):
            return
        # Data that is empty reads as the empty change, and is never refused for its size. It is
        # refused during a leadership transfer; then we come here again with the next entry.
        try:
            self.step(Message(MessageType.PROP, entries=(Entry(type=EntryType.CONF_CHANGE_V2),)))
        except RaftError as error:
            self.logger.debug(
                f"not initiating automatic transition out of joint configuration {config}: {error}"
            )
        else:
            self.logger.info(f"initiating automatic transition out of joint configuration {config}")

    def _applied_snapshot(self, snapshot: Snapshot) -> None:
        self.log.unstable.stable_snapshot_to(snapshot.metadata.index)
        self.applied_to(snapshot.metadata.index)
