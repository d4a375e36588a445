"""A disk in memory that loses power, tears writes, runs full and fails, as real ones may.

It keeps two states: what programs see (the page cache), and what is on the platter. `end_process` closes files and
changes neither: what was written and not synced is seen by the next process, and is still not on the platter.
`crash` makes the second state the first:

* each sector of a file holds one of the versions that it had since the last `fdatasync`, so that a
  write may be there in part, and a later one without an earlier one;
* the changes of a file's length since then are there up to some point, as file systems keep
  these in a journal;
* so are the changes of a directory since its last `fsync_dir`: new, removed and renamed names;
* files that were open are not any more: using them raises StorageError. So it is after `end_process`.

There is no randomness inside. `choose(n)` is asked for a number in [0, n) at each such point, where
n - 1 stands for the newest version: give it a seeded generator's `randrange`, or a list of answers to
replay. Faults come from `before(operation, path)`, which is called ahead of every operation and may
raise what the operation should raise: `PowerLoss` if it is not done any more, any other StorageError if it fails. A `fdatasync` that fails so loses what it should have written, as
on Linux: the pages count as clean, so programs see them, a later one succeeds, and the data is not on the platter
unless it is written again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs

from ..errors import DiskFull, StorageError
from .disk import SECTOR_BYTES, DiskFile

__all__ = ["PowerLoss", "SimulatedDisk"]

Choose = Callable[[int], int]


class PowerLoss(StorageError):
    """The machine is without power: nothing that it does to a disk has an effect any more."""


@attrs.define(eq=False)
class _Content:
    """The bytes of a file; those from the end of `data` up to `size` are zero."""

    data: bytearray = attrs.Factory(bytearray)
    size: int = 0

    def write(self, offset: int, data: bytes) -> None:
        if len(self.data) < offset:
            self.data += bytes(offset - len(self.data))
        self.data[offset : offset + len(data)] = data
        self.size = max(self.size, offset + len(data))

    def resize(self, size: int) -> None:
        del self.data[size:]
        self.size = size

    def read(self) -> bytes:
        return bytes(self.data[: self.size]) + bytes(self.size - min(self.size, len(self.data)))


@attrs.define(eq=False)
class _Inode:
    """A file: as seen, on the platter, and what lies between: (offset, data) or (new size, None)."""

    seen: _Content = attrs.Factory(_Content)
    stored: _Content = attrs.Factory(_Content)
    pending: list[tuple[int, bytes | None]] = attrs.Factory(list)

    def change(self, offset: int, data: bytes | None) -> None:
        _apply(self.seen, offset, data)
        self.pending.append((offset, data))

    def sync(self) -> None:
        for offset, data in self.pending:
            _apply(self.stored, offset, data)
        self.pending.clear()

    def crash(self, choose: Choose) -> None:
        """Settle on one of the states that the platter may be in."""
        sizes_kept = choose(1 + sum(self._resizes(*change) for change in self._history()))
        versions = self._versions_kept(choose)
        content = self.stored
        for offset, data in self.pending:
            if data is None:
                if sizes_kept > 0:
                    content.resize(offset)
                sizes_kept -= 1
                continue
            size = content.size
            if offset + len(data) > size:
                size = offset + len(data) if sizes_kept > 0 else size
                sizes_kept -= 1
            for sector, begin, end in _sectors(offset, len(data)):
                if versions[sector] > 0:
                    content.write(begin, data[begin - offset : end - offset])
                versions[sector] -= 1
            content.size = size
            del content.data[size:]
        self.pending.clear()
        self.seen = _Content(bytearray(content.data), content.size)

    def _history(self) -> list[tuple[int, int, bytes | None]]:
        """The pending changes, each with the size that the file had before it."""
        size, out = self.stored.size, []
        for offset, data in self.pending:
            out.append((size, offset, data))
            size = offset if data is None else max(size, offset + len(data))
        return out

    @staticmethod
    def _resizes(size: int, offset: int, data: bytes | None) -> bool:
        return data is None or offset + len(data) > size

    def _versions_kept(self, choose: Choose) -> dict[int, int]:
        """How many of the writes to each sector are on the platter."""
        count: dict[int, int] = {}
        for offset, data in self.pending:
            for sector, _, _ in _sectors(offset, len(data or b"")):
                count[sector] = count.get(sector, 0) + 1
        return {sector: choose(1 + count[sector]) for sector in sorted(count)}


def _apply(content: _Content, offset: int, data: bytes | None) -> None:
    if data is None:
        content.resize(offset)
    else:
        content.write(offset, data)


def _sectors(offset: int, length: int) -> list[tuple[int, int, int]]:
    """The sectors that a write touches: (number, first byte, byte after the last)."""
    out = []
    at, end = offset, offset + length
    while at < end:
        sector = at // SECTOR_BYTES
        stop = min(end, (sector + 1) * SECTOR_BYTES)
        out.append((sector, at, stop))
        at = stop
    return out


_Names = dict[str, "_Inode | _Directory"]


@attrs.define(eq=False)
class _Directory:
    """A directory: its names as seen, and all its states since the last `fsync_dir`."""

    seen: _Names = attrs.Factory(dict)
    states: list[_Names] = attrs.Factory(lambda: [{}])

    def changed(self) -> None:
        self.states.append(dict(self.seen))

    def sync(self) -> None:
        del self.states[:-1]

    def crash(self, choose: Choose) -> None:
        kept = self.states[choose(len(self.states))]
        self.states = [kept]
        self.seen = dict(kept)
        for _, node in sorted(kept.items()):
            node.crash(choose)


def _newest(versions: int) -> int:
    return versions - 1


class SimulatedDisk:
    """A `Disk`. `choose` decides what a crash leaves; by default it leaves everything.

    `capacity_bytes` bounds the space of all files together, preallocated space included.
    """

    def __init__(self, *, choose: Choose = _newest, capacity_bytes: int | None = None) -> None:
        self.choose = choose
        self.capacity_bytes = capacity_bytes
        self.before: Callable[[str, Path], None] = lambda _operation, _path: None
        self._root = _Directory()
        self._processes_ended = 0

    # --- What goes wrong --------------------------------------------------------------------------

    def crash(self) -> None:
        """Lose power, and come back with what was on the platter."""
        self.end_process()
        self._root.crash(self.choose)

    def end_process(self) -> None:
        """Close what is open; the page cache stays as it is."""
        self._processes_ended += 1

    def flip(self, path: Path, offset: int, bit: int) -> None:
        """Turn over one bit of a file, on the platter too."""
        inode = self._inode(path, "flip a bit of")
        assert 0 <= offset < inode.seen.size
        inode.sync()
        for content in (inode.seen, inode.stored):
            old = content.data[offset] if offset < len(content.data) else 0
            content.write(offset, bytes((old ^ 1 << bit,)))

    @property
    def used_bytes(self) -> int:
        """The space that files take."""
        return _used(self._root)

    # --- The operations of `Disk` -----------------------------------------------------------------

    def open(self, path: Path, *, create: bool = False) -> DiskFile:
        self.before("open", path)
        parent = self._directory(path.parent, "open", path)
        if path.name not in parent.seen and create:
            parent.seen[path.name] = _Inode()
            parent.changed()
        return _SimulatedFile(self, path, self._inode(path, "open"))

    def read(self, path: Path) -> bytes:
        self.before("read", path)
        return self._inode(path, "read").seen.read()

    def map(self, path: Path) -> bytes:
        return self.read(path)

    def exists(self, path: Path) -> bool:
        return self._find(path) is not None

    def list_dir(self, path: Path) -> list[str]:
        self.before("list", path)
        node = self._find(path)
        return sorted(node.seen) if isinstance(node, _Directory) else []

    def make_dir(self, path: Path) -> None:
        self.before("make", path)
        node = self._root
        for part in _parts(path):
            if part not in node.seen:
                node.seen[part] = _Directory()
                node.changed()
                node.sync()
            child = node.seen[part]
            if not isinstance(child, _Directory):
                raise StorageError(f"cannot make {path}: File exists")
            node = child

    def rename(self, old: Path, new: Path) -> None:
        assert old.parent == new.parent, "only names within one directory are changed in one step"
        self.before("rename", new)
        parent = self._directory(old.parent, "rename", old)
        there = parent.seen.get(new.name)
        if isinstance(there, _Directory) and there.seen:
            raise StorageError(f"cannot rename {old} to {new}: Directory not empty")
        if old.name not in parent.seen:
            raise StorageError(f"cannot rename {old} to {new}: No such file or directory")
        parent.seen[new.name] = parent.seen.pop(old.name)
        parent.changed()

    def remove(self, path: Path) -> None:
        self.before("remove", path)
        self._inode(path, "remove")
        parent = self._directory(path.parent, "remove", path)
        del parent.seen[path.name]
        parent.changed()

    def remove_tree(self, path: Path) -> None:
        self.before("remove", path)
        if self._find(path) is not None:
            parent = self._directory(path.parent, "remove", path)
            del parent.seen[path.name]
            parent.changed()

    def fsync_dir(self, path: Path) -> None:
        self.before("sync", path)
        self._directory(path, "sync", path).sync()

    # --- Inside -----------------------------------------------------------------------------------

    def _find(self, path: Path) -> _Inode | _Directory | None:
        node: _Inode | _Directory | None = self._root
        for part in _parts(path):
            node = node.seen.get(part) if isinstance(node, _Directory) else None
        return node

    def _directory(self, path: Path, doing: str, what: Path) -> _Directory:
        node = self._find(path)
        if not isinstance(node, _Directory):
            raise StorageError(f"cannot {doing} {what}: No such file or directory")
        return node

    def _inode(self, path: Path, doing: str) -> _Inode:
        node = self._find(path)
        if not isinstance(node, _Inode):
            raise StorageError(f"cannot {doing} {path}: No such file or directory")
        return node

    def _room_for(self, growth: int) -> int:
        """How many of `growth` more bytes there is space for."""
        if self.capacity_bytes is None:
            return growth
        return max(0, min(growth, self.capacity_bytes - self.used_bytes))


def _parts(path: Path) -> tuple[str, ...]:
    return path.relative_to(path.anchor).parts


def _used(node: _Inode | _Directory) -> int:
    if isinstance(node, _Inode):
        return node.seen.size
    return sum(_used(child) for child in node.seen.values())


class _SimulatedFile:
    def __init__(self, disk: SimulatedDisk, path: Path, inode: _Inode) -> None:
        self._disk = disk
        self._path = path
        self._inode = inode
        self._opened_at = disk._processes_ended
        self._open = True

    def _use(self, operation: str) -> _Inode:
        if not self._open or self._opened_at != self._disk._processes_ended:
            raise StorageError(f"cannot {operation} {self._path}: Bad file descriptor")
        self._disk.before(operation, self._path)
        return self._inode

    def write_at(self, offset: int, data: bytes) -> None:
        inode = self._use("write to")
        growth = max(0, offset + len(data) - inode.seen.size)
        room = self._disk._room_for(growth) if growth else 0
        if room < growth:  # what fits is written, as a real disk does
            fits = data[: max(0, len(data) - growth + room)]
            if fits:
                inode.change(offset, bytes(fits))
            raise DiskFull(f"cannot write to {self._path}: No space left on device")
        inode.change(offset, bytes(data))

    def preallocate(self, size: int) -> None:
        inode = self._use("preallocate")
        growth = size - inode.seen.size
        if growth > 0:
            if self._disk._room_for(growth) < growth:
                raise DiskFull(f"cannot preallocate {self._path}: No space left on device")
            inode.change(size, None)

    def truncate(self, size: int) -> None:
        self._use("truncate").change(size, None)

    def fdatasync(self) -> None:
        try:
            inode = self._use("fdatasync")
        except PowerLoss:
            raise
        except StorageError:
            self._inode.pending.clear()
            raise
        inode.sync()

    def size(self) -> int:
        return self._use("look at").seen.size

    def close(self) -> None:
        self._open = False
