"""STM, barriers, queues and mirrors, against each kind of server."""

# ruff: noqa: ASYNC110  # what is waited for has no event
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

import triode
from triode.client.client import opened
from triode.client.errors import Conflict, KeyExists, TooManyClients
from triode.client.stm import Stm

ISOLATIONS = list(triode.Isolation)
CONSISTENT = ISOLATIONS[:3]


# --- transactions as functions --------------------------------------------------------------------


@pytest.mark.parametrize("isolation", CONSISTENT, ids=lambda i: i.name.lower())
async def test_money_is_neither_made_nor_lost(
    client: triode.Client, isolation: triode.Isolation
) -> None:
    for name in "abc":
        await client.put(f"account/{name}", "100")
    attempts = 0

    async def transfer(source: str, target: str) -> None:
        async def move(stm: Stm) -> None:
            nonlocal attempts
            attempts += 1
            left = int(await stm.get(f"account/{source}") or 0) - 7
            right = int(await stm.get(f"account/{target}") or 0) + 7
            stm.put(f"account/{source}", str(left))
            stm.put(f"account/{target}", str(right))

        await client.stm(move, isolation=isolation)

    async with trio.open_nursery() as nursery:
        for source, target in [("a", "b"), ("b", "c"), ("c", "a"), ("b", "a"), ("a", "c")] * 3:
            nursery.start_soon(transfer, source, target)
    found = await client.range(triode.prefix("account/"))
    assert sum(int(kv.value) for kv in found.kvs) == 300
    assert [int(kv.value) for kv in found.kvs] == [100, 100 - 21, 100 + 21]
    assert attempts > 15  # some were in each other's way


async def test_reads_are_of_one_revision(client: triode.Client) -> None:
    await client.put("x", "1")
    await client.put("y", "1")

    async def look(stm: Stm) -> tuple[bytes | None, bytes | None, int]:
        x = await stm.get("x")
        if stm.attempt == 1:
            await client.put("y", "2")
        return x, await stm.get("y"), stm.attempt

    # What was read is not true any more: tried again, with what the conflict has brought along.
    assert await client.stm(look) == (b"1", b"2", 2)
    await client.put("y", "1")
    found = await client.stm(look, isolation=triode.Isolation.READ_COMMITTED)
    assert found == (b"1", b"2", 1)


async def test_a_function_sees_what_it_has_written(client: triode.Client) -> None:
    async def work(stm: Stm) -> list[bytes | None]:
        before = await stm.get("k")
        stm.put("k", "1")
        after = await stm.get("k")
        stm.delete("k")
        gone = await stm.get("k")
        stm.put("k", "2")
        return [before, after, gone]

    assert await client.stm(work) == [None, b"1", None]
    found = await client.get("k")
    assert found is not None and found.value == b"2"


async def test_blind_writes_conflict_at_the_strictest_level_only(client: triode.Client) -> None:
    attempts: list[triode.Isolation] = []
    for isolation in ISOLATIONS:
        await client.put("read", "1")

        async def blind(stm: Stm, isolation: triode.Isolation = isolation) -> None:
            attempts.append(isolation)
            await stm.get("read")
            if stm.attempt == 1:
                await client.put("written", "by another")
            stm.put("written", "by the function")

        await client.stm(blind, isolation=isolation)
        found = await client.get("written")
        assert found is not None and found.value == b"by the function"
    assert [attempts.count(each) for each in ISOLATIONS] == [2, 1, 1, 1]


async def test_keys_are_fetched_beforehand(client: triode.Client) -> None:
    for name in "ab":
        await client.put(name, name)

    async def read(stm: Stm) -> list[object]:
        now = [await stm.get(name) for name in "abc"]
        return [*now, await stm.mod_revision("b") > 0, await stm.mod_revision("c")]

    assert await client.stm(read, prefetch=["a", "b", "c"]) == [b"a", b"b", None, True, 0]
    inner = client.namespace("app/")
    await inner.put("a", "inner")
    assert (await inner.stm(read, prefetch=["a"]))[:3] == [b"inner", None, None]


async def test_a_function_that_raises_writes_nothing(client: triode.Client) -> None:
    async def fail(stm: Stm) -> None:
        stm.put("k", "v")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await client.stm(fail)
    assert await client.get("k") is None


async def test_attempts_have_an_end(client: triode.Client) -> None:
    async def never(stm: Stm) -> None:
        await stm.get("k")
        await client.put("k", "in the way")

    with pytest.raises(Conflict):
        await client.stm(never, attempts_max=3)


async def test_history_that_goes_meanwhile_is_read_anew(client: triode.Client) -> None:
    await client.put("x", "1")

    async def look(stm: Stm) -> int:
        await stm.get("x")
        if stm.attempt == 1:
            await client.put("x", "2")
            now = await client.put("x", "3")
            await client.compact(now.header.revision)
        await stm.get("y")
        return stm.attempt

    assert await client.stm(look) == 2


# --- barriers -------------------------------------------------------------------------------------


async def test_a_barrier_holds_everybody(client: triode.Client) -> None:
    barrier = client.barrier("gate")
    await barrier.wait()  # open
    await barrier.hold()
    with pytest.raises(KeyExists):
        await barrier.hold()
    passed = 0

    async def wait() -> None:
        nonlocal passed
        await client.barrier("gate").wait()
        passed += 1

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(wait)
            await trio.sleep(0.02)
            assert passed == 0
            await barrier.release()
    assert passed == 3


async def test_a_double_barrier_begins_and_ends_for_all(client: triode.Client) -> None:
    log: list[str] = []

    async def one() -> None:
        async with client.double_barrier("db", 3):
            log.append("in")
        log.append("out")

    for _ in range(2):  # it can be used again
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                for number in range(3):
                    nursery.start_soon(one)
                    if number == 1:
                        await trio.sleep(0.02)
                        assert "in" not in log
        assert log == ["in"] * 3 + ["out"] * 3
        log.clear()
        assert await client.count(triode.prefix("db")) == 0


async def test_a_double_barrier_takes_as_many_as_it_says(client: triode.Client) -> None:
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            inside, go = trio.Event(), trio.Event()

            async def one() -> None:
                async with client.double_barrier("db", 2):
                    inside.set()
                    await go.wait()

            nursery.start_soon(one)
            nursery.start_soon(one)
            await inside.wait()
            with pytest.raises(TooManyClients):
                async with client.double_barrier("db", 2):
                    raise AssertionError
            go.set()


# --- queues ---------------------------------------------------------------------------------------


async def test_a_queue_gives_each_value_to_one_in_order(client: triode.Client) -> None:
    queue = client.queue("jobs")
    taken: list[bytes] = []

    async def reader() -> None:
        for _ in range(10):
            value = await queue.dequeue()
            taken.append(value)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(reader)
            for number in range(30):
                await queue.enqueue(str(number))
    assert sorted(map(int, taken)) == list(range(30))
    for number in range(5):
        await queue.enqueue(str(number))
    assert [await queue.dequeue() for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_priority_queue_gives_the_least_first(client: triode.Client) -> None:
    queue = client.namespace("app/").priority_queue("jobs")
    for value, priority in [("c", 5), ("a", 0), ("d", 65535), ("b1", 1), ("b2", 1)]:
        await queue.enqueue(value, priority)
    with pytest.raises(ValueError, match="priority"):
        await queue.enqueue("x", 65536)
    with trio.fail_after(20):
        taken = [await queue.dequeue() for _ in range(5)]
        assert taken == [b"a", b"b1", b"b2", b"c", b"d"]
        async with trio.open_nursery() as nursery:

            async def later() -> None:
                assert await queue.dequeue() == b"e"

            nursery.start_soon(later)
            await trio.sleep(0.01)
            await queue.enqueue("e")


# --- mirrors --------------------------------------------------------------------------------------


async def test_a_mirror_copies_and_follows(client: triode.Client) -> None:
    for number in range(300):
        await client.put(f"from/{number:03}", "old")
    mirror = client.mirror(triode.prefix("from/"))
    target = client.namespace("copy/")
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: mirror.copy_to(target, rename=lambda key: key[5:]))
            while mirror.keys_copied < 300:
                await trio.sleep(0.005)
            puts = [triode.put(f"from/{n:03}", "new") for n in range(3)]
            await client.txn().then(*puts, triode.delete("from/100")).commit()
            last = (await client.put("from/end", "new")).header.revision
            while mirror.revision < last:
                await trio.sleep(0.005)
            nursery.cancel_scope.cancel()
    original = {kv.key[5:]: kv.value async for kv in client.scan(triode.prefix("from/"))}
    assert original == {kv.key: kv.value async for kv in target.scan(triode.ALL_KEYS)}
    assert len(original) == 300
    found = await target.range(triode.key_range("000", "003"))
    assert len({kv.mod_revision for kv in found.kvs}) == 1  # what was one change, is one there


async def test_a_mirrors_base_is_one_moment_and_its_updates_follow(client: triode.Client) -> None:
    for number in range(10):
        await client.put(f"k{number}", "old")
    mirror = client.mirror(triode.prefix("k"))
    with pytest.raises(RuntimeError):
        mirror.updates()
    base = []
    async for pairs in mirror.base(page_keys=4):
        base += pairs
        await client.put("k9", "new")
    assert [kv.value for kv in base] == [b"old"] * 10
    async with mirror.updates() as watch:
        event = await anext(watch)
        assert (event.key, event.value) == (b"k9", b"new")


class Mute:
    """A channel whose first transaction is carried out and never answered."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self.done = trio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    async def unary(self, method: Any, request: bytes, **options: Any) -> bytes:
        answer: bytes = await self._channel.unary(method, request, **options)
        if method.name == "Txn" and not self.done.is_set():
            self.done.set()
            await trio.sleep_forever()
        return answer


@pytest.mark.parametrize(
    "enter",
    [
        lambda client, lease: client.rwlock("cut").write(lease=lease),
        lambda client, lease: client.double_barrier("cut", 2, lease=lease),
    ],
    ids=["rwlock", "double barrier"],
)
async def test_who_is_cancelled_on_the_way_in_leaves_no_key(
    client: triode.Client, enter: Callable[..., Any]
) -> None:
    """The lease is the caller's and lives on: others would wait for a key that nobody answers for."""
    mute = Mute(client.channel)

    async def try_to_enter(lease: Any) -> None:
        async with opened(mute) as other, enter(other, lease):
            pytest.fail("nobody has answered")

    with trio.fail_after(20):
        async with client.lease(60) as lease:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(try_to_enter, lease)
                await mute.done.wait()
                assert await client.count(triode.prefix("cut")) == 1
                nursery.cancel_scope.cancel()
            assert await client.count(triode.prefix("cut")) == 0
