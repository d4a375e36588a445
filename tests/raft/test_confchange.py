"""Membership changes on a bare configuration, against a model that only knows roles."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triode.raft import ConfChangeRefused, ConfChangeSingle, ConfChangeType, ConfState
from triode.raft.confchange import Changer, restore
from triode.raft.tracker import ProgressTracker

NODES = range(1, 6)
STEP = st.builds(ConfChangeSingle, st.sampled_from(ConfChangeType), st.sampled_from([0, *NODES]))
STEPS = st.lists(STEP, max_size=6)
ADD, REMOVE = ConfChangeType.ADD_NODE, ConfChangeType.REMOVE_NODE
LEARN = ConfChangeType.ADD_LEARNER_NODE
Roles = dict[int, str]


def tracker_of(voters: Sequence[int], learners: Sequence[int] = ()) -> ProgressTracker:
    tracker = ProgressTracker(10, 0)
    restore(tracker, 10, ConfState(tuple(voters), tuple(learners)))
    return tracker


def after(roles: Roles, steps: Sequence[ConfChangeSingle]) -> Roles:
    """The roles that the steps make, one after the other, with nothing in between."""
    roles = dict(roles)
    for step in steps:
        if step.node_id and step.type == ADD:
            roles[step.node_id] = "voter"
        elif step.node_id and step.type == LEARN:
            roles[step.node_id] = "learner"
        elif step.type == REMOVE:
            roles.pop(step.node_id, None)
    return roles


def roles_of(tracker: ProgressTracker) -> Roles:
    config = tracker.config
    assert not config.voters.joint
    assert not config.learners_next
    assert not config.auto_leave
    assert tracker.progress.keys() == config.voters.incoming | config.learners
    roles = dict.fromkeys(config.voters.incoming, "voter")
    return roles | dict.fromkeys(config.learners, "learner")


@st.composite
def _members(draw: st.DrawFn) -> Roles:
    roles: Roles = draw(
        st.dictionaries(st.sampled_from(NODES), st.sampled_from(["voter", "learner"]))
    )
    return roles | {1: "voter"} if "voter" not in roles.values() else roles


def _start(roles: Roles) -> ProgressTracker:
    by_role = {role: [n for n in roles if roles[n] == role] for role in ("voter", "learner")}
    return tracker_of(by_role["voter"], by_role["learner"])


@given(_members(), STEPS, st.booleans())
def test_a_joint_change_ends_where_its_steps_lead(
    roles: Roles, steps: list[ConfChangeSingle], auto_leave: bool
) -> None:
    tracker = _start(roles)
    wanted = after(roles, steps)
    voters = frozenset(node for node in roles if roles[node] == "voter")
    if "voter" not in wanted.values():
        # Steps in between may pass through no voters; only the end counts.
        with pytest.raises(ConfChangeRefused, match="removed all voters"):
            Changer(tracker, 10).enter_joint(auto_leave, steps)
        assert roles_of(tracker) == roles
        return
    tracker.switch(*Changer(tracker, 10).enter_joint(auto_leave, steps))
    config = tracker.config
    assert config.voters.outgoing == voters
    assert config.voters.incoming == {n for n in wanted if wanted[n] == "voter"}
    assert config.auto_leave is auto_leave
    # Whoever votes in either half, or learns, is sent entries; voters and learners share nobody.
    assert tracker.progress.keys() == voters | wanted.keys()
    assert not config.learners & config.voters.ids
    assert config.learners_next == {n for n in wanted if wanted[n] == "learner"} & voters
    with pytest.raises(ConfChangeRefused, match="already joint"):
        Changer(tracker, 10).enter_joint(auto_leave, steps)
    with pytest.raises(ConfChangeRefused, match="in joint config"):
        Changer(tracker, 10).simple(steps)
    state = config.conf_state()
    tracker.switch(*Changer(tracker, 10).leave_joint())
    assert roles_of(tracker) == wanted
    # And a node that is restored into the joint configuration gets there, too.
    other = ProgressTracker(10, 0)
    restore(other, 10, state)
    assert other.config.conf_state() == state
    other.switch(*Changer(other, 10).leave_joint())
    assert roles_of(other) == wanted


@given(_members(), STEPS)
def test_a_simple_change_exchanges_one_voter_at_most(
    roles: Roles, steps: list[ConfChangeSingle]
) -> None:
    tracker = _start(roles)
    wanted = after(roles, steps)
    before = {node for node in roles if roles[node] == "voter"}
    then = {node for node in wanted if wanted[node] == "voter"}
    if then and len(before ^ then) <= 1:
        tracker.switch(*Changer(tracker, 10).simple(steps))
        assert roles_of(tracker) == wanted
    else:
        with pytest.raises(ConfChangeRefused):
            Changer(tracker, 10).simple(steps)
        assert roles_of(tracker) == roles
    with pytest.raises(ConfChangeRefused, match="non-joint"):
        Changer(tracker, 10).leave_joint()


@given(_members(), STEPS)
def test_one_by_one_and_jointly_lead_to_the_same(
    roles: Roles, steps: list[ConfChangeSingle]
) -> None:
    one_by_one = _start(roles)
    for step in steps:
        try:
            one_by_one.switch(*Changer(one_by_one, 10).simple([step]))
        except ConfChangeRefused:
            return  # the last voter would have gone for a moment
    jointly = _start(roles)
    jointly.switch(*Changer(jointly, 10).enter_joint(False, steps))
    jointly.switch(*Changer(jointly, 10).leave_joint())
    assert jointly.config == one_by_one.config
    for node, progress in jointly.progress.items():
        assert progress.is_learner == one_by_one.progress[node].is_learner


def test_a_new_member_is_probed_from_our_end_and_counts_as_active() -> None:
    tracker = tracker_of([1])
    _, progress = Changer(tracker, 25).simple([ConfChangeSingle(ADD, 2)])
    assert (progress[2].match, progress[2].next, progress[2].recent_active) == (0, 25, True)
    assert 2 not in tracker.progress
