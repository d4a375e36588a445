"""The storage version: `storageVersion` in the bucket `meta`, there from etcd 3.6 on.

A database without one is of 3.5 if it has what 3.5 has added (confState and term, which appear with the first
snapshot of the log), else older. Source: etcd 3.6 server/storage/schema.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ...backends.buffer import Backend
from ...backends.contract import EngineOptions, View
from ...backends.registry import open_engine
from ...errors import StorageError
from ...mvcc.file_status import STORAGE_VERSION
from ...raft.disk import RealDisk
from ...raft.types import Entry, EntryType
from ...raft.wal.survey import survey
from . import requests
from .files import open_member
from .notices import info, warn
from .places import Member
from .rewrite import WithMeta, rewrite_bbolt

__all__ = ["Version", "detect", "parse_target", "set_version", "wal_version"]


class Version(NamedTuple):
    """Major and minor; the schema knows no more."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    @property
    def full(self) -> str:
        """As it is stored."""
        return f"{self.major}.{self.minor}.0"


V3_5, V3_6 = Version(3, 5), Version(3, 6)
NEWEST = V3_6


def parse_target(text: str) -> Version:
    """A version as "X.Y"; raises ValueError with etcdutl's texts."""
    if text.count(".") != 1:
        raise ValueError(f'wrong target version format, expected "X.Y", got "{text}"')
    parts = text.split(".")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"failed to parse target version: {text} is not in dotted-tri format")
    target = Version(int(parts[0]), int(parts[1]))
    if target < V3_5:
        raise ValueError(f'target version "{target}" not supported. Minimal "3.5"')
    return target


def detect(view: View) -> Version:
    """The version of a database; raises StorageError if it cannot be told."""
    stored = view.get("meta", STORAGE_VERSION)
    if stored is not None:
        parts = stored.decode("utf-8", "replace").split(".")
        if len(parts) < 2 or not all(part.isdigit() for part in parts[:2]):
            raise StorageError(f"storageVersion is no version: {stored!r}")
        return Version(int(parts[0]), int(parts[1]))
    if view.get("meta", b"confState") is None:
        raise StorageError("missing confstate information")
    if not int.from_bytes(view.get("meta", b"term") or b"", "big"):
        raise StorageError("missing term information")
    return V3_5


def wal_version(entries: Iterable[Entry]) -> Version | None:
    """The least version of etcd that understands these entries, as far as it is above 3.5."""
    least: Version | None = None
    for entry in entries:
        if entry.type != EntryType.NORMAL:
            continue
        request = requests.decode(entry)
        if request is not None and request.HasField("downgrade_version_test"):
            asked = request.downgrade_version_test.ver.split(".")
            known = [int(part) for part in asked[:2] if part.isdigit()]
            least = max(V3_6, Version(*known) if len(known) == 2 else V3_6, least or V3_6)
    return least


def set_version(member: Member, target: Version, *, force: bool) -> None:
    """Write another version; to be called by who holds the member's lock. Raises StorageError."""
    with open_member(member) as view:
        try:
            current = detect(view)
        except StorageError as error:
            raise StorageError(
                f"cannot detect storage schema version: {error} (it comes with the first snapshot of the log)"
            ) from None
        if current == target:
            info("storage version up-to-date", storage_version=str(current))
            return
        try:
            _check(member, current, target)
        except StorageError as error:
            if not force:
                raise
            info("normal migrate failed, trying with force", error=str(error))
        value = None if target < V3_6 else target.full.encode()
        if member.is_etcds:
            rewrite_bbolt(member.db, WithMeta(view, STORAGE_VERSION, value))
    if not member.is_etcds:
        _put(member, value)
    if force:
        warn("forcefully set storage version", storage_version=str(target))
    else:
        info("updated storage version", new_storage_version=str(target))
    if not member.is_etcds:
        info("Triode itself does not look at it; it goes along in snapshots of this member")


def _check(member: Member, current: Version, target: Version) -> None:
    if current.major != target.major:
        raise StorageError(
            "cannot create migration plan: changing major storage version is not supported"
        )
    for version in (current, target):
        if version > NEWEST:
            raise StorageError(
                f'cannot create migration plan: version "{version.full}" is not supported'
            )
    if target < current:
        found = survey(RealDisk(), member.wal_dir)
        if found.replay is None:
            raise StorageError(f"failed to read wal: {'; '.join(found.problems)}")
        least = wal_version(found.replay.entries)
        if least is not None and target < least:
            raise StorageError(
                "cannot downgrade storage, WAL contains newer entries, as the target version"
                f" ({target.full}) is lower than the version ({least.full}) detected from WAL logs"
            )


def _put(member: Member, value: bytes | None) -> None:
    backend = Backend(open_engine(member.engine, member.db, EngineOptions(create=False)))
    try:
        if value is None:
            backend.delete("meta", STORAGE_VERSION)
        else:
            backend.put("meta", STORAGE_VERSION, value)
        backend.sync()
    finally:
        backend.close()
