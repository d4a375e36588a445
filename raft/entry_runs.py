"""Runs of entries as append messages carry them: the hot path of a cluster's wire.

A leader sends the same hundreds of entries to each follower. In a run all share their type, their
term and most of their index, and indexes follow one another, so what one entry begins with says
what the next must begin with; only entries that are no such run are read field by field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..protowire import LOW_14, uvarint, varint
from .types import Entry

__all__ = ["ENTRY_TAG", "decode_run", "encode_run"]

ENTRY_TAG = 0x3A
"""Message.entries(7), length-delimited."""
_SHORT = tuple(map(varint, range(2048)))
_new_entry: Callable[[type[Entry], tuple[object, ...]], Entry] = tuple.__new__


def encode_run(entries: Iterable[Entry]) -> bytes:
    """The fields `entries` of a message: tag, length and encoded entry, one after the other."""
    parts: list[bytes] = []
    last_term = last_kind = last_high = -1
    head = high_bytes = b""
    low, short, number_of = LOW_14, _SHORT, varint
    for term, index, kind, data in entries:
        if term != last_term or kind != last_kind:
            head = b"\x08%b\x10%b\x18" % (number_of(kind), number_of(term))
            last_term, last_kind = term, kind
        high = index >> 14
        if high == 0:
            number = number_of(index)
        else:
            if high != last_high:
                high_bytes = number_of(high)
                last_high = high
            number = low[index & 16383] + high_bytes
        if data:
            count = len(data)
            size = short[count] if count < 2048 else number_of(count)
            count += len(head) + len(number) + 1 + len(size)
            length = short[count] if count < 2048 else number_of(count)
            parts += (b"\x3a", length, head, number, b"\x22", size, data)
        else:
            parts += (b"\x3a", number_of(len(head) + len(number)), head, number)
    return b"".join(parts)


def decode_run(data: bytes, at: int, out: list[Entry], read: Callable[[bytes], Entry]) -> int:
    """Read entries into `out` as long as one follows at `at`, the place of a tag; where they end.

    `read` reads an entry that is not like the one before it. Raises ValueError or IndexError when
    the bytes are cut.
    """
    end = len(data)
    low = LOW_14
    begins, new, append = data.startswith, _new_entry, out.append
    term = index = kind = 0
    head = high_bytes = b""
    last_high = 0  # no high part: nothing can be foretold yet
    while at < end and data[at] == ENTRY_TAG:
        length = data[at + 1]
        at += 2
        if length >= 128:
            more = data[at]
            if more < 128:
                length += (more << 7) - 128
                at += 1
            else:
                length, at = uvarint(data, at - 1)
        stop = at + length
        if stop > end:
            raise ValueError("field is cut")
        index += 1
        if index >> 14 == last_high != 0 and begins(
            start := head + low[index & 16383] + high_bytes, at
        ):
            begin = at + len(start) + 2
            if begin < stop and data[begin - 2] == 0x22:
                size = data[begin - 1]
                if size >= 128:
                    more = data[begin]
                    begin += 1
                    size = size + (more << 7) - 128 if more < 128 else -1
                if begin + size == stop:
                    append(new(Entry, (term, index, kind, data[begin:stop])))
                    at = stop
                    continue
        entry = read(data[at:stop])
        append(entry)
        term, index, kind, _ = entry
        last_high = index >> 14
        head = b"\x08%b\x10%b\x18" % (varint(kind), varint(term))
        high_bytes = varint(last_high)
        at = stop
    return at
