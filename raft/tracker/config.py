"""The active membership."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import attrs

from ..quorum import JointConfig, format_ids
from ..types import ConfState

__all__ = ["TrackerConfig"]

_NO_VOTERS = JointConfig()


@attrs.frozen
class TrackerConfig:
    """A membership in the form that decisions are made from; see `quorum.joint` for its rules."""

    voters: JointConfig = _NO_VOTERS
    learners: AbstractSet[int] = frozenset()
    learners_next: AbstractSet[int] = frozenset()
    auto_leave: bool = False

    def __str__(self) -> str:
        out = f"voters={self.voters}"
        if self.learners:
            out += f" learners={format_ids(self.learners)}"
        if self.learners_next:
            out += f" learners_next={format_ids(self.learners_next)}"
        return out + " autoleave" if self.auto_leave else out

    def conf_state(self) -> ConfState:
        """The form that is kept in snapshots, with sorted ids."""
        return ConfState(
            voters=tuple(sorted(self.voters.incoming)),
            learners=tuple(sorted(self.learners)),
            voters_outgoing=tuple(sorted(self.voters.outgoing)),
            learners_next=tuple(sorted(self.learners_next)),
            auto_leave=self.auto_leave,
        )
