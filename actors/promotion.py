"""A learner becomes a voter: the leader alone knows whether it has caught up, so others ask it.

Source: etcd's PromoteMember and its HTTP handler, whose status codes carry the errors between members.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import trio

from ..errors import (
    EtcdError,
    LearnerNotReady,
    MemberNotFound,
    MemberNotLearner,
    NotLeader,
    RequestTimeout,
)
from . import membership_changes as changes
from . import reconfiguration as strict
from .call import Call, Waiter
from .context import NodeContext
from .leader_calls import applied, ask_leader
from .member import Member
from .peers.contract import PeerReply

__all__ = [
    "NOT_FOUND",
    "NOT_LEARNER",
    "NOT_READY",
    "PROMOTE",
    "promote",
    "promote_here",
    "read_promotion",
]

PROMOTE = "/members/promote/"
NOT_FOUND = "membership: ID not found"
NOT_LEARNER = "membership: can only promote a learner member"
NOT_READY = LearnerNotReady.text


async def promote(node: NodeContext, member: int) -> Sequence[Member]:
    """Have `member` promoted, wherever the leader is; the members after that.

    Raises MemberNotFound, MemberNotLearner, LearnerNotReady, MemberNotEnoughStarted, TooManyRequests, or a timeout.
    """

    async def here() -> Sequence[Member] | None:
        try:
            return await promote_here(node, member)
        except NotLeader:
            return None

    return await ask_leader(node, here, "POST", f"{PROMOTE}{member}", b"", read_promotion)


async def promote_here(node: NodeContext, member: int) -> Sequence[Member]:
    """Like `promote`, but on this member, which must lead: otherwise it raises NotLeader."""
    try:
        members = await _promote_here(node, member)
    except NotLeader:
        raise
    except EtcdError as error:
        node.promotions.failed[error.message] += 1
        raise
    node.promotions.succeeded += 1
    return members


async def _promote_here(node: NodeContext, member: int) -> Sequence[Member]:
    await applied(node)
    leader_match = node.raft.match_index(node.member_id)
    if leader_match is None:
        raise NotLeader
    match = node.raft.match_index(member)
    if match is None:
        raise MemberNotFound
    strict.check_ready(match, leader_match)
    if node.config.strict_reconfig_check:
        strict.check_promote(node.membership.voters())
    waiter = Waiter()
    node.propose_change(changes.promote(member), Call(waiter, 0))
    await waiter.wait()
    await trio.lowlevel.checkpoint()
    return node.membership.sorted()


def read_promotion(reply: PeerReply) -> Sequence[Member] | None:
    """What the leader said; None to ask again. Raises the error that it found."""
    body = reply.body.decode("utf-8", "replace")
    if reply.status == 200:
        try:
            return [Member.of_record(record) for record in json.loads(body)]
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
    if reply.status == 404:
        raise MemberNotFound
    if reply.status == 412:
        if NOT_READY in body:
            raise LearnerNotReady
        if NOT_LEARNER in body:
            raise MemberNotLearner
    if reply.status == 408:
        raise RequestTimeout
    return None
