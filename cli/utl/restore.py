"""`snapshot restore`: a data directory of Triode's from a snapshot.

The new member begins as etcd's would: its log holds one membership change per initial member at term 1, all of them
committed, and a snapshot record after the last; its database says that it has executed them, and knows those members
and no others. So its IDs, and those of its cluster, are the same that etcd computes from the same flags, and members
that were restored by either tool agree.

Everything is built beside its place (`DATA/member.part`) and renamed when it is whole and durable. What fails, for a
full disk or Ctrl-C, takes away what it has made.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import attrs
import trio

from ...actors import membership_changes
from ...actors.bootstrap import check_advertised, first_members
from ...actors.cluster_version import parse_version
from ...actors.member import Member, cluster_id
from ...backends import registry
from ...backends.bbolt_file import BboltView
from ...backends.bbolt_image import SHA256_BYTES
from ...backends.buffer import Backend
from ...backends.contract import View
from ...backends.faults import fail_os
from ...backends.lock import DIRECTORY_LOCK, lock_directory
from ...config import Config, parse_initial_cluster
from ...errors import ConfigError, CorruptData, StorageError
from ...mvcc.alarm import BUCKET as ALARMS
from ...mvcc.alarm import NAMES as ALARM_NAMES
from ...mvcc.alarm import Alarm
from ...mvcc.file_status import STORAGE_VERSION
from ...mvcc.restore import SCHEDULED_COMPACT
from ...mvcc.revision import MAIN_MAX, main_key
from ...raft.codec import encode_conf_change
from ...raft.disk import RealDisk
from ...raft.types import ConfState, Entry, EntryType, HardState
from ...raft.wal import WAL, Metadata, WalSnapshot
from ...version import SERVER_VERSION
from .facts import latest_revision
from .files import open_file, total_bytes
from .locks import reading_file
from .notices import info, warn
from .progress import progress
from .sound import check_pages
from .watched import Watched

__all__ = ["Order", "restore_member"]

CHUNK_BYTES: Final = 1 << 20
ALIGNED_BYTES: Final = 512
"""A database is a multiple of it, so that a file of 32 bytes more ends with its digest (etcd's rule)."""
TERM: Final = 1
PART: Final = "member.part"
BUMP_ADVICE: Final = 1_000_000_000


@attrs.frozen(kw_only=True)
class Order:
    """What is to be restored, and as whom; texts are as the flags give them.

    `bump_revision` 0 leaves the revision as it is; else it comes with a compaction there.
    """

    snapshot: Path
    name: str
    data_dir: Path
    wal_dir: Path | None
    initial_cluster: str
    initial_cluster_token: str
    peer_urls: str
    skip_hash_check: bool
    bump_revision: int
    backend: str
    lock_seconds_max: float


def restore_member(order: Order) -> None:
    """Make the data directory.

    Raises:
        ConfigError: the members contradict each other.
        StorageError: the snapshot cannot be read, or the directory cannot be made.
        CorruptData: the snapshot is not as it was saved.
    """
    members = _members(order)
    mine = next(member for member in members if member.name == order.name)
    wal_dir = order.wal_dir or order.data_dir / "member" / "wal"
    _refuse_targets(order)
    where = {
        "path": str(order.snapshot),
        "wal_dir": str(wal_dir),
        "data_dir": str(order.data_dir),
        "snap_dir": str(order.data_dir / "member" / "snap"),
    }
    info("restoring snapshot", **where)
    with ExitStack() as stack:
        stack.enter_context(_interruptible())
        stack.enter_context(reading_file(order.snapshot, order.lock_seconds_max))
        _check_digest(order)
        view = stack.enter_context(open_file(order.snapshot))
        if isinstance(view, BboltView):
            check_pages(view, "snapshot file")
        _check_buckets(order.snapshot, view)
        _build(order, view, members, mine)
    info(
        "restored snapshot",
        **where,
        member_id=f"{mine.id:x}",
        cluster_id=f"{cluster_id(member.id for member in members):x}",
    )


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C and SIGTERM come as KeyboardInterrupt, so that what is half made goes away."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = [
        (number, signal.signal(number, interrupt)) for number in (signal.SIGINT, signal.SIGTERM)
    ]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


# --- who ----------------------------------------------------------------------------------------


def _members(order: Order) -> list[Member]:
    """The members of the new cluster by ID; raises ConfigError."""
    pairs = ",".join(f"{order.name}={url}" for url in order.peer_urls.split(","))
    mine = parse_initial_cluster(pairs, "initial-advertise-peer-urls").get(order.name, ())
    urls = parse_initial_cluster(order.initial_cluster)
    config = Config(
        name=order.name,
        initial_cluster_token=order.initial_cluster_token,
        initial_advertise_peer_urls=mine,
    )
    members = first_members(config, urls)
    trio.run(check_advertised, config, urls[order.name])
    if not mine:
        raise ConfigError("initial-advertise-peer-urls: no valid URLs given")
    return members


# --- where from ---------------------------------------------------------------------------------


def _check_digest(order: Order) -> None:
    """Hold the file against the SHA-256 at its end; raises CorruptData with etcd's texts."""
    path = order.snapshot
    try:
        size = path.stat().st_size
        if size % ALIGNED_BYTES != SHA256_BYTES:
            if not order.skip_hash_check:
                raise CorruptData("snapshot missing hash but --skip-hash-check=false")
            return
        if order.skip_hash_check:
            return
        digest = hashlib.sha256()
        with path.open("rb") as file, progress("checking the hash", size) as on_bytes:
            left = size - SHA256_BYTES
            while left and (chunk := file.read(min(left, CHUNK_BYTES))):
                digest.update(chunk)
                left -= len(chunk)
                on_bytes(len(chunk))
            expected = file.read(SHA256_BYTES)
    except FileNotFoundError:
        raise StorageError(f"open {path}: no such file or directory") from None
    except OSError as error:
        fail_os(path, "reading", error)
    if expected != digest.digest():
        raise CorruptData(
            f"expected sha256 {_go_bytes(expected)}, got {_go_bytes(digest.digest())}"
        )


def _check_buckets(path: Path, view: View) -> None:
    """Bucket names are identifiers (see `backends.contract`), whatever a file may hold."""
    for name in view.buckets():
        if not (name.isascii() and name.isidentifier()):
            raise CorruptData(
                f"{path} has a bucket with the name {name!r}, which is none of etcd's"
            )


def _go_bytes(data: bytes) -> str:
    return "[" + " ".join(map(str, data)) + "]"


# --- where to -----------------------------------------------------------------------------------


def _refuse_targets(order: Order) -> None:
    try:
        if order.data_dir.exists():
            names = {path.name for path in order.data_dir.iterdir()}
            if names - {DIRECTORY_LOCK, PART}:
                raise StorageError(f'data-dir "{order.data_dir}" not empty or could not be read')
    except NotADirectoryError:
        raise StorageError(f'data-dir "{order.data_dir}" not empty or could not be read') from None
    except OSError as error:
        fail_os(order.data_dir, "looking at", error)
    if order.wal_dir is not None and order.wal_dir.exists():
        raise StorageError(f'wal-dir "{order.wal_dir}" exists')


def _build(order: Order, view: View, members: list[Member], mine: Member) -> None:
    """Everything, or nothing."""
    disk = RealDisk()
    part = order.data_dir / PART
    if not registry.engine_class(order.backend).durable:
        raise ConfigError(
            f"backend {order.backend!r} keeps nothing on disk: there is nothing to restore to"
        )
    made = not order.data_dir.exists()
    disk.make_dir(order.data_dir)
    try:
        with lock_directory(order.data_dir), ExitStack() as undo:
            disk.remove_tree(part)
            undo.callback(disk.remove_tree, part)
            disk.make_dir(part / "snap")
            _build_database(order, view, part / "snap", members)
            inside = _inside(order)
            if inside is not None:
                disk.make_dir((part / inside).parent)
                _build_log(disk, part / inside, members, mine)
            else:
                assert order.wal_dir is not None
                disk.make_dir(order.wal_dir.parent)
                undo.callback(disk.remove_tree, order.wal_dir)
                undo.callback(
                    disk.remove_tree, order.wal_dir.with_name(order.wal_dir.name + ".tmp")
                )
                _build_log(disk, order.wal_dir, members, mine)
            disk.fsync_dir(part / "snap")
            disk.fsync_dir(part)
            disk.rename(part, order.data_dir / "member")
            disk.fsync_dir(order.data_dir)
            undo.pop_all()
    except BaseException:
        if made:
            _remove_made(order.data_dir)
        raise


def _inside(order: Order) -> Path | None:
    """Where the log is below `DATA/member`, which is made as a whole; None if it is somewhere else."""
    if order.wal_dir is None:
        return Path("wal")
    member = os.path.realpath(order.data_dir / "member")
    path = Path(os.path.realpath(order.wal_dir))
    return path.relative_to(member) if path.is_relative_to(member) else None


def _remove_made(data_dir: Path) -> None:
    with suppress(OSError):
        (data_dir / DIRECTORY_LOCK).unlink(missing_ok=True)
        data_dir.rmdir()


def _build_database(order: Order, view: View, snap_dir: Path, members: list[Member]) -> None:
    path = snap_dir / f"db.{order.backend}"
    engine = registry.open_engine(order.backend, path)
    try:
        with progress("copying rows", total_bytes(view)) as on_bytes:
            engine.replace(Watched(view, on_bytes))
        backend = Backend(engine)
        _say_what_it_means(view, order)
        if order.bump_revision:
            _bump(backend, view, order.bump_revision)
        _become(backend, members)
        backend.commit()
        engine.sync()
    finally:
        engine.close()
    path.with_name(path.name + "-lock").unlink(missing_ok=True)


def _bump(backend: Backend, view: View, amount: int) -> None:
    """A row without content far above the last one, and a compaction there: see the documentation."""
    latest = latest_revision(view)
    if latest + amount > MAIN_MAX:
        raise ConfigError(f"bump-revision: {latest} + {amount} is more than a revision can be")
    info(
        "bumping latest revision",
        latest_revision=latest,
        bump_amount=amount,
        new_latest_revision=latest + amount,
    )
    backend.put("key", main_key(latest + amount), b"")
    info("marking revision compacted", revision=latest + amount)
    backend.put("meta", SCHEDULED_COMPACT, main_key(latest + amount))


def _say_what_it_means(view: View, order: Order) -> None:
    """What an operator may not expect."""
    if not order.bump_revision:
        info(
            "revisions go on from the snapshot's: clients that have seen later ones may miss changes,"
            f" or believe in old ones; --bump-revision {BUMP_ADVICE} --mark-compacted lets them notice",
            revision=latest_revision(view),
        )
    for key, _ in view.scan(ALARMS):
        alarm = Alarm.decode(key)
        warn(
            "the snapshot carries an alarm, which goes on until it is disarmed (`triodectl alarm disarm`)",
            alarm=ALARM_NAMES.get(alarm.kind, str(alarm.kind)),
            member_id=f"{alarm.member_id:x}",
        )
    if view.get("auth", b"authEnabled") == b"\1":
        warn("authentication is enabled in the snapshot, and stays so")


def _become(backend: Backend, members: list[Member]) -> None:
    """The members are these alone, and the log has been executed up to their last one."""
    for bucket in ("members", "members_removed"):
        backend.drop_bucket(bucket)
        backend.create_bucket(bucket)
    for member in members:
        backend.put("members", b"%x" % member.id, member.to_json())
    backend.put("meta", b"consistent_index", len(members).to_bytes(8, "big"))
    backend.put("meta", b"term", TERM.to_bytes(8, "big"))
    state = {"voters": [member.id for member in members], "auto_leave": False}
    backend.put("meta", b"confState", json.dumps(state, separators=(",", ":")).encode())
    _forget_newer_version(backend)


def _forget_newer_version(backend: Backend) -> None:
    """Let the new cluster decide its version anew if the old one's is newer than this program.

    Otherwise its members would refuse to start, as the data of a newer cluster are not theirs to serve; and the old
    cluster's downgrade, if one was under way, is over.
    """
    found = (backend.get("cluster", b"clusterVersion") or b"").decode("utf-8", "replace")
    version, own = parse_version(found), parse_version(SERVER_VERSION)
    if version is not None and own is not None and version[:2] > own[:2]:
        warn(
            "the snapshot is of a newer cluster; the restored one decides its version anew",
            snapshot_cluster_version=found,
            server_version=SERVER_VERSION,
        )
        for key in (b"clusterVersion", b"downgrade"):
            backend.delete("cluster", key)
        backend.delete("meta", STORAGE_VERSION)


def _build_log(disk: RealDisk, wal_dir: Path, members: list[Member], mine: Member) -> None:
    ids = [member.id for member in members]
    entries = [
        Entry(TERM, at, EntryType.CONF_CHANGE, encode_conf_change(membership_changes.add(member)))
        for at, member in enumerate(members, 1)
    ]
    wal = WAL.create(disk, wal_dir, Metadata(mine.id, cluster_id(ids)).encode())
    try:
        wal.save(HardState(TERM, ids[0], len(entries)), entries)
        wal.save_snapshot(WalSnapshot(len(entries), TERM, ConfState(voters=tuple(ids))))
    finally:
        wal.close()
