"""Campaigns and votes (Raft, 5.2 and 5.4.1; dissertation, 4.2.3 and 9.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .quorum import VoteResult
from .state import CampaignType, StateType
from .types import NO_NODE, Message, MessageType

if TYPE_CHECKING:
    from .raft import Raft

__all__ = [
    "answer",
    "campaign",
    "hup",
    "in_lease",
    "learn_commit",
    "log_ignored",
    "log_verdict",
    "poll",
]

_ANSWERS = {
    MessageType.VOTE: MessageType.VOTE_RESP,
    MessageType.PRE_VOTE: MessageType.PRE_VOTE_RESP,
}


def hup(raft: Raft, kind: CampaignType) -> None:
    """Start a campaign, unless this node leads or may not lead."""
    if raft.state is StateType.LEADER:
        raft.logger.debug(f"{raft.id:x} ignoring MsgHup because already leader")
        return
    if not raft.promotable:
        raft.logger.warning(f"{raft.id:x} is unpromotable and can not campaign")
        return
    # A membership takes effect when it is applied: one that is committed must not be overlooked.
    if raft.log.has_conf_change(raft.log.applied + 1, raft.log.committed + 1):
        raft.logger.warning(
            f"{raft.id:x} cannot campaign at term {raft.term} since there are still pending "
            "configuration changes to apply"
        )
        return
    raft.logger.info(f"{raft.id:x} is starting a new election at term {raft.term}")
    campaign(raft, kind)


def campaign(raft: Raft, kind: CampaignType) -> None:
    """Ask every voter, oneself included."""
    if kind is CampaignType.PRE_ELECTION:
        raft.become_pre_candidate()
        request, term = MessageType.PRE_VOTE, raft.term + 1
    else:
        raft.become_candidate()
        request, term = MessageType.VOTE, raft.term
    last_term, last_index = raft.log.last_entry_id()
    context = kind.value if kind is CampaignType.TRANSFER else b""
    for voter in sorted(raft.tracker.config.voters.ids):
        if voter == raft.id:
            # Our own vote counts once it is durable: it comes back to us as a message.
            raft.send(Message(_ANSWERS[request], to=voter, term=term))
            continue
        raft.logger.info(
            f"{raft.id:x} [logterm: {last_term}, index: {last_index}] sent {request} request "
            f"to {voter:x} at term {raft.term}"
        )
        raft.send(
            Message(
                request,
                to=voter,
                term=term,
                index=last_index,
                log_term=last_term,
                context=context,
            )
        )


def poll(raft: Raft, m: Message) -> VoteResult:
    """Count a vote; what has come of the election."""
    what = "rejection " if m.reject else ""
    raft.logger.info(f"{raft.id:x} received {m.type} {what}from {m.from_:x} at term {raft.term}")
    raft.tracker.record_vote(m.from_, not m.reject)
    granted, rejected, result = raft.tracker.tally_votes()
    raft.logger.info(
        f"{raft.id:x} has received {granted} {m.type} votes and {rejected} vote rejections"
    )
    return result


def in_lease(raft: Raft) -> bool:
    """A leader was heard of within the election timeout, so a vote would only disturb it."""
    return (
        raft.config.check_quorum
        and raft.lead != NO_NODE
        and raft.election_elapsed < raft.config.election_ticks
    )


def answer(raft: Raft, m: Message) -> None:
    """Vote for a candidate or not; a pre-vote is answered alike but leaves no trace.

    Learners vote too: a node may have been made a voter and not know it yet, and without its vote
    the cluster may be stuck. The candidate's configuration decides whether the vote counts.
    """
    pre_vote = m.type == MessageType.PRE_VOTE
    can_vote = (
        raft.vote == m.from_
        or (raft.vote == NO_NODE and raft.lead == NO_NODE)
        or (pre_vote and m.term > raft.term)
    )
    if not (can_vote and raft.log.is_up_to_date(m.log_term, m.index)):
        log_verdict(raft, m, "rejected")
        refusal = Message(_ANSWERS[m.type], to=m.from_, term=raft.term, reject=True)
        if raft.id not in raft.tracker.progress:
            # We were removed, so we cannot lead ourselves and bring the candidate the news of that. It may lack
            # nothing else: of two, it cannot be elected without our vote as long as it counts us.
            refusal.commit = raft.log.committed
            refusal.log_term = raft.log.term_or_zero(raft.log.committed)
        raft.send(refusal)
        return
    log_verdict(raft, m, "cast")
    # With the request's term: for a pre-vote ours is lower, and would be ignored as old.
    raft.send(Message(_ANSWERS[m.type], to=m.from_, term=m.term))
    if not pre_vote:
        raft.election_elapsed = 0
        raft.vote = m.from_


def learn_commit(raft: Raft, m: Message) -> None:
    """Take what a member that was removed says in a refusal: which entry it knows to be committed.

    If our log has the same entry, it has all that come before, and they are committed. With a
    membership change among them the campaign is over: the vote was asked of other voters.
    """
    if raft.log.maybe_commit(m.log_term, m.commit) and raft.log.has_conf_change(
        raft.log.applied + 1, raft.log.committed + 1
    ):
        raft.become_follower(raft.term, NO_NODE)


def _our_log(raft: Raft) -> str:
    term, index = raft.log.last_entry_id()
    return f"{raft.id:x} [logterm: {term}, index: {index}, vote: {raft.vote:x}]"


def log_verdict(raft: Raft, m: Message, verdict: str) -> None:
    whom = "for" if verdict == "cast" else "from"
    raft.logger.info(
        f"{_our_log(raft)} {verdict} {m.type} {whom} {m.from_:x} "
        f"[logterm: {m.log_term}, index: {m.index}] at term {raft.term}"
    )


def log_ignored(raft: Raft, m: Message) -> None:
    left = raft.config.election_ticks - raft.election_elapsed
    raft.logger.info(
        f"{_our_log(raft)} ignored {m.type} from {m.from_:x} "
        f"[logterm: {m.log_term}, index: {m.index}] at term {raft.term}: "
        f"lease is not expired (remaining ticks: {left})"
    )
