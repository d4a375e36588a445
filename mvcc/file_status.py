"""What a database file holds, told from its bytes alone: `etcdutl snapshot status`.

The hash is CRC-32C over each bucket's name and then its keys and values; unlike Hash() it leaves nothing out, so two
files have the same one exactly if they hold the same. A key counts when its newest row is no tombstone.
Source: etcd 3.6 etcdutl/snapshot (before 3.6, every row of every bucket was counted as a key).
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import attrs
from google_crc32c import extend

from ..backends.contract import View
from .keyvalue import split_key
from .revision import MAIN_SHIFT, TOMBSTONE, packed_from_disk

__all__ = ["STORAGE_VERSION", "FileStatus", "file_status"]

STORAGE_VERSION = b"storageVersion"
ROWS_PER_CALL = 1000


@attrs.frozen
class FileStatus:
    """`rows` is how many there are in all buckets; `version` is empty before etcd 3.6 (see `storage_version`)."""

    hash: int
    revision: int
    total_keys: int
    rows: int
    version: str


def file_status(
    view: View,
    required: Collection[str] = (),
    on_rows: Callable[[int], None] = lambda _count: None,
) -> FileStatus:
    """Read everything; raises CorruptData.

    Args:
        view: the file.
        required: buckets that are counted as empty ones if they are not there.
        on_rows: called now and then with how many rows have been read since the last time.
    """
    crc = rows = 0
    revision = 0
    alive: set[bytes] = set()
    for bucket in sorted({*required, *view.buckets()}):
        crc = extend(crc, bucket.encode())
        is_key = bucket == "key"
        for key, value in view.scan(bucket):
            crc = extend(crc, key + value)
            rows += 1
            if not rows % ROWS_PER_CALL:
                on_rows(ROWS_PER_CALL)
            if is_key:
                packed = packed_from_disk(key)
                revision = packed >> MAIN_SHIFT
                user_key = split_key(value)[0]
                if packed & TOMBSTONE:
                    alive.discard(user_key)
                else:
                    alive.add(user_key)
    version = view.get("meta", STORAGE_VERSION) or b""
    return FileStatus(crc, revision, len(alive), rows, version.decode("utf-8", "replace"))
