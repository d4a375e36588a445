"""The volatile state that is shown to the application."""

from __future__ import annotations

import enum
from typing import NamedTuple

from .types import NO_NODE

__all__ = ["CampaignType", "ReadState", "SoftState", "StateType"]


class StateType(enum.Enum):
    """A node's role; the values are etcd's words."""

    FOLLOWER = "StateFollower"
    CANDIDATE = "StateCandidate"
    LEADER = "StateLeader"
    PRE_CANDIDATE = "StatePreCandidate"

    def __str__(self) -> str:
        return self.value


class CampaignType(enum.Enum):
    """Why a node campaigns; the values are what vote requests carry as context."""

    PRE_ELECTION = b"CampaignPreElection"
    ELECTION = b"CampaignElection"
    TRANSFER = b"CampaignTransfer"
    """The leader asked for it: voters need not wait until its lease is over."""


class SoftState(NamedTuple):
    """The leader that the node knows of, and its own role. Need not be stored."""

    lead: int = NO_NODE
    state: StateType = StateType.FOLLOWER


class ReadState(NamedTuple):
    """A read that asked with `context` is linearizable once `index` is applied."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    context: bytes
