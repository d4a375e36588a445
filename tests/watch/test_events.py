"""What a synced watch is sent: order, atomicity, filters, previous values, fragments."""

from __future__ import annotations

from typing import Any

import pytest

PUT, DELETE = 0, 1
NOPUT, NODELETE = 0, 1


def test_a_watch_from_now_gets_what_comes_after(member: Any) -> None:
    member.put(b"a")
    reader = member.reader()
    reader.create(b"a")
    member.put(b"b")
    member.put(b"a", b"new")
    member.delete(b"a")
    _, put, delete = reader.take()
    assert put.header.revision == 4
    assert put.watch_id == 0
    (event,) = put.events
    assert event.type == PUT
    assert (event.kv.key, event.kv.value) == (b"a", b"new")
    assert (event.kv.create_revision, event.kv.mod_revision, event.kv.version) == (2, 4, 2)
    assert not event.HasField("prev_kv")
    (event,) = delete.events
    assert event.type == DELETE
    assert (event.kv.key, event.kv.mod_revision) == (b"a", 5)
    assert (event.kv.create_revision, event.kv.version, event.kv.value) == (0, 0, b"")


def test_one_revision_is_one_response(member: Any) -> None:
    reader = member.reader()
    reader.create(b"a", b"z")
    reader.take()
    member.txn([(b"c", b"1"), (b"a", b"2"), (b"zz", b""), (b"b", b"3")])
    (response,) = reader.take()
    assert [event.kv.key for event in response.events] == [b"c", b"a", b"b"]
    member.delete(b"a", b"c")
    (response,) = reader.take()
    assert [event.kv.key for event in response.events] == [b"a", b"b"]
    assert {event.kv.mod_revision for event in response.events} == {3}


def test_a_batch_of_revisions_keeps_its_order_and_bears_its_last(member: Any) -> None:
    reader = member.reader()
    reader.create(b"a", b"z")
    reader.create(b"b")
    reader.take()
    member.paused = True
    for key in (b"b", b"a", b"c"):
        member.put(key)
    member.announce()
    by_id = {response.watch_id: response for response in reader.take()}
    assert [e.kv.key for e in by_id[0].events] == [b"b", b"a", b"c"]
    assert by_id[0].header.revision == 4
    assert [e.kv.key for e in by_id[1].events] == [b"b"]
    assert by_id[1].header.revision == 2


@pytest.mark.parametrize("past", [False, True])
def test_filters_drop_events_and_then_empty_responses(member: Any, past: Any) -> None:
    reader = member.reader()
    start = 1 if past else 0
    wanted = {}
    if not past:
        wanted = _create_filtered(reader, start)
    member.put(b"a")
    member.delete(b"a")
    if past:
        wanted = _create_filtered(reader, start)
        member.catch_up()
    got: dict[int, list[int]] = {}
    for response in reader.take():
        if not response.created:
            assert response.events
            got.setdefault(response.watch_id, []).extend(event.type for event in response.events)
    assert got == {
        wanted["puts"]: [PUT],
        wanted["deletes"]: [DELETE],
        wanted["both"]: [PUT, DELETE],
    }


def _create_filtered(reader: Any, start: Any) -> Any:
    return {
        "puts": reader.create(b"a", filters=[NODELETE], start_revision=start),
        "deletes": reader.create(b"a", filters=[NOPUT], start_revision=start),
        "none": reader.create(b"a", filters=[NOPUT, NODELETE, NOPUT], start_revision=start),
        "both": reader.create(b"a", start_revision=start),
    }


def test_an_unknown_filter_is_ignored(member: Any, request_of: Any) -> None:
    reader = member.reader()
    reader.stream.create(request_of(b"a", filters=(7,)))
    member.put(b"a")
    assert reader.events() == [(0, 2, b"a")]


@pytest.mark.parametrize("past", [False, True])
def test_prev_kv_is_what_was_there_one_revision_before(member: Any, past: Any) -> None:
    reader = member.reader()
    if not past:
        reader.create(b"a", b"c", prev_kv=True)
        reader.create(b"a", b"c")
    member.put(b"a", b"1")
    member.txn([(b"a", b"2"), (b"b", b"1")])
    member.delete(b"a")
    member.put(b"a", b"3")
    if past:
        reader.create(b"a", b"c", prev_kv=True, start_revision=1)
        reader.create(b"a", b"c", start_revision=1)
        member.catch_up()
    events: dict[int, list[Any]] = {0: [], 1: []}
    for response in reader.take():
        events[response.watch_id] += response.events
    assert not any(event.HasField("prev_kv") for event in events[1])
    seen = [
        (event.kv.mod_revision, event.kv.key, event.prev_kv.value, event.prev_kv.mod_revision)
        for event in events[0]
    ]
    assert seen == [
        (2, b"a", b"", 0),
        (3, b"a", b"1", 2),
        (3, b"b", b"", 0),
        (4, b"a", b"2", 3),
        (5, b"a", b"", 0),
    ]
    assert [event.HasField("prev_kv") for event in events[0]] == [False, True, False, True, False]
    assert events[0][1].prev_kv.create_revision == 2


def test_prev_kv_is_absent_where_it_was_compacted(member: Any) -> None:
    for value in (b"1", b"2", b"3"):
        member.put(b"a", value)
    member.compact(3)
    reader = member.reader()
    reader.create(b"a", prev_kv=True, start_revision=3)
    member.catch_up()
    events = [event for response in reader.take() for event in response.events]
    assert [event.kv.mod_revision for event in events] == [3, 4]
    assert [event.prev_kv.value for event in events] == [b"", b"2"]
    assert not events[0].HasField("prev_kv")


def test_fragments_split_a_large_revision_between_events(member: Any) -> None:
    reader = member.reader(fragment_bytes_max=1000)
    reader.create(b"k", b"l", fragment=True)
    reader.create(b"k", b"l")
    reader.take()
    keys = [b"k%d" % at for at in range(10)]
    member.txn([(key, b"x" * 300) for key in keys])
    responses = reader.take()
    whole = [response for response in responses if response.watch_id == 1]
    assert len(whole) == 1
    assert not whole[0].fragment
    parts = [response for response in responses if response.watch_id == 0]
    assert [part.fragment for part in parts] == [True] * (len(parts) - 1) + [False]
    assert [event.kv.key for part in parts for event in part.events] == keys
    assert all(len(part.SerializeToString()) < 1000 for part in parts)
    assert all(part.header.revision == 2 for part in parts)
    # Not smaller than needed: another event would not have fitted.
    assert [len(part.events) for part in parts] == [3, 3, 3, 1]


def test_fragments_leave_alone_what_is_small_or_one_event(member: Any) -> None:
    reader = member.reader(fragment_bytes_max=1000)
    reader.create(b"k", b"l", fragment=True)
    reader.take()
    member.put(b"k", b"x" * 5000)
    member.txn([(b"k1", b"x" * 300), (b"k2", b"x" * 300)])
    member.txn([(b"k1", b"x" * 3000), (b"k2", b""), (b"k3", b"x" * 3000)])
    responses = reader.take()
    assert [response.fragment for response in responses] == [False, False, True, True, False]
    assert [len(response.events) for response in responses] == [1, 2, 1, 1, 1]


def test_a_fragmented_revision_goes_in_whole_even_past_the_bound(member: Any) -> None:
    reader = member.reader(fragment_bytes_max=1000, backlog_messages_max=2)
    reader.create(b"k", b"l", fragment=True)
    reader.take()
    member.txn([(b"k%d" % at, b"x" * 600) for at in range(5)])
    responses = reader.take()
    assert len(responses) == 5
    assert not responses[-1].fragment


def test_an_event_is_encoded_once_for_all(member: Any) -> None:
    readers = [member.reader() for _ in range(3)]
    for reader in readers:
        reader.create(b"a")
        reader.stream.take()
    member.put(b"a")
    first, second, third = (reader.stream.take() for reader in readers)
    assert first[0] is second[0] is third[0]


def test_ten_thousand_watchers_each_get_each_event_once(member: Any, request_of: Any) -> None:
    readers = [member.reader() for _ in range(100)]
    for at, reader in enumerate(readers):
        for number in range(100):
            if number % 2:
                reader.stream.create(request_of(b"k%02d" % at))
            else:
                reader.stream.create(request_of(b"k", b"l"))
        reader.stream.take()
    assert member.hub.statistics().watchers == 10_000
    member.put(b"k07")
    for at, reader in enumerate(readers):
        ids = [watch_id for watch_id, _, _ in reader.events()]
        everything = set(range(100)) if at == 7 else set(range(0, 100, 2))
        assert len(ids) == len(everything)
        assert set(ids) == everything
    assert member.hub.statistics().events_total == 5050
    assert member.hub.statistics().pending_events == 0
