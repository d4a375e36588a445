"""`strict-reconfig-check`: which membership changes are not even proposed, as they could cost the quorum.

The rules are etcd's. They hold against what this member sees (who has started, who is connected to it), so they
are advice: what is really possible is decided when a change is applied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..errors import LearnerNotReady, MemberNotEnoughStarted, Unhealthy
from .member import Member

__all__ = [
    "HEALTHY_SECONDS_MIN",
    "Connected",
    "check_add",
    "check_promote",
    "check_ready",
    "check_remove",
]

HEALTHY_SECONDS_MIN = 5.0
"""A member counts as connected when it has been reachable for so long (etcd's HealthInterval)."""
LEARNER_READY_SHARE_MIN = 0.9

Connected = Callable[[int, float], bool]
"""Whether a member has been reachable for so many seconds; this one always is."""


def _quorum(members: int) -> int:
    return members // 2 + 1


def check_add(member: Member, voters: Sequence[Member], connected: Connected) -> None:
    """Raises MemberNotEnoughStarted or Unhealthy.

    The new member counts as one that is not there. A single member may always be given company: that is how
    clusters grow, and how one is restored.
    """
    if not member.is_learner:
        started = sum(bool(voter.name) for voter in voters)
        after = len(voters) + 1
        if not (started == 1 and after == 2) and started < _quorum(after):
            raise MemberNotEnoughStarted
    if len(voters) > 1:
        active = _active(voters, connected)
        if active < _quorum(len(voters) + 1):
            raise Unhealthy


def check_remove(member: int, voters: Sequence[Member], connected: Connected) -> None:
    """Raises MemberNotEnoughStarted or Unhealthy; learners may always go.

    A voter that cannot be reached now is none of those that the quorum rests on.
    """
    rest = [voter for voter in voters if voter.id != member]
    if sum(bool(voter.name) for voter in rest) < _quorum(len(rest)):
        raise MemberNotEnoughStarted
    if not connected(member, 0.0):
        return
    if _active(voters, connected) - 1 < _quorum(len(voters) - 1):
        raise Unhealthy


def check_promote(voters: Sequence[Member]) -> None:
    """Raises MemberNotEnoughStarted; the learner itself counts as started."""
    started = sum(bool(voter.name) for voter in voters)
    if started + 1 < _quorum(len(voters) + 1):
        raise MemberNotEnoughStarted


def check_ready(learner_match: int, leader_match: int) -> None:
    """Raises LearnerNotReady for one that has less than nine tenths of the leader's log."""
    if learner_match < LEARNER_READY_SHARE_MIN * leader_match:
        raise LearnerNotReady


def _active(voters: Sequence[Member], connected: Connected) -> int:
    return sum(connected(voter.id, HEALTHY_SECONDS_MIN) for voter in voters)
