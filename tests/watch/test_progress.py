"""Progress notifications: never early, never ahead of an event."""

from __future__ import annotations

from typing import Any

import pytest


def _revisions(responses: Any) -> Any:
    """(watch id, header revision, has events) of each."""
    return [(r.watch_id, r.header.revision, bool(r.events)) for r in responses]


@pytest.fixture
def ticking(new_member: Any) -> Any:
    """A member with an interval of 10 s and no jitter, whose timer has been started."""
    return new_member(progress_interval_seconds=10.0)


# --- on request -------------------------------------------------------------------------------------


def test_a_request_is_answered_once_for_the_stream(member: Any) -> None:
    reader = member.reader()
    reader.create(b"a")
    reader.create(b"b")
    reader.take()
    member.put(b"c")
    reader.stream.request_progress()
    (progress,) = reader.take()
    assert _revisions([progress]) == [(-1, 2, False)]
    assert not progress.created
    assert not progress.canceled


def test_a_request_without_watches_is_dropped(member: Any) -> None:
    reader = member.reader()
    reader.stream.request_progress()
    reader.create(b"a")
    reader.stream.cancel(0)
    reader.take()
    reader.stream.request_progress()
    assert reader.take() == []


def test_a_request_is_dropped_while_any_watch_lags(member: Any) -> None:
    member.put(b"a")
    reader = member.reader()
    reader.create(b"a")
    reader.create(b"a", start_revision=1)
    reader.take()
    reader.stream.request_progress()
    assert reader.take() == []
    member.catch_up()
    reader.stream.request_progress()
    assert _revisions(reader.take()) == [(1, 2, True), (-1, 2, False)]


def test_progress_does_not_overtake_queued_events(member: Any) -> None:
    reader = member.reader()
    reader.create(b"a")
    reader.take()
    member.put(b"a")
    reader.stream.request_progress()
    member.put(b"a")
    reader.stream.request_progress()
    assert _revisions(reader.take()) == [
        (0, 2, True),
        (-1, 2, False),
        (0, 3, True),
        (-1, 3, False),
    ]


def test_progress_speaks_of_what_was_announced_not_of_what_is_stored(member: Any) -> None:
    reader = member.reader()
    reader.create(b"a")
    reader.take()
    member.paused = True
    member.put(b"a")
    reader.stream.request_progress()
    assert _revisions(reader.take()) == [(-1, 1, False)]
    member.announce()
    reader.stream.request_progress()
    assert _revisions(reader.take()) == [(0, 2, True), (-1, 2, False)]


def test_no_progress_before_a_future_start_is_reached(member: Any) -> None:
    reader = member.reader()
    reader.create(b"a", start_revision=3)
    reader.take()
    for _ in range(3):
        reader.stream.request_progress()
        member.put(b"b")
    reader.stream.request_progress()
    assert _revisions(reader.take()) == [(-1, 3, False), (-1, 4, False)]


def test_a_watch_that_compaction_ended_does_not_block_progress(member: Any) -> None:
    for _ in range(4):
        member.put(b"a")
    member.compact(4)
    reader = member.reader()
    reader.create(b"a")
    reader.create(b"a", start_revision=1)
    reader.take()
    reader.stream.request_progress()
    assert _revisions(reader.take()) == [(-1, 5, False)]


# --- periodic ---------------------------------------------------------------------------------------


def test_a_quiet_watch_is_told_each_interval(ticking: Any) -> None:
    reader = ticking.reader()
    reader.create(b"a", progress_notify=True)
    reader.create(b"a")
    reader.take()
    ticking.hub.tick(100.0)
    ticking.hub.tick(109.9)
    assert reader.take() == []
    ticking.put(b"b")
    ticking.hub.tick(110.0)
    assert _revisions(reader.take()) == [(0, 2, False)]
    ticking.hub.tick(119.9)
    assert reader.take() == []
    ticking.hub.tick(120.0)
    assert _revisions(reader.take()) == [(0, 2, False)]


def test_a_watch_that_got_events_is_skipped_once(ticking: Any) -> None:
    reader = ticking.reader()
    reader.create(b"a", progress_notify=True)
    ticking.hub.tick(0.0)
    ticking.put(b"a")
    reader.take()
    ticking.hub.tick(10.0)
    assert reader.take() == []
    ticking.hub.tick(20.0)
    assert _revisions(reader.take()) == [(0, 2, False)]


@pytest.mark.parametrize("state", ["lagging", "waiting", "full"])
def test_a_watch_that_is_not_synced_is_not_told(ticking: Any, state: Any) -> None:
    ticking.put(b"a")
    reader = ticking.reader(backlog_messages_max=1 if state == "full" else 100)
    start = {"lagging": 1, "waiting": 9, "full": 0}[state]
    reader.create(b"b", start_revision=start, progress_notify=True)
    if state != "full":
        reader.take()
    ticking.hub.tick(0.0)
    ticking.hub.tick(10.0)
    assert [r.created for r in reader.take()] == ([True] if state == "full" else [])


def test_the_jitter_is_a_tenth_at_most_and_differs_between_streams(new_member: Any) -> None:
    draws = iter([0.0, 0.999])
    member = new_member(progress_interval_seconds=10.0, random=lambda: next(draws))
    readers = [member.reader(), member.reader()]
    for reader in readers:
        reader.create(b"a", progress_notify=True)
        reader.take()
    member.hub.tick(0.0)
    member.hub.tick(10.0)
    assert [len(reader.take()) for reader in readers] == [1, 0]
    member.hub.tick(11.0)
    assert [len(reader.take()) for reader in readers] == [0, 1]


def test_the_interval_has_a_minimum(new_member: Any) -> None:
    member = new_member(progress_interval_seconds=0.0)
    reader = member.reader()
    reader.create(b"a", progress_notify=True)
    reader.take()
    member.hub.tick(0.0)
    for millisecond in range(1, 1000):
        member.hub.tick(millisecond / 1000)
    assert 5 <= len(reader.take()) <= 10


def test_ticks_that_were_missed_are_not_made_up_for(ticking: Any) -> None:
    reader = ticking.reader()
    reader.create(b"a", progress_notify=True)
    reader.take()
    ticking.hub.tick(0.0)
    ticking.hub.tick(95.0)
    assert len(reader.take()) == 1
    ticking.hub.tick(96.0)
    assert reader.take() == []


def test_ended_watches_and_streams_are_forgotten(ticking: Any) -> None:
    cancelled, closed = ticking.reader(), ticking.reader()
    for reader in (cancelled, closed):
        reader.create(b"a", progress_notify=True)
    ticking.hub.tick(0.0)
    cancelled.stream.cancel(0)
    cancelled.take()
    closed.stream.close()
    ticking.hub.tick(10.0)
    assert cancelled.take() == closed.take() == []
    # A later watch on the same stream starts a new period.
    cancelled.create(b"a", progress_notify=True)
    cancelled.take()
    ticking.hub.tick(15.0)
    ticking.hub.tick(24.0)
    assert cancelled.take() == []
    ticking.hub.tick(25.0)
    assert len(cancelled.take()) == 1
