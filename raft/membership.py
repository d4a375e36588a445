"""Switching configurations; `quorum.joint` has the theory, `confchange` works out the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import leader, replication
from .codec import decode_conf_change, decode_conf_change_v2
from .confchange import Changer
from .confchange import restore as restore_config
from .describe import describe_conf_change
from .errors import ConfChangeRefused, InvariantBroken
from .state import StateType
from .tracker import Progress, TrackerConfig
from .types import NO_NODE, ConfChangeV2, ConfState, Entry, EntryType

if TYPE_CHECKING:
    from .raft import Raft

__all__ = ["apply", "may_propose", "restore"]


def may_propose(raft: Raft, entry: Entry) -> bool:
    """Whether a membership change may enter the log now; the leader puts an empty entry else.

    It is checked against what is applied here, so it can be wrong both ways; applying checks again.
    """
    try:
        if entry.type == EntryType.CONF_CHANGE:
            change = decode_conf_change(entry.data).as_v2()
        else:
            change = decode_conf_change_v2(entry.data)
    except ValueError as error:
        # Passed on by another member. In the log it would stop every node that applies it.
        raft.logger.warning(f"{raft.id:x} ignoring conf change that cannot be read: {error}")
        return False
    joint = raft.tracker.config.voters.joint
    leaving = not change.changes
    if raft.pending_conf_index > raft.log.applied:
        problem = (
            f"possible unapplied conf change at index {raft.pending_conf_index} "
            f"(applied to {raft.log.applied})"
        )
    elif joint and not leaving:
        problem = "must transition out of joint config first"
    elif not joint and leaving:
        problem = "not in joint state; refusing empty conf change"
    else:
        return True
    if raft.config.disable_conf_change_validation:
        return True
    raft.logger.info(
        f"{raft.id:x} ignoring conf change {describe_conf_change(change)} at config "
        f"{raft.tracker.config}: {problem}"
    )
    return False


def apply(raft: Raft, change: ConfChangeV2) -> ConfState:
    """Make a committed change. Raises ConfChangeRefused, and then nothing is changed."""
    if raft.log.unstable.snapshot is not None:
        # With asynchronous writes the applier may still be busy with entries that a snapshot, on
        # its way to the storage, covers; its membership is in force already, and is a later one.
        return raft.tracker.config.conf_state()
    changer = Changer(raft.tracker, raft.log.last_index())
    if change.leaves_joint:
        result = changer.leave_joint()
    elif change.enters_joint:
        result = changer.enter_joint(change.auto_leave, change.changes)
    else:
        result = changer.simple(change.changes)
    return _switch(raft, *result)


def restore(raft: Raft, state: ConfState) -> None:
    """Take over the membership of a snapshot; the tracker must be new."""
    try:
        result = restore_config(raft.tracker, raft.log.last_index(), state)
    except ConfChangeRefused as error:
        raise InvariantBroken(f"unable to restore config {state}: {error}") from error
    restored = _switch(raft, *result)
    if not restored.equivalent(state):
        raise InvariantBroken(f"ConfStates not equivalent: {state} and {restored}")


def _switch(raft: Raft, config: TrackerConfig, progress: dict[int, Progress]) -> ConfState:
    raft.tracker.switch(config, progress)
    raft.logger.info(f"{raft.id:x} switched to configuration {config}")
    state = config.conf_state()
    own = raft.tracker.progress.get(raft.id)
    raft.is_learner = own is not None and own.is_learner
    if raft.state is not StateType.LEADER:
        return state
    if own is None or own.is_learner:
        # It has removed itself. It goes on leading, to bring the change to the others, unless
        # told to step down.
        if raft.config.step_down_on_removal:
            raft.become_follower(raft.term, NO_NODE)
        return state
    if not state.voters:
        return state
    # Fewer voters may mean that more is committed; new ones need not wait for a heartbeat.
    replication.broadcast_append(raft, send_if_empty=leader.maybe_commit(raft))
    if raft.lead_transferee not in config.voters.ids:
        raft.lead_transferee = NO_NODE
    return state
