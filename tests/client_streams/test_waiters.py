"""Whoever waits in a recipe learns at once that its lease was revoked, or its key deleted, and not at a renewal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import pytest
import trio

import triode
from triode.client.lease import Lease
from triode.errors import ElectionNotLeader, EtcdError, PermissionDenied

Enter = Callable[[triode.Client, Lease | None], AbstractAsyncContextManager[Any]]
ENTER: dict[str, Enter] = {
    "lock": lambda client, lease: client.lock("x", lease=lease),
    "election": lambda client, lease: client.election("x").campaign("me", lease=lease),
    "reader": lambda client, lease: client.rwlock("x").read(lease=lease),
    "writer": lambda client, lease: client.rwlock("x").write(lease=lease),
    "double barrier": lambda client, lease: client.double_barrier("x", 2, lease=lease),
}
KEYS = triode.prefix("x/")


@pytest.fixture(params=ENTER)
def what(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def holding(client: triode.Client, what: str) -> AbstractAsyncContextManager[Any]:
    """What the others wait for; in a double barrier, somebody is missing."""
    if what == "double barrier":
        return nullcontext()
    return ENTER["writer" if what == "reader" else what](client, None)


async def newest(client: triode.Client, count: int) -> Any:
    """The youngest key, when there are so many."""
    while True:
        found = await client.range(KEYS, sort_by="create_revision", descending=True)
        if len(found.kvs) == count:
            return found.kvs[0]
        await trio.sleep(0.005)


@pytest.mark.parametrize("shared", [False, True], ids=["own lease", "the caller's lease"])
async def test_a_waiter_is_told_of_its_lease_at_once(
    client: triode.Client, what: str, shared: bool
) -> None:
    async def wait() -> None:
        with pytest.raises(triode.LeaseLost, match="the server does not know it any more"):
            async with client.lease(60) as lease, ENTER[what](client, lease if shared else None):
                pytest.fail("it is not its turn")

    with trio.fail_after(5):  # a renewal comes after 20 seconds
        async with holding(client, what):
            before = await client.count(KEYS)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await client.revoke((await newest(client, before + 1)).lease)
            assert await client.count(KEYS) == before


async def test_a_waiter_is_told_of_its_key_at_once(client: triode.Client, what: str) -> None:
    async def wait() -> None:
        with pytest.raises(ElectionNotLeader if what == "election" else triode.LeaseLost) as caught:
            async with ENTER[what](client, lease):
                pytest.fail("it is not its turn")
        assert what == "election" or "is gone" in str(caught.value)

    with trio.fail_after(5):
        async with client.lease(60) as lease, holding(client, what):
            before = await client.count(KEYS)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await client.delete((await newest(client, before + 1)).key)
            assert not lease.lost  # which may protect other things


async def test_a_waiter_is_told_what_the_server_says_as_it_is(
    client: triode.Client, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two watches run at once, and callers do not expect groups of errors."""

    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionDenied

    with trio.fail_after(5):
        async with holding(client, what):
            monkeypatch.setattr(type(client), "watch", refused)
            with pytest.raises(EtcdError) as caught:
                async with ENTER[what](client, None):
                    pytest.fail("it is not its turn")
            assert isinstance(caught.value, PermissionDenied)
