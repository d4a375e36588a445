"""Watches, against each kind of server."""

from __future__ import annotations

import pytest
import trio

import triode
from triode.client import watch_stream
from triode.client.watch import Watch
from triode.client.watch_events import Event, EventType
from triode.errors import EtcdError, WatchCanceled


async def take(watch: Watch, count: int) -> list[Event]:
    """The next events."""
    with trio.fail_after(20):
        return [await anext(watch) for _ in range(count)]


async def test_events_come_in_order_with_all_they_tell(client: triode.Client) -> None:
    async with client.watch(triode.prefix("a/"), prev_kv=True) as watch:
        first = (await client.put("a/1", "x")).header.revision
        await client.put("b/1", "not meant")
        await client.put("a/1", "y")
        await client.delete("a/1")
        created, changed, deleted = await take(watch, 3)
    assert (created.type, created.key, created.value) == (EventType.PUT, b"a/1", b"x")
    assert created.is_create and created.prev_kv is None and created.revision == first
    assert changed.is_put and not changed.is_create and changed.kv.version == 2
    assert changed.prev_kv is not None and changed.prev_kv.value == b"x"
    assert deleted.is_delete and deleted.key == b"a/1" and deleted.value == b""
    assert deleted.prev_kv is not None and deleted.prev_kv.value == b"y"
    assert deleted.revision == first + 3


async def test_the_past_comes_before_the_present(client: triode.Client) -> None:
    start = (await client.put("k", "1")).header.revision
    await client.put("k", "2")
    async with client.watch("k", start_revision=start) as watch:
        await client.put("k", "3")
        assert [e.value for e in await take(watch, 3)] == [b"1", b"2", b"3"]


async def test_a_future_revision_is_waited_for(client: triode.Client) -> None:
    now = (await client.put("k", "1")).header.revision
    async with client.watch("k", start_revision=now + 3) as watch:
        for value in ("2", "3", "4"):
            await client.put("k", value)
        assert [e.value for e in await take(watch, 1)] == [b"4"]


async def test_one_kind_of_event_only(client: triode.Client) -> None:
    async with (
        client.watch("k", deletes=False) as puts,
        client.watch("k", puts=False) as deletes,
    ):
        await client.put("k", "1")
        await client.delete("k")
        await client.put("k", "2")
        await client.delete("k")
        assert [e.value for e in await take(puts, 2)] == [b"1", b"2"]
        assert all(e.is_delete for e in await take(deletes, 2))


async def test_in_a_namespace_keys_have_their_short_names(client: triode.Client) -> None:
    inner = client.namespace("app/")
    async with (
        inner.watch(triode.ALL_KEYS, prev_kv=True) as all_keys,
        inner.watch("k") as one,
        client.watch("app/k") as outer,
    ):
        await client.put("k", "not meant")
        await inner.put("k", "1")
        await client.put("app/k", "2")
        await client.put("aqq", "beyond")
        await inner.put("z", "end")
        events = await take(all_keys, 3)
        assert [e.key for e in events] == [b"k", b"k", b"z"]
        assert events[1].prev_kv is not None and events[1].prev_kv.key == b"k"
        assert [e.key for e in await take(one, 2)] == [b"k", b"k"]
        assert [e.key for e in await take(outer, 2)] == [b"app/k", b"app/k"]


async def test_a_batch_is_a_revision_as_a_whole(client: triode.Client) -> None:
    async with client.watch(triode.prefix("t/")) as watch:
        puts = [triode.put(f"t/{n}", "x") for n in range(5)]
        revision = (await client.txn().then(*puts).commit()).revision
        with trio.fail_after(20):
            async for batch in watch.batches():
                assert [e.kv.mod_revision for e in batch.events] == [revision] * 5
                break


async def test_progress_can_be_asked_for(client: triode.Client) -> None:
    async with client.watch("k") as watch, client.watch("other") as other:
        now = (await client.put("k", "1")).header.revision
        assert (await take(watch, 1))[0].is_put
        await watch.request_progress()
        (event,) = await take(watch, 1)
        assert event.type is EventType.PROGRESS and event.revision >= now
        assert watch.progress_revision >= now
        # Who has not asked is not bothered.
        await client.put("other", "1")
        assert (await take(other, 1))[0].is_put


async def test_compacted_history_is_told_of(client: triode.Client) -> None:
    start = (await client.put("k", "1")).header.revision
    for value in ("2", "3"):
        await client.put("k", value)
    await client.compact(start + 1)
    with pytest.raises(triode.WatchCompacted) as caught:
        async with client.watch("k", start_revision=start) as watch:
            await take(watch, 1)
    assert caught.value.compact_revision == start + 1
    async with client.watch("k", start_revision=start, resume_compacted=True) as watch:
        assert [e.value for e in await take(watch, 2)] == [b"2", b"3"]
        assert watch.compactions == 1


async def test_a_refused_watch_says_why(client: triode.Client) -> None:
    with pytest.raises(WatchCanceled, match="watcher range is empty"):
        async with client.watch(triode.key_range("b", "a")):
            pass
    with pytest.raises(ValueError, match="negative"):
        client.watch("k", start_revision=-1)


async def test_large_responses_come_in_parts_and_are_put_together(client: triode.Client) -> None:
    megabyte = b"v" * 1_000_000
    start = (await client.put("big/0", megabyte)).header.revision
    for number in range(1, 6):
        await client.put(f"big/{number}", megabyte)
    for fragment in (True, False):
        async with client.watch(
            triode.prefix("big/"), start_revision=start, fragment=fragment
        ) as watch:
            events = await take(watch, 6)
        assert [e.key for e in events] == [b"big/%d" % n for n in range(6)]
        assert all(e.value == megabyte for e in events)


async def test_a_slow_watch_stops_neither_the_others_nor_itself(
    client: triode.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_stream, "STALL_SECONDS_MAX", 0.05)
    async with (
        client.watch(triode.prefix("a/"), buffer_bytes_max=1000) as slow,
        client.watch(triode.prefix("a/")) as quick,
    ):
        for number in range(100):
            await client.put("a/k", f"{number:0100}")
        assert [int(e.value) for e in await take(quick, 100)] == list(range(100))
        assert slow.stream is not quick.stream  # it was sent to a stream of its own
        assert [int(e.value) for e in await take(slow, 100)] == list(range(100))


async def test_a_slow_watch_holds_the_server_back_not_the_memory(client: triode.Client) -> None:
    async with client.watch("k", buffer_bytes_max=5000) as watch:
        for number in range(300):
            await client.put("k", f"{number:0100}")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert watch._bytes < 300 * 100
        assert [int(e.value) for e in await take(watch, 300)] == list(range(300))


async def test_watches_come_and_go_on_one_stream(client: triode.Client) -> None:
    async with client.watch("stays") as stays:
        stream = stays.stream
        for number in range(20):
            async with client.watch(f"k{number}") as watch:
                assert watch.stream is stream
                await client.put(f"k{number}")
                assert (await take(watch, 1))[0].key == b"k%d" % number
        await client.put("stays", "1")
        assert (await take(stays, 1))[0].value == b"1"
    async with client.watch("later") as later:
        assert later.stream is not stream
        await client.put("later")
        await take(later, 1)


async def test_many_watches_at_once(client: triode.Client) -> None:
    async def one(number: int, begun: trio.Event) -> None:
        async with client.watch(f"many/{number}") as watch:
            begun.set()
            assert [e.value for e in await take(watch, 2)] == [b"1", b"2"]

    async with trio.open_nursery() as nursery:
        begun = [trio.Event() for _ in range(200)]
        for number, event in enumerate(begun):
            nursery.start_soon(one, number, event)
        for event in begun:
            await event.wait()
        for value in ("1", "2"):
            for some in range(0, 200, 100):
                puts = [triode.put(f"many/{n}", value) for n in range(some, some + 100)]
                await client.txn().then(*puts).commit()


async def test_iterating_ends_with_the_block(client: triode.Client) -> None:
    async with client.watch("k") as watch:
        pass
    assert [event async for event in watch] == []


async def test_a_watch_may_be_given_up_before_it_began(client: triode.Client) -> None:
    async with client.watch("stays") as stays:
        with trio.CancelScope() as scope:
            scope.cancel()
            async with client.watch("k"):
                raise AssertionError
        await client.put("k", "nobody looks")
        await client.put("stays", "1")
        assert (await take(stays, 1))[0].value == b"1"


async def test_a_leader_is_asked_for_unless_told_otherwise(client: triode.Client) -> None:
    async with client.watch("k") as led, client.watch("k", require_leader=False) as any_member:
        assert led.stream is not any_member.stream
        await client.put("k", "1")
        for watch in (led, any_member):
            assert (await take(watch, 1))[0].value == b"1"


def test_what_a_server_gives_as_a_reason() -> None:
    full = "rpc error: code = PermissionDenied desc = etcdserver: permission denied"
    assert type(watch_stream.reason_of(full)).__name__ == "PermissionDenied"
    assert type(watch_stream.reason_of("etcdserver: permission denied")).__name__ == (
        "PermissionDenied"
    )
    assert isinstance(watch_stream.reason_of(""), WatchCanceled)
    assert isinstance(watch_stream.reason_of("what?"), EtcdError)


async def test_an_empty_key_does_not_leave_the_namespace(client: triode.Client) -> None:
    inner = client.namespace("app/")
    async with inner.watch(triode.Keys(b"", b"\0")) as watch:
        await client.put("zzz", "outside")
        await inner.put("k", "inside")
        async for event in watch:
            assert (event.key, event.value) == (b"k", b"inside")
            break
