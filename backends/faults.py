"""What a failed system call means for storage."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import NoReturn

from ..errors import DiskFull, StorageError

__all__ = ["fail_os"]


def fail_os(path: Path, doing: str, error: OSError) -> NoReturn:
    """Raise the `StorageError` for `error`, naming the file."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    kind = DiskFull if full else StorageError
    raise kind(f"{path}: {error.strerror or error} (while {doing})") from error
