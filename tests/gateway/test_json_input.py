"""What the gateway accepts as a request, and that nothing else gets further than a clean refusal."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from triode.errors import Code, EtcdError
from triode.rpc.gateway import RequestStream, decode_request
from triode.rpc.json_text import JSON_DEPTH_MAX, JsonCutter
from triode.rpc.methods import METHODS
from triode.rpc.pb import raft_pb2, rpc_pb2

Range = rpc_pb2.RangeRequest
Txn = rpc_pb2.TxnRequest

ACCEPTED = [
    ("", Range()),
    (" \n\t", Range()),
    ("{}", Range()),
    ('{"key":"Zm9v"}', Range(key=b"foo")),
    ('{"range_end":"AA==","rangeEnd_":1}', Range(range_end=b"\0")),
    ('{"rangeEnd":"AA=="}', Range(range_end=b"\0")),
    ('{"key":"-_-_"}', Range(key=b"\xfb\xff\xbf")),
    ('{"key":"+/+/"}', Range(key=b"\xfb\xff\xbf")),
    ('{"key":"Zg"}', Range(key=b"f")),
    ('{"key":"Zg=="}', Range(key=b"f")),
    ('{"key":"Zh=="}', Range(key=b"f")),  # loose bits at the end are dropped
    ('{"key":"Zm9v\\r\\nZg\\n\\n=="}', Range(key=b"foof")),
    ('{"key":""}', Range()),
    ('{"limit":"5"}', Range(limit=5)),
    ('{"limit":5}', Range(limit=5)),
    ('{"limit":-5}', Range(limit=-5)),
    ('{"limit":5.0}', Range(limit=5)),
    ('{"limit":"5e2"}', Range(limit=500)),
    ('{"limit":12.5E1}', Range(limit=125)),
    ('{"limit":0e999}', Range()),
    ('{"limit":9223372036854775807}', Range(limit=2**63 - 1)),
    ('{"limit":"-9223372036854775808"}', Range(limit=-(2**63))),
    ('{"limit":null,"key":null,"sort_order":null}', Range()),
    ('{"sort_order":"DESCEND"}', Range(sort_order=Range.DESCEND)),
    ('{"sort_order":2}', Range(sort_order=Range.DESCEND)),
    ('{"sort_order":99}', Range(sort_order=99)),
    ('{"sort_order":"UP"}', Range()),
    ('{"serializable":true,"count_only":false}', Range(serializable=True)),
    ('{"nope":[1,{"key":"x"},null,"\\ud800"]}', Range()),
    ('{"key":"Zg=="} trailing rubbish }}}', Range(key=b"f")),
    ('{"key":"Zg=="}{"key":"aw=="}', Range(key=b"f")),
    ('{"key":"Zg==","nope":"}]\\"{"}', Range(key=b"f")),
]

REFUSED = [
    "null",
    "[]",
    "1",
    '"x"',
    "x",
    "}",
    "NaN",
    "\ufeff{}",
    "{",
    '{"key":',
    '{"key":"Zg=="',
    '{"key":"Zg==",}',
    "{key:1}",
    "{'key':'Zg=='}",
    '{"key" "Zg=="}',
    '{"key":"Zg=="]',
    '{"key":[}',
    '{"limit":NaN}',
    '{"limit":Infinity}',
    '{"limit":-Infinity}',
    '{"limit":1.5}',
    '{"limit":1e-1}',
    '{"limit":9223372036854775808}',
    '{"limit":-9223372036854775809}',
    '{"limit":1e99}',
    '{"limit":1e999999999}',
    '{"limit":1e999999999999999999999}',
    '{"limit":1e-999999999999999999999}',
    '{"limit":01}',
    '{"limit":+1}',
    '{"limit":0x10}',
    '{"limit":"0x10"}',
    '{"limit":" 1"}',
    '{"limit":"1 "}',
    '{"limit":""}',
    '{"limit":"٣"}',
    '{"limit":"1_0"}',
    '{"limit":true}',
    '{"limit":[1]}',
    '{"limit":{}}',
    '{"limit":' + "9" * 100_000 + "}",
    '{"limit":"' + "9" * 100_000 + '"}',
    '{"key":"?"}',
    '{"key":"Z"}',
    '{"key":"Zg="}',
    '{"key":"Zg==Zg=="}',
    '{"key":"-/-_"}',
    '{"key":"Zü=="}',
    '{"key":"\\ud800"}',
    '{"key":1}',
    '{"key":true}',
    '{"key":["Zg=="]}',
    '{"key":"Zg==","key":"Zg=="}',
    '{"range_end":"Zg==","rangeEnd":"Zg=="}',
    '{"key":null,"key":"Zg=="}',
    '{"sort_order":1.5}',
    '{"sort_order":2147483648}',
    '{"sort_order":true}',
    '{"serializable":"true"}',
    '{"serializable":1}',
    '{"key":"a\nb"}',
    '{"key":"\\x41"}',
]


@pytest.mark.parametrize(("body", "expected"), ACCEPTED)
def test_accepted(body: str, expected: Message) -> None:
    assert decode_request(Range, body.encode()) == expected


@pytest.mark.parametrize("body", REFUSED, ids=lambda body: body[:30])
def test_refused(body: str) -> None:
    with pytest.raises(EtcdError) as caught:
        decode_request(Range, body.encode())
    assert caught.value.status == Code.INVALID_ARGUMENT
    assert 0 < len(caught.value.message) < 200


@pytest.mark.parametrize("body", [b'{"key":"\xff"}', b"\xff", b'{"\xc3\x28":1}', b"{\0}"])
def test_bytes_that_are_no_text(body: bytes) -> None:
    with pytest.raises(EtcdError):
        decode_request(Range, body)


def test_messages_and_oneofs() -> None:
    body = b"""{
      "compare": [{"key": "aw==", "target": "VALUE", "result": "EQUAL", "value": ""}],
      "success": [{"requestPut": {"key": "aw==", "lease": "3"}}, {"request_range": {}}],
      "failure": [{}]
    }"""
    assert decode_request(Txn, body) == Txn(
        compare=[rpc_pb2.Compare(key=b"k", target=rpc_pb2.Compare.VALUE, value=b"")],
        success=[
            rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"k", lease=3)),
            rpc_pb2.RequestOp(request_range=Range()),
        ],
        failure=[rpc_pb2.RequestOp()],
    )
    watch = decode_request(rpc_pb2.WatchRequest, b'{"create_request":null,"progress_request":{}}')
    assert watch.WhichOneof("request_union") == "progress_request"
    filters = decode_request(rpc_pb2.WatchCreateRequest, b'{"filters":["NODELETE",0,"NOPE"]}')
    assert list(filters.filters) == [1, 0]


@pytest.mark.parametrize(
    "body",
    [
        b'{"compare":{}}',
        b'{"compare":[null]}',
        b'{"compare":["x"]}',
        b'{"compare":[[]]}',
        b'{"success":[{"request_put":{},"request_range":{}}]}',
        b'{"success":[{"request_put":[]}]}',
        b'{"compare":[{"version":1,"value":""}]}',
    ],
)
def test_wrong_messages(body: bytes) -> None:
    with pytest.raises(EtcdError):
        decode_request(Txn, body)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (rpc_pb2.Member, b'{"name":"\\ud800"}'),
        (rpc_pb2.Member, b'{"name":5}'),
        (rpc_pb2.Member, b'{"ID":-1}'),
        (rpc_pb2.Member, b'{"ID":"18446744073709551616"}'),
        (rpc_pb2.HashResponse, b'{"hash":4294967296}'),
        (raft_pb2.Entry, b'{"Type":99}'),  # proto2 knows its enums' values
    ],
)
def test_wrong_scalars(kind: type[Message], body: bytes) -> None:
    with pytest.raises(EtcdError, match="proto: invalid value for"):
        decode_request(kind, body)


def nested(levels: int) -> bytes:
    return b'{"success":[{"request_txn":' * levels + b"{}" + b"}]}" * levels


def test_depth_is_bounded() -> None:
    deepest = (JSON_DEPTH_MAX - 1) // 3
    message = decode_request(Txn, nested(deepest))
    assert Txn.FromString(message.SerializeToString()) == message
    for body in (nested(deepest + 1), nested(2000), b"[" * 10**6, b'{"a":' * 10**6):
        with pytest.raises(EtcdError):
            decode_request(Txn, body)


def test_size_is_bounded() -> None:
    body = b'{"key":"' + b"A" * 4000 + b'"}'
    assert decode_request(Range, body, bytes_max=len(body)).key == bytes(3000)
    with pytest.raises(EtcdError, match="larger than"):
        decode_request(Range, body, bytes_max=len(body) - 1)
    cutter = JsonCutter(object_bytes_max=100)
    cutter.feed(b'{"key":"')
    assert cutter.take() is None
    cutter.feed(b"A" * 100)
    with pytest.raises(EtcdError, match="larger than"):
        cutter.take()


# --- streams of requests -----------------------------------------------------------------------

WATCHES = b'{"create_request":{"key":"Zg=="}}\n {"cancel_request":{"watch_id":"1"}}{}'


@given(st.lists(st.integers(0, len(WATCHES)), max_size=10))
def test_a_stream_may_be_cut_anywhere(cuts: list[int]) -> None:
    stream = RequestStream(rpc_pb2.WatchRequest)
    edges = [0, *sorted(cuts), len(WATCHES)]
    got: list[Message] = []
    for start, end in pairwise(edges):
        got += stream.feed(WATCHES[start:end])
    stream.finish()
    assert got == [
        rpc_pb2.WatchRequest(create_request=rpc_pb2.WatchCreateRequest(key=b"f")),
        rpc_pb2.WatchRequest(cancel_request=rpc_pb2.WatchCancelRequest(watch_id=1)),
        rpc_pb2.WatchRequest(),
    ]


def test_a_stream_fails_behind_its_last_good_message() -> None:
    stream = RequestStream(rpc_pb2.LeaseKeepAliveRequest)
    messages = stream.feed(b'{"ID":1}{"ID":"x"}{"ID":2}')
    assert next(messages) == rpc_pb2.LeaseKeepAliveRequest(ID=1)
    with pytest.raises(
        EtcdError, match=r"^Failed to decode request: proto: invalid value"
    ) as caught:
        next(messages)
    assert caught.value.status == Code.INVALID_ARGUMENT
    stream = RequestStream(rpc_pb2.LeaseKeepAliveRequest)
    assert list(stream.feed(b'{"ID":1} {"I')) == [rpc_pb2.LeaseKeepAliveRequest(ID=1)]
    with pytest.raises(EtcdError, match="Failed to decode request: unexpected EOF"):
        stream.finish()


def test_tiny_chunks_cost_linear_time() -> None:
    cutter = JsonCutter(object_bytes_max=1 << 20)
    body = b'{"key":"' + b'\\"{' * 50_000 + b'"}'
    for at in range(0, len(body) - 7, 7):
        cutter.feed(body[at : at + 7])
        assert cutter.take() is None
    cutter.feed(body[-(len(body) % 7 or 7) :])
    assert cutter.take() == body


# --- anything at all ---------------------------------------------------------------------------

WORDS = st.sampled_from(
    ["key", "rangeEnd", "limit", "compare", "success", "request_txn", "value", "sort_order", "ID"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | WORDS
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(WORDS | st.text(st.characters(), max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.sampled_from(sorted(METHODS)), TREES)
def test_any_json_is_a_message_or_a_refusal(path: str, value: object) -> None:
    with suppress(EtcdError):
        decode_request(METHODS[path].request, json.dumps(value).encode())


@given(st.sampled_from(sorted(METHODS)), st.binary(max_size=60))
def test_any_bytes_are_a_message_or_a_refusal(path: str, body: bytes) -> None:
    for candidate in (body, b"{" + body + b"}", b'{"key":' + body + b"}"):
        with suppress(EtcdError):
            decode_request(METHODS[path].request, candidate)
