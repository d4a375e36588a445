"""Membership changes as the log holds them: raft's ConfChange with etcd's JSON as its context.

To add is the member's JSON; to promote, a member of nothing but its ID with `isPromote`; to update, its ID and
its new peer URLs; to remove needs no context.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping

import attrs

from ..errors import (
    Code,
    EtcdError,
    MemberExist,
    MemberNotEnoughStarted,
    MemberNotFound,
    MemberNotLearner,
    PeerURLExist,
    TooManyLearners,
)
from ..raft.types import ConfChange, ConfChangeType
from .member import Member, go_json

__all__ = [
    "Subject",
    "add",
    "check_learners",
    "decode",
    "promote",
    "remove",
    "update",
    "validate",
]


@attrs.frozen
class Subject:
    """Whom a change is about; of a promotion, only `member.id` says anything."""

    member: Member
    is_promote: bool = False


def add(member: Member) -> ConfChange:
    """Add a voter, or a learner."""
    kind = ConfChangeType.ADD_LEARNER_NODE if member.is_learner else ConfChangeType.ADD_NODE
    return ConfChange(kind, member.id, member.to_json())


def promote(member: int) -> ConfChange:
    """Make a learner a voter."""
    context = go_json({"id": member, "peerURLs": None, "isPromote": True})
    return ConfChange(ConfChangeType.ADD_NODE, member, context)


def update(member: int, peer_urls: tuple[str, ...]) -> ConfChange:
    """Give a member other peer URLs."""
    return ConfChange(ConfChangeType.UPDATE_NODE, member, Member(member, peer_urls).to_json())


def remove(member: int) -> ConfChange:
    """Remove a member for ever."""
    return ConfChange(ConfChangeType.REMOVE_NODE, member)


def decode(context: bytes) -> Subject | None:
    """Read a context; None if it is not one."""
    try:
        record = json.loads(context)
        return Subject(Member.of_record(record), bool(record.get("isPromote", False)))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def validate(
    change: ConfChange, members: Mapping[int, Member], removed: Container[int]
) -> EtcdError | None:
    """Why `change` cannot be made among `members`, or None.

    The rules are etcd's ValidateConfigurationChange, with two differences: the last voter cannot be removed
    (etcd would end there), and how many learners there may be is held only against new requests
    (`check_learners`), since it is a setting of one member and this decision must be the same on all.
    """
    member = change.node_id
    if member in removed:
        return MemberNotFound()
    known = members.get(member)
    if change.type is ConfChangeType.REMOVE_NODE:
        return _validate_removal(known, members)
    subject = decode(change.context)
    if subject is None or subject.member.id != member or not member:
        return EtcdError("etcdserver: not a membership change", code=Code.INVALID_ARGUMENT)
    if subject.is_promote:
        if known is None:
            return MemberNotFound()
        return None if known.is_learner else MemberNotLearner()
    if change.type is ConfChangeType.UPDATE_NODE:
        if known is None:
            return MemberNotFound()
    elif known is not None:
        return MemberExist()
    taken = {url for other in members.values() if other.id != member for url in other.peer_urls}
    return PeerURLExist() if taken.intersection(subject.member.peer_urls) else None


def _validate_removal(known: Member | None, members: Mapping[int, Member]) -> EtcdError | None:
    if known is None:
        return MemberNotFound()
    voters = [other for other in members.values() if not other.is_learner]
    return MemberNotEnoughStarted() if voters == [known] else None


def check_learners(members: Mapping[int, Member], learners_max: int, *, more: int = 0) -> None:
    """Raise TooManyLearners if there are more learners than `learners_max`, with `more` to come."""
    if sum(member.is_learner for member in members.values()) + more > learners_max:
        raise TooManyLearners
