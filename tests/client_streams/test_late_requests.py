"""A request that was slow on its way arrives after its repetition: it must not undo what has happened since.

Recipes repeat what they are not answered, so a first attempt may be carried out long after a second one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import trio

import triode
from triode.client import recipe_ops
from triode.client.client import opened
from triode.client.lease import Lease
from triode.errors import Code, EtcdError
from triode.rpc.pb.rpc_pb2 import TxnRequest


class Late:
    """A channel that remembers its writes, and makes them once more when it is told to."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self.writes: list[tuple[Any, bytes]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    async def unary(self, method: Any, request: bytes, **options: Any) -> bytes:
        if method.name in {"Put", "DeleteRange"} or (method.name == "Txn" and repeats(request)):
            self.writes.append((method, request))
        answer: bytes = await self._channel.unary(method, request, **options)
        return answer

    async def arrive(self, writes: list[tuple[Any, bytes]]) -> None:
        for method, request in writes:
            try:
                await self._channel.unary(method, request)
            except EtcdError:
                continue


def repeats(request: bytes) -> bool:
    """Whether recipes repeat this transaction: those that make a numbered key (by its version) are made once."""
    return all(
        one.WhichOneof("target_union") != "version"
        for one in TxnRequest.FromString(request).compare
    )


@asynccontextmanager
async def late_client(client: triode.Client) -> AsyncIterator[tuple[triode.Client, Late]]:
    late = Late(client.channel)
    async with opened(late) as mine:
        yield mine, late


Enter = Callable[[triode.Client, Lease], AbstractAsyncContextManager[Any]]


@pytest.mark.parametrize(
    "enter",
    [
        lambda client, lease: client.lock("x", lease=lease),
        lambda client, lease: client.election("x").campaign("me", lease=lease),
        lambda client, lease: client.rwlock("x").read(lease=lease),
        lambda client, lease: client.rwlock("x").write(lease=lease),
        lambda client, lease: client.double_barrier("x", 1, lease=lease),
    ],
    ids=["lock", "election", "reader", "writer", "double barrier"],
)
async def test_a_late_release_does_not_end_a_later_holding(
    client: triode.Client, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same program, under the same lease: the key has the same name (here also where it is a date)."""
    monkeypatch.setattr(recipe_ops, "date_nanoseconds", lambda: 1_700_000_000_000_000_000)
    with trio.fail_after(20):
        async with client.lease(60) as lease, late_client(client) as (mine, late):
            async with enter(mine, lease):
                pass
            async with enter(mine, lease):
                before = await client.range(triode.prefix("x"))
                assert before.kvs
                await late.arrive(list(late.writes))
                after = await client.range(triode.prefix("x"))
                assert after.kvs == before.kvs
            assert await client.count(triode.prefix("x")) == 0


async def test_who_fails_on_the_way_in_leaves_a_key_of_another_program(
    client: triode.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two programs chose the same date, and the answer that says so is lost."""
    monkeypatch.setattr(recipe_ops, "date_nanoseconds", lambda: 1_700_000_000_000_000_000)

    async def lost(*_: Any, **__: Any) -> int:
        raise EtcdError("lost", code=Code.UNAVAILABLE)

    async with (
        client.lease(60) as theirs,
        client.lease(60) as ours,
        client.rwlock("x").read(lease=theirs) as lock,
    ):
        monkeypatch.setattr(recipe_ops, "create", lost)
        with pytest.raises(EtcdError, match="lost"):
            async with client.rwlock("x").read(lease=ours):
                raise AssertionError
        assert await client.get(lock.key) is not None


async def test_a_late_proclamation_does_not_overwrite_the_next_one(client: triode.Client) -> None:
    election = client.election("x")
    with trio.fail_after(20):
        async with late_client(client) as (mine, late), mine.election("x").campaign("0") as leads:
            for value in ("1", "2"):
                await leads.proclaim(value)
            await late.arrive(late.writes[::-1])
            assert (await election.leader()).value == b"2"
            # Another object of the same leadership has said something: no reason to give up.
            again = election.resume(leads.key, leads.token, leads.lease_id)
            await again.proclaim("3")
            await leads.proclaim("4")
            assert (await election.leader()).value == b"4"
            revision = await leads.proclaim("4")  # as news to those who observe
            assert (await election.leader()).mod_revision == revision


async def test_a_late_opening_does_not_open_a_barrier_that_was_closed_again(
    client: triode.Client,
) -> None:
    async with late_client(client) as (mine, late):
        barrier = mine.barrier("x")
        await barrier.release()  # open already: nothing happens
        await barrier.hold()
        await barrier.release()
        assert await client.get("x") is None
        await barrier.hold()
        await late.arrive(list(late.writes))
        assert await client.get("x") is not None
