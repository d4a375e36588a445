"""Compute the configuration that follows from a membership change; `quorum.joint` has the theory.

Nothing is changed in place: a change is worked out on a draft, checked, and returned. A refused one
raises ConfChangeRefused and leaves no trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from ..errors import ConfChangeRefused, InvariantBroken
from ..quorum import JointConfig
from ..tracker import Progress, ProgressTracker, TrackerConfig
from ..types import ConfChangeSingle, ConfChangeType

__all__ = ["Changer", "Changed"]

Changed = tuple[TrackerConfig, dict[int, Progress]]


@attrs.frozen
class Changer:
    """Changes to what `tracker` holds; new members are assumed to reach up to `last_index`."""

    tracker: ProgressTracker
    last_index: int

    def simple(self, changes: Iterable[ConfChangeSingle]) -> Changed:
        """Changes that together add or remove one voter at most. Raises ConfChangeRefused."""
        before = self.tracker.config.voters
        draft = _Draft(self.tracker, self.last_index)
        if before.joint:
            raise ConfChangeRefused("can't apply simple config change in joint config")
        draft.apply(changes)
        if len(before.incoming ^ draft.incoming) > 1:
            raise ConfChangeRefused("more than one voter changed without entering joint config")
        return draft.finish()

    def enter_joint(self, auto_leave: bool, changes: Iterable[ConfChangeSingle]) -> Changed:
        """From (1 2 3) to changes(1 2 3)&&(1 2 3). Raises ConfChangeRefused."""
        draft = _Draft(self.tracker, self.last_index)
        if draft.outgoing:
            raise ConfChangeRefused("config is already joint")
        if not draft.incoming:
            # The first members may be added to an empty configuration, but one by one.
            raise ConfChangeRefused("can't make a zero-voter config joint")
        draft.outgoing = set(draft.incoming)
        draft.apply(changes)
        draft.auto_leave = auto_leave
        return draft.finish()

    def leave_joint(self) -> Changed:
        """From (1 2 4)&&(1 2 3) to (1 2 4). Raises ConfChangeRefused."""
        draft = _Draft(self.tracker, self.last_index)
        if not draft.outgoing:
            raise ConfChangeRefused("can't leave a non-joint config")
        for node in draft.learners_next:
            draft.learners.add(node)
            draft.progress[node].is_learner = True
        draft.learners_next.clear()
        for node in draft.outgoing - draft.incoming - draft.learners:
            del draft.progress[node]
        draft.outgoing.clear()
        draft.auto_leave = False
        return draft.finish()


class _Draft:
    """A configuration while it is worked on. Its progress objects are copies."""

    def __init__(self, tracker: ProgressTracker, last_index: int) -> None:
        config = tracker.config
        check_invariants(config, tracker.progress)
        self.tracker = tracker
        self.last_index = last_index
        self.incoming = set(config.voters.incoming)
        self.outgoing = set(config.voters.outgoing)
        self.learners = set(config.learners)
        self.learners_next = set(config.learners_next)
        self.auto_leave = config.auto_leave
        self.progress = {node: progress.copy() for node, progress in tracker.progress.items()}

    def apply(self, changes: Iterable[ConfChangeSingle]) -> None:
        for change in changes:
            if change.node_id == 0:
                continue  # etcd blanks the id of a change that it decides not to make
            if change.type == ConfChangeType.ADD_NODE:
                self._make_voter(change.node_id)
            elif change.type == ConfChangeType.ADD_LEARNER_NODE:
                self._make_learner(change.node_id)
            elif change.type == ConfChangeType.REMOVE_NODE:
                self._remove(change.node_id)
        if not self.incoming:
            raise ConfChangeRefused("removed all voters")

    def _make_voter(self, node: int) -> None:
        progress = self.progress.get(node)
        if progress is None:
            self._add_progress(node, is_learner=False)
        else:
            progress.is_learner = False
        self.learners.discard(node)
        self.learners_next.discard(node)
        self.incoming.add(node)

    def _make_learner(self, node: int) -> None:
        progress = self.progress.get(node)
        if progress is None:
            self._add_progress(node, is_learner=True)
            self.learners.add(node)
        elif not progress.is_learner:
            self._remove(node)
            self.progress[node] = progress
            # Voters and learners share no member: while it still votes in the outgoing set, it
            # waits.
            if node in self.outgoing:
                self.learners_next.add(node)
            else:
                progress.is_learner = True
                self.learners.add(node)

    def _remove(self, node: int) -> None:
        self.incoming.discard(node)
        self.learners.discard(node)
        self.learners_next.discard(node)
        if node not in self.outgoing:
            self.progress.pop(node, None)

    def _add_progress(self, node: int, *, is_learner: bool) -> None:
        self.progress[node] = Progress(
            # Probing starts at the end of our log; a rejection will lead back from there.
            max(self.last_index, 1),
            self.tracker.new_inflights(),
            is_learner=is_learner,
            # Else the next check of the quorum might miss it before it could say a word.
            recent_active=True,
        )

    def finish(self) -> Changed:
        config = TrackerConfig(
            JointConfig(frozenset(self.incoming), frozenset(self.outgoing)),
            frozenset(self.learners),
            frozenset(self.learners_next),
            self.auto_leave,
        )
        check_invariants(config, self.progress)
        return config, self.progress


def check_invariants(config: TrackerConfig, progress: Mapping[int, Progress]) -> None:
    """Raise InvariantBroken unless the configuration and the progress fit each other."""
    voters, learners, learners_next = config.voters, config.learners, config.learners_next
    for node in voters.ids | learners | learners_next:
        if node not in progress:
            raise InvariantBroken(f"no progress for {node}")
    for node in learners_next:
        if node not in voters.outgoing:
            raise InvariantBroken(f"{node} is in LearnersNext, but not Voters[1]")
        if progress[node].is_learner:
            raise InvariantBroken(f"{node} is in LearnersNext, but is already marked as learner")
    for node in learners:
        if node in voters.ids:
            raise InvariantBroken(f"{node} is in Learners and Voters")
        if not progress[node].is_learner:
            raise InvariantBroken(f"{node} is in Learners, but is not marked as learner")
    if not voters.joint:
        if learners_next:
            raise InvariantBroken("LearnersNext must be empty when not joint")
        if config.auto_leave:
            raise InvariantBroken("AutoLeave must be false when not joint")
