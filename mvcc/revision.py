"""Revisions: how a point in history is written in memory and on disk.

A revision is a pair (main, sub). Every request that changes something takes the next main; the
changes inside it are numbered sub 0, 1, 2, … Clients only ever see main.

In memory a revision is one *packed* int, `main << 32 | sub << 1 | tombstone`, so that comparing two
of them is one integer comparison and a key's history is a flat list of ints. On disk it is etcd's
bucket key: main as 8 bytes big-endian, `_`, sub as 8 bytes big-endian, and `t` for a tombstone.
"""

from __future__ import annotations

from ..errors import CorruptData

__all__ = [
    "FIRST_REVISION",
    "MAIN_SHIFT",
    "NEVER_COMPACTED",
    "SUB_MAX",
    "TOMBSTONE",
    "bound_after",
    "disk_key",
    "main_key",
    "main_of",
    "packed_from_disk",
]

FIRST_REVISION = 1  # of a store that was never written to; the first write makes revision 2
NEVER_COMPACTED = -1
MAIN_SHIFT = 32
TOMBSTONE = 1
SUB_MAX = (1 << 31) - 1  # changes in one revision
MAIN_MAX = (1 << 63) - 1

DISK_KEY_BYTES = 17
_LOW = (1 << MAIN_SHIFT) - 1
_TAIL_COUNT = 512
_TAILS = tuple(
    b"_" + (low >> 1).to_bytes(8, "big") + (b"t" if low & TOMBSTONE else b"")
    for low in range(_TAIL_COUNT)
)


def main_of(packed: int) -> int:
    """The main revision of a packed revision."""
    return packed >> MAIN_SHIFT


def bound_after(main: int) -> int:
    """The smallest packed revision that is newer than everything in `main`."""
    return (main + 1) << MAIN_SHIFT


def disk_key(packed: int) -> bytes:
    """The key in the bucket `key`: 17 bytes, 18 for a tombstone."""
    low = packed & _LOW
    if low < _TAIL_COUNT:
        return (packed >> MAIN_SHIFT).to_bytes(8, "big") + _TAILS[low]
    tail = b"_" + (low >> 1).to_bytes(8, "big") + (b"t" if low & TOMBSTONE else b"")
    return (packed >> MAIN_SHIFT).to_bytes(8, "big") + tail


def main_key(main: int) -> bytes:
    """The 17 bytes of (main, 0): a bound for scans, and the form of the compaction marks."""
    return main.to_bytes(8, "big") + _TAILS[0]


def packed_from_disk(key: bytes) -> int:
    """Read a bucket key; raises CorruptData for bytes that were never written as one."""
    size = len(key)
    if not (size == DISK_KEY_BYTES or (size == DISK_KEY_BYTES + 1 and key[17] == 0x74)) or (
        key[8] != 0x5F
    ):
        raise CorruptData(f"bucket key: {key.hex()} is not a revision")
    main = int.from_bytes(key[:8], "big")
    sub = int.from_bytes(key[9:17], "big")
    if main > MAIN_MAX or sub > SUB_MAX:
        raise CorruptData(f"bucket key: revision {main}_{sub} is out of range")
    return main << MAIN_SHIFT | sub << 1 | (size - DISK_KEY_BYTES)
