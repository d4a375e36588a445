"""Creating and ending watches: ids, refusals, ranges."""

from __future__ import annotations

from typing import Any

import pytest


def test_the_first_answer_is_created_with_the_current_revision(member: Any) -> None:
    member.put(b"a")
    reader = member.reader()
    assert reader.create(b"a", start_revision=1) == 0
    member.catch_up()
    first, second = reader.take()
    assert first.created
    assert not first.canceled
    assert first.watch_id == 0
    assert first.header.revision == 2
    assert not first.events
    assert [event.kv.key for event in second.events] == [b"a"]


def test_ids_count_up_per_stream_and_skip_those_in_use(member: Any) -> None:
    reader = member.reader()
    assert reader.create(b"a") == 0
    assert reader.create(b"a", watch_id=2) == 2
    assert reader.create(b"a") == 1
    assert reader.create(b"a") == 3
    assert reader.create(b"a", watch_id=-7) == -7
    assert [r.watch_id for r in reader.take()] == [0, 2, 1, 3, -7]
    assert member.reader().create(b"a") == 0


def test_an_id_is_not_given_out_again_after_a_cancel(member: Any) -> None:
    reader = member.reader()
    assert reader.create(b"a") == 0
    reader.stream.cancel(0)
    assert reader.create(b"a") == 1


def test_an_id_in_use_is_refused_and_the_first_watch_goes_on(member: Any) -> None:
    reader = member.reader()
    reader.create(b"a", watch_id=5)
    assert reader.create(b"b", watch_id=5) == -1
    refusal = reader.take()[1]
    assert refusal.created
    assert refusal.canceled
    assert refusal.watch_id == -1
    assert refusal.cancel_reason == "mvcc: duplicate watch ID provided on the WatchStream"
    member.txn([(b"a", b""), (b"b", b"")])
    assert reader.events() == [(5, 2, b"a")]


@pytest.mark.parametrize(("key", "end"), [(b"b", b"a"), (b"a", b"a"), (b"ab", b"a")])
def test_an_empty_or_inverted_range_is_refused(member: Any, key: Any, end: Any) -> None:
    reader = member.reader()
    assert reader.create(key, end) == -1
    (refusal,) = reader.take()
    assert (refusal.created, refusal.canceled, refusal.watch_id) == (True, True, -1)
    assert refusal.cancel_reason == "mvcc: watcher range is empty"
    assert refusal.header.revision == 1


def test_a_negative_start_revision_is_refused_as_compacted(member: Any) -> None:
    reader = member.reader()
    assert reader.create(b"a", start_revision=-1) == -1
    (refusal,) = reader.take()
    assert (refusal.created, refusal.canceled, refusal.watch_id) == (True, True, -1)
    assert refusal.cancel_reason == "etcdserver: mvcc: required revision has been compacted"
    assert refusal.compact_revision == 0


def test_a_refusal_for_lack_of_permission_leaves_the_stream_open(member: Any) -> None:
    reader = member.reader()
    text = "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
    assert reader.stream.reject(text) == -1
    assert reader.create(b"a") == 0
    refusal, created = reader.take()
    assert (refusal.created, refusal.canceled, refusal.watch_id) == (True, True, -1)
    assert refusal.cancel_reason == text
    assert created.created


def test_ranges(member: Any) -> None:
    reader = member.reader()
    ids = {
        "single": reader.create(b"b"),
        "range": reader.create(b"b", b"d"),
        "from": reader.create(b"c", b"\0"),
        "all": reader.create(b"", b"\0"),
        "smallest": reader.create(b""),
    }
    reader.take()
    got: dict[int, list[bytes]] = {}
    for key in (b"\0", b"a", b"b", b"c", b"d", b"\xff\xff"):
        member.put(key)
        for watch_id, _, seen in reader.events():
            got.setdefault(watch_id, []).append(seen)
    assert got == {
        ids["single"]: [b"b"],
        ids["range"]: [b"b", b"c"],
        ids["from"]: [b"c", b"d", b"\xff\xff"],
        ids["all"]: [b"\0", b"a", b"b", b"c", b"d", b"\xff\xff"],
        ids["smallest"]: [b"\0"],
    }


def test_a_cancel_is_answered_behind_the_events_and_ends_them(member: Any) -> None:
    reader = member.reader()
    reader.create(b"a")
    member.put(b"a")
    reader.stream.cancel(0)
    member.put(b"a")
    created, event, canceled = reader.take()
    assert created.created
    assert [e.kv.mod_revision for e in event.events] == [2]
    assert (canceled.canceled, canceled.created, canceled.watch_id) == (True, False, 0)
    assert canceled.cancel_reason == ""
    assert canceled.compact_revision == 0
    assert canceled.header.revision == 2
    assert member.hub.statistics().watchers == 0


def test_a_cancel_of_an_unknown_id_is_silent(member: Any) -> None:
    reader = member.reader()
    reader.stream.cancel(0)
    reader.create(b"a")
    reader.stream.cancel(0)
    reader.stream.cancel(0)
    assert [r.canceled for r in reader.take()] == [False, True]


@pytest.mark.parametrize("state", ["synced", "lagging", "waiting"])
def test_cancel_and_close_end_a_watch_in_any_state(member: Any, state: Any) -> None:
    member.put(b"a")
    start = {"synced": 0, "lagging": 1, "waiting": 9}[state]
    for end in ("cancel", "close"):
        reader = member.reader()
        reader.create(b"a", start_revision=start)
        reader.create(b"a", b"c", start_revision=start)
        reader.take()
        if end == "cancel":
            reader.stream.cancel(0)
            reader.stream.cancel(1)
            assert len(reader.take()) == 2
        else:
            reader.stream.close()
            reader.stream.close()
        statistics = member.hub.statistics()
        assert (statistics.watchers, statistics.slow_watchers, statistics.waiting_watchers) == (
            0,
            0,
            0,
        )
        member.put(b"a")
        member.catch_up()
        assert reader.take() == []
    assert member.hub.statistics().streams == 1


def test_a_closed_stream_takes_no_requests(member: Any) -> None:
    reader = member.reader()
    reader.create(b"a")
    reader.stream.close()
    assert reader.create(b"a") == -1
    reader.stream.cancel(0)
    reader.stream.request_progress()
    assert reader.take() == []
    assert member.hub.statistics().watchers == 0


def test_on_ready_comes_once_until_the_outbox_was_taken(member: Any) -> None:
    reader = member.reader()
    reader.create(b"a")
    reader.create(b"a")
    assert reader.signals == 1
    reader.take()
    member.put(b"a")
    member.put(b"a")
    assert reader.signals == 2
