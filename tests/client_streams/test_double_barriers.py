"""Rounds of a double barrier: each is begun by as many programs as it takes, whatever became of the one before."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import trio

import triode
from triode.client import barrier
from triode.client.lease import Lease
from triode.client.recipe_ops import first_event, wait_deleted

WAITERS = triode.prefix("db/waiters/")


async def wait_count(client: triode.Client, count: int) -> None:
    """Wait until so many programs are there."""
    while await client.count(WAITERS) != count:  # noqa: ASYNC110  # it has no event
        await trio.sleep(0.005)


@pytest.mark.parametrize("shared", [False, True], ids=["own leases", "the caller's leases"])
async def test_blocks_that_raise_leave_nothing_behind(client: triode.Client, shared: bool) -> None:
    async def one(lease: Lease | None) -> None:
        with pytest.raises(ZeroDivisionError):
            async with client.double_barrier("db", 2, lease=lease):
                raise ZeroDivisionError

    with trio.fail_after(20):
        async with client.lease(60) as first, client.lease(60) as second:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one, first if shared else None)
                nursery.start_soon(one, second if shared else None)
            assert await client.count(triode.prefix("db")) == 0


class Compacting:
    """Waits for an event only after history was compacted, once."""

    def __init__(self, wait: Any, client: triode.Client) -> None:
        self._wait = wait
        self._client = client
        self.compacted = trio.Event()

    async def __call__(self, *arguments: Any, **options: Any) -> Any:
        if not self.compacted.is_set():
            now = await self._client.put("another", "key")
            await self._client.compact(now.header.revision)
            self.compacted.set()
        return await self._wait(*arguments, **options)


async def test_a_round_does_not_begin_by_what_is_left_of_an_older_one(
    client: triode.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last of the older round has vanished, and the history that the next one watches is compacted."""
    await client.put("db/ready")
    wait = Compacting(first_event, client)
    monkeypatch.setattr(barrier, "first_event", wait)
    inside = 0
    both = trio.Event()

    async def one() -> None:
        nonlocal inside
        async with client.double_barrier("db", 2):
            inside += 1
            if inside == 2:
                both.set()
            await both.wait()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            await wait.compacted.wait()
            await trio.sleep(0.1)
            assert inside == 0
            nursery.start_soon(one)
    assert inside == 2
    assert await client.count(triode.prefix("db")) == 0


async def test_who_comes_again_at_once_is_of_the_next_round(
    client: triode.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who still leave the last round must not wait for it, as it waits for them."""
    rounds = [0, 0]

    async def slow(*arguments: Any) -> None:
        await wait_deleted(*arguments)
        await trio.sleep(0.05)  # the other one is in the next round by now

    monkeypatch.setattr(barrier, "wait_deleted", slow)

    async def one(number: int) -> None:
        for _ in range(3):
            async with client.double_barrier("db", 2):
                rounds[number] += 1
                await trio.lowlevel.checkpoint()
                assert abs(rounds[0] - rounds[1]) <= 1

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for number in range(2):
                nursery.start_soon(one, number)
    assert rounds == [3, 3]
    assert await client.count(triode.prefix("db")) == 0


async def test_who_still_leaves_is_not_counted_in_the_next_round(client: triode.Client) -> None:
    """One of three stays in its block after the others' have raised; then two more come, which are not three."""
    go, stay = trio.Event(), trio.Event()
    began = 0

    async def stays() -> None:
        async with client.double_barrier("db", 3):
            go.set()
            await stay.wait()

    async def fails() -> None:
        with suppress(ZeroDivisionError):
            async with client.double_barrier("db", 3):
                await go.wait()
                raise ZeroDivisionError

    async def comes() -> None:
        nonlocal began
        async with client.double_barrier("db", 3):
            began += 1

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for task in (stays, fails, fails):
                nursery.start_soon(task)
            await go.wait()
            await wait_count(client, 1)
            nursery.start_soon(comes)
            await wait_count(client, 2)
            nursery.start_soon(comes)
            await wait_count(client, 3)
            await trio.sleep(0.1)
            assert began == 0
            stay.set()
            await wait_count(client, 2)
            nursery.start_soon(comes)
    assert began == 3
    assert await client.count(triode.prefix("db")) == 0


async def test_a_late_beginning_does_not_begin_another_round(client: triode.Client) -> None:
    """See `test_late_requests.py`; here it is the request that lets everybody in."""
    requests: list[tuple[Any, bytes]] = []
    unary = client.channel.unary

    async def remembering(method: Any, request: bytes, **options: Any) -> bytes:
        if b"db/ready" in request and method.name in {"Put", "Txn", "DeleteRange"}:
            requests.append((method, request))
        return await unary(method, request, **options)

    async def first() -> None:
        async with client.double_barrier("db", 2):
            pass

    with trio.fail_after(20), pytest.MonkeyPatch.context() as patch:
        patch.setattr(client.channel, "unary", remembering)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            nursery.start_soon(first)
        patch.undo()
        assert requests
        async with trio.open_nursery() as nursery:

            async def alone() -> None:
                async with client.double_barrier("db", 2):
                    raise AssertionError

            nursery.start_soon(alone)
            await wait_count(client, 1)
            for method, request in requests:
                await unary(method, request)
            await trio.sleep(0.1)
            nursery.cancel_scope.cancel()
        assert await client.count(triode.prefix("db")) == 0
