"""Quorum arithmetic against models that count."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from triode.raft.quorum import INDEX_MAX, JointConfig, VoteResult, committed_index, vote_result

VOTERS = st.frozensets(st.integers(1, 9), max_size=7)
ACKED = st.dictionaries(st.integers(1, 9), st.integers(0, 20))
VOTES = st.dictionaries(st.integers(1, 9), st.booleans())


def majorities(voters: AbstractSet[int]) -> list[set[int]]:
    """All smallest majorities, one by one."""
    return [set(some) for some in combinations(sorted(voters), len(voters) // 2 + 1)]


@given(VOTERS, ACKED)
def test_committed_is_what_some_majority_has_in_common(
    voters: frozenset[int], acked: dict[int, int]
) -> None:
    expected = INDEX_MAX
    if voters:
        expected = max(min(acked.get(v, 0) for v in some) for some in majorities(voters))
    assert committed_index(voters, lambda v: acked.get(v, 0)) == expected


@given(VOTERS, VOTES)
def test_votes_are_won_or_lost_when_no_further_vote_can_change_it(
    voters: frozenset[int], votes: dict[int, bool]
) -> None:
    if not voters:
        assert vote_result(voters, votes) is VoteResult.WON
        return
    won_now = any(all(votes.get(v, False) for v in some) for some in majorities(voters))
    can_win = any(all(votes.get(v, True) for v in some) for some in majorities(voters))
    expected = VoteResult.WON if won_now else VoteResult.PENDING if can_win else VoteResult.LOST
    assert vote_result(voters, votes) is expected


@given(VOTERS, VOTERS, ACKED)
def test_a_joint_index_is_committed_in_both_halves(
    one: frozenset[int], other: frozenset[int], acked: dict[int, int]
) -> None:
    def lookup(voter: int) -> int:
        return acked.get(voter, 0)

    index = JointConfig(one, other).committed_index(lookup)
    assert index == min(committed_index(one, lookup), committed_index(other, lookup))
    assert index == JointConfig(other, one).committed_index(lookup)


@given(VOTERS, VOTERS, VOTES)
def test_a_joint_election_needs_both_halves(
    one: frozenset[int], other: frozenset[int], votes: dict[int, bool]
) -> None:
    result = JointConfig(one, other).vote_result(votes)
    halves = {vote_result(one, votes), vote_result(other, votes)}
    assert (result is VoteResult.WON) == (halves == {VoteResult.WON})
    assert (result is VoteResult.LOST) == (VoteResult.LOST in halves)


@given(VOTERS, VOTES, st.integers(1, 9), st.booleans())
def test_a_decided_election_stays_decided(
    voters: frozenset[int], votes: dict[int, bool], voter: int, vote: bool
) -> None:
    before = vote_result(voters, votes)
    if before is not VoteResult.PENDING:
        assert vote_result(voters, {voter: vote, **votes}) is before
