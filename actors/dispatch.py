"""Which service answers which RPC, for everybody who brings calls: gRPC, the JSON gateway, embedding.

A unary handler takes the encoded request and a call that it answers sooner or later. It may return a cancel
scope: whoever brought the call cancels it when the client is gone. A stream handler takes an outlet.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from ..errors import (
    Code,
    EtcdError,
    InvalidClientAPIVersion,
    NoLeader,
    NotSupportedForLearner,
)
from ..rpc.methods import METHODS
from ..rpc.pb.rpc_pb2 import RangeRequest
from .call import NO_METADATA, Call, Metadata, Outlet, Stream
from .context import NodeContext
from .counted_streams import CountedStream
from .led_streams import LedStreams
from .services.auth import AuthService
from .services.cluster import ClusterService
from .services.concurrency import Queue
from .services.election import ElectionService
from .services.health import HealthService
from .services.kv import KVService
from .services.lease import LeaseService
from .services.lock import LockService
from .services.maintenance import MaintenanceService
from .services.watch import WatchCall
from .traffic import VERSIONS_MAX, Traffic, Versions

__all__ = ["Dispatcher", "StreamOpener", "UnaryHandler"]

RANGE = "/etcdserverpb.KV/Range"
STATUS = "/etcdserverpb.Maintenance/Status"
SNAPSHOT = "/etcdserverpb.Maintenance/Snapshot"

UnaryHandler = Callable[[bytes, Call], "trio.CancelScope | None"]
StreamOpener = Callable[[Outlet], Stream]


class Dispatcher:
    """The handlers of one node by path.

    Attributes:
        learner: this member is one, so it answers nothing but what `check_learner` lets pass.
        led: the streams of clients that want a leader.
    """

    def __init__(self, node: NodeContext) -> None:
        self._node = node
        self._raft = node.raft
        self.kv = kv = KVService(node)
        self.maintenance = maintenance = MaintenanceService(node)
        cluster, lease = ClusterService(node), LeaseService(node)
        auth = AuthService(node)
        queue = Queue(node, kv, lease)
        lock, election = LockService(queue), ElectionService(queue)
        self.health = health = HealthService(node)
        self.unary: dict[str, UnaryHandler] = {
            RANGE: kv.range,
            "/etcdserverpb.KV/Put": kv.put,
            "/etcdserverpb.KV/DeleteRange": kv.delete_range,
            "/etcdserverpb.KV/Txn": kv.txn,
            "/etcdserverpb.KV/Compact": kv.compact,
            "/etcdserverpb.Lease/LeaseGrant": lease.grant,
            "/etcdserverpb.Lease/LeaseRevoke": lease.revoke,
            "/etcdserverpb.Lease/LeaseTimeToLive": lease.time_to_live,
            "/etcdserverpb.Lease/LeaseLeases": lease.leases,
            "/etcdserverpb.Cluster/MemberList": cluster.member_list,
            "/etcdserverpb.Cluster/MemberAdd": cluster.member_add,
            "/etcdserverpb.Cluster/MemberRemove": cluster.member_remove,
            "/etcdserverpb.Cluster/MemberUpdate": cluster.member_update,
            "/etcdserverpb.Cluster/MemberPromote": cluster.member_promote,
            "/etcdserverpb.Maintenance/Alarm": maintenance.alarm,
            STATUS: maintenance.status,
            "/etcdserverpb.Maintenance/Defragment": maintenance.defragment,
            "/etcdserverpb.Maintenance/Hash": maintenance.hash,
            "/etcdserverpb.Maintenance/HashKV": maintenance.hash_kv,
            "/etcdserverpb.Maintenance/MoveLeader": maintenance.move_leader,
            "/etcdserverpb.Maintenance/Downgrade": maintenance.downgrade,
            "/etcdserverpb.Auth/AuthStatus": auth.status,
            "/etcdserverpb.Auth/Authenticate": auth.authenticate,
            "/v3lockpb.Lock/Lock": lock.lock,
            "/v3lockpb.Lock/Unlock": lock.unlock,
            "/v3electionpb.Election/Campaign": election.campaign,
            "/v3electionpb.Election/Proclaim": election.proclaim,
            "/v3electionpb.Election/Leader": election.leader,
            "/v3electionpb.Election/Resign": election.resign,
            "/grpc.health.v1.Health/Check": health.check,
        }
        self.streams: dict[str, StreamOpener] = {
            "/etcdserverpb.Watch/Watch": lambda out: WatchCall(node, out),
            "/etcdserverpb.Lease/LeaseKeepAlive": lease.keep_alive,
            SNAPSHOT: maintenance.snapshot,
            "/v3electionpb.Election/Observe": election.observe,
            "/grpc.health.v1.Health/Watch": health.watch,
        }
        self.traffic = Traffic()
        self.learner = False
        self.led = LedStreams(lambda: bool(node.raft.leader), node.flush)

    def call(self, path: str, message: bytes, call: Call) -> trio.CancelScope | None:
        """Hand a unary call to its service; it is answered or refused through its sink."""
        counter = call.counter = self.traffic.counter(path)
        counter.started += 1
        counter.received += 1
        handler = self.unary.get(path)
        if handler is None:
            call.refuse(unimplemented(path))
            return None
        try:
            if self.learner:
                check_learner(path, message)
            if call.metadata:
                self._admit(call.metadata, self.traffic.unary_versions)
            return handler(message, call)
        except EtcdError as error:
            call.refuse(error)
        except Exception as error:  # noqa: BLE001  # one call fails, not the node
            call.refuse(self._node.refusal_of(error, path))
        return None

    def open(
        self, path: str, out: Outlet, metadata: Metadata = NO_METADATA, *, counts: bool = False
    ) -> Stream | None:
        """Begin a streaming call; None if it is refused (the outlet is told).

        Args:
            path: the RPC.
            out: where the answers go.
            metadata: of the call.
            counts: whether the caller counts the messages and the end of the call itself.
        """
        counter = self.traffic.counter(path)
        counter.started += 1
        if counts:
            return self._open(path, out, metadata)
        counted = CountedStream(out, counter)
        counted.inner = self._open(path, counted, metadata)
        return counted if counted.inner is not None else None

    def _open(self, path: str, out: Outlet, metadata: Metadata) -> Stream | None:
        opener = self.streams.get(path)
        if opener is None:
            out.finish(unimplemented(path))
            return None
        try:
            if self.learner:
                check_learner_stream(path)
            self._admit(metadata, self.traffic.stream_versions)
            if metadata.get("hasleader") == "true":
                return self.led.open(out, opener)
            return opener(out)
        except Exception as error:  # noqa: BLE001
            out.finish(self._node.refusal_of(error, path))
            return None

    def _admit(self, metadata: Metadata, versions: Versions) -> None:
        """What every call is held against. Raises NoLeader, InvalidClientAPIVersion."""
        version = metadata.get("client-api-version")
        if version in versions:
            versions[version] += 1
        elif isinstance(version, str):
            if not version.isascii() and not _is_utf8(version):
                raise InvalidClientAPIVersion
            if len(versions) < VERSIONS_MAX:
                versions[version] = 1
        if metadata.get("hasleader") == "true" and not self._raft.leader:
            raise NoLeader


def check_learner(path: str, message: bytes) -> None:
    """Raise NotSupportedForLearner for a unary call other than Status and serializable ranges."""
    if path == STATUS or (path == RANGE and RangeRequest.FromString(message).serializable):
        return
    raise NotSupportedForLearner


def check_learner_stream(path: str) -> None:
    """Raise NotSupportedForLearner for a stream other than Snapshot."""
    if path != SNAPSHOT:
        raise NotSupportedForLearner


def _is_utf8(text: str) -> bool:
    """Whether metadata was valid UTF-8: what was not comes with surrogate escapes."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def unimplemented(path: str) -> EtcdError:
    """What gRPC answers for an RPC that is not served, in grpc-go's words."""
    service, _, name = path.removeprefix("/").rpartition("/")
    if not path.startswith("/") or not service:
        return EtcdError(f'malformed method name: "{path}"', code=Code.UNIMPLEMENTED)
    if any(method.service == service for method in METHODS.values()):
        return EtcdError(f"unknown method {name} for service {service}", code=Code.UNIMPLEMENTED)
    return EtcdError(f"unknown service {service}", code=Code.UNIMPLEMENTED)
