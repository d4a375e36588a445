"""Members, maintenance, streams of calls, against each kind of server."""

from __future__ import annotations

import hashlib

import pytest
import trio

import triode
from triode import errors
from triode.rpc.pb.rpc_pb2 import (
    AlarmType,
    PutRequest,
    PutResponse,
    WatchCreateRequest,
    WatchRequest,
    WatchResponse,
)


async def test_members(client: triode.Client) -> None:
    [member] = await client.cluster.members()
    assert member.name == "default"
    local = await client.cluster.member_list(linearizable=False)
    assert local.members == [member]
    with pytest.raises(errors.MemberNotFound):
        await client.cluster.member_remove(7)
    with pytest.raises(errors.MemberNotFound):
        await client.cluster.member_promote(7)
    with pytest.raises(errors.MemberNotFound):
        await client.cluster.member_update(7, ["http://127.0.0.1:1"])
    with pytest.raises(errors.MemberBadURLs):
        await client.cluster.member_add(["nonsense"])
    with pytest.raises(errors.MemberNotLearner):
        await client.cluster.member_promote(member.ID)


async def test_state_of_a_member(client: triode.Client, base: str) -> None:
    await client.put(base, "1")
    status = await client.maintenance.status()
    [member] = await client.cluster.members()
    assert status.leader == status.header.member_id == member.ID
    assert status.version.startswith("3.")
    assert not status.errors
    hashed = await client.maintenance.hash_kv()
    assert (await client.maintenance.hash_kv()).hash == hashed.hash
    await client.put(base, "2")
    assert (await client.maintenance.hash_kv()).hash != hashed.hash
    with pytest.raises(errors.FutureRev):
        await client.maintenance.hash_kv(revision=1 << 40)
    await client.maintenance.defragment()
    assert (await client.maintenance.hash()).hash
    with pytest.raises(errors.BadLeaderTransferee):
        await client.maintenance.move_leader(7)


async def test_a_snapshot_is_whole(client: triode.Client, base: str) -> None:
    await client.put(base, bytes(500_000))
    async with client.maintenance.snapshot() as snapshot:
        image = b"".join([piece async for piece in snapshot])
        assert snapshot.remaining_bytes == 0
    assert len(image) > 500_000
    assert hashlib.sha256(image[:-32]).digest() == image[-32:]


async def test_a_snapshot_can_be_left(client: triode.Client, base: str) -> None:
    for number in range(4):
        await client.put(f"{base}{number}", bytes(1_000_000))
    async with client.maintenance.snapshot() as snapshot:
        assert await anext(snapshot)
    await client.put(base, "still here")


async def test_alarms(client: triode.Client, base: str) -> None:
    [member] = await client.cluster.members()
    assert await client.maintenance.alarms() == []
    await client.maintenance.activate_alarm(member.ID, AlarmType.NOSPACE)
    assert [alarm.memberID for alarm in await client.maintenance.alarms()] == [member.ID]
    with pytest.raises(errors.NoSpace):
        await client.put(base, "1")
    [off] = await client.maintenance.disarm()
    assert (off.memberID, off.alarm) == (member.ID, AlarmType.NOSPACE)
    await client.put(base, "1")
    assert await client.maintenance.disarm() == []


async def test_downgrades(client: triode.Client) -> None:
    with pytest.raises(errors.EtcdError):
        await client.maintenance.downgrade_validate("1.0")
    with pytest.raises(errors.EtcdError):
        await client.maintenance.downgrade_cancel()


async def test_the_raw_door(client: triode.Client, base: str) -> None:
    answer = await client.call("KV/Put", PutRequest(key=base.encode(), value=b"1"))
    assert isinstance(answer, PutResponse)
    await client.call("/etcdserverpb.KV/Put", PutRequest(key=base.encode(), value=b"2"))
    pair = await client.get(base)
    assert pair is not None
    assert pair.version == 2
    with pytest.raises(LookupError, match="streaming"):
        await client.call("Watch/Watch", WatchRequest())
    with pytest.raises(errors.EtcdError):
        await client.call("KV/Put", PutRequest(key=b""), endpoint=client.endpoints[0])


async def test_a_raw_stream(client: triode.Client, base: str) -> None:
    create = WatchRequest(create_request=WatchCreateRequest(key=base.encode()))
    async with client.stream("Watch/Watch") as stream:
        assert stream.endpoint == client.endpoints[0]
        await stream.send(create.SerializeToString())
        created = WatchResponse.FromString(await stream.receive() or b"")
        assert created.created
        await client.put(base, "1")
        response = WatchResponse.FromString(await stream.receive() or b"")
        assert [event.kv.value for event in response.events] == [b"1"]
        with trio.move_on_after(0.01):
            await stream.receive()
        await stream.half_close()
    await client.put(base, "2")
