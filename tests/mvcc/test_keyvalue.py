"""The stored bytes against protobuf's own encoder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triode.errors import CorruptData
from triode.mvcc import keyvalue
from triode.rpc.pb import kv_pb2
from triode.rpc.pb import rpc_pb2 as pb

INT64_MAX = 2**63 - 1
KEYS = st.one_of(st.binary(min_size=1, max_size=20), st.just(b"k" * 127), st.just(b"k" * 3000))
VALUES = st.one_of(st.binary(max_size=20), st.just(b"v" * 200), st.just(b"v" * 70_000))
REVISIONS = st.one_of(st.integers(1, 300), st.integers(1, 2**28), st.integers(1, INT64_MAX))
LEASES = st.one_of(st.just(0), st.integers(1, 1000), st.integers(-(2**63), INT64_MAX))


@given(KEYS, REVISIONS, REVISIONS, REVISIONS, VALUES, LEASES)
def test_encoding_is_protobufs(
    key: bytes, create: int, mod: int, version: int, value: bytes, lease: int
) -> None:
    kv = keyvalue.encode(key, create, mod, version, value, lease)
    message = kv_pb2.KeyValue(
        key=key,
        create_revision=create,
        mod_revision=mod,
        version=version,
        value=value,
        lease=lease,
    )
    assert kv == message.SerializeToString(deterministic=True)
    framed = keyvalue.frame(kv)
    assert pb.RangeResponse.FromString(framed).kvs[0] == message
    assert keyvalue.unframe(framed) == kv
    assert keyvalue.decode(framed) == (key, create, mod, version, value, lease)
    assert keyvalue.value_of(framed) == value
    assert keyvalue.lease_of(framed) == lease
    message.value = b""
    assert pb.RangeResponse.FromString(keyvalue.strip_value(framed)).kvs[0] == message
    found, at = keyvalue.split_key(kv)
    assert (found, keyvalue.tail_fields(kv, at)) == (key, (create, version, lease))


@given(KEYS, REVISIONS)
def test_deletes(key: bytes, revision: int) -> None:
    assert keyvalue.tombstone(key) == kv_pb2.KeyValue(key=key).SerializeToString()
    event = pb.RangeResponse.FromString(keyvalue.deleted(key, revision)).kvs[0]
    assert event == kv_pb2.KeyValue(key=key, mod_revision=revision)


@pytest.mark.parametrize("bad", [b"\x0a\x05ab", b"\xff\xff", b"\x0a", b"\x12\x01a"])
def test_bytes_that_are_no_key_value_are_corrupt_data(bad: bytes) -> None:
    def read() -> object:
        return keyvalue.tail_fields(bad, keyvalue.split_key(bad)[1])

    with pytest.raises(CorruptData):
        read()
