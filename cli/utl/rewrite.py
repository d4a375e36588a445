"""Writing an etcd's database anew: without its free pages, or with another value in `meta`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ...backends.bbolt_format import PAGE_BYTES
from ...backends.bbolt_image import image
from ...backends.contract import Row, View
from ...backends.faults import fail_os
from ...raft.disk import RealDisk
from .progress import progress

__all__ = ["WithMeta", "rewrite_bbolt"]

_METAS_BYTES: Final = 2 * PAGE_BYTES


class WithMeta(View):
    """`view` with another value of one key of the bucket `meta`; None: without it."""

    def __init__(self, view: View, key: bytes, value: bytes | None) -> None:
        self._view = view
        rows = dict(view.scan("meta"))
        rows.pop(key, None)
        if value is not None:
            rows[key] = value
        self._meta = dict(sorted(rows.items()))

    def scan(self, bucket: str, start: bytes = b"", end: bytes | None = None) -> Iterator[Row]:
        if bucket != "meta":
            return self._view.scan(bucket, start, end)
        rows = self._meta.items()
        return (row for row in rows if start <= row[0] and (end is None or row[0] < end))

    def get(self, bucket: str, key: bytes) -> bytes | None:
        return self._meta.get(key) if bucket == "meta" else self._view.get(bucket, key)

    def range(self, bucket: str, start: bytes, end: bytes | None, limit: int = 0) -> list[Row]:
        if bucket != "meta":
            return self._view.range(bucket, start, end, limit)
        rows = list(self.scan(bucket, start, end))
        return rows[:limit] if limit else rows

    def buckets(self) -> list[str]:
        return sorted({*self._view.buckets(), "meta"})

    def close(self) -> None:
        """The view belongs to somebody else."""


def rewrite_bbolt(path: Path, content: View) -> int:
    """Replace the database `path` by one that holds `content`, which may be read from it; returns its size.

    To be called by who holds its lock. It is replaced in one step, when all of it is durable.
    """
    disk = RealDisk()
    part = path.with_name(path.name + ".part")
    try:
        old = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        fail_os(path, "opening", error)
    try:
        size, chunks = image(content, required=())
        file = disk.open(part, create=True)
        try:
            file.truncate(0)
            at = 0
            with progress("writing", size) as on_bytes:
                for chunk in chunks:
                    file.write_at(at, chunk)
                    at += len(chunk)
                    on_bytes(len(chunk))
            file.fdatasync()
        finally:
            file.close()
        owner = os.fstat(old)
        if (owner.st_uid, owner.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(part, owner.st_uid, owner.st_gid)  # root must not lock etcd's own user out
        disk.rename(part, path)
        disk.fsync_dir(path.parent)
        # An etcd that waits for the lock waits on the old file, and would serve from it though it has no
        # name any more. Without its meta pages it cannot be opened: that etcd ends, and the next finds the new one.
        os.pwrite(old, bytes(_METAS_BYTES), 0)
        os.fsync(old)
    except OSError as error:
        fail_os(path, "writing", error)
    finally:
        os.close(old)
        part.unlink(missing_ok=True)
    return size
