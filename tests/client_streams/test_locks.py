"""Locks and elections, against each kind of server."""

# ruff: noqa: ASYNC110  # what is waited for has no event
from __future__ import annotations

import pytest
import trio

import triode
from triode.errors import ElectionNoLeader, ElectionNotLeader


async def test_a_lock_is_held_by_one_at_a_time_in_the_order_of_coming(
    client: triode.Client,
) -> None:
    held: list[int] = []
    order: list[int] = []

    async def worker(number: int) -> None:
        async with client.lock("name") as lock:
            held.append(number)
            order.append(lock.token)
            assert held == [number]
            await trio.sleep(0.001)
            held.remove(number)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(worker, number)
    assert len(order) == 8 and order == sorted(order)  # tokens grow from holder to holder
    assert await client.count(triode.prefix("name/")) == 0


async def test_who_does_not_want_to_wait_is_told(client: triode.Client) -> None:
    async with client.lock("name") as lock:
        with pytest.raises(triode.Locked, match="mutex: Locked by another session"):
            async with client.lock("name", wait=False):
                raise AssertionError
        async with client.lock("another", wait=False):
            pass
        assert await client.count(triode.prefix("name/")) == 1
        assert lock.key == b"name/%x" % lock.lease.id
    async with client.lock("name", wait=False) as again:
        assert again.token > lock.token


async def test_who_gives_up_waiting_leaves_no_key(client: triode.Client) -> None:
    async with client.lock("name"), client.lease(60) as shared:
        for lease in (None, shared):
            with trio.move_on_after(0.05) as scope:
                async with client.lock("name", lease=lease):
                    raise AssertionError
            assert scope.cancelled_caught
            assert await client.count(triode.prefix("name/")) == 1


async def test_writes_are_guarded_by_the_lock(client: triode.Client) -> None:
    async with client.lock("name") as lock:
        write = client.txn().when(lock.held).then(triode.put("k", "v"))
        assert await write.commit()
    assert not await write.commit()
    async with client.lock("name"):
        assert not await write.commit()  # somebody else's does not count


async def test_locks_hang_on_a_lease_that_is_shared(client: triode.Client) -> None:
    async with client.lease(60) as lease:
        async with client.lock("one", lease=lease) as one, client.lock("two", lease=lease) as two:
            assert one.lease is two.lease is lease
        assert await client.count(triode.prefix("one/")) == 0
        async with client.lock("one", lease=lease):
            pass
    assert (await client.time_to_live(lease.id)).TTL == -1


async def test_a_waiter_whose_key_is_deleted_does_not_get_the_lock(client: triode.Client) -> None:
    async with client.lock("name"), trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(triode.LeaseLost, match="the key of the lock is gone"):
                async with client.lock("name"):
                    raise AssertionError

        nursery.start_soon(wait)
        keys = triode.prefix("name/")
        while await client.count(keys) < 2:
            await trio.sleep(0.005)
        last = await client.range(keys, sort_by="create_revision", descending=True, limit=1)
        await client.delete(last.kvs[0].key)
        first = await client.range(keys)
        await client.delete(first.kvs[0].key)


async def test_a_lock_in_a_namespace_is_another_one(client: triode.Client) -> None:
    inner = client.namespace("app/")
    async with client.lock("name"), inner.lock("name", wait=False) as lock:
        assert lock.key.startswith(b"name/")
        assert await client.count(triode.prefix("app/name/")) == 1
        assert await inner.txn().when(lock.held).then(triode.put("k", "v")).commit()
        with pytest.raises(triode.Locked):
            async with client.lock("app/name", wait=False):
                raise AssertionError


async def test_a_read_write_lock_lets_readers_in_together(client: triode.Client) -> None:
    rwlock = client.rwlock("rw")
    log: list[str] = []
    together = [trio.Event(), trio.Event()]

    async def reader(number: int) -> None:
        async with rwlock.read():
            log.append("read")
            together[number].set()
            await together[1 - number].wait()  # would hang if they did not hold it at once
            await trio.sleep(0.02)
            log.append("read")

    async def writer() -> None:
        for event in together:
            await event.wait()
        async with rwlock.write() as lock:
            log.append("write")
            assert await client.txn().when(lock.held).commit()
            log.append("written")

    async def late_reader() -> None:
        for event in together:
            await event.wait()
        await trio.sleep(0.01)
        async with rwlock.read():
            log.append("late")

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for task in (lambda: reader(0), lambda: reader(1), writer, late_reader):
                nursery.start_soon(task)
    assert log[:4] == ["read"] * 4
    assert "write, written" in ", ".join(log)
    assert await client.count(triode.prefix("rw/")) == 0


async def test_leaders_follow_each_other(client: triode.Client) -> None:
    election = client.election("boss")
    with pytest.raises(ElectionNoLeader):
        await election.leader()
    seen: list[bytes] = []
    finished = trio.Event()

    async def watch() -> None:
        async for kv in election.observe():
            seen.append(kv.value)
            if kv.value == b"anna resigns":
                break
        finished.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            async with election.campaign("anna") as anna:
                assert (await election.leader()).value == b"anna"
                with trio.move_on_after(0.05):
                    async with election.campaign("bert"):
                        raise AssertionError
                await anna.proclaim("anna works")
                assert await client.txn().when(anna.held).then(triode.put("k", "v")).commit()
                await anna.proclaim("anna resigns")
                await finished.wait()
                await anna.resign()
                with pytest.raises(ElectionNotLeader):
                    await anna.proclaim("anna again")
                async with election.campaign("bert") as bert:
                    assert bert.token > anna.token
                    assert (await election.leader()).key == bert.key
    assert seen[-1] == b"anna resigns"
    assert await client.count(triode.prefix("boss/")) == 0


async def test_an_election_is_resumed_after_a_restart(client: triode.Client) -> None:
    election = client.namespace("app/").election("boss")
    async with client.lease(60) as lease:
        async with election.campaign("one", lease=lease) as leadership:
            again = election.resume(leadership.key, leadership.token, lease.id)
            await again.proclaim("two")
            assert (await election.leader()).value == b"two"
            # The same session campaigns again: it leads still, with what it says now.
            async with election.campaign("three", lease=lease) as third:
                assert third.token == leadership.token
                assert (await election.leader()).value == b"three"
        with pytest.raises(ElectionNotLeader):
            await again.proclaim("four")


async def test_observers_see_each_leader_in_turn(client: triode.Client) -> None:
    election = client.election("boss")
    seen: list[bytes] = []
    news = trio.Event()

    async def watch() -> None:
        nonlocal news
        async for kv in election.observe():
            seen.append(kv.value)
            news.set()
            news = trio.Event()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            for name in (b"1", b"2", b"3"):
                async with election.campaign(name):
                    while name not in seen:
                        await news.wait()
            nursery.cancel_scope.cancel()
    assert seen == [b"1", b"2", b"3"]
