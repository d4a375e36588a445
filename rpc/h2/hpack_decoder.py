"""HPACK decoding (RFC 7541), shaped for the blocks that gRPC clients really send.

Two shapes matter. h2load, nghttp2 and C-core repeat a block byte for byte: that is the business of the
memo in `headers.py`. Go's client puts a different `grpc-timeout` into every call and adds it to the
dynamic table each time, so that all other indices move by one and no two blocks are alike: here it is
the decoder itself that must be quick. It is one loop over the block; an indexed field, the usual case,
costs a comparison and a list access, because the dynamic table is a plain list with the newest entry
last: HPACK's index 62 is table[-1], index 63 is table[-2], and so on. The table has at most
header_table_bytes_max / 32 entries, so dropping the oldest from the front of the list is cheap.

`generation` counts the changes of the table: whoever keeps what a block decoded to must drop it when
the generation moves.
"""

from __future__ import annotations

from . import huffman
from .errors import ConnectionFault, ErrorCode
from .hpack_tables import STATIC, Field

__all__ = ["ENTRY_OVERHEAD_BYTES", "HpackDecoder", "list_size"]

ENTRY_OVERHEAD_BYTES = 32
"""What RFC 7541 section 4.1 adds to the size of each field."""
_INTEGER_BYTES_MAX = 5
_STATIC_COUNT = len(STATIC) - 1


def _bad(text: str) -> ConnectionFault:
    return ConnectionFault(ErrorCode.COMPRESSION_ERROR, text)


def list_size(fields: tuple[Field, ...] | list[Field]) -> int:
    """The size of a header list in bytes as SETTINGS_MAX_HEADER_LIST_SIZE counts it."""
    return sum([len(name) + len(value) for name, value in fields]) + 32 * len(fields)


class HpackDecoder:
    """The receiving half of one connection's header compression.

    Args:
        table_bytes_max: what we announce as SETTINGS_HEADER_TABLE_SIZE.
    """

    __slots__ = ("_allowed", "_capacity", "_sizes", "_table", "_used", "generation", "widest")

    def __init__(self, table_bytes_max: int = 4096) -> None:
        self._table: list[Field] = []
        self._sizes: list[int] = []
        self._used = 0
        self._capacity = self._allowed = table_bytes_max
        self.generation = 0
        self.widest = 128
        """No field decoded so far was larger (bytes): a cheap first bound on a list's size."""

    def decode(self, block: bytes) -> tuple[Field, ...]:
        """Decode one complete block; raises ConnectionFault (COMPRESSION_ERROR)."""
        fields: list[Field] = []
        table = self._table
        at, end = 0, len(block)
        if self._capacity > self._allowed and (not block or block[0] & 0xE0 != 0x20):
            raise _bad("no table size update after the maximum was lowered")
        try:
            while at < end:
                byte = block[at]
                at += 1
                if byte > 0x80 and byte < 0xFF:  # an indexed field, one byte
                    index = byte & 0x7F
                    fields.append(STATIC[index] if index < 62 else table[61 - index])
                elif byte == 0xFF and block[at] < 0x80:  # two bytes: a table with many timeouts
                    fields.append(table[-66 - block[at]])
                    at += 1
                elif byte >= 0x80:
                    index, at = _integer(block, at, byte & 0x7F, 0x7F)
                    fields.append(self._entry(index))
                elif byte < 0x20 or byte >= 0x40:
                    at = self._literal(block, at, byte, fields)
                else:
                    at = self._resize(block, at, byte, first=not fields)
        except IndexError:
            raise _bad("header block is cut or refers to a missing entry") from None
        return tuple(fields)

    def limit(self, table_bytes_max: int) -> None:
        """The peer knows our announced maximum now; above it, its next block must shrink first."""
        self._allowed = table_bytes_max

    def _entry(self, index: int) -> Field:
        if not index:
            raise _bad("index 0")
        return STATIC[index] if index <= _STATIC_COUNT else self._table[_STATIC_COUNT - index]

    def _literal(self, block: bytes, at: int, byte: int, fields: list[Field]) -> int:
        """Read one literal field; `byte` is its first. Returns the next position."""
        mask = 0x3F if byte >= 0x40 else 0x0F
        index = byte & mask
        if index == mask:
            index, at = _integer(block, at, mask, mask)
        if index:
            name = STATIC[index][0] if index < 62 else self._table[61 - index][0]
        else:
            name, at = _string(block, at)
        length = block[at]
        stop = at + (length & 0x7F) + 1
        if length & 0x7F == 0x7F or stop > len(block):
            value, at = _string(block, at)
        else:
            value = block[at + 1 : stop]
            if length >= 0x80:
                value = huffman.decode(value)
            at = stop
        field = (name, value)
        fields.append(field)
        size = len(name) + len(value) + ENTRY_OVERHEAD_BYTES
        self.widest = max(self.widest, size)
        if byte >= 0x40:
            # Section 4.4: make room first; a field larger than the whole table just empties it.
            self.generation += 1
            if self._used + size > self._capacity:
                self._evict(self._capacity - size)
            if size <= self._capacity:
                self._table.append(field)
                self._sizes.append(size)
                self._used += size
        return at

    def _evict(self, room: int) -> None:
        """Drop the oldest entries until no more than `room` bytes are used."""
        table, sizes = self._table, self._sizes
        while sizes and self._used > room:
            self._used -= sizes.pop(0)
            del table[0]

    def _resize(self, block: bytes, at: int, byte: int, *, first: bool) -> int:
        """Section 4.2: a table size update, allowed only ahead of the block's fields."""
        if not first:
            raise _bad("table size update after a field")
        capacity = byte & 0x1F
        if capacity == 0x1F:
            capacity, at = _integer(block, at, 0x1F, 0x1F)
        if capacity > self._allowed:
            raise _bad("table size update above the announced maximum")
        self.generation += 1
        self._capacity = capacity
        self._evict(capacity)
        return at


def _integer(block: bytes, at: int, value: int, full: int) -> tuple[int, int]:
    """Go on with an integer whose prefix bits are `value`; (value, next position)."""
    if value < full:
        return value, at
    shift = 0
    for _ in range(_INTEGER_BYTES_MAX):
        byte = block[at]
        at += 1
        value += (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise _bad("integer is too long")


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    byte = block[at]
    length = byte & 0x7F
    at += 1
    if length == 0x7F:
        length, at = _integer(block, at, 0x7F, 0x7F)
    stop = at + length
    if stop > len(block):
        raise _bad("string is cut")
    data = block[at:stop]
    return (huffman.decode(data) if byte & 0x80 else data), stop
