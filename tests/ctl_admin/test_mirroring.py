"""Transactions that repeat what happened at the source."""

from __future__ import annotations

import pytest

from triode.cli.ctl.mirroring import Renaming, batches_of
from triode.rpc.pb.kv_pb2 import Event, KeyValue
from triode.rpc.pb.rpc_pb2 import RequestOp


def put(key: bytes, revision: int, value: bytes = b"v") -> Event:
    return Event(type=Event.PUT, kv=KeyValue(key=key, value=value, mod_revision=revision))


def gone(key: bytes, revision: int) -> Event:
    return Event(type=Event.DELETE, kv=KeyValue(key=key, mod_revision=revision))


def shown(batch: list[RequestOp]) -> list[bytes]:
    return [
        one.request_put.key if one.HasField("request_put") else b"-" + one.request_delete_range.key
        for one in batch
    ]


def batches(events: list[Event], operations_max: int = 128) -> list[list[bytes]]:
    return [shown(batch) for batch in batches_of(events, Renaming(b"", b""), operations_max)]


def test_a_revision_stays_together() -> None:
    events = [put(b"a", 2), gone(b"b", 2), put(b"a", 3), put(b"c", 4)]
    assert batches(events) == [[b"a", b"-b"], [b"a"], [b"c"]]


def test_more_than_a_transaction_takes() -> None:
    assert batches([put(b"%d" % n, 2) for n in range(5)], 2) == [[b"0", b"1"], [b"2", b"3"], [b"4"]]


def test_nothing_happened() -> None:
    assert batches([]) == []


def test_values_are_taken_along() -> None:
    (batch,) = batches_of([put(b"a", 2, b"\x00\xff")], Renaming(b"", b"x/"), 128)
    assert batch[0].request_put.value == b"\x00\xff"
    assert batch[0].request_put.key == b"x/a"


@pytest.mark.parametrize(
    ("prefix", "to", "key", "name"),
    [
        (b"", b"", b"k", b"k"),
        (b"", b"new/", b"k", b"new/k"),
        (b"old/", b"new/", b"old/k", b"new/k"),
        (b"old/", b"", b"old/old/k", b"old/k"),
        (b"\xff", b"a", b"\xffk", b"ak"),
    ],
)
def test_where_keys_go(prefix: bytes, to: bytes, key: bytes, name: bytes) -> None:
    assert Renaming(prefix, to)(key) == name
