"""Recipes whose names begin alike, and plain keys beside them, are none of each other's business."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import wraps
from typing import Any

import pytest
import trio

import triode
from triode.errors import ElectionNoLeader

DATE = 1_700_000_000_000_000_000


def bounded(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """A test that waits for nothing for ever."""

    @wraps(test)
    async def run(**arguments: Any) -> None:
        with trio.fail_after(20):
            await test(**arguments)

    return run


async def is_empty(queue: Any) -> bool:
    """Whether a queue gives nothing for a moment."""
    with trio.move_on_after(0.1) as scope:
        await queue.dequeue()
    return scope.cancelled_caught


async def fill_neighbourhood(client: triode.Client, name: str) -> int:
    """Put what begins like `name` and is no element of a queue; returns how many keys there are."""
    for number in range(40):  # more than are read at once
        await client.put(f"{name}/notes/{number}", "no element")
    await client.put(name, "no element")
    await client.put(f"{name}2", "no element")
    await client.put(f"{name}/{DATE}/x", "no element")
    await client.queue(f"{name}-slow").enqueue("no element")
    await client.queue(f"{name}/slow").enqueue("no element")
    await client.priority_queue(f"{name}-slow").enqueue("no element")
    await client.priority_queue(f"{name}/00003").enqueue("no element")
    return await client.count(triode.ALL_KEYS)


@bounded
async def test_a_queue_gives_what_was_put_into_it(client: triode.Client) -> None:
    others = await fill_neighbourhood(client, "jobs")
    await client.priority_queue("jobs").enqueue("no element")
    queue = client.queue("jobs")
    assert await is_empty(queue)
    for number in range(3):
        await queue.enqueue(str(number))
    assert [await queue.dequeue() for _ in range(3)] == [b"0", b"1", b"2"]
    await client.put(f"jobs/{DATE}", "of a program in Go")
    assert await queue.dequeue() == b"of a program in Go"
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            assert await queue.dequeue() == b"at last"

        nursery.start_soon(wait)
        await trio.sleep(0.05)
        await client.put("jobs/notes/41", "no element")
        await queue.enqueue("at last")
    assert await is_empty(queue)
    assert await client.count(triode.ALL_KEYS) == others + 3  # a note, an element, its guard


@bounded
async def test_a_priority_queue_gives_what_was_put_into_it(client: triode.Client) -> None:
    others = await fill_neighbourhood(client, "jobs")
    await client.queue("jobs").enqueue("no element")
    await client.put("jobs/00003/last", "no element")
    queue = client.priority_queue("jobs")
    assert await is_empty(queue)
    for value in ("a", "b", "c"):
        await queue.enqueue(value, 3)
    await queue.enqueue("first", 2)
    assert [await queue.dequeue() for _ in range(4)] == [b"first", b"a", b"b", b"c"]
    assert await is_empty(queue)
    assert await client.count(triode.ALL_KEYS) == others + 4  # an element, "last", two guards


@bounded
async def test_what_guards_a_priority_queue_is_no_element(client: triode.Client) -> None:
    await client.priority_queue("jobs").enqueue("no element")
    assert await is_empty(client.queue("__jobs"))


Enter = Callable[[triode.Client], AbstractAsyncContextManager[Any]]


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        (lambda client: client.lock("a/b"), lambda client: client.lock("a")),
        (lambda client: client.lock("a/b"), lambda client: client.lock("a", wait=False)),
        (
            lambda client: client.election("a/b").campaign(),
            lambda client: client.election("a").campaign(),
        ),
        (lambda client: client.rwlock("a/b").write(), lambda client: client.rwlock("a").write()),
        (lambda client: client.rwlock("a/write").write(), lambda client: client.rwlock("a").read()),
        (
            lambda client: client.rwlock("a/writers").read(),
            lambda client: client.rwlock("a").read(),
        ),
        (
            lambda client: client.double_barrier("a/waiters", 1),
            lambda client: client.double_barrier("a", 1),
        ),
    ],
    ids=["lock", "lock at once", "election", "writer", "reader", "reader's", "double barrier"],
)
@bounded
async def test_a_name_within_another_holds_nobody_up(
    client: triode.Client, held: Enter, wanted: Enter
) -> None:
    await client.put("a/waiters2/1", "no waiter")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(held(client))
        await stack.enter_async_context(wanted(client))


@bounded
async def test_who_does_not_want_to_wait_is_told_whatever_is_older(client: triode.Client) -> None:
    async with client.lock("a/b"), client.lock("a"):
        with pytest.raises(triode.Locked):
            async with client.lock("a", wait=False):
                raise AssertionError


@bounded
async def test_the_leader_of_a_name_within_another_is_none_of_its(client: triode.Client) -> None:
    election = client.election("a")
    async with client.election("a/b").campaign("other"):
        with pytest.raises(ElectionNoLeader):
            await election.leader()
        seen: list[bytes] = []

        async def observe() -> None:
            async for leader in election.observe():
                seen.append(leader.value)
                return

        async with trio.open_nursery() as nursery:
            nursery.start_soon(observe)
            await trio.sleep(0.05)
            async with client.election("a/c").campaign("another"), election.campaign("ours"):
                assert (await election.leader()).value == b"ours"
                while not seen:  # noqa: ASYNC110  # it has no event
                    await trio.sleep(0.005)
        assert seen == [b"ours"]
