"""Progress and windows of appends, one node at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triode.raft import InvariantBroken
from triode.raft.tracker import Inflights, Progress, ProgressState

PROBE, REPLICATE, SNAPSHOT = ProgressState


def progress(state: ProgressState, match: int, next: int, pending: int = 0) -> Progress:
    one = Progress(next, Inflights(256), match=match)
    one.state, one.pending_snapshot = state, pending
    return one


def paused(one: Progress) -> bool:
    return one.paused


# --- Inflights ------------------------------------------------------------------------------------

STEPS = st.lists(st.integers(1, 60) | st.tuples(st.integers(0, 12)), max_size=40)


@given(st.integers(1, 6), st.integers(0, 100), STEPS)
def test_a_window_is_a_list_bounded_by_messages_and_softly_by_bytes(
    messages_max: int, bytes_max: int, steps: list[int | tuple[int]]
) -> None:
    """A number sends a message of so many bytes; a tuple acknowledges so far beyond the first."""
    window = Inflights(messages_max, bytes_max)
    model: list[tuple[int, int]] = []
    index = 0
    for step in steps:
        if isinstance(step, tuple):
            to = (model[0][0] if model else 0) + step[0] - 1
            window.free_to(to)
            model = [one for one in model if one[0] > to]
        else:
            full = len(model) == messages_max
            full |= 0 < bytes_max <= sum(size for _, size in model)
            assert window.full == full
            if full:
                with pytest.raises(InvariantBroken):
                    window.add(index + 1, step)
            else:
                index += 1 + step % 3
                window.add(index, step)
                model.append((index, step))
        assert (window.count, window.bytes) == (len(model), sum(size for _, size in model))
    copy = window.copy()
    window.reset()
    assert (window.count, window.bytes) == (0, 0)
    assert copy.count == len(model)


# --- Progress -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "next"),
    [
        (progress(REPLICATE, 1, 5), 2),
        (progress(SNAPSHOT, 1, 5, pending=10), 11),  # it has arrived
        (progress(SNAPSHOT, 1, 5), 2),  # it has failed
    ],
)
def test_probing_begins_after_what_it_is_known_to_have(one: Progress, next: int) -> None:
    one.become_probe()
    assert (one.state, one.match, one.next, one.pending_snapshot) == (PROBE, 1, next, 0)


def test_replication_begins_after_what_matches() -> None:
    one = progress(PROBE, 1, 5)
    one.flow_paused = True
    one.become_replicate()
    assert (one.state, one.match, one.next, one.paused) == (REPLICATE, 1, 2, False)


def test_a_snapshot_pauses_everything_else() -> None:
    one = progress(REPLICATE, 1, 5)
    one.become_snapshot(10)
    assert (one.match, one.next, one.pending_snapshot, one.paused) == (1, 11, 10, True)
    with pytest.raises(InvariantBroken):
        one.sent_entries(1, 1)


@pytest.mark.parametrize(
    ("index", "match", "next", "news"),
    [(2, 3, 5, False), (3, 3, 5, False), (4, 4, 5, True), (5, 5, 6, True)],
)
def test_an_acknowledgement_only_moves_forward(
    index: int, match: int, next: int, news: bool
) -> None:
    one = progress(REPLICATE, 3, 5)
    assert one.maybe_update(index) is news
    assert (one.match, one.next) == (match, next)


@pytest.mark.parametrize(
    ("state", "match", "next", "rejected", "hint", "expected"),
    [
        (REPLICATE, 5, 10, 5, 5, None),  # old: it has acknowledged that since
        (REPLICATE, 5, 10, 4, 4, None),
        (REPLICATE, 5, 10, 9, 9, 6),
        (PROBE, 0, 0, 0, 0, None),
        (PROBE, 0, 10, 5, 5, None),  # not what was sent last
        (PROBE, 0, 10, 9, 9, 9),
        (PROBE, 0, 2, 1, 1, 1),
        (PROBE, 0, 1, 0, 0, 1),
        (PROBE, 0, 10, 9, 2, 3),  # as far back as the hint says
        (PROBE, 0, 10, 9, 0, 1),
        (PROBE, 4, 10, 9, 2, 5),  # but not before what matches
    ],
)
def test_a_rejection_leads_back_unless_it_is_old(
    state: ProgressState, match: int, next: int, rejected: int, hint: int, expected: int | None
) -> None:
    one = progress(state, match, next)
    one.sent_commit = 20
    assert one.maybe_decrease_to(rejected, hint) is (expected is not None)
    assert (one.match, one.next) == (match, next if expected is None else expected)
    if expected is not None:
        assert one.sent_commit == expected - 1


def test_a_probe_pauses_until_an_answer_and_an_empty_one_does_not() -> None:
    one = progress(PROBE, 0, 1)
    one.sent_entries(0, 0)
    assert not paused(one)
    one.sent_entries(3, 30)
    assert paused(one)
    assert one.next == 1
    assert one.maybe_update(3)
    assert not paused(one)


def test_a_full_window_pauses_replication() -> None:
    one = Progress(1, Inflights(2), match=0)
    one.become_replicate()
    one.sent_entries(1, 1)
    assert not paused(one)
    one.sent_entries(2, 1)
    assert paused(one)
    assert one.next == 4


def test_it_is_shown_in_full() -> None:
    one = Progress(2, Inflights(1), match=1, is_learner=True)
    one.inflights.add(123, 1)
    one.state, one.pending_snapshot = SNAPSHOT, 123
    assert str(one) == (
        "StateSnapshot match=1 next=2 learner paused pendingSnap=123 inactive inflight=1[full]"
    )


@pytest.mark.parametrize(
    ("sent", "next", "commit", "can"),
    [(5, 10, 5, False), (5, 10, 6, True), (9, 10, 12, False), (10, 10, 12, False)],
)
def test_a_commit_index_is_news_only_to_who_has_entries_for_it(
    sent: int, next: int, commit: int, can: bool
) -> None:
    one = progress(REPLICATE, 3, next)
    one.sent_commit = sent
    assert one.can_bump_commit(commit) is can
