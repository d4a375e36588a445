"""The data directory of a member: what is in it, who may open it, and where the log starts.

    DATA/.lock                   held as long as the node lives; a `wal-dir` of its own has one beside it
    DATA/member/forgetful.json   what a member leaves whose engine keeps nothing; see `engine_marker`
    DATA/member/snap/db.sqlite   the backend (its name is the engine's)
    DATA/member/wal/             the raft log, in etcd's format

Opening decides between a new member and a restart by the log alone, and refuses combinations that can only
come from a lost or exchanged file: a backend that is older than the log's beginning, or newer than its end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import attrs

from ..backends.buffer import Backend
from ..backends.contract import EngineOptions
from ..backends.lock import Lock
from ..config import Config, parse_initial_cluster
from ..errors import CorruptData, DiskFull, StorageError
from ..raft.disk import Disk
from ..raft.storage import MemoryStorage
from ..raft.types import ConfState, HardState, Snapshot, SnapshotMetadata
from ..raft.wal import SEGMENT_BYTES, WAL, Metadata, WalSnapshot
from .engine_marker import Directory, check_engine, check_identity, check_log, leave_mark
from .force_new import force_new
from .log import Log
from .member import member_id
from .snapshot_files import SnapshotFiles
from .world import World

__all__ = ["OpenedLog", "OpenedStorage", "open_storage"]

log = Log("triode.storage")


class RestartedLog(MemoryStorage):
    """A log that has been read; its membership is that of the applied state, not of the last snapshot."""

    conf_state: ConfState | None = None

    def initial_state(self) -> tuple[HardState, ConfState]:
        hard_state, conf_state = super().initial_state()
        return hard_state, conf_state if self.conf_state is None else self.conf_state


@attrs.define(eq=False)
class OpenedLog:
    """A log that has been read: where raft starts from.

    `snapshot_index` is where the log begins, `applied_index` up to where the backend has executed it.
    """

    wal: WAL | None
    member_id: int
    cluster_id: int
    storage: RestartedLog
    snapshot_index: int = 0
    applied_index: int = 0


@attrs.define(eq=False)
class OpenedStorage:
    """Everything on disk of one member; `close` in any case.

    The log of a new member is not made before it is known who the member is: see `begin`.
    """

    backend: Backend
    disk: Disk
    snapshots: SnapshotFiles
    data_dir: Path | None = None
    wal_dir: Path | None = None
    found: OpenedLog | None = None
    locks: Sequence[Lock] = ()
    segment_bytes: int | None = None
    marks: Callable[[int], None] | None = None
    """Checks a new member's ID, and leaves the mark of an engine that keeps nothing."""

    @property
    def log(self) -> OpenedLog:
        """The log, once there is one."""
        assert self.found is not None, "a new member begins its log first"
        return self.found

    def begin(self, member_id: int, cluster_id: int) -> None:
        """Make the log of a new member; raises StorageError."""
        if self.marks is not None:
            self.marks(member_id)
        wal = None
        if self.wal_dir is not None:
            metadata = Metadata(node_id=member_id, cluster_id=cluster_id).encode()
            segment_bytes = self.segment_bytes or SEGMENT_BYTES
            wal = WAL.create(self.disk, self.wal_dir, metadata, segment_bytes=segment_bytes)
        self.found = OpenedLog(wal, member_id, cluster_id, RestartedLog())

    def close(self) -> None:
        """Close the files and give up the locks.

        What the backend has buffered is dropped: after a graceful stop the applier has committed it, and
        after a failure it may end in the middle of an entry. The log still has all of it.
        """
        try:
            if self.found is not None and self.found.wal is not None:
                self.found.wal.close()
            self.backend.engine.close()
        except DiskFull as error:  # the log still has what is not in the backend's file
            log.warning("the backend could not be synced at the end", error=str(error))
        finally:
            for lock in self.locks:
                lock.release()


def data_dir_of(config: Config) -> Path:
    """Where the member keeps its data."""
    return config.data_dir or Path(f"{config.name}.triode")


def open_storage(config: Config, world: World) -> OpenedStorage:
    """Open or create the member's storage.

    Raises:
        DataDirLocked: another node serves it.
        CorruptData: the files contradict themselves or each other.
        StorageError: the directory cannot be used.
    """
    disk = world.disk
    durable = world.engine_class(config.backend).durable
    data_dir = data_dir_of(config)
    snap_dir = data_dir / "member" / "snap"
    wal_dir = config.wal_dir or data_dir / "member" / "wal"
    directory = Directory(data_dir, wal_dir)
    check_engine(disk, directory, config.backend, durable=durable)
    check_log(disk, directory)
    if config.initial_cluster_state == "new":  # its settings say who it is; others are told
        urls = parse_initial_cluster(config.initial_cluster).get(
            config.name, config.initial_advertise_peer_urls
        )
        check_identity(disk, directory, member_id(urls, config.initial_cluster_token))

    def marks(member_id: int) -> None:
        check_identity(disk, directory, member_id)
        if not durable and _relied_on(config):
            leave_mark(disk, directory, config, member_id)

    if not durable:
        backend = _open_backend(config, world, None)
        return OpenedStorage(backend, disk, SnapshotFiles(disk, None), marks=marks)
    with ExitStack() as undo:
        locks = _lock(world, data_dir, snap_dir, config.wal_dir, undo)
        _refuse_etcds(disk, snap_dir)
        backend = _open_backend(config, world, snap_dir / f"db.{config.backend}")
        undo.callback(_abandon, backend)
        _defragment(backend, config.bootstrap_defrag_threshold_megabytes)
        snapshots = SnapshotFiles(disk, snap_dir)
        opened = OpenedStorage(
            backend, disk, snapshots, data_dir, wal_dir, None, locks, world.segment_bytes, marks
        )
        snapshots.remove_torn()
        opened.found = _find_log(world, wal_dir, backend, snapshots)
        if opened.found is not None and config.force_new_cluster:
            _force_new(opened.found)
        undo.pop_all()
    return opened


def _relied_on(config: Config) -> bool:
    """Whether others count on what a member that keeps nothing has told them."""
    several = len(parse_initial_cluster(config.initial_cluster)) > 1
    return several or config.initial_cluster_state == "existing"


def _lock(
    world: World, data_dir: Path, snap_dir: Path, wal_dir: Path | None, undo: ExitStack
) -> list[Lock]:
    """Make sure that nobody else uses the directories; a log elsewhere has a lock of its own."""
    world.disk.make_dir(snap_dir)
    locks = [undo.enter_context(world.locks.directory(data_dir))]
    if wal_dir is not None:
        world.disk.make_dir(wal_dir.parent)
        locks.append(undo.enter_context(world.locks.file(wal_dir)))
    return locks


def _abandon(backend: Backend) -> None:
    """Close it after a failure, which is to be told rather than one that this may cause."""
    with suppress(StorageError):
        backend.engine.close()


def _defragment(backend: Backend, threshold_megabytes: int) -> None:
    """Do at start what would hold up the member later, if it is worth while (0: never)."""
    free = backend.size() - backend.size_in_use()
    if not threshold_megabytes or free < threshold_megabytes << 20:
        return
    before = backend.size()
    try:
        backend.defragment()
    except DiskFull as error:
        log.warning("there is no space to defragment at start", error=str(error))
        return
    log.info("defragmented at start", before_bytes=before, after_bytes=backend.size())


def _open_backend(config: Config, world: World, path: Path | None) -> Backend:
    engine = world.engine_class(config.backend).open(path, EngineOptions())
    return Backend(engine, batch_limit=config.backend_batch_limit)


def _refuse_etcds(disk: Disk, snap_dir: Path) -> None:
    if disk.exists(snap_dir / "db"):
        raise StorageError(
            f"{snap_dir.parent.parent} is a data directory of etcd: choose another `data-dir`, and bring"
            " the data over with `etcdctl snapshot save` or `etcdctl make-mirror`"
        )


def _find_log(
    world: World, wal_dir: Path, backend: Backend, snapshots: SnapshotFiles
) -> OpenedLog | None:
    """The log of a member that has run before."""
    disk, segment_bytes = world.disk, world.segment_bytes or SEGMENT_BYTES
    applied = _applied_index(backend)
    if not disk.list_dir(wal_dir):
        if applied:
            raise CorruptData(
                f"the backend has data up to log index {applied}, but there is no log in {wal_dir}:"
                " bring the log back, or restore this member from a snapshot"
            )
        return None
    wal = WAL.open(disk, wal_dir, segment_bytes=segment_bytes)
    try:
        opened = _read_log(wal, wal_dir, backend, snapshots)
    except BaseException:
        wal.close()
        raise
    if opened is None:
        wal.close()
        _discard(disk, wal_dir)
    return opened


def _applied_index(backend: Backend) -> int:
    return int.from_bytes(backend.get("meta", b"consistent_index") or b"", "big")


def _read_log(
    wal: WAL, wal_dir: Path, backend: Backend, snapshots: SnapshotFiles
) -> OpenedLog | None:
    """The log of a member that has run before; None if it ended before its first write was whole."""
    contents = wal.read_all()
    if (cut := wal.repaired) is not None:
        log.warning(
            "repaired the torn end of the log",
            file=str(cut.file),
            offset=cut.offset,
            reason=cut.reason,
            backup=str(cut.backup),
        )
    start = wal.snapshot or WalSnapshot()
    applied = _applied_index(backend)
    if contents.hard_state == HardState() and start.index == 0 and not applied:
        return None
    if applied < start.index and snapshots.has(start.index):
        applied = _finish_install(backend, snapshots, start)
    metadata = Metadata.decode(contents.metadata)
    storage = RestartedLog()
    if start.index:
        if start.conf_state is None:
            raise CorruptData(
                f"the log in {wal_dir} has a snapshot at {start.index} without members"
            )
        meta = SnapshotMetadata(start.conf_state, start.index, start.term)
        storage.apply_snapshot(Snapshot(b"", meta))
    storage.append(contents.entries)
    _check_agreement(wal_dir, applied, start.index, storage.last_index())
    # what was applied was committed, though the log may have been told so later
    state = contents.hard_state
    storage.set_hard_state(state._replace(commit=max(state.commit, applied)))
    return OpenedLog(wal, metadata.node_id, metadata.cluster_id, storage, start.index, applied)


def _force_new(opened: OpenedLog) -> None:
    """Make this member the only one, see `force_new`; the log says so when this returns."""
    old, wal = opened.storage, opened.wal
    assert wal is not None, "it was read"
    state, conf_state = old.initial_state()
    entries = old.entries(old.first_index(), old.last_index() + 1, sys.maxsize)
    forced = force_new(opened.member_id, conf_state, entries, state, opened.applied_index)
    wal.save(forced.hard_state, forced.added)
    wal.sync()
    opened.storage = storage = RestartedLog()
    if not old.snapshot().empty:
        storage.apply_snapshot(old.snapshot())
    storage.append(forced.entries)
    storage.set_hard_state(forced.hard_state)
    log.warning(
        "forcing restart member as a new cluster",
        local_member_id=f"{opened.member_id:x}",
        dropped_entries=len(entries) + len(forced.added) - len(forced.entries),
        commit_index=forced.hard_state.commit,
    )


def _finish_install(backend: Backend, snapshots: SnapshotFiles, start: WalSnapshot) -> int:
    """A crash came between the log's record of a received snapshot and its taking effect."""
    log.info("finishing the installation of a snapshot", index=start.index)
    with snapshots.open(start.index) as content:
        engine = backend.replacing()
        try:
            engine.replace(content)
        finally:
            backend.replaced(engine)
    backend.put("meta", b"consistent_index", start.index.to_bytes(8, "big"))
    backend.put("meta", b"term", start.term.to_bytes(8, "big"))
    backend.commit()
    return start.index


def _discard(disk: Disk, wal_dir: Path) -> None:
    """Remove, in one step, a log whose first write a crash has torn.

    That write is the cluster's first configuration with the term and commit index that make it count.
    Without these the member knows of no voter and could never be elected; and it has promised nothing yet.
    """
    doomed = wal_dir.with_name(wal_dir.name + ".torn")
    disk.remove_tree(doomed)
    disk.rename(wal_dir, doomed)
    disk.fsync_dir(wal_dir.parent)
    disk.remove_tree(doomed)


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
