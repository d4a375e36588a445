"""Damage to SQLite's ``-wal`` file that SQLite does not see: frames that the main file has overtaken.

A frame counts for SQLite if its salts are the header's and its checksum, which goes on from the frame before, is right.
The first one that does not count ends the log, for that is how a loss of power leaves it. Then the newest committed
content of each page in front of it takes the place of the main file's.

After a checkpoint this is wrong. The main file has the later frames, and a bit that has flipped in an earlier one has
SQLite put older pages over newer ones: a mixture that was never committed, often without an error. Power losses cannot
cause that, as a checkpoint syncs the ``-wal`` file before it copies. So who opens the files looks first (`check_wal`).

The format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import CorruptData
from .faults import fail_os

__all__ = ["check_wal"]

_HEADER: Final = struct.Struct(">4I8s2I")  # magic, version, page size, sequence; salts; checksums
_FRAME: Final = struct.Struct(">2I8s2I")  # page number, size of the database or 0; salts; checksums
_SUMMED: Final = 8  # bytes of a frame's header that its checksum covers, as it covers the page
_MAGIC: Final = 0x377F0682  # its last bit is the checksums' byte order
_PAGE_BYTES: Final = tuple(512 << doubled for doubled in range(8))
_WORD_MAX: Final = 0xFFFFFFFF


class _Frame(NamedTuple):
    page: int
    size: int
    """Of the database in pages, at the end of a transaction; otherwise 0."""
    salts: bytes
    sums: tuple[int, int]
    at: int
    """Where its header begins."""


def check_wal(main: Path, wal: Path) -> None:
    """Raise CorruptData if SQLite would put older pages of `wal` over newer ones of `main`.

    Nothing is changed. Checksums are compared only if the main file has pages of the ``-wal`` file already: this takes
    about 0.3 ms for a page of 16 KiB. Raises StorageError when a file cannot be read.
    """
    try:
        with main.open("rb") as pages, wal.open("rb") as file:
            if os.fstat(file.fileno()).st_size < _HEADER.size:
                return
            with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
                broken = _overtaken(data, pages.fileno())
    except FileNotFoundError:
        return
    except OSError as error:
        fail_os(wal, "reading", error)
    if broken is not None:
        raise CorruptData(
            f"{wal}: frame {broken + 1} is damaged, and {main.name} has newer pages than those before it: remove this"
            " member and add it anew, or restore it from a snapshot"
        )


def _overtaken(data: mmap.mmap, main: int) -> int | None:
    """The first damaged frame, counted from 0, if the main file has the content of later ones."""
    magic, _, page_bytes, _, salts, *sums = _HEADER.unpack_from(data)
    if magic & ~1 != _MAGIC or page_bytes not in _PAGE_BYTES:
        return None  # SQLite takes nothing of it
    order = ">" if magic & 1 else "<"
    if _summed(order, data[: _HEADER.size - 8], (0, 0)) != tuple(sums):
        return None  # nor of this
    frames = _frames(data, page_bytes, salts)
    copied = [
        _page(data, frame, page_bytes) == _stored(main, frame, page_bytes) for frame in frames
    ]
    if not any(copied):
        return None
    before, sound = (sums[0], sums[1]), []
    for frame in frames:
        found = _summed(order, data[frame.at : frame.at + _SUMMED], before)
        found = _summed(order, _page(data, frame, page_bytes), found)
        sound.append(frame.salts == salts and found == frame.sums)
        before = frame.sums
    if all(sound):
        return None
    broken = sound.index(False)
    return broken if _is_newer(frames, copied, sound, broken) else None


def _frames(data: mmap.mmap, page_bytes: int, salts: bytes) -> list[_Frame]:
    """Those up to the last one with the header's salts: after it comes what was there before."""
    found, count = [], 0
    step = _FRAME.size + page_bytes
    for at in range(_HEADER.size, len(data) - step + 1, step):
        page, size, theirs, one, two = _FRAME.unpack_from(data, at)
        found.append(_Frame(page, size, theirs, (one, two), at))
        if theirs == salts:
            count = len(found)
    return found[:count]


def _page(data: mmap.mmap, frame: _Frame, page_bytes: int) -> bytes:
    start = frame.at + _FRAME.size
    return data[start : start + page_bytes]


def _stored(main: int, frame: _Frame, page_bytes: int) -> bytes:
    return os.pread(main, page_bytes, (frame.page - 1) * page_bytes) if frame.page else b""


def _summed(order: str, part: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    """SQLite's checksums of some words, which go on from those of what is before."""
    one, two = sums
    words = iter(struct.unpack(f"{order}{len(part) // 4}I", part))
    for first, second in zip(words, words, strict=True):
        one = (one + first + two) & _WORD_MAX
        two = (two + second + one) & _WORD_MAX
    return one, two


def _is_newer(frames: list[_Frame], copied: list[bool], sound: list[bool], broken: int) -> bool:
    """Whether the main file is as of a transaction behind the damage, and SQLite would take it back.

    That is so if it has the newest content of every page then, but for as many as there are damaged frames; and of one
    page at least that SQLite would take from in front of the damage.
    """
    newest: dict[int, int] = {}
    older: set[int] = set()
    for number, frame in enumerate(frames):
        newest[frame.page] = number
        if not frame.size:
            continue
        newest = {page: at for page, at in newest.items() if page <= frame.size}
        if number < broken:
            older = {page for page, at in newest.items() if not copied[at]}
            continue
        missing = sum(not copied[at] for at in newest.values())
        taken_back = any(
            page in older and at > broken and sound[at] and copied[at]
            for page, at in newest.items()
        )
        if taken_back and missing <= sound[: number + 1].count(False):
            return True
    return False
