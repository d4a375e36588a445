"""Transactions, against each kind of server."""

from __future__ import annotations

import pytest

import triode
from triode import delete, errors, get, key, nested, prefix, put
from triode.client.txn import TxnResult


async def test_both_branches(client: triode.Client, base: str) -> None:
    k, j = base + "k", base + "j"
    await client.put(k, "1")
    txn = client.txn().when(key(k).value == b"1", key(j).absent)
    result = await txn.then(put(k, "2"), get(j)).otherwise(get(k)).commit()
    assert result
    assert result.succeeded
    assert len(result) == 2
    assert result[1].count == 0
    again = await txn.commit()
    assert not again
    [found] = again
    assert found.kvs[0].value == b"2"
    assert again.revision == result.revision


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (lambda k: k.value == "v", True),
        (lambda k: k.value != "v", False),
        (lambda k: k.value > "u", True),
        (lambda k: k.value < "v", False),
        (lambda k: k.version == 2, True),
        (lambda k: k.version >= 2, True),
        (lambda k: k.version >= 3, False),
        (lambda k: k.version <= 2, True),
        (lambda k: k.version <= 1, False),
        (lambda k: k.version != 2, False),
        (lambda k: k.mod_revision > 0, True),
        (lambda k: k.create_revision < 1, False),
        (lambda k: k.lease == 0, True),
        (lambda k: k.present, True),
        (lambda k: k.absent, False),
    ],
)
async def test_conditions(node: triode.Node, condition: object, holds: bool) -> None:
    async with node.client() as client:
        await client.put("k", "u")
        await client.put("k", "v")
        assert callable(condition)
        result = await client.txn().when(condition(key("k"))).commit()
        assert bool(result) == holds


async def test_conditions_on_ranges(client: triode.Client, base: str) -> None:
    await client.put(base + "a", "1")
    await client.put(base + "b", "2")
    every = key(prefix(base))
    assert await client.txn().when(every.version == 1).commit()
    assert not await client.txn().when(every.value == "1").commit()
    assert await client.txn().when(key(prefix(base + "none")).absent).commit()


async def test_nested_transactions(client: triode.Client, base: str) -> None:
    inner = nested(
        when=[key(base + "x").absent], then=[put(base + "x", "1")], otherwise=[delete(base + "x")]
    )
    first = await client.txn().then(inner, put(base + "y", "1")).commit()
    assert isinstance(first[0], TxnResult)
    assert first[0].succeeded
    second = await client.txn().then(inner, get(base + "y")).commit()
    assert not second[0]
    assert second[0][0].deleted == 1
    assert second[1].kvs[0].value == b"1"


async def test_what_a_server_refuses(client: triode.Client, base: str) -> None:
    with pytest.raises(errors.DuplicateKey):
        await client.txn().then(put(base, "1"), put(base, "2")).commit()
    with pytest.raises(errors.TooManyOps):
        await client.txn().then(*(put(f"{base}{n}") for n in range(200))).commit()


def test_a_condition_is_no_bool() -> None:
    with pytest.raises(TypeError, match="only the server knows"):
        bool(key("a").version == 1)
    with pytest.raises(TypeError):
        {key("a").version}
