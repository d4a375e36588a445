"""Rebuild a configuration from the form that snapshots keep."""

from __future__ import annotations

from ..tracker import ProgressTracker
from ..types import ConfChangeSingle, ConfChangeType, ConfState
from .changer import Changed, Changer

__all__ = ["restore"]


def restore(tracker: ProgressTracker, last_index: int, state: ConfState) -> Changed:
    """The configuration of `state`, from an empty `tracker`, by the changes that lead to it.

    A joint one is entered from its outgoing voters: they are added one by one, then replaced by
    the incoming voters and the learners in one joint change. So every rule of `Changer` is kept.
    `tracker` is left with the result. Raises ConfChangeRefused for an impossible state.
    """
    outgoing = [ConfChangeSingle(ConfChangeType.ADD_NODE, node) for node in state.voters_outgoing]
    incoming = [
        ConfChangeSingle(ConfChangeType.REMOVE_NODE, node) for node in state.voters_outgoing
    ]
    incoming += [ConfChangeSingle(ConfChangeType.ADD_NODE, node) for node in state.voters]
    incoming += [
        ConfChangeSingle(ConfChangeType.ADD_LEARNER_NODE, node)
        for node in (*state.learners, *state.learners_next)
    ]
    changer = Changer(tracker, last_index)
    for change in outgoing or incoming:
        tracker.switch(*changer.simple([change]))
    if outgoing:
        tracker.switch(*changer.enter_joint(state.auto_leave, incoming))
    return tracker.config, tracker.progress
