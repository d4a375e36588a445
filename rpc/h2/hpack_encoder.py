"""HPACK encoding without a dynamic table (RFC 7541 section 6).

Fields are written as a static index where the static table has the whole field, and else as a literal
that is never added to a table. A header block therefore depends on nothing but its fields: it
is encoded once and sent as a constant ever after, on any connection, in any order.
"""

from __future__ import annotations

from collections.abc import Iterable

from . import huffman
from .hpack_tables import STATIC_FIELD, STATIC_NAME, Field

__all__ = ["TABLE_SIZE_ZERO", "encode", "integer"]

TABLE_SIZE_ZERO = b"\x20"
"""The dynamic table size update to 0 that a peer may demand before our next block (section 4.2)."""

_LITERAL = 0x00
_INDEXED = 0x80
_HUFFMAN = 0x80
HUFFMAN_BYTES_MAX = 4096
"""Longer strings go out raw: the coder works on one big integer, which is quadratic."""


def integer(value: int, prefix_bits: int, pattern: int) -> bytes:
    """An integer with an N-bit prefix; `pattern` holds the bits above the prefix (section 5.1)."""
    full = (1 << prefix_bits) - 1
    if value < full:
        return bytes((pattern | value,))
    out = bytearray((pattern | full,))
    value -= full
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _string(data: bytes) -> bytes:
    if 0 < len(data) <= HUFFMAN_BYTES_MAX:
        packed = huffman.encode(data)
        if len(packed) < len(data):
            return integer(len(packed), 7, _HUFFMAN) + packed
    return integer(len(data), 7, 0) + data


def encode(fields: Iterable[Field]) -> bytes:
    """One header block; names must be lower case already."""
    out = bytearray()
    for field in fields:
        name, value = field
        index = STATIC_FIELD.get(field)
        if index is not None:
            out += integer(index, 7, _INDEXED)
            continue
        name_index = STATIC_NAME.get(name, 0)
        out += integer(name_index, 4, _LITERAL)
        if not name_index:
            out += _string(name)
        out += _string(value)
    return bytes(out)
