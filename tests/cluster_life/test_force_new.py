"""`force-new-cluster`: what is kept of the log, and what is added to be alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triode.actors import membership_changes as changes
from triode.actors.force_new import force_new
from triode.actors.member import Member
from triode.actors.membership import Membership
from triode.backends.buffer import Backend
from triode.backends.contract import EngineOptions
from triode.backends.memory import MemoryEngine
from triode.raft.codec import decode_conf_change, encode_conf_change
from triode.raft.types import ConfChange, ConfState, Entry, EntryType, HardState


def entry(index: int, change: ConfChange | None = None, term: int = 2) -> Entry:
    if change is None:
        return Entry(term, index, EntryType.NORMAL, b"x")
    return Entry(term, index, EntryType.CONF_CHANGE, encode_conf_change(change))


def member(number: int, *, learner: bool = False) -> Member:
    return Member(number, (f"http://h{number}:1",), name=str(number), is_learner=learner)


def test_the_others_go() -> None:
    """Of three members the last ones alive remove the others; the uncommitted end is dropped."""
    log = [entry(n, changes.add(member(n))) for n in (1, 2, 3)] + [entry(4), entry(5), entry(6)]
    forced = force_new(2, ConfState(), log, HardState(7, 2, 4), 0)
    assert forced.entries == [*log[:4], *forced.added]
    made = [decode_conf_change(each.data) for each in forced.added]
    assert made == [changes.remove(1), changes.remove(3)]
    assert [(each.term, each.index) for each in forced.added] == [(7, 5), (7, 6)]
    assert forced.hard_state == HardState(7, 2, 6)


def test_what_is_applied_is_committed() -> None:
    """The commit index need not be durable; what the backend holds was committed all the same."""
    log = [entry(n) for n in range(11, 16)]
    forced = force_new(1, ConfState((1,)), log, HardState(3, 1, 11), 13)
    assert forced.entries == log[:3]
    assert (forced.added, forced.hard_state.commit) == ([], 13)


@pytest.mark.parametrize(
    ("start", "wanted"),
    [
        (ConfState((1,)), []),
        (ConfState((1, 2), (3,)), [changes.remove(2), changes.remove(3)]),
        (ConfState((2, 3), (1,)), [changes.promote(1), changes.remove(2), changes.remove(3)]),
        (
            ConfState((2,)),
            [changes.add(Member(1, ("http://localhost:2380",))), changes.remove(2)],
        ),
    ],
)
def test_who_is_there(start: ConfState, wanted: list[ConfChange]) -> None:
    """This member is a voter before the last other one goes."""
    forced = force_new(1, start, [entry(11)], HardState(3, 1, 11), 11)
    assert [decode_conf_change(each.data) for each in forced.added] == wanted


STEP = st.tuples(
    st.sampled_from(["add", "learn", "promote", "remove", "update"]), st.integers(1, 4)
)


@given(st.lists(STEP, max_size=12), st.integers(0, 12), st.integers(0, 12))
def test_alone_in_the_end(steps: list[tuple[str, int]], commit: int, applied: int) -> None:
    """Whatever changes the log holds, the refused ones too: executing the result leaves one voter."""
    make: dict[str, Callable[[int], ConfChange]] = {
        "add": lambda n: changes.add(member(n)),
        "learn": lambda n: changes.add(member(n, learner=True)),
        "promote": changes.promote,
        "remove": changes.remove,
        "update": lambda n: changes.update(n, (f"http://new{n}:1",)),
    }
    log = [entry(1, changes.add(member(1)))]
    log += [entry(index, make[kind](n)) for index, (kind, n) in enumerate(steps, 2)]
    last = log[-1].index
    forced = force_new(
        1, ConfState(), log, HardState(2, 1, max(1, min(commit, last))), min(applied, last)
    )
    table = Membership(Backend(MemoryEngine.open(None, EngineOptions())), 1)
    for each in forced.entries:
        table.apply(decode_conf_change(each.data))
    if 1 not in table.removed:  # then the member does not start at all
        assert table.conf_state() == ConfState((1,))
    assert forced.hard_state.commit == forced.entries[-1].index
