"""Every RPC that a client may call, and where the JSON gateway offers it.

Names, types and streaming come from the service descriptors in `rpc/proto`; the table below adds the
REST paths, which etcd keeps in annotations of its own interface files. RPCs without a path there are
reached by gRPC only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from .pb import health_pb2, rpc_pb2, v3election_pb2, v3lock_pb2

__all__ = ["METHODS", "REST_PATHS", "SERVER_STREAM_PATHS", "UNARY_PATHS", "Method", "find"]


@attrs.frozen(eq=False)
class Method:
    """One RPC."""

    path: str  # as in HTTP/2's `:path`: "/etcdserverpb.KV/Put"
    service: str  # full name: "etcdserverpb.KV"
    name: str
    request: type[Message]
    response: type[Message]
    client_streaming: bool
    server_streaming: bool
    rest_paths: tuple[str, ...]  # the first is the usual one
    unary: bool = attrs.field(init=False)  # one request, one reply

    @unary.default
    def _has_one_of_each(self) -> bool:
        return not (self.client_streaming or self.server_streaming)


_REST: Final = {
    "/etcdserverpb.KV/Range": ("/v3/kv/range",),
    "/etcdserverpb.KV/Put": ("/v3/kv/put",),
    "/etcdserverpb.KV/DeleteRange": ("/v3/kv/deleterange",),
    "/etcdserverpb.KV/Txn": ("/v3/kv/txn",),
    "/etcdserverpb.KV/Compact": ("/v3/kv/compaction",),
    "/etcdserverpb.Watch/Watch": ("/v3/watch",),
    "/etcdserverpb.Lease/LeaseGrant": ("/v3/lease/grant",),
    "/etcdserverpb.Lease/LeaseRevoke": ("/v3/lease/revoke", "/v3/kv/lease/revoke"),
    "/etcdserverpb.Lease/LeaseKeepAlive": ("/v3/lease/keepalive",),
    "/etcdserverpb.Lease/LeaseTimeToLive": ("/v3/lease/timetolive", "/v3/kv/lease/timetolive"),
    "/etcdserverpb.Lease/LeaseLeases": ("/v3/lease/leases", "/v3/kv/lease/leases"),
    "/etcdserverpb.Cluster/MemberAdd": ("/v3/cluster/member/add",),
    "/etcdserverpb.Cluster/MemberRemove": ("/v3/cluster/member/remove",),
    "/etcdserverpb.Cluster/MemberUpdate": ("/v3/cluster/member/update",),
    "/etcdserverpb.Cluster/MemberList": ("/v3/cluster/member/list",),
    "/etcdserverpb.Cluster/MemberPromote": ("/v3/cluster/member/promote",),
    "/etcdserverpb.Maintenance/Alarm": ("/v3/maintenance/alarm",),
    "/etcdserverpb.Maintenance/Status": ("/v3/maintenance/status",),
    "/etcdserverpb.Maintenance/Defragment": ("/v3/maintenance/defragment",),
    "/etcdserverpb.Maintenance/Hash": ("/v3/maintenance/hash",),
    "/etcdserverpb.Maintenance/HashKV": ("/v3/maintenance/hashkv",),
    "/etcdserverpb.Maintenance/Snapshot": ("/v3/maintenance/snapshot",),
    "/etcdserverpb.Maintenance/MoveLeader": ("/v3/maintenance/transfer-leadership",),
    "/etcdserverpb.Maintenance/Downgrade": ("/v3/maintenance/downgrade",),
    "/etcdserverpb.Auth/AuthEnable": ("/v3/auth/enable",),
    "/etcdserverpb.Auth/AuthDisable": ("/v3/auth/disable",),
    "/etcdserverpb.Auth/AuthStatus": ("/v3/auth/status",),
    "/etcdserverpb.Auth/Authenticate": ("/v3/auth/authenticate",),
    "/etcdserverpb.Auth/UserAdd": ("/v3/auth/user/add",),
    "/etcdserverpb.Auth/UserGet": ("/v3/auth/user/get",),
    "/etcdserverpb.Auth/UserList": ("/v3/auth/user/list",),
    "/etcdserverpb.Auth/UserDelete": ("/v3/auth/user/delete",),
    "/etcdserverpb.Auth/UserChangePassword": ("/v3/auth/user/changepw",),
    "/etcdserverpb.Auth/UserGrantRole": ("/v3/auth/user/grant",),
    "/etcdserverpb.Auth/UserRevokeRole": ("/v3/auth/user/revoke",),
    "/etcdserverpb.Auth/RoleAdd": ("/v3/auth/role/add",),
    "/etcdserverpb.Auth/RoleGet": ("/v3/auth/role/get",),
    "/etcdserverpb.Auth/RoleList": ("/v3/auth/role/list",),
    "/etcdserverpb.Auth/RoleDelete": ("/v3/auth/role/delete",),
    "/etcdserverpb.Auth/RoleGrantPermission": ("/v3/auth/role/grant",),
    "/etcdserverpb.Auth/RoleRevokePermission": ("/v3/auth/role/revoke",),
    "/v3lockpb.Lock/Lock": ("/v3/lock/lock",),
    "/v3lockpb.Lock/Unlock": ("/v3/lock/unlock",),
    "/v3electionpb.Election/Campaign": ("/v3/election/campaign",),
    "/v3electionpb.Election/Proclaim": ("/v3/election/proclaim",),
    "/v3electionpb.Election/Leader": ("/v3/election/leader",),
    "/v3electionpb.Election/Observe": ("/v3/election/observe",),
    "/v3electionpb.Election/Resign": ("/v3/election/resign",),
}


def _methods() -> Iterator[Method]:
    for file in (rpc_pb2, v3lock_pb2, v3election_pb2, health_pb2):
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                path = f"/{service.full_name}/{method.name}"
                yield Method(
                    path=path,
                    service=service.full_name,
                    name=method.name,
                    request=GetMessageClass(method.input_type),
                    response=GetMessageClass(method.output_type),
                    client_streaming=method.client_streaming,
                    server_streaming=method.server_streaming,
                    rest_paths=_REST.get(path, ()),
                )


METHODS: Final[dict[str, Method]] = {method.path: method for method in _methods()}
UNARY_PATHS: Final = frozenset(path for path, method in METHODS.items() if method.unary)
SERVER_STREAM_PATHS: Final = frozenset(
    path for path, m in METHODS.items() if m.server_streaming and not m.client_streaming
)
REST_PATHS: Final = {rest: method for method in METHODS.values() for rest in method.rest_paths}
assert METHODS.keys() >= _REST.keys()


def find(path: str) -> Method | None:
    """The RPC of a gRPC path, or None: answer Unimplemented."""
    return METHODS.get(path)
