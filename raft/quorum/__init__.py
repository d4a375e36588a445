"""Quorum arithmetic: what a set of voters has decided, alone (`majority`) or jointly (`joint`)."""

from __future__ import annotations

from .joint import JointConfig
from .majority import INDEX_MAX, VoteResult, committed_index, describe, format_ids, vote_result

__all__ = [
    "INDEX_MAX",
    "JointConfig",
    "VoteResult",
    "committed_index",
    "describe",
    "format_ids",
    "vote_result",
]
