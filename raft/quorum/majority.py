"""Decisions by a majority of a set of voters (Raft, 5.2 and 5.3).

The empty set agrees to everything: that lets one half of a joint configuration be absent.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet

__all__ = ["INDEX_MAX", "VoteResult", "committed_index", "describe", "format_ids", "vote_result"]

INDEX_MAX = (1 << 64) - 1
"""The index that no voters at all have committed: more than any."""


class VoteResult(enum.Enum):
    """The state of an election; the values are etcd's words."""

    PENDING = "VotePending"
    LOST = "VoteLost"
    WON = "VoteWon"


def committed_index(voters: AbstractSet[int], acked: Callable[[int], int]) -> int:
    """The highest index that a majority of `voters` has acknowledged.

    `acked` gives a voter's index, 0 for one that has not reported.
    """
    if not voters:
        return INDEX_MAX
    # In ascending order, the majority is everything from here on.
    return sorted(map(acked, voters))[(len(voters) - 1) // 2]


def vote_result(voters: AbstractSet[int], votes: Mapping[int, bool]) -> VoteResult:
    """What has come of an election, given the votes cast so far."""
    if not voters:
        return VoteResult.WON
    needed = len(voters) // 2 + 1
    granted = sum(votes.get(voter, False) for voter in voters)
    if granted >= needed:
        return VoteResult.WON
    missing = sum(voter not in votes for voter in voters)
    return VoteResult.PENDING if granted + missing >= needed else VoteResult.LOST


def format_ids(ids: Iterable[int]) -> str:
    """Node ids as etcd prints them: hexadecimal, sorted, in parentheses."""
    return "(" + " ".join(f"{node:x}" for node in sorted(ids)) + ")"


def describe(voters: AbstractSet[int], acked: Mapping[int, int]) -> str:
    """A small chart: a bar per voter, as long as the number of voters that are behind it."""
    if not voters:
        return "<empty majority quorum>"
    by_id = sorted(voters)
    lines = [" " * len(by_id) + "    idx"]
    for voter in by_id:
        index = acked.get(voter, 0)
        if voter in acked:
            behind = sum(acked.get(other, 0) < index for other in by_id)
            bar = "x" * behind + ">" + " " * (len(by_id) - behind)
        else:
            bar = "?" + " " * len(by_id)
        lines.append(f"{bar} {index:5d}    (id={voter:x})")
    return "\n".join(lines) + "\n"
