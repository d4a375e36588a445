"""Which engine a data directory belongs to: another one is refused before anything is written.

A durable engine is known by its file, `member/snap/db.NAME`, and by the log beside it. An engine that keeps nothing on
disk would start empty under the identity that the log has, and a second durable one would grow a database that the
log contradicts later. So neither starts.

A member of an engine that keeps nothing forgets whom it voted for and what it has acknowledged. It must not come back
under its identity, which its settings would give it again. So it leaves a mark, `member/forgetful.json`, unless it
is alone: who is alone has told nobody anything, and leaves nothing on disk.
"""

from __future__ import annotations

import json
from pathlib import Path

import attrs

from ..config import Config
from ..errors import StorageError
from ..raft.disk import Disk, write_file

__all__ = ["Directory", "check_engine", "check_identity", "check_log", "leave_mark"]

DATABASE = "db."
MARK = "forgetful.json"
_BESIDE = ("-wal", "-shm", "-lock", "-journal")


@attrs.frozen
class Directory:
    """The places of a data directory that tell whose it is."""

    data_dir: Path
    wal_dir: Path

    @property
    def snap_dir(self) -> Path:
        return self.data_dir / "member" / "snap"

    @property
    def usual_wal_dir(self) -> Path:
        return self.data_dir / "member" / "wal"

    @property
    def mark(self) -> Path:
        return self.data_dir / "member" / MARK


def check_engine(disk: Disk, directory: Directory, engine: str, *, durable: bool) -> None:
    """Raise StorageError if the directory belongs to another engine than `engine`."""
    there = sorted(
        name.removeprefix(DATABASE)
        for name in disk.list_dir(directory.snap_dir)
        if name.startswith(DATABASE) and not name.endswith(_BESIDE)
    )
    others = [name for name in there if name != engine]
    if others and durable and engine in there:
        raise StorageError(
            f"{directory.data_dir} has databases of {len(there)} engines, {' and '.join(there)}: only one of them"
            f" goes with the log; move the file that does not out of {directory.snap_dir}"
        )
    if others or (not durable and disk.list_dir(directory.wal_dir)):
        name = others[0] if others else "a durable engine"
        raise StorageError(
            f"{directory.data_dir} belongs to the backend {name}, not to {engine}: start with"
            f" `backend` = {name}, or choose another `data-dir`. To bring the data over, save a snapshot while"
            f" the member runs with {name} (`triodectl snapshot save`) and restore it with"
            f" `triodeutl snapshot restore`"
        )


def check_log(disk: Disk, directory: Directory) -> None:
    """Raise StorageError if the log is where it usually is, and `wal-dir` says that it is elsewhere.

    As long as the backend has committed nothing, the member would begin anew otherwise, and forget what it has voted
    and acknowledged.
    """
    wal_dir, usual = directory.wal_dir, directory.usual_wal_dir
    if wal_dir != usual and not disk.list_dir(wal_dir) and disk.list_dir(usual):
        raise StorageError(
            f"the log of {directory.data_dir} is in {usual}, and `wal-dir` is {wal_dir}, where there is none:"
            " move it there, or leave `wal-dir` out"
        )


def check_identity(disk: Disk, directory: Directory, member_id: int) -> None:
    """Raise StorageError if a member of that ID has been here that kept nothing."""
    if not disk.exists(directory.mark):
        return
    try:
        mark = json.loads(disk.read(directory.mark))
        known, engine = int(mark["member_id"], 16), str(mark["backend"])
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{directory.mark} cannot be read: {error}. It says which member has run here that keeps nothing: remove that"
            " member from its cluster and add it anew, with an empty `data-dir`"
        ) from None
    if known == member_id:
        raise StorageError(
            f"member {member_id:x} has run in {directory.data_dir} with the backend {engine}, which keeps nothing:"
            " it has forgotten what it acknowledged and whom it voted for, and must not come back under its"
            " identity: remove it from its cluster and add it anew"
        )


def leave_mark(disk: Disk, directory: Directory, config: Config, member_id: int) -> None:
    """Note that this member keeps nothing; raises StorageError."""
    disk.make_dir(directory.mark.parent)
    record = {"backend": config.backend, "member_id": f"{member_id:x}"}
    beside = directory.mark.with_name(
        f"{MARK}.tmp"
    )  # a crash leaves the old mark, or all of the new one
    write_file(disk, beside, json.dumps(record).encode() + b"\n")
    disk.rename(beside, directory.mark)
    disk.fsync_dir(directory.mark.parent)
