"""A follower: it takes its leader's entries, and passes on what only a leader can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from . import election, membership
from .config import ReadOnlyOption
from .errors import InvariantBroken, ProposalDropped
from .state import CampaignType, ReadState, StateType
from .types import NO_NODE, Message, MessageType, Snapshot

if TYPE_CHECKING:
    from .raft import Raft

__all__ = ["FROM_LEADER", "step"]


def step(raft: Raft, m: Message) -> None:
    """Handle one message of this node's term. Raises ProposalDropped."""
    kind = m.type
    if kind in FROM_LEADER:
        raft.election_elapsed = 0
        raft.lead = m.from_
        FROM_LEADER[kind](raft, m)
    elif kind == MessageType.PROP:
        _propose(raft, m)
    elif kind == MessageType.READ_INDEX:
        _pass_on(raft, m, "index reading msg")
    elif kind == MessageType.READ_INDEX_RESP:
        _read_index_answer(raft, m)
    elif kind == MessageType.TRANSFER_LEADER:
        _pass_on(raft, m, "leader transfer msg")
    elif kind == MessageType.FORGET_LEADER:
        _forget_leader(raft)
    elif kind == MessageType.TIMEOUT_NOW:
        raft.logger.info(
            f"{raft.id:x} [term {raft.term}] received MsgTimeoutNow from {m.from_:x} and starts "
            "an election to get leadership."
        )
        # The leader asked for it, so there is nothing to find out by a pre-vote.
        election.hup(raft, CampaignType.TRANSFER)


# --- From the leader
# --------------------------------------------------------------------------------


def _append_entries(raft: Raft, m: Message) -> None:
    """Raft, figure 2: AppendEntries."""
    log = raft.log
    if m.index < log.committed:
        # Old news: what is committed here will never change, so that is how far we agree.
        raft.send(Message(MessageType.APP_RESP, to=m.from_, index=log.committed))
        return
    last_new = log.maybe_append(m.log_term, m.index, m.entries, m.commit)
    if last_new is not None:
        raft.send(Message(MessageType.APP_RESP, to=m.from_, index=last_new))
        return
    raft.logger.debug(
        f"{raft.id:x} [logterm: {log.term_or_zero(m.index)}, index: {m.index}] rejected MsgApp "
        f"[logterm: {m.log_term}, index: {m.index}] from {m.from_:x}"
    )
    # Where could the logs agree? Not where our term is above that of the leader's entry, for
    # terms only grow along a log. This skips a whole tail of ours at once; the leader does the
    # same with its own.
    hint, hint_term = log.find_conflict_by_term(min(m.index, log.last_index()), m.log_term)
    raft.send(
        Message(
            MessageType.APP_RESP,
            to=m.from_,
            index=m.index,
            reject=True,
            reject_hint=hint,
            log_term=hint_term,
        )
    )


def _heartbeat(raft: Raft, m: Message) -> None:
    raft.log.commit_to(m.commit)
    raft.send(Message(MessageType.HEARTBEAT_RESP, to=m.from_, context=m.context))


def _snapshot(raft: Raft, m: Message) -> None:
    snapshot = Snapshot() if m.snapshot is None else m.snapshot
    restored = _restore(raft, snapshot)
    index = raft.log.last_index() if restored else raft.log.committed
    raft.logger.info(
        f"{raft.id:x} [commit: {raft.log.committed}] {'restored' if restored else 'ignored'} "
        f"snapshot [index: {snapshot.metadata.index}, term: {snapshot.metadata.term}]"
    )
    raft.send(Message(MessageType.APP_RESP, to=m.from_, index=index))


FROM_LEADER: dict[MessageType, Callable[[Raft, Message], None]] = {
    MessageType.APP: _append_entries,
    MessageType.HEARTBEAT: _heartbeat,
    MessageType.SNAP: _snapshot,
}
"""What only a leader of this term sends."""


def _restore(raft: Raft, snapshot: Snapshot) -> bool:
    """Replace log and membership by a snapshot; False when there is no need to, or no right."""
    log, meta = raft.log, snapshot.metadata
    if meta.index <= log.committed:
        return False
    if raft.state is not StateType.FOLLOWER:
        raise InvariantBroken(f"{raft.id:x} attempted to restore snapshot as {raft.state}")
    state = meta.conf_state
    # Who waits in learners_next is a voter of the outgoing set, so these are all.
    if raft.id not in (*state.voters, *state.learners, *state.voters_outgoing):
        raft.logger.warning(
            f"{raft.id:x} attempted to restore snapshot but it is not in the ConfState {state}; "
            "should never happen"
        )
        return False
    last_term, last_index = log.last_entry_id()
    if log.match_term(meta.term, meta.index):
        # We have its last entry, hence all of it: it is enough to know that it is committed.
        raft.logger.info(
            f"{raft.id:x} [commit: {log.committed}, lastindex: {last_index}, "
            f"lastterm: {last_term}] fast-forwarded commit to snapshot "
            f"[index: {meta.index}, term: {meta.term}]"
        )
        log.commit_to(meta.index)
        return False
    log.restore(snapshot)
    raft.tracker = raft.new_tracker()
    membership.restore(raft, state)
    last_term, last_index = log.last_entry_id()
    raft.logger.info(
        f"{raft.id:x} [commit: {log.committed}, lastindex: {last_index}, lastterm: {last_term}] "
        f"restored snapshot [index: {meta.index}, term: {meta.term}]"
    )
    return True


# --- To the leader
# ----------------------------------------------------------------------------------


def _propose(raft: Raft, m: Message) -> None:
    if raft.lead == NO_NODE:
        raft.logger.info(f"{raft.id:x} no leader at term {raft.term}; dropping proposal")
        raise ProposalDropped
    if raft.config.disable_proposal_forwarding:
        raft.logger.info(
            f"{raft.id:x} not forwarding to leader {raft.lead:x} at term {raft.term}; "
            "dropping proposal"
        )
        raise ProposalDropped
    raft.send(attrs.evolve(m, to=raft.lead))


def _pass_on(raft: Raft, m: Message, what: str) -> None:
    if raft.lead == NO_NODE:
        raft.logger.info(f"{raft.id:x} no leader at term {raft.term}; dropping {what}")
        return
    raft.send(attrs.evolve(m, to=raft.lead, term=0))


def _read_index_answer(raft: Raft, m: Message) -> None:
    if len(m.entries) != 1:
        raft.logger.error(
            f"{raft.id:x} invalid format of MsgReadIndexResp from {m.from_:x}, "
            f"entries count: {len(m.entries)}"
        )
        return
    raft.read_states.append(ReadState(m.index, m.entries[0].data))


def _forget_leader(raft: Raft) -> None:
    if raft.config.read_only_option is ReadOnlyOption.LEASE_BASED:
        # The leader counts on our refusing votes for as long as its lease runs.
        raft.logger.error("ignoring MsgForgetLeader due to ReadOnlyLeaseBased")
    elif raft.lead != NO_NODE:
        raft.logger.info(f"{raft.id:x} forgetting leader {raft.lead:x} at term {raft.term}")
        raft.lead = NO_NODE
