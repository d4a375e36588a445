"""Which keys are meant: one, a prefix, a half-open range, all from one on, or all.

Wherever a range of keys is meant, the client takes `bytes | str | Keys`; a plain key means that key alone.
Text is UTF-8.
"""

from __future__ import annotations

from typing import Final

import attrs

__all__ = [
    "ALL_KEYS",
    "KeyLike",
    "Keys",
    "KeysLike",
    "as_bytes",
    "from_key",
    "key_range",
    "keys_of",
    "prefix",
    "prefix_end",
]

KeyLike = bytes | str
"""A key or a value: bytes, or text that is sent as UTF-8."""

OPEN_END: Final = b"\0"
"""As `range_end`: every key from `key` on."""


@attrs.frozen
class Keys:
    r"""A range of keys, as etcd's requests say it.

    Attributes:
        key: the first key.
        range_end: the first key beyond the range; b"" for `key` alone; b"\0" for all keys from `key` on.
    """

    key: bytes
    range_end: bytes = b""

    def __contains__(self, key: KeyLike) -> bool:
        raw = as_bytes(key)
        if not self.range_end:
            return raw == self.key
        return raw >= self.key and (self.range_end == OPEN_END or raw < self.range_end)


KeysLike = bytes | str | Keys


def as_bytes(key: KeyLike) -> bytes:
    """The bytes of a key or value.

    Raises:
        TypeError: it is neither bytes nor str.
    """
    if type(key) is bytes:
        return key
    if isinstance(key, str):
        return key.encode()
    if isinstance(key, bytes | bytearray | memoryview):
        return bytes(key)
    raise TypeError(f"keys and values are bytes or str, not {type(key).__name__}")


def prefix_end(start: bytes) -> bytes:
    r"""The first key that does not begin with `start`; b"\0" where there is none."""
    stem = start.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else OPEN_END


def prefix(start: KeyLike) -> Keys:
    """All keys that begin with `start`; an empty one means all keys."""
    raw = as_bytes(start)
    return Keys(raw or OPEN_END, prefix_end(raw))


def from_key(start: KeyLike) -> Keys:
    """`start` and all keys after it."""
    return Keys(as_bytes(start) or OPEN_END, OPEN_END)


def key_range(start: KeyLike, end: KeyLike) -> Keys:
    """The keys from `start` up to `end`, which is not among them.

    Raises:
        ValueError: `end` is empty; `from_key` has no end.
    """
    last = as_bytes(end)
    if not last:
        raise ValueError("the range has no end: use from_key")
    return Keys(as_bytes(start) or OPEN_END, last)


ALL_KEYS: Final = Keys(OPEN_END, OPEN_END)
"""Every key."""


def keys_of(keys: KeysLike) -> Keys:
    """What the caller means: a selector as it is, a plain key alone."""
    return keys if isinstance(keys, Keys) else Keys(as_bytes(keys))
