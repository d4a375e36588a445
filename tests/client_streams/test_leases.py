"""Leases, against each kind of server."""

# ruff: noqa: PT012  # the block is what is tested
from __future__ import annotations

import pytest
import trio

import triode
from triode.errors import LeaseExist, LeaseNotFound, LeaseTTLTooLarge

TTL = 2  # the least that a server with default settings gives


async def test_grants_and_what_is_known_of_them(client: triode.Client) -> None:
    lease = await client.grant(100)
    assert lease.TTL == 100 and lease.ID > 0
    await client.put("k", "v", lease=lease.ID)
    found = await client.time_to_live(lease.ID, keys=True)
    assert 98 <= found.TTL <= 100 and found.grantedTTL == 100 and list(found.keys) == [b"k"]
    assert lease.ID in {each.ID for each in (await client.leases()).leases}
    assert (await client.keep_alive_once(lease.ID)).TTL == 100
    await client.revoke(lease.ID)
    assert await client.get("k") is None
    assert (await client.time_to_live(lease.ID)).TTL == -1
    with pytest.raises(LeaseNotFound):
        await client.revoke(lease.ID)
    with pytest.raises(LeaseNotFound):
        await client.keep_alive_once(lease.ID)
    with pytest.raises(LeaseTTLTooLarge):
        await client.grant(9_000_000_001)


async def test_a_block_holds_a_lease(client: triode.Client) -> None:
    async with client.lease(50, lease_id=4711) as lease:
        assert lease.id == 4711 and lease.ttl == 50 and not lease.lost
        assert 49 < lease.remaining <= 50
        await client.put("k", "v", lease=lease.id)
        with pytest.raises(LeaseExist):
            async with client.lease(50, lease_id=4711):
                raise AssertionError
    assert await client.get("k") is None
    assert (await client.time_to_live(4711)).TTL == -1


async def test_a_lease_may_be_left_to_run_out(client: triode.Client) -> None:
    async with client.lease(50, revoke=False) as lease:
        await client.put("k", "v", lease=lease.id)
    assert await client.get("k") is not None
    await client.revoke(lease.id)


async def test_a_lease_is_revoked_when_its_block_fails(client: triode.Client) -> None:
    with pytest.raises(ZeroDivisionError):
        async with client.lease(50) as lease:
            raise ZeroDivisionError
    assert (await client.time_to_live(lease.id)).TTL == -1
    with trio.CancelScope() as scope:
        async with client.lease(50) as lease:
            scope.cancel()
            await trio.sleep_forever()
    assert (await client.time_to_live(lease.id)).TTL == -1


async def test_a_lease_is_renewed_and_its_end_cancels_the_block(client: triode.Client) -> None:
    with trio.fail_after(20), pytest.raises(triode.LeaseLost) as caught:
        async with client.lease(TTL) as lease:
            async for ttl in lease.renewals():
                assert ttl == TTL
                break
            await client.revoke(lease.id)
            await trio.sleep_forever()
    assert caught.value.lease_id == lease.id and lease.lost and lease.remaining == 0


async def test_somebody_elses_lease_is_kept_alive(client: triode.Client) -> None:
    granted = await client.grant(TTL)
    with trio.fail_after(20):
        async with client.keep_alive(granted.ID) as lease:
            async for _ in lease.renewals():
                break
    assert (await client.time_to_live(granted.ID)).TTL >= 0
    await client.revoke(granted.ID)
    with pytest.raises(LeaseNotFound):
        async with client.keep_alive(granted.ID):
            raise AssertionError


async def test_a_key_with_a_time_to_live(client: triode.Client) -> None:
    await client.put("k", "v", ttl=30)
    found = await client.get("k")
    assert found is not None
    assert (await client.time_to_live(found.lease)).grantedTTL == 30
    await client.revoke(found.lease)


async def test_in_a_namespace_a_lease_shows_its_own_keys(client: triode.Client) -> None:
    inner = client.namespace("app/")
    async with inner.lease(50) as lease:
        await inner.put("k", "v", lease=lease.id)
        await client.put("k", "v", lease=lease.id)
        assert list((await inner.time_to_live(lease.id, keys=True)).keys) == [b"k"]
        assert set((await client.time_to_live(lease.id, keys=True)).keys) == {b"app/k", b"k"}


async def test_calls_of_who_is_cancelled_already(client: triode.Client) -> None:
    """The scope's deadline is past all time then."""
    with trio.CancelScope() as scope:
        scope.cancel()
        await client.grant(TTL)
        raise AssertionError
    assert scope.cancelled_caught
