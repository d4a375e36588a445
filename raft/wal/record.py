"""The bytes of the write-ahead log: records, their frames and their checksum.

The format is etcd's. A segment file is a sequence of frames, then zeros (preallocated space):

    frame    8-byte little-endian length word, payload, padding to a multiple of 8 bytes
    word     low 56 bits: length of the payload; top byte: 0, or 0x80 | padding when there is some
    payload  walpb.Record{type(1), crc(2), data(3)}: 08 type 10 crc [1a length data]

A frame starts at a multiple of 8, so a length word never crosses a sector: it is on the disk as it
was written, or it is zero. `crc` is the CRC-32C of the *data* of all records up to and including this
one, over all files: each file starts with a crc record that carries the value reached before it.
That makes a lost, swapped or truncated file as visible as a flipped bit.

    type        data
    1 METADATA  etcdserverpb.Metadata{NodeID(1), ClusterID(2)}; the same in all files
    2 ENTRY     raftpb.Entry
    3 STATE     raftpb.HardState
    4 CRC       none; `crc` is the value of the chain so far, 0 in the first file
    5 SNAPSHOT  walpb.Snapshot{index(1), term(2), conf_state(3)}: a snapshot was saved elsewhere

The CRC does not cover the type, the padding or the length word, so the reader does not trust them:
the two lengths must agree, and a record must make sense as its type (`replay`).
Source: etcd 3.6 server/storage/wal (encoder.go, decoder.go, walpb/record.proto).
"""

from __future__ import annotations

import enum
import functools
import struct
from collections.abc import Sequence

import attrs
from google_crc32c import extend

from ...errors import InvariantBroken
from ...protowire import LOW_14, bytes_field, fields, uvarint, varint
from ..codec import decode_conf_state, encode_conf_state, encode_entries
from ..types import ConfState, Entry, HardState

__all__ = [
    "FRAME_BYTES",
    "LENGTH_MASK",
    "Metadata",
    "RecordType",
    "WalSnapshot",
    "append_entries",
    "append_state",
    "encode_crc_record",
    "encode_record",
    "parse_header",
]

FRAME_BYTES = 8
"""The size of a length word, and the alignment of frames."""
LENGTH_MASK = (1 << 56) - 1
HEADER_BYTES_MAX = 3 + 5 + 1 + 10
"""The part of a payload before its data: type, a CRC of 5 bytes, a length of up to 10."""

_WORD = struct.Struct("<Q")
_PADDING = tuple(bytes(n) for n in range(8))


class RecordType(enum.IntEnum):
    METADATA = 1
    ENTRY = 2
    STATE = 3
    CRC = 4
    SNAPSHOT = 5


@attrs.frozen
class Metadata:
    """Who wrote a log: its member and its cluster."""

    node_id: int = 0
    cluster_id: int = 0

    def encode(self) -> bytes:
        return b"\x08%b\x10%b" % (varint(self.node_id), varint(self.cluster_id))

    @classmethod
    def decode(cls, data: bytes) -> Metadata:
        """Raises ValueError."""
        found = dict(fields(data))
        return cls(_int(found.get(1, 0)), _int(found.get(2, 0)))


@attrs.frozen
class WalSnapshot:
    """The place of a snapshot in the log; every one but the first, at index 0, has a membership."""

    index: int = 0
    term: int = 0
    conf_state: ConfState | None = None

    def encode(self) -> bytes:
        if self.index and self.conf_state is None:
            raise InvariantBroken(f"the snapshot at index {self.index} has no membership")
        head = b"\x08%b\x10%b" % (varint(self.index), varint(self.term))
        if self.conf_state is None:
            return head
        return head + bytes_field(3, encode_conf_state(self.conf_state))

    @classmethod
    def decode(cls, data: bytes) -> WalSnapshot:
        """Raises ValueError."""
        found = dict(fields(data))
        conf_state = found.get(3)
        if isinstance(conf_state, int):
            raise ValueError("conf_state is a number")  # noqa: TRY004  # as in _int
        return cls(
            _int(found.get(1, 0)),
            _int(found.get(2, 0)),
            None if conf_state is None else decode_conf_state(conf_state),
        )


def _int(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("a number was expected")  # noqa: TRY004  # the bytes are wrong, not a type
    return value


def _word(payload_bytes: int) -> bytes:
    padding = -payload_bytes & 7
    return _WORD.pack(payload_bytes | ((0x80 | padding) << 56 if padding else 0))


def encode_record(kind: RecordType, data: bytes, crc: int) -> tuple[bytes, int]:
    """Frame one record after a chain that has reached `crc`; returns the bytes and the new value."""
    assert kind != RecordType.CRC
    crc = extend(crc, data)
    if crc >> 28:
        number = LOW_14[crc & 16383] + LOW_14[crc >> 14 & 16383] + _TOP_4[crc >> 28]
    else:
        number = varint(crc)
    payload = b"\x08%c\x10%b\x1a%b%b" % (kind, number, varint(len(data)), data)
    return _word(len(payload)) + payload + _PADDING[-len(payload) & 7], crc


def encode_crc_record(crc: int) -> bytes:
    """The first record of a file: the chain's value, without data."""
    payload = b"\x08\x04\x10%b" % varint(crc)
    return _word(len(payload)) + payload + _PADDING[-len(payload) & 7]


# --- Entries and hard states: the hot path --------------------------------------------------------
# All that surrounds an entry depends on its length alone, but for the CRC. A CRC of at least 2**28
# (15 of 16) takes five bytes, of which a table yields two at a time. Of a hard state, mostly the
# low bits of the commit index change.

_SHAPE_BYTES_MAX = 8192
_shapes: dict[int, tuple[bytes, bytes, bytes]] = {}
_TOP_4 = tuple(bytes((n,)) for n in range(16))
_varint_memo = functools.lru_cache(maxsize=64)(varint)


@functools.lru_cache(maxsize=16)
def _state_head(term: int, vote: int) -> bytes:
    return b"\x08%b\x10%b\x18" % (varint(term), varint(vote))


def append_state(parts: list[bytes], state: HardState, crc: int) -> int:
    """As `append_entries`, for a hard state."""
    term, vote, commit = state
    high = commit >> 14
    data = _state_head(term, vote) + (
        LOW_14[commit & 16383] + _varint_memo(high) if high else varint(commit)
    )
    record, crc = encode_record(RecordType.STATE, data, crc)
    parts.append(record)
    return crc


def _shape(data_bytes: int) -> tuple[bytes, bytes, bytes]:
    """What is before the CRC, between it and the data, and after the data."""
    length = varint(data_bytes)
    payload_bytes = 3 + 5 + 1 + len(length) + data_bytes
    shape = (
        _word(payload_bytes) + b"\x08\x02\x10",
        b"\x1a" + length,
        _PADDING[-payload_bytes & 7],
    )
    if data_bytes <= _SHAPE_BYTES_MAX:
        _shapes[data_bytes] = shape
    return shape


def append_entries(parts: list[bytes], entries: Sequence[Entry], crc: int) -> int:
    """Add the frames of `entries` to `parts`, which are to be joined; returns the chain's new value."""
    shapes, low, top = _shapes, LOW_14, _TOP_4
    for data in encode_entries(entries):
        crc = extend(crc, data)
        if crc >> 28:
            head, middle, padding = shapes.get(len(data)) or _shape(len(data))
            parts += (
                head,
                low[crc & 16383],
                low[crc >> 14 & 16383],
                top[crc >> 28],
                middle,
                data,
                padding,
            )
        else:
            payload = b"\x08\x02\x10%b\x1a%b%b" % (varint(crc), varint(len(data)), data)
            parts += (_word(len(payload)), payload, _PADDING[-len(payload) & 7])
    return crc


_HEADER = struct.Struct("<HBIBB")
_CONTINUED = 0x80808080


def parse_header(content: bytes, at: int, stop: int) -> tuple[int, int, int] | None:
    """Read a payload that should reach from `at` to `stop`: (type, crc, start of the data).

    None if these bytes are not the record that we or etcd would write there, in particular if its
    inner length does not end at `stop`. A record without data has its start at `stop`.
    """
    try:
        # Nearly always: a CRC of five bytes, then data of less than 16 KiB.
        first, second, low, high, third = _HEADER.unpack_from(content, at)
        if low & _CONTINUED == _CONTINUED and third == 0x1A and second == 0x10:
            length, at_data = content[at + 9], at + 10
            if length > 127:
                length, at_data = length & 127 | content[at + 10] << 7, at + 11
            if at_data + length == stop and first & 255 == 0x08 and high < 16:
                crc = low & 127 | low >> 1 & 0x3F80 | low >> 2 & 0x1FC000 | low >> 3 & 0xFE00000
                return first >> 8, crc | high << 28, at_data
    except (struct.error, IndexError):
        pass  # the file ends
    return _parse_header(content, at, stop)


def _parse_header(content: bytes, at: int, stop: int) -> tuple[int, int, int] | None:
    """`parse_header` for all cases."""
    if content[at : at + 1] != b"\x08" or content[at + 2 : at + 3] != b"\x10":
        return None
    try:
        crc, at_data = uvarint(content, at + 3)
        if at_data == stop:
            return content[at + 1], crc, stop
        if at_data > stop or content[at_data] != 0x1A:
            return None
        length, at_data = uvarint(content, at_data + 1)
    except (IndexError, ValueError):
        return None
    return (content[at + 1], crc, at_data) if at_data + length == stop else None
