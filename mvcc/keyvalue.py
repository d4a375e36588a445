"""mvccpb.KeyValue as bytes: what is stored, sent and hashed.

    key(1) create_revision(2) mod_revision(3) version(4) value(5) lease(6)

The store writes these bytes once per put and never decodes them on the way out: a *framed*
KeyValue, `tag 2 + length + bytes`, is field 2 of PutResponse.prev_kv, RangeResponse.kvs and
Event.kv alike, so an answer is a join. The bytes are exactly gogo-proto's (fields in number order,
zeros left out), because HashKV runs over them and has to agree between members of any make.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import CorruptData
from ..protowire import LOW_14, fields, signed, uvarint, varint

__all__ = [
    "KeyValue",
    "decode",
    "encode",
    "frame",
    "lease_of",
    "strip_value",
    "tombstone",
    "unframe",
    "split_key",
    "value_of",
]

_KEY, _CREATE, _MOD, _VERSION, _VALUE, _LEASE = 0x0A, 0x10, 0x18, 0x20, 0x2A, 0x30
_LENGTHS = tuple(varint(n) for n in range(2048))
_LENGTHS_COUNT = len(_LENGTHS)
_VALUE_HEADS = (b"", *(b"\x2a" + size for size in _LENGTHS[1:]))  # an empty value is left out
# create_revision, mod_revision and version: everything between the key and the value.
_revision_fields = re.compile(rb"(?:[\x10\x18\x20][\x80-\xff]*[\x00-\x7f])*").match


class KeyValue(NamedTuple):
    """A decoded KeyValue; revisions and version are zero for a tombstone."""

    key: bytes
    create_revision: int
    mod_revision: int
    version: int
    value: bytes
    lease: int


def _varint(n: int) -> bytes:
    """A varint of any size; quick for the 3 and 4 bytes that revisions of a used store take."""
    if n > 0x3FFF:
        return LOW_14[n & 0x3FFF] + varint(n >> 14)
    return varint(n)


def encode(
    key: bytes, create_revision: int, mod_revision: int, version: int, value: bytes, lease: int
) -> bytes:
    """Marshal a put's KeyValue; revisions and version are positive, an empty value is left out."""
    key_size = len(key)
    value_size = len(value)
    kv = b"\x0a%b%b\x10%b\x18%b\x20%b%b%b" % (
        _LENGTHS[key_size] if key_size < _LENGTHS_COUNT else varint(key_size),
        key,
        _varint(create_revision),
        _varint(mod_revision),
        _varint(version),
        _VALUE_HEADS[value_size] if value_size < _LENGTHS_COUNT else b"\x2a" + varint(value_size),
        value,
    )
    return kv + b"\x30" + varint(lease) if lease else kv


def tombstone(key: bytes) -> bytes:
    """Marshal what a delete stores: the key alone."""
    return b"\x0a" + varint(len(key)) + key


def deleted(key: bytes, mod_revision: int) -> bytes:
    """The framed KeyValue of a DELETE event: key and mod_revision."""
    return frame(b"\x0a%b%b\x18%b" % (varint(len(key)), key, varint(mod_revision)))


def frame(kv: bytes) -> bytes:
    """Prefix with tag 2 and the length."""
    size = len(kv)
    return b"\x12%b%b" % (_LENGTHS[size] if size < _LENGTHS_COUNT else varint(size), kv)


def unframe(framed: bytes) -> bytes:
    """The KeyValue bytes inside a framed one."""
    return framed[_body(framed) :]


def decode(framed: bytes) -> KeyValue:
    """Decode a framed KeyValue."""
    return decode_bytes(unframe(framed))


def decode_bytes(kv: bytes) -> KeyValue:
    """Decode KeyValue bytes; raises CorruptData when they are not such."""
    key = value = b""
    create = mod = version = lease = 0
    try:
        for number, item in fields(kv):
            if isinstance(item, bytes):
                if number == 1:
                    key = item
                elif number == 5:
                    value = item
            elif number == 2:
                create = signed(item)
            elif number == 3:
                mod = signed(item)
            elif number == 4:
                version = signed(item)
            elif number == 6:
                lease = signed(item)
    except ValueError as bad:
        raise CorruptData(f"bucket key: not a KeyValue ({bad}): {kv[:64].hex()}") from bad
    return KeyValue(key, create, mod, version, value, lease)


def split_key(kv: bytes) -> tuple[bytes, int]:
    """The key of KeyValue bytes and the position after it (field 1 is always first and there)."""
    if len(kv) < 2 or kv[0] != _KEY:
        return (decode_bytes(kv).key, 0) if kv else (b"", 0)
    size = kv[1]
    if size < 128:
        at = 2 + size
        key = kv[2:at]
    else:
        size, at = uvarint(kv, 1)
        key = kv[at : at + size]
        at += size
    if at > len(kv):
        raise CorruptData(f"bucket key: the key of a KeyValue is cut: {kv[:64].hex()}")
    return key, at


def tail_fields(kv: bytes, at: int) -> tuple[int, int, int]:
    """(create_revision, version, lease) of KeyValue bytes, `at` being the end of the key field."""
    create = version = lease = 0
    end = len(kv)
    while at < end:
        tag = kv[at]
        at += 1
        number = kv[at]
        if number < 128:
            at += 1
        else:
            number, at = uvarint(kv, at)
        if tag == _VALUE:
            at += number
        elif tag == _CREATE:
            create = number
        elif tag == _VERSION:
            version = number
        elif tag == _LEASE:
            lease = signed(number)
        elif tag != _MOD:
            raise CorruptData(f"bucket key: not a KeyValue: {kv[:64].hex()}")
    return create, version, lease


def _value_field(framed: bytes) -> tuple[int, int, int]:
    """(start of the field, start of the value, end of it) in framed bytes; all equal if absent."""
    size, at = uvarint(framed, _body(framed) + 1)
    at = _revision_fields(framed, at + size).end()  # type: ignore[union-attr]  # it matches nothing too
    if at < len(framed) and framed[at] == _VALUE:
        size, start = uvarint(framed, at + 1)
        return at, start, start + size
    return at, at, at


def _body(framed: bytes) -> int:
    """Where the KeyValue begins in framed bytes."""
    at = 1
    while framed[at] > 127:
        at += 1
    return at + 1


def value_of(framed: bytes) -> bytes:
    """The value inside a framed KeyValue."""
    _, start, end = _value_field(framed)
    return framed[start:end]


def lease_of(framed: bytes) -> int:
    """The lease id inside a framed KeyValue, 0 for none."""
    _, _, end = _value_field(framed)
    return signed(uvarint(framed, end + 1)[0]) if end < len(framed) else 0


def strip_value(framed: bytes) -> bytes:
    """The framed KeyValue without its value, as a keys_only range answers (the lease stays)."""
    field, start, end = _value_field(framed)
    if start == end:
        return framed
    return frame(framed[_body(framed) : field] + framed[end:])
