"""The strict checks of membership changes: all cases of small clusters, against etcd's arithmetic written out."""

from __future__ import annotations

from itertools import product

import pytest

from triode.actors.member import Member
from triode.actors.reconfiguration import check_add, check_promote, check_ready, check_remove
from triode.errors import EtcdError, LearnerNotReady, MemberNotEnoughStarted, Unhealthy

ME = 1
LONG, SHORT, DOWN = 5.0, 4.9, None
NEW = Member(99, ("http://new:1",))
LEARNER = Member(99, ("http://new:1",), is_learner=True)


class Seen:
    """What member 1 sees of a cluster: who has started, and for how long each has been connected."""

    def __init__(self, started: tuple[bool, ...], since: tuple[float | None, ...]) -> None:
        self.voters = [
            Member(n, (f"http://h{n}:1",), name="x" if up else "")
            for n, up in enumerate(started, 1)
        ]
        self.since = {ME: LONG, **dict(enumerate(since, 2))}

    def connected(self, member: int, seconds: float) -> bool:
        since = self.since.get(member)
        return since is not None and since >= seconds

    @property
    def active(self) -> int:
        return sum(self.connected(voter.id, 5.0) for voter in self.voters)


def clusters(size: int) -> list[Seen]:
    return [
        Seen(started, since)
        for started in product((True, False), repeat=size)
        for since in product((LONG, SHORT, DOWN), repeat=size - 1)
    ]


EVERY = [seen for size in (1, 2, 3, 4) for seen in clusters(size)]


def outcome(check: object, *arguments: object) -> type[EtcdError] | None:
    try:
        check(*arguments)  # type: ignore[operator]
    except EtcdError as error:
        return type(error)
    return None


def test_adding_a_voter() -> None:
    """A quorum of what will be has started, and is connected to this member; one may always grow to two."""
    for seen in EVERY:
        size, started = len(seen.voters), sum(bool(voter.name) for voter in seen.voters)
        wanted: type[EtcdError] | None = None
        if not (size == 1 and started == 1) and started < (size + 1) // 2 + 1:
            wanted = MemberNotEnoughStarted
        elif size > 1 and seen.active < (size + 1) // 2 + 1:
            wanted = Unhealthy
        assert outcome(check_add, NEW, seen.voters, seen.connected) is wanted


def test_a_learner_takes_no_part_in_a_quorum() -> None:
    """But the quorum there is must be there."""
    for seen in EVERY:
        size = len(seen.voters)
        wanted = Unhealthy if size > 1 and seen.active < (size + 1) // 2 + 1 else None
        assert outcome(check_add, LEARNER, seen.voters, seen.connected) is wanted


def test_one_that_is_down_does_not_hinder() -> None:
    """Three of three plus one that is new: two connected are too few, three of four are enough (etcd 21667)."""
    assert outcome(check_add, NEW, *parts((True,) * 3, (LONG, DOWN))) is Unhealthy
    assert outcome(check_add, NEW, *parts((True,) * 4, (LONG, LONG, DOWN))) is None


def parts(started: tuple[bool, ...], since: tuple[float | None, ...]) -> tuple[object, object]:
    seen = Seen(started, since)
    return seen.voters, seen.connected


def test_removing() -> None:
    """What is left has a started quorum, and an active one unless the one that goes is down anyway."""
    for seen in EVERY:
        for gone in [voter.id for voter in seen.voters] + [77]:
            rest = [voter for voter in seen.voters if voter.id != gone]
            wanted: type[EtcdError] | None = None
            if sum(bool(voter.name) for voter in rest) < len(rest) // 2 + 1:
                wanted = MemberNotEnoughStarted
            elif gone != ME and seen.since.get(gone) is None:
                wanted = None
            elif seen.active - 1 < (len(seen.voters) - 1) // 2 + 1:
                wanted = Unhealthy
            assert outcome(check_remove, gone, seen.voters, seen.connected) is wanted


@pytest.mark.parametrize(
    ("started", "allowed"),
    [((True,), True), ((False,), False), ((True, False), True), ((True, False, False), False)],
)
def test_promoting(started: tuple[bool, ...], allowed: bool) -> None:
    """The learner counts as started, and as a voter."""
    voters = Seen(started, (LONG,) * (len(started) - 1)).voters
    assert outcome(check_promote, voters) is (None if allowed else MemberNotEnoughStarted)


@pytest.mark.parametrize(
    ("match", "ready"), [(0, False), (89, False), (90, True), (100, True), (101, True)]
)
def test_how_far_a_learner_must_be(match: int, ready: bool) -> None:
    """Nine tenths of the leader's log."""
    assert outcome(check_ready, match, 100) is (None if ready else LearnerNotReady)
