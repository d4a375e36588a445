"""Maintenance: what operators ask of one member."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial

import trio

from ...errors import (
    BadLeaderTransferee,
    ClusterVersionUnavailable,
    DiskFull,
    DowngradeInProcess,
    InvalidDowngradeTargetVersion,
    InvariantBroken,
    NoInflightDowngrade,
    NotLeader,
    TooManyRequests,
    WrongDowngradeVersionFormat,
)
from ...mvcc.alarm import NAMES as ALARM_NAMES
from ...mvcc.alarm import Alarm
from ...mvcc.hashes import HashKV, hash_all
from ...protowire import bytes_field, int_field
from ...rpc.pb.membership_pb2 import DowngradeInfoSetRequest
from ...rpc.pb.rpc_pb2 import (
    AlarmRequest,
    DowngradeInfo,
    DowngradeRequest,
    HashKVRequest,
    MoveLeaderRequest,
    StatusResponse,
)
from ...version import SERVER_VERSION
from .. import proposals
from ..call import Call, Outlet
from ..context import NodeContext
from ..execute import ALARM_GET, encode_alarms
from ..failures import refusal_of
from ..leader_calls import up_to_date
from ..log import Log, duration
from .task_stream import Sender, TaskStream

__all__ = ["MaintenanceService"]

SNAPSHOT_CHUNK_BYTES = 32 * 1024
SNAPSHOTS_AT_ONCE = 64
HASHES_AT_ONCE = 2
VALIDATE, ENABLE, CANCEL = 0, 1, 2

log = Log("triode.maintenance")


class MaintenanceService:
    """etcdserverpb.Maintenance."""

    def __init__(self, node: NodeContext) -> None:
        self._node = node
        self.on_hash: Callable[[float], None] = lambda _seconds: None
        self.on_hash_kv: Callable[[float], None] = lambda _seconds: None
        self.on_defragment: Callable[[float], None] = lambda _seconds: None
        self.on_snapshot: Callable[[float], None] = lambda _seconds: None
        self.defragmenting = False
        # each holds a view of the backend and a thread, which others need too
        self._in_thread = node.world.in_thread
        self._hashing = trio.Semaphore(HASHES_AT_ONCE)
        self._snapshots = 0

    def alarm(self, message: bytes, call: Call) -> None:
        """Alarm: GET is a linearizable read, the others go through the log."""
        request = AlarmRequest.FromString(message)
        if request.action != ALARM_GET:
            self._node.proposer.propose(call, proposals.ALARM, request, message)
        elif self._node.reads_locally:
            self._list_alarms(request, call)
        else:
            self._node.read_index(call, lambda: self._list_alarms(request, call))

    def _list_alarms(self, request: AlarmRequest, call: Call) -> None:
        found = [alarm for alarm in self._node.alarms_here() if request.alarm in (0, alarm.kind)]
        call.answer(self._header() + encode_alarms(found))

    def status(self, message: bytes, call: Call) -> None:
        """Status: this member as it sees itself."""
        del message
        node = self._node
        raft, membership = node.raft, node.membership
        enabled, target = membership.downgrade
        response = StatusResponse(
            version=SERVER_VERSION,
            dbSize=node.backend.size(),
            dbSizeInUse=node.backend.size_in_use(),
            leader=raft.leader,
            raftIndex=raft.commit_index,
            raftTerm=raft.term,
            raftAppliedIndex=node.applied_index(),
            storageVersion=membership.storage_version,
            dbSizeQuota=node.quota.limit_bytes,
            isLearner=membership.is_learner(node.member_id),
            downgradeInfo=DowngradeInfo(enabled=enabled, targetVersion=target),
        )
        if not raft.leader:
            response.errors.append("etcdserver: no leader")
        if raft.disk_full is not None:
            response.errors.append(f"the disk is full, writes are refused: {raft.disk_full}")
        for alarm in node.alarms_here():
            response.errors.append(_alarm_text(alarm))
        call.answer(self._header() + response.SerializeToString())

    def hash(self, message: bytes, call: Call) -> None:
        """Hash: of the whole backend, computed beside the loop on a snapshot."""
        del message

        async def work() -> bytes:
            async with self._hashing:
                header, started = self._header(), self._now()
                with self._node.backend.snapshot() as view:
                    value = await self._in_thread(partial(hash_all, view))
            self.on_hash(self._now() - started)
            return header + int_field(2, value)

        self._node.complete(call, work)

    def hash_kv(self, message: bytes, call: Call) -> None:
        """HashKV: of the history up to a revision, computed beside the loop on a snapshot."""
        request = HashKVRequest.FromString(message)

        async def work() -> bytes:
            found, revision = await self.find_hash_kv(request.revision)
            return self._node.header.framed(revision) + _hash_fields(found)

        self._node.complete(call, work)

    async def find_hash_kv(self, revision: int) -> tuple[HashKV, int]:
        """The hash at `revision`, 0 for the present, and what the present is. Raises Compacted, FutureRev."""
        async with self._hashing:
            store, started = self._node.store, self._now()
            present, job = store.revision, store.hash_kv_job(revision)
            if isinstance(job, HashKV):
                found = job
            else:
                with closing(job):
                    found = await self._in_thread(job.run)
        self.on_hash_kv(self._now() - started)
        return found, present

    def defragment(self, message: bytes, call: Call) -> None:
        """Defragment: the response has no header, as in etcd."""
        del message
        self._node.run_applied(lambda: self._defragment(call))

    def _defragment(self, call: Call) -> None:
        backend, started = self._node.backend, self._now()
        before, in_use = backend.size(), backend.size_in_use()
        log.info("defragmenting", current_db_size_bytes=before, current_db_size_in_use_bytes=in_use)
        self.defragmenting = True
        try:
            backend.defragment()
        except DiskFull as error:  # the file is as it was
            log.warning("failed to defragment", error=str(error))
            call.refuse(refusal_of(error))
            return
        finally:
            self.defragmenting = False
        took = self._now() - started
        self.on_defragment(took)
        log.info(
            "finished defragmenting directory",
            current_db_size_bytes_diff=backend.size() - before,
            current_db_size_bytes=backend.size(),
            current_db_size_in_use_bytes=backend.size_in_use(),
            took=duration(took),
        )
        call.answer(b"")

    def move_leader(self, message: bytes, call: Call) -> None:
        """MoveLeader: answered when the other one leads; the response has no header, as in etcd."""
        target = MoveLeaderRequest.FromString(message).targetID
        node = self._node
        if not node.raft.is_leader:
            raise NotLeader
        member = node.membership.members.get(target)
        if member is None or member.is_learner:
            raise BadLeaderTransferee
        if target == node.member_id:
            call.answer(b"")
            return

        async def work() -> bytes:
            log.info("leadership transfer starting", transferee_member_id=f"{target:x}")
            await node.hand_over(target)
            log.info("leadership transfer finished", new_leader_member_id=f"{target:x}")
            return b""

        node.complete(call, work)

    def downgrade(self, message: bytes, call: Call) -> None:
        """Downgrade: one minor version at a time; decided by the state as the cluster has it now."""
        request = DowngradeRequest.FromString(message)

        async def work() -> bytes:
            await up_to_date(self._node)
            return await self._downgrade(request)

        self._node.complete(call, work)

    async def _downgrade(self, request: DowngradeRequest) -> bytes:
        membership = self._node.membership
        enabled, _ = membership.downgrade
        if request.action == CANCEL:
            if not enabled:
                raise NoInflightDowngrade
            change = DowngradeInfoSetRequest(enabled=False)
        else:
            target = _target_of(request.version)
            if membership.version is None:
                raise ClusterVersionUnavailable
            _check_target(target, membership.version)
            if enabled:
                raise DowngradeInProcess
            change = DowngradeInfoSetRequest(enabled=True, ver=f"{target[0]}.{target[1]}.0")
        if request.action != VALIDATE:
            await self._node.proposer.ask(proposals.DOWNGRADE_INFO_SET, change)
        version = (membership.version or "").rpartition(".")[0]
        return self._header() + bytes_field(2, version.encode())

    def snapshot(self, out: Outlet) -> TaskStream:
        """Snapshot: a bbolt image of the backend in chunks, then its SHA-256."""
        return TaskStream(self._node, out, self._send_snapshot)

    async def _send_snapshot(self, message: bytes, sender: Sender) -> None:
        del message
        if self._snapshots >= SNAPSHOTS_AT_ONCE:
            raise TooManyRequests
        self._snapshots += 1
        try:
            await self._send_image(sender)
        finally:
            self._snapshots -= 1

    async def _send_image(self, sender: Sender) -> None:
        from ...backends.bbolt_image import image

        started = self._now()
        with self._node.backend.snapshot() as view:
            remaining, chunks = await self._in_thread(partial(image, view))
            total = remaining
            log.info("sending database snapshot to client", total_bytes=total)
            digest = hashlib.sha256()
            version = bytes_field(4, self._node.membership.storage_version.encode())
            for piece in _rechunk(chunks, SNAPSHOT_CHUNK_BYTES):
                digest.update(piece)
                remaining -= len(piece)
                await sender.send(int_field(2, remaining) + bytes_field(3, piece) + version)
            if remaining:
                raise InvariantBroken(f"{remaining} bytes are missing at the end of an image")
        await sender.send(bytes_field(3, digest.digest()) + version)
        took = self._now() - started
        self.on_snapshot(took)
        log.info(
            "successfully sent database snapshot to client",
            total_bytes=total,
            took=duration(took),
        )

    def _now(self) -> float:
        return self._node.world.clock.now()

    def _header(self) -> bytes:
        return self._node.header.framed(self._node.store.revision)


def _alarm_text(alarm: Alarm) -> str:
    """The text of etcd's protobuf library, which tools print as it is: zeros are left out."""
    member = f"memberID:{alarm.member_id} " if alarm.member_id else ""
    return f"{member}alarm:{ALARM_NAMES.get(alarm.kind, alarm.kind)} "


def _hash_fields(result: HashKV) -> bytes:
    return (
        int_field(2, result.hash)
        + int_field(3, result.compact_revision)
        + int_field(4, result.hash_revision)
    )


def _rechunk(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of `size`, the last one shorter."""
    rest = bytearray()
    for chunk in chunks:
        rest += chunk
        while len(rest) >= size:
            yield bytes(rest[:size])
            del rest[:size]
    if rest:
        yield bytes(rest)


def _target_of(version: str) -> tuple[int, int]:
    """The minor version that a request names, as X.Y or X.Y.Z."""
    match = re.fullmatch(r"([0-9]{1,9})\.([0-9]{1,9})(?:\.([0-9]{1,9}))?", version)
    if match is None:
        raise WrongDowngradeVersionFormat
    return int(match[1]), int(match[2])


def _check_target(target: tuple[int, int], cluster: str) -> None:
    """Raise InvalidDowngradeTargetVersion if it is not one minor version below the cluster's."""
    major, minor = (int(part) for part in cluster.split(".")[:2])
    if target != (major, minor - 1):
        raise InvalidDowngradeTargetVersion
