from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from triode.mvcc.cache import ValueCache
from triode.mvcc.index import KeyIndex
from triode.rpc.pb import rpc_pb2 as pb


def entry(number: int) -> KeyIndex:
    return KeyIndex(b"%d" % number, (number + 2) << 32, number + 2, 1)


def test_the_budget_holds_and_the_oldest_go_first() -> None:
    cache = ValueCache(1000)
    entries = [entry(i) for i in range(20)]
    for one in entries:
        cache.set(one, bytes(100))
        assert cache.used <= 1000
    cached = [one.framed is not None for one in entries]
    assert cached == sorted(cached)
    assert cached.count(True) == cache.used // 100 >= 7


def test_accounting_survives_random_use() -> None:
    pick = random.Random(5)
    cache = ValueCache(3000)
    entries = [entry(i) for i in range(50)]
    for _ in range(20_000):
        one = pick.choice(entries)
        if pick.random() < 0.6:
            cache.set(one, bytes(pick.randint(1, 200)))
        else:
            cache.clear(one)
        assert cache.used == sum(len(e.framed) for e in entries if e.framed is not None) <= 3000
        assert cache.live == sum(e.framed is not None for e in entries)


def test_keys_that_come_and_go_leave_nothing_behind() -> None:
    cache = ValueCache(1 << 20)
    for number in range(20_000):
        one = entry(number)
        cache.set(one, b"x")
        cache.clear(one)
    assert cache.used == 0
    assert len(cache._line) < 2000


def test_reads_of_a_store_without_a_cache_are_right(make_api: Callable[..., Any]) -> None:
    api = make_api(cache_bytes=0)
    for number in range(2000):
        api.call(pb.PutRequest(key=b"%04d" % number, value=b"v%d" % number))
    assert api.store.cache.used == 0
    answer = api.call(pb.RangeRequest(key=b"0", range_end=b"\0"))
    assert [kv.value for kv in answer.kvs] == [b"v%d" % number for number in range(2000)]
    assert api.call(pb.RangeRequest(key=b"0007")).kvs[0].value == b"v7"
