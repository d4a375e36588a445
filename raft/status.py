"""What a node knows at a moment, for display and for decisions above Raft."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from .state import SoftState, StateType
from .tracker import Progress, TrackerConfig
from .types import HardState

if TYPE_CHECKING:
    from .raft import Raft

__all__ = ["BasicStatus", "Status", "basic_status", "status"]


@attrs.frozen
class BasicStatus:
    """The cheap part."""

    id: int
    hard_state: HardState
    soft_state: SoftState
    applied: int
    """The index up to which the application has applied."""
    lead_transferee: int


@attrs.frozen
class Status(BasicStatus):
    """With the membership, and on a leader everybody's progress."""

    config: TrackerConfig
    progress: dict[int, Progress]


def basic_status(raft: Raft) -> BasicStatus:
    return BasicStatus(
        raft.id, raft.hard_state, raft.soft_state, raft.log.applied, raft.lead_transferee
    )


def status(raft: Raft) -> Status:
    progress = {}
    if raft.state is StateType.LEADER:
        progress = {
            node: one.copy(inflights=one.inflights.copy())
            for node, one in raft.tracker.progress.items()
        }
    return Status(
        raft.id,
        raft.hard_state,
        raft.soft_state,
        raft.log.applied,
        raft.lead_transferee,
        raft.tracker.config,
        progress,
    )
