"""The payload of a log entry: etcd's InternalRaftRequest.

A proposal wraps the request's bytes as they came from the client: they are neither decoded nor encoded a
second time. The fields' numbers are the `kind` of a call and select how the applier executes it.

Members of etcd 3.5 write a few entries of another kind, bare requests of the API before v3. They have no header, by which
they are told from the others.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from ..protowire import LENGTH, fields, uvarint, varint
from ..rpc.pb import membership_pb2, raft_internal_pb2, rpc_pb2

__all__ = ["RequestIds", "V2Request", "decode", "encode"]

V2: Final = 2
PUT: Final = 4
DELETE_RANGE: Final = 5
TXN: Final = 6
COMPACTION: Final = 7
LEASE_GRANT: Final = 8
LEASE_REVOKE: Final = 9
ALARM: Final = 10
LEASE_CHECKPOINT: Final = 11
CLUSTER_VERSION_SET: Final = 1300
CLUSTER_MEMBER_ATTR_SET: Final = 1301
DOWNGRADE_INFO_SET: Final = 1302

_HEADER: Final = 100
_CLASSES: Final[dict[int, Any]] = {
    3: rpc_pb2.RangeRequest,
    PUT: rpc_pb2.PutRequest,
    DELETE_RANGE: rpc_pb2.DeleteRangeRequest,
    TXN: rpc_pb2.TxnRequest,
    COMPACTION: rpc_pb2.CompactionRequest,
    LEASE_GRANT: rpc_pb2.LeaseGrantRequest,
    LEASE_REVOKE: rpc_pb2.LeaseRevokeRequest,
    ALARM: rpc_pb2.AlarmRequest,
    LEASE_CHECKPOINT: rpc_pb2.LeaseCheckpointRequest,
    CLUSTER_VERSION_SET: membership_pb2.ClusterVersionSetRequest,
    CLUSTER_MEMBER_ATTR_SET: membership_pb2.ClusterMemberAttrSetRequest,
    DOWNGRADE_INFO_SET: membership_pb2.DowngradeInfoSetRequest,
}
_TAGS: Final = {kind: varint(kind << 3 | LENGTH) for kind in _CLASSES}
_SHORT_TAGS: Final = frozenset(tag[0] for tag in _TAGS.values() if len(tag) == 1)
_HEADER_TAG: Final = varint(_HEADER << 3 | LENGTH)
_Header: Final = raft_internal_pb2.RequestHeader


def encode(kind: int, message: bytes, header: bytes) -> bytes:
    """The log entry's data for the encoded request `message`; `header` is of `RequestIds`."""
    return b"%b%b%b%b" % (_TAGS[kind], varint(len(message)), message, header)


class V2Request(NamedTuple):
    """A write of etcd's old API: only what members tell of themselves still goes that way."""

    method: str
    path: str
    value: str


def decode(data: bytes) -> tuple[int, Any, int]:
    """(kind, request, request ID) of an entry's data; raises ValueError for what is not one.

    Followers do this for each entry, so the usual form, as `encode` makes it, is looked for first.
    """
    tag = data[0] if data else 0
    if tag in _SHORT_TAGS:
        length, at = uvarint(data, 1)
        end = at + length
        start = end + 3  # of the header, whose length takes one byte
        if data[end:start] == _HEADER_TAG + bytes((max(0, len(data) - start) & 127,)):
            request_id = _Header.FromString(data[start:]).ID
            return tag >> 3, _CLASSES[tag >> 3].FromString(data[at:end]), request_id
    return _decode_any(data)


def _decode_any(data: bytes) -> tuple[int, Any, int]:
    kind: int = 0
    message: int | bytes = 0
    header: int | bytes = 0
    for number, value in fields(data):
        if number == _HEADER:
            header = value
        elif number in _CLASSES:
            kind, message = number, value
    if not header:
        return V2, _decode_v2(data), 0
    if isinstance(header, int) or isinstance(message, int):
        raise ValueError("an entry without a known request")  # noqa: TRY004  # of the entry
    request_id = _Header.FromString(header).ID
    return kind, _CLASSES[kind].FromString(message), request_id


def _decode_v2(data: bytes) -> V2Request:
    found = dict(fields(data))
    texts = [found.get(number, b"") for number in (2, 3, 4)]
    if any(isinstance(text, int) for text in texts):
        raise ValueError("an entry without a known request")
    return V2Request(*[bytes(text).decode() for text in texts])


class RequestIds:
    """IDs that no other member gives, nor this one after a restart (etcd's idutil).

    Two bytes of the member's ID, five of the start time, one that counts (and carries over).

    Attributes:
        last: the ID that was given last.
    """

    def __init__(self, member_id: int, start_milliseconds: int) -> None:
        self.last = (member_id & 0xFFFF) << 48 | (start_milliseconds & 0xFF_FFFF_FFFF) << 8
        self._high = -1
        self._head = self._tail = b""

    def number(self) -> int:
        """The next ID."""
        self.last += 1
        return self.last

    def header(self) -> bytes:
        """The framed RequestHeader of the next ID. Only its low bits are encoded each time."""
        number = self.number()
        high = number >> 14
        if high != self._high:
            self._high = high
            self._tail = varint(high)
            self._head = b"%b%b\x08" % (_HEADER_TAG, varint(3 + len(self._tail)))
        low = bytes((number & 127 | 128, number >> 7 & 127 | 128))
        return self._head + low + self._tail
