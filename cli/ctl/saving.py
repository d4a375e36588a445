"""A snapshot becomes a file: whole and on the disk, or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

import trio

from ...client.client import Client
from ...errors import EtcdError, TriodeError
from .progress import progress

__all__ = ["SaveFailed", "save"]

DIGEST_BYTES: Final = 32  # SHA-256, behind the database, whose size is a multiple of 512
SYNC_BYTES: Final = 16 << 20


class SaveFailed(TriodeError):
    """There is no snapshot; the message says why."""


async def save(client: Client, path: Path, endpoint: str | None = None) -> str:
    """Write a member's snapshot to `path`, by way of `path.part`.

    Returns:
        The version of the member's storage; "" if it does not tell.

    Raises:
        SaveFailed: the file could not be written, or the snapshot is not complete.
        EtcdError: the member did not give it.
    """
    part = path.with_name(path.name + ".part")
    try:
        number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SaveFailed(f"could not open {part} (open {part}: {_reason(error)})") from error
    try:
        try:
            version, size = await _fetch(client, number, endpoint)
        finally:
            os.close(number)
        if size % 512 != DIGEST_BYTES:
            raise SaveFailed(f"sha256 checksum not found [bytes: {size}]")
        try:
            part.replace(path)
        except OSError as error:
            reason = f"rename {part} {path}: {_reason(error)}"
            raise SaveFailed(f"could not rename {part} to {path} ({reason})") from error
        _sync_folder(path.parent)
        return version
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _reason(error: OSError) -> str:
    """In Go's words."""
    if isinstance(error, IsADirectoryError):
        return "file exists"
    return (error.strerror or str(error)).lower()


async def _fetch(client: Client, number: int, endpoint: str | None) -> tuple[str, int]:
    """Write what comes to a file; returns the version and the number of bytes, which are on the disk."""
    done = unsynced = 0
    async with client.maintenance.snapshot(endpoint) as snapshot:
        with progress("snapshot", sizes=True) as bar:
            try:
                async for piece in snapshot:
                    done += len(piece)
                    unsynced += len(piece)
                    bar.set(done=done, total=done + (snapshot.remaining_bytes or 0))
                    _write(number, piece)
                    if unsynced >= SYNC_BYTES:  # a little at a time, instead of long at the end
                        await trio.to_thread.run_sync(os.fdatasync, number)
                        unsynced = 0
            except EtcdError as error:
                raise SaveFailed(f"could not write snapshot: {error}") from error
            try:
                await trio.to_thread.run_sync(os.fsync, number)
            except OSError as error:
                raise SaveFailed(f"could not fsync snapshot: {_reason(error)}") from error
        return snapshot.version, done


def _write(number: int, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(number, view) :]
    except OSError as error:
        raise SaveFailed(f"could not write snapshot: {_reason(error)}") from error


def _sync_folder(folder: Path) -> None:
    """Make the new name last. Some file systems know no such thing."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
