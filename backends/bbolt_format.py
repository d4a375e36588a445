"""bbolt's file format, as far as writing and reading whole files needs it.

A file is a row of pages, all numbers little-endian. A page begins with a header: its number, what it is,
how many elements it has, and how many further pages belong to it (*overflow*, for what is larger
than a page). Pages 0 and 1 are *meta* pages; of the valid ones the one with the higher transaction
number counts. It names the root of a tree of leaf and branch pages whose rows are the buckets;
each bucket's value begins with the page number of its own tree.

    page header     id u64 · flags u16 · count u16 · overflow u32
    meta            magic u32 · version u32 · page size u32 · flags u32 · root page u64 · sequence u64 ·
                    freelist page u64 · page count u64 · transaction u64 · FNV-1a of all that u64
    leaf element    flags u32 · position u32 · key size u32 · value size u32
    branch element  position u32 · key size u32 · child page u64
    bucket value    root page u64 · sequence u64 (· when the root page is 0: a page, inline)

Elements follow the header, then their keys and values. A *position* counts from the element's own
first byte to its key; a value follows its key. A branch's key is the first key below that child.
Source: go.etcd.io/bbolt, internal/common (page.go, meta.go, bucket.go).
"""

from __future__ import annotations

from struct import Struct
from typing import Final

PAGE_BYTES: Final = 4096
PAGE: Final = Struct("<QHHI")
META: Final = Struct("<IIIIQQQQQ")
CHECKSUM: Final = Struct("<Q")
LEAF_ELEMENT: Final = Struct("<IIII")
BRANCH_ELEMENT: Final = Struct("<IIQ")
BUCKET: Final = Struct("<QQ")

MAGIC: Final = 0xED0CDAED
VERSION: Final = 2
BRANCH_PAGE: Final = 0x01
LEAF_PAGE: Final = 0x02
META_PAGE: Final = 0x04
FREELIST_PAGE: Final = 0x10
BUCKET_ELEMENT: Final = 0x01
"""The flag of a leaf element whose value is a bucket."""
KEY_BYTES_MAX: Final = 32768


def fnv1a(data: bytes) -> int:
    """The 64-bit FNV-1a hash."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value
