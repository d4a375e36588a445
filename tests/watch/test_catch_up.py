"""Watches that are behind: history, slow clients, compaction, the future, a new snapshot."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_watch_from_the_past_replays_and_then_follows(member: Any) -> None:
    for _ in range(5):
        member.put(b"a")
    reader = member.reader()
    reader.create(b"a", start_revision=3)
    assert member.hub.statistics().slow_watchers == 1
    assert member.lagging_signals == 1
    member.put(b"a")
    member.catch_up()
    assert member.hub.statistics().slow_watchers == 0
    member.put(b"a")
    assert [revision for _, revision, _ in reader.events()] == [3, 4, 5, 6, 7, 8]


def test_a_replay_bears_the_current_revision(member: Any) -> None:
    member.put(b"a")
    member.put(b"b")
    reader = member.reader()
    reader.create(b"a", start_revision=1)
    member.catch_up()
    _, replay = reader.take()
    assert replay.header.revision == 3
    assert [event.kv.mod_revision for event in replay.events] == [2]


def test_a_slice_is_bounded_in_revisions_and_goes_on_where_it_stopped(member: Any) -> None:
    for _ in range(10):
        member.put(b"a")
    reader = member.reader()
    reader.create(b"a", start_revision=1)
    reader.take()
    sizes = []
    more = True
    while more:
        more = member.hub.catch_up(revisions_max=4)
        sizes += [len(response.events) for response in reader.take()]
    assert sizes == [4, 4, 2]


def test_large_values_make_slices_smaller(member: Any) -> None:
    for _ in range(12):
        member.put(b"a", b"x" * (2 << 20))
    reader = member.reader(backlog_bytes_max=1 << 40)
    reader.create(b"a", start_revision=1)
    reader.take()
    counts = []
    more = True
    while more:
        more = member.hub.catch_up(revisions_max=6)
        counts.append(sum(len(response.events) for response in reader.take()))
    assert counts[0] == 6  # nothing was known of the sizes yet
    assert sum(counts) == 12
    assert all(count < 6 for count in counts[1:])


def test_responses_of_a_replay_end_between_revisions_once_they_are_large(member: Any) -> None:
    for _ in range(4):
        member.txn([(key, b"x" * 300_000) for key in (b"a", b"b", b"c")])
    reader = member.reader()
    reader.create(b"a", b"d", start_revision=1)
    reader.take()
    member.catch_up()
    assert [[e.kv.mod_revision for e in r.events] for r in reader.take()] == [
        [2, 2, 2, 3, 3, 3],
        [4, 4, 4, 5, 5, 5],
    ]


def test_a_replay_that_fills_the_outbox_goes_on_from_there(member: Any) -> None:
    for _ in range(9):
        member.put(b"a", b"x" * 600_000)
    reader = member.reader(backlog_messages_max=1)
    reader.create(b"a", start_revision=1)
    reader.create(b"a", b"b", start_revision=1)
    got: dict[int, list[int]] = {}
    for _ in range(20):
        for watch_id, revision, _ in reader.events():
            got.setdefault(watch_id, []).append(revision)
        member.catch_up()
    assert got == {0: list(range(2, 11)), 1: list(range(2, 11))}


# --- slow clients -----------------------------------------------------------------------------------


def test_a_slow_client_loses_nothing_and_hurts_nobody(member: Any) -> None:
    slow, quick = member.reader(backlog_messages_max=3), member.reader(backlog_messages_max=3)
    for reader in (slow, quick):
        reader.create(b"a")
        reader.take()
    seen = []
    for _ in range(10):
        member.put(b"a")
        seen += quick.events()
    assert [revision for _, revision, _ in seen] == list(range(2, 12))
    assert slow.stream.full
    statistics = member.hub.statistics()
    assert (statistics.watchers, statistics.slow_watchers) == (2, 1)
    assert statistics.pending_events == 3
    got = slow.events()
    member.catch_up()
    got += slow.events()
    assert [revision for _, revision, _ in got] == list(range(2, 12))
    assert member.hub.statistics().slow_watchers == 0


def test_the_bound_is_in_bytes_too(member: Any) -> None:
    reader = member.reader(backlog_bytes_max=1000)
    reader.create(b"a")
    reader.take()
    for _ in range(5):
        member.put(b"a", b"x" * 400)
    assert reader.stream.statistics().outbox_messages == 3
    assert [revision for _, revision, _ in reader.events()] == [2, 3, 4]
    member.catch_up()
    assert [revision for _, revision, _ in reader.events()] == [5, 6]


def test_a_full_stream_is_left_alone_until_it_is_taken(member: Any) -> None:
    reader = member.reader(backlog_messages_max=1)
    reader.create(b"a")
    member.put(b"a")  # the outbox holds `created` and is full
    assert not member.hub.catch_up()
    assert member.lagging_signals == 0
    assert [r.created for r in reader.take()] == [True]
    assert member.lagging_signals == 1
    member.catch_up()
    assert [revision for _, revision, _ in reader.events()] == [2]


def test_only_watches_with_news_fall_behind(member: Any) -> None:
    reader = member.reader(backlog_messages_max=1)
    reader.create(b"a")
    reader.create(b"b")
    member.put(b"a")
    assert reader.stream.statistics().slow_watchers == 1


def test_the_driver_is_called_once_until_it_has_caught_up(member: Any) -> None:
    member.put(b"a")
    reader = member.reader()
    reader.create(b"a", start_revision=1)
    reader.create(b"a", start_revision=2)
    assert member.lagging_signals == 1
    assert not member.hub.catch_up()
    reader.create(b"a", start_revision=1)
    assert member.lagging_signals == 2


def test_a_slow_client_of_many_watches_is_served_in_rounds(member: Any, request_of: Any) -> None:
    reader = member.reader(backlog_messages_max=64)
    for _ in range(1000):
        reader.stream.create(request_of(b"a"))
    reader.take()
    member.put(b"a")
    member.put(b"a")
    got = reader.events()
    for _ in range(1000):
        member.catch_up()
        more = reader.events()
        if not more:
            break
        got += more
    by_watch: dict[int, list[int]] = {}
    for watch_id, revision, _ in got:
        by_watch.setdefault(watch_id, []).append(revision)
    assert by_watch == {watch_id: [2, 3] for watch_id in range(1000)}


def test_streams_take_turns(member: Any, request_of: Any) -> None:
    """A crowd at the beginning of time does not keep a nearly synced watch waiting."""
    for _ in range(100):
        member.put(b"a")
    crowd, modest = member.reader(), member.reader()
    for _ in range(500):
        crowd.stream.create(request_of(b"a", start_revision=1))
    modest.create(b"a", start_revision=100)
    crowd.take()
    modest.take()
    member.hub.catch_up(watchers_max=10, revisions_max=10)
    member.hub.catch_up(watchers_max=10, revisions_max=10)
    assert [revision for _, revision, _ in modest.events()] == [100, 101]


def test_watches_close_to_each_other_share_a_scan(member: Any, monkeypatch: Any) -> None:
    for _ in range(50):
        member.put(b"a")
    readers = [member.reader() for _ in range(20)]
    for at, reader in enumerate(readers):
        reader.create(b"a", start_revision=10 + at)
        reader.take()
    scans = []
    history = member.store.history

    def scan(start_revision: int, revisions_max: int) -> Any:
        scans.append(start_revision)
        return history(start_revision, revisions_max)

    monkeypatch.setattr(member.store, "history", scan)
    member.catch_up()
    assert scans == [10]
    for at, reader in enumerate(readers):
        assert [revision for _, revision, _ in reader.events()] == list(range(10 + at, 52))


def test_history_beyond_the_last_announcement_is_not_read_twice(member: Any) -> None:
    member.put(b"a")
    reader = member.reader()
    reader.create(b"a", start_revision=1)
    member.paused = True
    member.put(b"a")
    member.catch_up()
    assert [revision for _, revision, _ in reader.events()] == [2]
    member.announce()
    assert [revision for _, revision, _ in reader.events()] == [3]


# --- compaction -------------------------------------------------------------------------------------


def test_a_start_below_the_compact_revision_is_created_then_canceled(member: Any) -> None:
    for _ in range(5):
        member.put(b"a")
    member.compact(4)
    reader = member.reader()
    assert reader.create(b"a", start_revision=3, watch_id=9) == 9
    created, canceled = reader.take()
    assert created.created
    assert not created.canceled
    assert created.header.revision == 6
    assert canceled.canceled
    assert not canceled.created
    assert canceled.watch_id == 9
    assert canceled.compact_revision == 4
    assert canceled.cancel_reason == ""
    assert canceled.header.revision == 0
    assert member.hub.statistics().watchers == 0
    assert reader.create(b"a", start_revision=4, watch_id=9) == 9


def test_the_compact_revision_itself_can_be_watched_even_if_it_is_a_delete(member: Any) -> None:
    member.put(b"a")
    member.delete(b"a")
    member.put(b"b")
    member.compact(3)
    reader = member.reader()
    reader.create(b"a", start_revision=3)
    member.catch_up()
    events = [event for response in reader.take() for event in response.events]
    assert [(event.type, event.kv.mod_revision) for event in events] == [(1, 3)]


def test_compaction_cancels_a_lagging_watch_and_no_other(member: Any) -> None:
    behind, ahead = member.reader(backlog_messages_max=2), member.reader()
    for reader in (behind, ahead):
        reader.create(b"a")
        reader.take()
    for _ in range(6):
        member.put(b"a")
    member.compact(6)
    member.catch_up()
    assert [revision for _, revision, _ in behind.events()] == [2, 3]
    member.catch_up()
    (canceled,) = behind.take()
    assert (canceled.canceled, canceled.compact_revision) == (True, 6)
    assert canceled.header.revision == 0
    member.put(b"a")
    assert [revision for _, revision, _ in ahead.events()] == list(range(2, 9))
    assert behind.take() == []
    assert member.hub.statistics().watchers == 1


def test_a_lagging_watch_at_the_compact_revision_goes_on(member: Any) -> None:
    reader = member.reader(backlog_messages_max=2)
    reader.create(b"a")
    reader.take()
    for _ in range(6):
        member.put(b"a")
    member.compact(4)  # it has 2 and 3, and needs 4
    got = reader.events()
    member.catch_up()
    got += reader.events()
    member.catch_up()
    got += reader.events()
    assert [revision for _, revision, _ in got] == list(range(2, 8))


# --- the future -------------------------------------------------------------------------------------


def test_a_watch_on_the_future_is_silent_until_then(member: Any) -> None:
    reader = member.reader()
    reader.create(b"a", start_revision=4)
    reader.create(b"a", start_revision=2)
    reader.take()
    assert member.hub.statistics().waiting_watchers == 2
    for _ in range(4):
        member.put(b"a")
    assert reader.events() == [
        (1, 2, b"a"),
        (1, 3, b"a"),
        (1, 4, b"a"),
        (0, 4, b"a"),
        (1, 5, b"a"),
        (0, 5, b"a"),
    ]
    assert member.hub.statistics().waiting_watchers == 0


def test_a_future_start_in_the_middle_of_a_batch(member: Any) -> None:
    reader = member.reader()
    reader.create(b"a", start_revision=4)
    reader.take()
    member.paused = True
    for _ in range(5):
        member.put(b"a")
    member.announce()
    member.catch_up()
    member.paused = False
    member.put(b"a")
    assert [revision for _, revision, _ in reader.events()] == [4, 5, 6, 7]


# --- a snapshot from the leader ---------------------------------------------------------------------


def _restore(member: Any, new_member: Any, puts: Any) -> None:
    """A member whose store has been written on elsewhere takes the place of this one's."""
    other = new_member()
    for _ in range(puts):
        other.put(b"a")
    member.store = other.store
    member.store.take_events()
    member.hub.restore(other.store)


def test_after_a_snapshot_there_is_no_gap(member: Any, new_member: Any) -> None:
    reader = member.reader()
    reader.create(b"a")
    reader.create(b"a", start_revision=8)
    reader.create(b"a", start_revision=20)
    member.put(b"a")
    _restore(member, new_member, puts=8)
    assert member.hub.statistics().slow_watchers == 2
    member.catch_up()
    member.put(b"a")
    got: dict[int, list[int]] = {}
    for watch_id, revision, _ in reader.events():
        got.setdefault(watch_id, []).append(revision)
    assert got == {0: list(range(2, 11)), 1: [8, 9, 10]}


def test_after_a_snapshot_beyond_compaction_a_watch_is_canceled(
    member: Any, new_member: Any
) -> None:
    reader = member.reader()
    reader.create(b"a")
    member.put(b"a")
    reader.take()
    other = new_member()
    for _ in range(8):
        other.put(b"a")
    other.compact(7)
    member.hub.restore(other.store)
    member.catch_up()
    (canceled,) = reader.take()
    assert (canceled.canceled, canceled.compact_revision) == (True, 7)


@pytest.mark.parametrize("slow", [False, True])
def test_an_older_snapshot_sends_nothing_twice(member: Any, new_member: Any, slow: Any) -> None:
    reader = member.reader(backlog_messages_max=3 if slow else 100)
    reader.create(b"a")
    reader.take()
    for _ in range(6):
        member.put(b"a")
    got = [revision for _, revision, _ in reader.events()]
    assert got == ([2, 3, 4] if slow else [2, 3, 4, 5, 6, 7])
    _restore(member, new_member, puts=2)
    member.catch_up()
    assert reader.take() == []
    reader.stream.request_progress()
    assert reader.take() == []
    for _ in range(6):
        member.put(b"a")
        member.catch_up()
        got += [revision for _, revision, _ in reader.events()]
    assert got == list(range(2, 10))


def test_an_equal_snapshot_changes_nothing(member: Any, new_member: Any) -> None:
    reader = member.reader()
    reader.create(b"a")
    member.put(b"a")
    _restore(member, new_member, puts=1)
    assert member.hub.statistics().slow_watchers == 0
    member.put(b"a")
    assert [revision for _, revision, _ in reader.events()] == [2, 3]
