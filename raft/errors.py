"""What the Raft library raises.

A `RaftError` is an answer to its caller, who goes on. `InvariantBroken` is not: the node's log or
state contradicts the protocol, nothing it would do from here on can be trusted, and it must stop.
"""

from __future__ import annotations

from ..errors import InvariantBroken, TriodeError

__all__ = [
    "RaftError",
    "ProposalDropped",
    "LogCompacted",
    "LogUnavailable",
    "SnapshotTemporarilyUnavailable",
    "SnapshotOutOfDate",
    "StepLocalMessage",
    "StepPeerNotFound",
    "ConfChangeRefused",
    "InvariantBroken",
]


class RaftError(TriodeError):
    """The root of the results below; the text is etcd's."""

    text = ""

    def __init__(self, text: str | None = None) -> None:
        super().__init__(self.text if text is None else text)


class ProposalDropped(RaftError):
    """No leader, a transfer under way, or too much uncommitted: propose again later."""

    text = "raft proposal dropped"


class LogCompacted(RaftError):
    """The index is before the first entry that the log still holds."""

    text = "requested index is unavailable due to compaction"


class LogUnavailable(RaftError):
    """The index is beyond the log's end."""

    text = "requested entry at index is unavailable"


class SnapshotTemporarilyUnavailable(RaftError):
    """The storage is still making the snapshot: it is asked again later."""

    text = "snapshot is temporarily unavailable"


class SnapshotOutOfDate(RaftError):
    """A newer snapshot is there already."""

    text = "requested index is older than the existing snapshot"


class StepLocalMessage(RaftError):
    """A message that never leaves its node came from a peer."""

    text = "raft: cannot step raft local message"


class StepPeerNotFound(RaftError):
    """An answer from a node that is not a member."""

    text = "raft: cannot step as peer not found"


class ConfChangeRefused(RaftError):
    """A membership change that the present configuration does not allow."""
