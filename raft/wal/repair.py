"""Cutting a torn tail off the last file of a log.

Only what was never made durable may be torn (`reader` has the rules), so cutting it off loses nothing
that was promised. The file is copied to `<name>.broken` first, for whoever wants to look.
"""

from __future__ import annotations

from pathlib import Path

import attrs

from ..disk import Disk, write_file
from .replay import Tail

__all__ = ["Repaired", "cut_tail"]


@attrs.frozen
class Repaired:
    """What a repair did: to be logged."""

    file: Path
    offset: int
    """Where the file was cut, bytes."""
    bytes_dropped: int
    """How much of the file followed (mostly zeros)."""
    reason: str
    backup: Path
    """The whole file as it was."""


def cut_tail(disk: Disk, directory: Path, tail: Tail) -> Repaired:
    """Keep a copy of the file, then cut it where `tail` says; durable when this returns."""
    assert tail.torn is not None
    path = directory / tail.segment.name
    backup = directory / (tail.segment.name + ".broken")
    content = disk.read(path)
    write_file(disk, backup, content)
    disk.fsync_dir(directory)
    file = disk.open(path)
    try:
        file.truncate(tail.end)
        file.fdatasync()
    finally:
        file.close()
    return Repaired(path, tail.end, len(content) - tail.end, tail.torn, backup)
