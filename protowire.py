"""The protobuf wire format, as far as hand-written codecs need it.

`raft/` and `mvcc/` write a few small messages (entries, key-values, leases) millions of times and may
not import the generated classes of `rpc/`; they build and read the bytes with these helpers.
Source: protobuf encoding specification. Varints are little-endian groups of 7 bits; negative int64
values take ten bytes; a field of value zero is left out, as proto3 (and gogo-proto for etcd) does.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = [
    "VARINT",
    "LENGTH",
    "LOW_14",
    "bytes_field",
    "fields",
    "int_field",
    "signed",
    "uvarint",
    "varint",
]

VARINT = 0
LENGTH = 2
_MASK_64 = (1 << 64) - 1
_FIXED_64 = 1
_FIXED_32 = 5
VARINT_BYTES_MAX = 10

_ONE = tuple(bytes((n,)) for n in range(128))
_MORE = tuple(bytes((n | 128,)) for n in range(128))  # low bits that others follow
_TWO = tuple([low + high for high in _ONE for low in _MORE])
LOW_14 = tuple([low + high for high in _MORE for low in _MORE])
"""The first two bytes of a varint of more, by its low 14 bits: for those who encode many."""


def varint(n: int) -> bytes:
    """Encode an int64 or uint64; raises OverflowError outside [-2**63, 2**64)."""
    if 0 <= n < 128:
        return _ONE[n]
    if 0 <= n < 16384:
        return _TWO[n]
    if 0 < n < 1 << 21:
        return _MORE[n & 127] + _TWO[n >> 7]
    if 0 < n < 1 << 28:
        return bytes((n & 127 | 128, n >> 7 & 127 | 128, n >> 14 & 127 | 128, n >> 21))
    if n < 0:
        n += 1 << 64
    if not 0 <= n <= _MASK_64:
        raise OverflowError("a varint holds 64 bits")
    out = LOW_14[n & 16383]
    n >>= 14
    while n >= 16384:
        out += LOW_14[n & 16383]
        n >>= 14
    return out + (_ONE[n] if n < 128 else _TWO[n])


def int_field(number: int, value: int) -> bytes:
    """A varint field, nothing for zero."""
    return varint(number << 3) + varint(value) if value else b""


def bytes_field(number: int, value: bytes) -> bytes:
    """A length-delimited field, present even when empty (leave the call out for absent)."""
    return varint(number << 3 | LENGTH) + varint(len(value)) + value


def uvarint(data: bytes, at: int) -> tuple[int, int]:
    """Decode a varint at `at`: (value, next position); raises ValueError when it is cut or too long."""
    shift = value = 0
    end = len(data)
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            if value > _MASK_64:
                break
            return value, at
        shift += 7
        if shift >= VARINT_BYTES_MAX * 7:
            break
    raise ValueError("bad varint")


def signed(value: int) -> int:
    """Read a decoded varint as int64."""
    return value - (1 << 64) if value >> 63 else value


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield (field number, value) in wire order; raises ValueError for bytes that are not protobuf.

    Fixed-width fields come as their raw bytes; groups are refused.
    """
    at, end = 0, len(data)
    while at < end:
        tag, at = uvarint(data, at)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise ValueError("field number 0")
        if kind == VARINT:
            value, at = uvarint(data, at)
            yield number, value
            continue
        if kind == LENGTH:
            length, at = uvarint(data, at)
        elif kind == _FIXED_64:
            length = 8
        elif kind == _FIXED_32:
            length = 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + length > end:
            raise ValueError("field is cut")
        yield number, data[at : at + length]
        at += length
