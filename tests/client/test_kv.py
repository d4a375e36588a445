"""Keys and values, against the real etcd, a node over a socket, and a node in process."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import triode
from triode import errors, prefix
from triode.client.errors import ScanCompacted
from triode.errors import Code
from triode.rpc.pb.kv_pb2 import KeyValue
from triode.rpc.pb.rpc_pb2 import CompactionRequest, RangeRequest, RangeResponse


async def test_a_pair(client: triode.Client, base: str) -> None:
    assert await client.get(base) is None
    first = await client.put(base, "one")
    second = await client.put(base, "two", prev_kv=True)
    assert second.prev_kv.value == b"one"
    assert second.header.revision == first.header.revision + 1
    pair = await client.get(base)
    assert pair is not None
    assert (pair.key, pair.value, pair.version) == (base.encode(), b"two", 2)
    assert pair.create_revision == first.header.revision
    old = await client.get(base, revision=first.header.revision)
    assert old is not None
    assert old.value == b"one"


async def test_binary_keys_and_values(client: triode.Client, base: str) -> None:
    key, value = base.encode() + bytes(range(256)), bytes(range(255, -1, -1))
    await client.put(key, value)
    pair = await client.get(key)
    assert pair is not None
    assert (pair.key, pair.value) == (key, value)
    await client.put(base + "ключ", "значение")
    [text] = (await client.range(prefix(base + "к"))).kvs
    assert text.value.decode() == "значение"


async def test_options_of_a_range(client: triode.Client, base: str) -> None:
    for name, value in (("a", "3"), ("b", "1"), ("c", "2")):
        last = await client.put(base + name, value)
    await client.put(base + "a", "3")
    all_of_it = prefix(base)

    async def names(**options: object) -> str:
        found = await client.range(all_of_it, **options)  # type: ignore[arg-type]
        return "".join(pair.key.decode()[len(base) :] for pair in found.kvs)

    assert await names() == "abc"
    assert await names(descending=True) == "cba"
    assert await names(sort_by="value") == "bca"
    assert await names(sort_by="mod_revision") == "bca"
    assert await names(sort_by="create_revision", descending=True) == "cba"
    assert await names(limit=2) == "ab"
    assert await names(serializable=True) == "abc"
    assert (
        await names(revision=last.header.revision, max_mod_revision=last.header.revision) == "abc"
    )
    assert await names(min_mod_revision=last.header.revision) == "ac"
    assert await names(max_create_revision=last.header.revision - 1) == "ab"
    assert await names(min_create_revision=last.header.revision) == "c"
    bare = await client.range(all_of_it, keys_only=True)
    assert [pair.value for pair in bare.kvs] == [b"", b"", b""]
    counted = await client.range(all_of_it, count_only=True)
    assert (counted.count, len(counted.kvs)) == (3, 0)
    assert await client.count(all_of_it) == 3
    assert await client.count(triode.key_range(base + "a", base + "c")) == 2
    with pytest.raises(ValueError, match="sort_by is one of"):
        await names(sort_by="colour")


async def test_delete(client: triode.Client, base: str) -> None:
    for name in "abc":
        await client.put(base + name, name)
    gone = await client.delete(base + "a", prev_kv=True)
    assert (gone.deleted, [pair.value for pair in gone.prev_kvs]) == (1, [b"a"])
    assert (await client.delete(prefix(base))).deleted == 2
    assert (await client.delete(prefix(base))).deleted == 0


async def test_a_key_that_goes_by_itself(client: triode.Client, base: str) -> None:
    await client.put(base, "1", ttl=1000)
    pair = await client.get(base)
    assert pair is not None
    assert (await client.time_to_live(pair.lease)).grantedTTL == 1000
    await client.put(base, "2", ignore_lease=True)
    changed = await client.get(base)
    assert changed is not None
    assert changed.lease == pair.lease
    await client.revoke(pair.lease)
    assert await client.get(base) is None
    with pytest.raises(ValueError, match="one lease"):
        await client.put(base, "1", ttl=5, lease=7)


async def test_errors_by_class(client: triode.Client, base: str) -> None:
    with pytest.raises(errors.EmptyKey):
        await client.put("", "1")
    with pytest.raises(errors.KeyNotFound):
        await client.put(base, ignore_value=True)
    with pytest.raises(errors.LeaseNotFound):
        await client.put(base, "1", lease=12345)
    with pytest.raises(errors.FutureRev):
        await client.get(base, revision=1 << 40)
    with pytest.raises(TypeError, match="bytes or str"):
        await client.put(base, 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="one key"):
        await client.get(prefix(base))  # type: ignore[arg-type]
    with pytest.raises(LookupError):
        await client.call("KV/Nonsense", CompactionRequest())


async def test_a_scan_reads_one_revision(client: triode.Client, base: str) -> None:
    for number in range(25):
        await client.put(f"{base}{number:02}", "before")
    scan = client.scan(prefix(base), page_keys=10)
    seen = []
    async for pair in scan:
        seen.append(pair)
        if len(seen) == 3:
            await client.delete(prefix(base))
            await client.put(base + "99", "after")
    assert [pair.key.decode()[len(base) :] for pair in seen] == [f"{n:02}" for n in range(25)]
    assert {pair.value for pair in seen} == {b"before"}
    assert scan.revision == (await client.get(base + "99")).mod_revision - 2  # type: ignore[union-attr]


async def test_pages_and_limits_of_a_scan(client: triode.Client, base: str) -> None:
    for number in range(20):
        await client.put(f"{base}{number:02}", "x")
    pages = [len(page) async for page in client.scan(prefix(base), page_keys=8).pages()]
    assert pages == [8, 8, 4]
    assert len([1 async for _ in client.scan(prefix(base), page_keys=8, limit=10)]) == 10
    assert len([1 async for _ in client.scan(prefix(base), page_keys=10)]) == 20
    assert [pair async for pair in client.scan(prefix(base + "none"))] == []
    bare = [pair async for pair in client.scan(prefix(base), keys_only=True, page_keys=3)]
    assert len(bare) == 20
    assert not any(pair.value for pair in bare)
    with pytest.raises(ValueError, match="at least one"):
        client.scan(prefix(base), page_keys=0)


async def test_a_scan_whose_revision_is_compacted_says_so(client: triode.Client, base: str) -> None:
    for number in range(5):
        last = await client.put(f"{base}{number}", "x")
    scan = client.scan(prefix(base), page_keys=2)
    assert await scan.next_page() is not None
    await client.put(base + "0", "y")
    await client.compact(last.header.revision + 1, physical=True)
    with pytest.raises(ScanCompacted, match="begin again") as caught:
        await scan.next_page()
    assert isinstance(caught.value, errors.Compacted)
    assert caught.value.revision == last.header.revision
    assert caught.value.next_key == f"{base}1\0".encode()


async def test_a_scan_of_members_that_lag(servers: Any) -> None:
    """The first page is of any member; one that is behind it refuses the next, and is made to catch up."""
    asked: list[tuple[bytes, bool]] = []

    def lagging(peer: Any, request: Any) -> None:
        wanted = RangeRequest.FromString(request.message)
        asked.append((wanted.key, wanted.serializable))
        if wanted.revision and wanted.serializable:
            peer.fail(request, Code.OUT_OF_RANGE, errors.FutureRev.text)
            return
        page = RangeResponse(kvs=[KeyValue(key=wanted.key + b"x")], more=len(asked) < 4)
        page.header.revision = 7
        peer.answer(request, page)

    async with servers.scripted(lagging) as server, triode.connect(server.address) as client:
        seen = [pair.key async for pair in client.scan(prefix("a"), serializable=True)]
        assert seen == [b"ax", b"ax\0x", b"ax\0x\0x"]
        assert asked == [(b"a", True), (b"ax\0", True), (b"ax\0", False), (b"ax\0x\0", False)]
        with pytest.raises(errors.FutureRev):  # the caller's own revision
            await anext(client.scan(prefix("a"), serializable=True, revision=9))


async def test_deadlines_are_the_callers(client: triode.Client, base: str) -> None:
    with trio.move_on_after(0) as scope:
        await client.put(base, "never")
    assert scope.cancelled_caught
    assert await client.get(base) is None


async def test_huge_values(client: triode.Client, base: str) -> None:
    value = bytes(1_400_000)
    await client.put(base, value)
    pair = await client.get(base)
    assert pair is not None
    assert pair.value == value
    with pytest.raises(errors.EtcdError) as caught:
        await client.put(base, bytes(1_600_000))
    assert caught.value.status in (errors.Code.INVALID_ARGUMENT, errors.Code.RESOURCE_EXHAUSTED)
    assert isinstance(caught.value, errors.RequestTooLarge)
