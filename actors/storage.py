"""The data directory of a member: what is in it, who may open it, and where the log starts.

    DATA/.lock                   held as long as the node lives
    DATA/member/snap/db.sqlite   the backend (its name is the engine's)
    DATA/member/wal/             the raft log, in etcd's format

Opening decides between a new member and a restart by the log alone, and refuses combinations that can only
come from a lost or exchanged file: a backend that is older than the log's beginning, or newer than its end.
"""

from __future__ import annotations

from pathlib import Path

import attrs

from ..backends.buffer import Backend
from ..backends.contract import EngineOptions
from ..backends.lock import Lock, lock_directory
from ..backends.registry import engine_class, open_engine
from ..config import Config
from ..errors import CorruptData, DiskFull, StorageError
from ..raft.disk import Disk
from ..raft.storage import MemoryStorage
from ..raft.types import Snapshot, SnapshotMetadata
from ..raft.wal import WAL, Metadata, WalSnapshot
from .log import Log

__all__ = ["OpenedLog", "OpenedStorage", "open_storage"]

log = Log("triode.storage")


@attrs.define(eq=False)
class OpenedLog:
    """A log that has been read: where raft starts from."""

    wal: WAL | None
    member_id: int
    cluster_id: int
    storage: MemoryStorage
    fresh: bool
    snapshot_index: int


@attrs.define(eq=False)
class OpenedStorage:
    """Everything on disk of one member; `close` in any case."""

    data_dir: Path | None
    backend: Backend
    log: OpenedLog
    lock: Lock | None

    def close(self) -> None:
        """Close the files and give up the lock; the log is closed by its writer."""
        try:
            self.backend.close()
        except DiskFull as error:  # the log still has what the backend could not take
            log.warning("the backend could not be committed at the end", error=str(error))
        finally:
            if self.lock is not None:
                self.lock.release()


def data_dir_of(config: Config) -> Path:
    """Where the member keeps its data."""
    return config.data_dir or Path(f"{config.name}.triode")


def open_storage(config: Config, disk: Disk, member_id: int, cluster_id: int) -> OpenedStorage:
    """Open or create the member's storage; the IDs are used for a new member only.

    Raises:
        DataDirLocked: another node serves it.
        CorruptData: the files contradict themselves or each other.
        StorageError: the directory cannot be used.
    """
    if not engine_class(config.backend).durable:
        return _volatile(config, member_id, cluster_id)
    data_dir = data_dir_of(config)
    snap_dir = data_dir / "member" / "snap"
    try:
        snap_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError(
            f"cannot make the data directory {data_dir}: {error.strerror}"
        ) from error
    lock = lock_directory(data_dir)
    try:
        _refuse_etcds(snap_dir)
        path = snap_dir / f"db.{config.backend}"
        wal_dir = config.wal_dir or data_dir / "member" / "wal"
        backend = _open_backend(config, path)
        try:
            opened_log = _open_log(disk, wal_dir, member_id, cluster_id, backend)
        except BaseException:
            backend.engine.close()
            raise
    except BaseException:
        lock.release()
        raise
    return OpenedStorage(data_dir, backend, opened_log, lock)


def _volatile(config: Config, member_id: int, cluster_id: int) -> OpenedStorage:
    backend = _open_backend(config, None)
    opened_log = OpenedLog(None, member_id, cluster_id, MemoryStorage(), True, 0)
    return OpenedStorage(None, backend, opened_log, None)


def _open_backend(config: Config, path: Path | None) -> Backend:
    engine = open_engine(config.backend, path, EngineOptions())
    return Backend(engine, batch_limit=config.backend_batch_limit)


def _refuse_etcds(snap_dir: Path) -> None:
    if (snap_dir / "db").exists():
        raise StorageError(
            f"{snap_dir.parent.parent} is a data directory of etcd: choose another `data-dir`, and bring"
            " the data over with `etcdctl snapshot save` or `etcdctl make-mirror`"
        )


def _open_log(
    disk: Disk, wal_dir: Path, member_id: int, cluster_id: int, backend: Backend
) -> OpenedLog:
    storage = MemoryStorage()
    applied = int.from_bytes(backend.get("meta", b"consistent_index") or b"", "big")
    if not disk.list_dir(wal_dir):
        if applied:
            raise CorruptData(
                f"the backend has data up to log index {applied}, but there is no log in {wal_dir}:"
                " bring the log back, or restore this member from a snapshot"
            )
        metadata = Metadata(node_id=member_id, cluster_id=cluster_id)
        wal = WAL.create(disk, wal_dir, metadata.encode())
        return OpenedLog(wal, member_id, cluster_id, storage, True, 0)
    wal = WAL.open(disk, wal_dir)
    contents = wal.read_all()
    if wal.repaired is not None:
        log.warning("repaired the torn end of the log", file=str(wal.repaired.file))
    metadata = Metadata.decode(contents.metadata)
    start = wal.snapshot or WalSnapshot()
    if start.index:
        assert start.conf_state is not None, "a snapshot beyond index 0 has a membership"
        meta = SnapshotMetadata(start.conf_state, start.index, start.term)
        storage.apply_snapshot(Snapshot(b"", meta))
    storage.set_hard_state(contents.hard_state)
    storage.append(contents.entries)
    _check_agreement(wal_dir, applied, start.index, storage.last_index())
    return OpenedLog(
        wal,
        metadata.node_id,
        metadata.cluster_id,
        storage,
        fresh=storage.last_index() == 0,
        snapshot_index=start.index,
    )


def _check_agreement(wal_dir: Path, applied: int, first: int, last: int) -> None:
    """The backend must lie between the log's beginning and its end."""
    if applied < first:
        raise CorruptData(
            f"the backend ends at log index {applied}, but the log in {wal_dir} begins at {first}:"
            " the backend was lost or is an old copy; restore this member from a snapshot"
        )
    if applied > last:
        raise CorruptData(
            f"the backend is at log index {applied}, but the log in {wal_dir} ends at {last}:"
            " the log was lost or is an old copy; restore this member from a snapshot"
        )
