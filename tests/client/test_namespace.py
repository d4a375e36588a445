"""Namespaces: the mapping of keys on its own, and clients that live in one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import triode
from triode import ALL_KEYS, Keys, delete, from_key, get, key, key_range, nested, prefix, put
from triode.client.namespace import ROOT, Namespace

some_key = st.binary(min_size=1, max_size=4)
some_keys = st.one_of(
    some_key.map(Keys),
    some_key.map(prefix),
    some_key.map(from_key),
    st.tuples(some_key, some_key).map(lambda pair: key_range(*pair)),
    st.just(ALL_KEYS),
)


@given(st.binary(min_size=1, max_size=3), some_keys, some_key)
def test_a_key_is_in_a_range_if_it_is_so_in_the_cluster(
    space: bytes, keys: Keys, one: bytes
) -> None:
    names = Namespace(space)
    assert (names.full(one) in names.full_range(keys)) == (one in keys)
    assert names.local(names.full(one)) == one


@given(st.binary(min_size=1, max_size=3), some_keys, some_key)
def test_no_range_leaves_its_namespace(space: bytes, keys: Keys, one: bytes) -> None:
    if not one.startswith(space):
        assert one not in Namespace(space).full_range(keys)


@given(some_keys, some_key)
def test_the_root_changes_nothing(keys: Keys, one: bytes) -> None:
    assert ROOT.full_range(keys) == keys
    assert ROOT.full(one) == ROOT.local(one) == one
    assert not ROOT


@given(st.binary(max_size=4), some_key)
def test_prefixes(start: bytes, one: bytes) -> None:
    assert (one in prefix(start)) == one.startswith(start)
    assert (one in from_key(start)) == (one >= start)


def test_selectors() -> None:
    assert prefix("a") == Keys(b"a", b"b")
    assert prefix(b"a\xff") == Keys(b"a\xff", b"b")
    assert prefix(b"\xff") == Keys(b"\xff", b"\0")
    assert prefix("") == from_key("") == ALL_KEYS
    with pytest.raises(ValueError, match="no end"):
        key_range("a", "")


async def test_a_client_in_a_namespace(client: triode.Client, base: str) -> None:
    inner = client.namespace(base).namespace("app/")
    await client.put(base + "apq", "outside")
    await client.put(base + "app0", "outside")
    await inner.put("a", "1")
    assert (await inner.put("a", "2", prev_kv=True)).prev_kv.key == b"a"
    await inner.put("b", "3")
    assert [pair.key for pair in (await inner.range(ALL_KEYS)).kvs] == [b"a", b"b"]
    assert [pair.key async for pair in inner.scan(from_key("a"), page_keys=1)] == [b"a", b"b"]
    assert (await client.get(base + "app/a")).value == b"2"  # type: ignore[union-attr]
    result = (
        await inner.txn()
        .when(key("a").value == "2", key(prefix("")).present)
        .then(
            get(ALL_KEYS),
            put("a", "4", prev_kv=True),
            nested(then=[delete("b", prev_kv=True)]),
        )
        .commit()
    )
    assert [pair.key for pair in result[0].kvs] == [b"a", b"b"]
    assert result[1].prev_kv.key == b"a"
    assert result[2][0].prev_kvs[0].key == b"b"
    assert [pair.key for pair in (await inner.delete(ALL_KEYS, prev_kv=True)).prev_kvs] == [b"a"]
    assert await client.count(prefix(base)) == 2
