"""Every message type survives the way to JSON and back."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from triode.rpc.json_decode import decode
from triode.rpc.json_encode import encode, tree
from triode.rpc.pb import (
    auth_pb2,
    etcdserver_pb2,
    health_pb2,
    kv_pb2,
    lease_pb2,
    membership_pb2,
    raft_internal_pb2,
    raft_pb2,
    rpc_pb2,
    snap_pb2,
    v3election_pb2,
    v3lock_pb2,
    wal_pb2,
)
from triode.rpc.pb._pool import POOL

FILES = [
    auth_pb2,
    etcdserver_pb2,
    health_pb2,
    kv_pb2,
    lease_pb2,
    membership_pb2,
    raft_internal_pb2,
    raft_pb2,
    rpc_pb2,
    snap_pb2,
    v3election_pb2,
    v3lock_pb2,
    wal_pb2,
]
KINDS = [
    GetMessageClass(kind)
    for file in FILES
    for kind in file.DESCRIPTOR.message_types_by_name.values()
]
DEPTH_MAX = 4
INTEGERS = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
}


def values(field: Any, depth: int) -> st.SearchStrategy[Any]:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return messages(field.message_type.full_name, depth + 1)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if field.type == FieldDescriptor.TYPE_STRING:
        return st.text(max_size=20)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=20)
    if field.type == FieldDescriptor.TYPE_ENUM:
        known = st.sampled_from([value.number for value in field.enum_type.values])
        return known if field.enum_type.is_closed else known | st.integers(-(2**31), 2**31 - 1)
    low, high = INTEGERS[field.type]
    return st.integers(low, high) | st.sampled_from([low, high])


@cache
def messages(name: str, depth: int = 0) -> st.SearchStrategy[Message]:
    kind = GetMessageClass(POOL.FindMessageTypeByName(name))
    usable = {
        field.name: field
        for field in kind.DESCRIPTOR.fields
        if depth < DEPTH_MAX or field.type != FieldDescriptor.TYPE_MESSAGE
    }

    @st.composite
    def build(draw: st.DrawFn) -> Message:
        chosen = draw(st.lists(st.sampled_from(sorted(usable)), max_size=6, unique=True))
        message = kind()
        for field_name in chosen:
            field = usable[field_name]
            value = values(field, depth)
            drawn = draw(st.lists(value, max_size=3) if field.is_repeated else value)
            message.MergeFrom(kind(**{field_name: drawn}))
        return message

    return build() if usable else st.builds(kind)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.DESCRIPTOR.full_name)
def test_there_and_back(kind: type[Message]) -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(messages(kind.DESCRIPTOR.full_name))
    def check(message: Message) -> None:
        assert decode(kind, encode(message)) == message

    check()


def test_the_form_of_each_type() -> None:
    message = rpc_pb2.TxnRequest(
        compare=[
            rpc_pb2.Compare(result=3, target=1, key=b"\xff\xfe", create_revision=0),
            rpc_pb2.Compare(target=77),
        ],
        success=[
            rpc_pb2.RequestOp(
                request_put=rpc_pb2.PutRequest(key=b"k", lease=2**63 - 1, prev_kv=True)
            ),
            rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest()),
        ],
    )
    assert encode(message) == (
        b'{"compare":[{"result":"NOT_EQUAL","target":"CREATE","key":"//4=","create_revision":"0"},'
        b'{"target":77}],"success":[{"request_put":{"key":"aw==","lease":"9223372036854775807",'
        b'"prev_kv":true}},{"request_range":{}}]}'
    )
    member = rpc_pb2.Member(ID=2**64 - 1, name='ü"\n\x01\u2028', peerURLs=["a", "b"])
    assert encode(member) == (
        '{"ID":"18446744073709551615","name":"ü\\"\\n\\u0001\u2028","peerURLs":["a","b"]}'.encode()
    )
    assert tree(rpc_pb2.HashResponse(hash=7)) == {"hash": 7}
    assert json.loads(encode(rpc_pb2.LeaseLeasesResponse(leases=[{}]))) == {"leases": [{}]}
