"""The configuration, the progress of its members, and the votes of an election."""

from __future__ import annotations

from ..quorum import VoteResult
from .config import TrackerConfig
from .inflights import Inflights
from .progress import Progress

__all__ = ["ProgressTracker"]


class ProgressTracker:
    """Members by id, in ascending order, so that messages go out in a fixed order."""

    __slots__ = (
        "_sole_voter",
        "config",
        "inflight_bytes_max",
        "inflight_messages_max",
        "progress",
        "votes",
    )

    def __init__(self, inflight_messages_max: int, inflight_bytes_max: int) -> None:
        self.inflight_messages_max = inflight_messages_max
        self.inflight_bytes_max = inflight_bytes_max
        self.votes: dict[int, bool] = {}
        self.switch(TrackerConfig(), {})

    def switch(self, config: TrackerConfig, progress: dict[int, Progress]) -> None:
        """Take on another configuration."""
        self.config = config
        self.progress = {node: progress[node] for node in sorted(progress)}
        incoming, outgoing = config.voters
        self._sole_voter = next(iter(incoming)) if len(incoming) == 1 and not outgoing else None

    def new_inflights(self) -> Inflights:
        return Inflights(self.inflight_messages_max, self.inflight_bytes_max)

    @property
    def is_singleton(self) -> bool:
        """There is one voter, so it decides alone."""
        return self._sole_voter is not None

    def _match(self, node: int) -> int:
        progress = self.progress.get(node)
        return 0 if progress is None else progress.match

    def committed(self) -> int:
        """The highest index that a quorum is known to have."""
        if self._sole_voter is not None:
            return self._match(self._sole_voter)
        return self.config.voters.committed_index(self._match)

    def quorum_active(self) -> bool:
        """Whether a quorum has been heard of lately."""
        active = {
            node: progress.recent_active
            for node, progress in self.progress.items()
            if not progress.is_learner
        }
        return self.config.voters.vote_result(active) is VoteResult.WON

    def reset_votes(self) -> None:
        self.votes = {}

    def record_vote(self, node: int, granted: bool) -> None:
        """Count a node's first vote; it cannot change its mind."""
        self.votes.setdefault(node, granted)

    def tally_votes(self) -> tuple[int, int, VoteResult]:
        """(granted, rejected, what has come of it); the numbers are of present voters."""
        cast = [
            self.votes[node]
            for node, progress in self.progress.items()
            if not progress.is_learner and node in self.votes
        ]
        granted = sum(cast)
        return granted, len(cast) - granted, self.config.voters.vote_result(self.votes)
