"""etcd's `.snap` files: a raft snapshot with its checksum, `<term>-<index>.snap` in 16 hex digits.

The bytes are snappb.Snapshot{crc(1), data(2) = raftpb.Snapshot}; the CRC-32C is that of `data`.
Which of the files count is said by the log: those that have a snapshot record there up to the commit
index (`wal.valid_snapshots`). A file without one was written just before a crash.
Source: etcd 3.6 server/etcdserver/api/snap/snapshotter.go.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from google_crc32c import value

from ..errors import CorruptData
from ..protowire import bytes_field, fields, varint
from .codec import decode_snapshot, encode_snapshot
from .disk import Disk, write_file
from .types import Snapshot

__all__ = ["load_snapshot", "newest_snapshot_file", "save_snapshot", "snapshot_name"]

_NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.snap")


def snapshot_name(term: int, index: int) -> str:
    return f"{term:016x}-{index:016x}.snap"


def save_snapshot(disk: Disk, directory: Path, snapshot: Snapshot) -> Path:
    """Write a snapshot file; it is durable and whole once it has its name.

    Raises StorageError or DiskFull.
    """
    assert not snapshot.empty
    data = encode_snapshot(snapshot)
    path = directory / snapshot_name(snapshot.metadata.term, snapshot.metadata.index)
    temporary = path.with_suffix(".snap.tmp")
    write_file(disk, temporary, b"\x08" + varint(value(data)) + bytes_field(2, data))
    disk.rename(temporary, path)
    disk.fsync_dir(directory)
    return path


def load_snapshot(disk: Disk, path: Path) -> Snapshot:
    """Read a snapshot file; raises CorruptData if it is not as it was written."""
    try:
        found = dict(fields(disk.read(path)))
        data = found.get(2, b"")
        if not isinstance(data, bytes) or not data:
            raise ValueError("it is empty")  # noqa: TRY301
        if found.get(1) != value(data):
            raise ValueError("the checksum is wrong")  # noqa: TRY301
        return decode_snapshot(data)
    except ValueError as error:
        raise CorruptData(f"{path} is corrupt: {error}; an older snapshot may do") from error


def newest_snapshot_file(
    disk: Disk, directory: Path, positions: Collection[tuple[int, int]]
) -> Snapshot | None:
    """The newest whole snapshot at one of the (term, index) `positions`, None if there is none.

    Files that are corrupt are renamed to `.broken`, as etcd does.
    """
    for name in reversed(disk.list_dir(directory)):
        match = _NAME.fullmatch(name)
        if match is None or (int(match[1], 16), int(match[2], 16)) not in positions:
            continue
        path = directory / name
        try:
            return load_snapshot(disk, path)
        except CorruptData:
            disk.rename(path, path.with_name(name + ".broken"))
    return None
