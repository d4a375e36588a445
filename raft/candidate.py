"""A candidate, or a pre-candidate: it waits for votes, and gives way to any leader of its term."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import election, follower, replication
from .errors import ProposalDropped
from .quorum import VoteResult
from .state import CampaignType, StateType
from .types import NO_NODE, Message, MessageType

if TYPE_CHECKING:
    from .raft import Raft

__all__ = ["step"]


def step(raft: Raft, m: Message) -> None:
    """Handle one message of this node's term."""
    kind = m.type
    if kind in follower.FROM_LEADER:
        raft.become_follower(m.term, m.from_)
        follower.FROM_LEADER[kind](raft, m)
    elif kind in (MessageType.VOTE_RESP, MessageType.PRE_VOTE_RESP):
        # A candidate may still get answers to the questions that it asked before.
        asked = raft.state is StateType.PRE_CANDIDATE
        if asked == (kind == MessageType.PRE_VOTE_RESP):
            _count(raft, m)
    elif kind == MessageType.PROP:
        raft.logger.info(f"{raft.id:x} no leader at term {raft.term}; dropping proposal")
        raise ProposalDropped
    elif kind == MessageType.TIMEOUT_NOW:
        raft.logger.debug(
            f"{raft.id:x} [term {raft.term} state {raft.state}] ignored MsgTimeoutNow "
            f"from {m.from_:x}"
        )


def _count(raft: Raft, m: Message) -> None:
    result = election.poll(raft, m)
    if m.reject and m.commit:
        election.learn_commit(raft, m)
        if raft.state is StateType.FOLLOWER:
            return
    if result is VoteResult.WON:
        if raft.state is StateType.PRE_CANDIDATE:
            election.campaign(raft, CampaignType.ELECTION)
        else:
            raft.become_leader()
            replication.broadcast_append(raft)
    elif result is VoteResult.LOST:
        raft.become_follower(raft.term, NO_NODE)
