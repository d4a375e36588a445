"""`triodectl role`: who may do what with which keys."""

from __future__ import annotations

from collections.abc import Sequence

from ....client.keys import prefix_end
from ....rpc.pb.auth_pb2 import Permission
from ....rpc.pb.rpc_pb2 import (
    AuthRoleAddRequest,
    AuthRoleAddResponse,
    AuthRoleDeleteRequest,
    AuthRoleDeleteResponse,
    AuthRoleGetRequest,
    AuthRoleGetResponse,
    AuthRoleGrantPermissionRequest,
    AuthRoleGrantPermissionResponse,
    AuthRoleListRequest,
    AuthRoleListResponse,
    AuthRoleRevokePermissionRequest,
    AuthRoleRevokePermissionResponse,
)
from ...common.command import Command
from ...common.exits import BAD_ARGUMENTS, Failure
from ...common.flags import Flag
from ...common.goquote import as_bytes
from ..context import Context
from ..views.access import DoneView, RoleListView, RoleView
from ._arguments import nothing_else, text_of

__all__ = ["COMMANDS"]

_EVERYTHING_FROM_HERE = b"\x00"


def add(ctx: Context) -> None:
    """Make a role."""
    name = _one(ctx, "role add command requires role name as its argument")
    answer = ctx.ask("Auth/RoleAdd", AuthRoleAddRequest(name=name), AuthRoleAddResponse)
    ctx.show(DoneView(answer, f"Role {name} created"))


def delete(ctx: Context) -> None:
    """Take a role away."""
    name = _one(ctx, "role delete command requires role name as its argument")
    answer = ctx.ask("Auth/RoleDelete", AuthRoleDeleteRequest(role=name), AuthRoleDeleteResponse)
    ctx.show(DoneView(answer, f"Role {name} deleted"))


def get(ctx: Context) -> None:
    """Show what a role may do."""
    name = _one(ctx, "role get command requires role name as its argument")
    answer = ctx.ask("Auth/RoleGet", AuthRoleGetRequest(role=name), AuthRoleGetResponse)
    ctx.show(RoleView(answer, name))


def show(ctx: Context) -> None:
    """List the roles."""
    nothing_else(ctx, "role list command requires no arguments")
    answer = ctx.ask("Auth/RoleList", AuthRoleListRequest(), AuthRoleListResponse)
    ctx.show(RoleListView(answer))


def grant(ctx: Context) -> None:
    """Let a role read or write a key, or a range of keys."""
    if len(ctx.arguments) < 3:
        raise Failure(
            "role grant command requires role name, permission type, and key [endkey] as its argument",
            BAD_ARGUMENTS,
        )
    kinds = Permission.Type.keys()
    if ctx.arguments[1].upper() not in kinds:
        raise Failure(f"invalid permission type: {ctx.arguments[1]}", BAD_ARGUMENTS)
    key, end = _range(ctx, ctx.arguments[2:])
    role = text_of(ctx.arguments[0])
    permission = Permission(
        permType=Permission.Type.Value(ctx.arguments[1].upper()), key=key, range_end=end
    )
    request = AuthRoleGrantPermissionRequest(name=role, perm=permission)
    answer = ctx.ask("Auth/RoleGrantPermission", request, AuthRoleGrantPermissionResponse)
    ctx.show(DoneView(answer, f"Role {role} updated"))


def revoke(ctx: Context) -> None:
    """Take back what was granted for exactly this key or range."""
    if len(ctx.arguments) < 2:
        raise Failure(
            "role revoke-permission command requires role name and key [endkey] as its argument",
            BAD_ARGUMENTS,
        )
    key, end = _range(ctx, ctx.arguments[1:])
    role = text_of(ctx.arguments[0])
    request = AuthRoleRevokePermissionRequest(role=role, key=key, range_end=end)
    answer = ctx.ask("Auth/RoleRevokePermission", request, AuthRoleRevokePermissionResponse)
    ctx.show(DoneView(answer, _revoked(ctx.argument_bytes(1), end, role.encode())))


def _revoked(key: bytes, end: bytes, role: bytes) -> bytes:
    if not end:
        return b"Permission of key %s is revoked from role %s" % (key, role)
    if end == _EVERYTHING_FROM_HERE:
        return b"Permission of range [%s, <open ended> is revoked from role %s" % (key, role)
    return b"Permission of range [%s, %s) is revoked from role %s" % (key, end, role)


def _range(ctx: Context, arguments: Sequence[str]) -> tuple[bytes, bytes]:
    """Key and end of a range, from arguments and flags. Raises Failure."""
    prefix, from_key = ctx.flags.switch("prefix"), ctx.flags.switch("from-key")
    key = as_bytes(arguments[0])
    if prefix and from_key and (not key or len(arguments) == 1):
        raise Failure("--from-key and --prefix flags are mutually exclusive", BAD_ARGUMENTS)
    if not key:
        # The smallest key stands for the empty one, which no key can be.
        return _EVERYTHING_FROM_HERE, _EVERYTHING_FROM_HERE if prefix or from_key else b""
    if len(arguments) == 1:
        if prefix:
            return key, prefix_end(key)
        return key, _EVERYTHING_FROM_HERE if from_key else b""
    if prefix or from_key:
        flag = "--prefix" if prefix else "--from-key"
        raise Failure(f"unexpected endkey argument with {flag} flag", BAD_ARGUMENTS)
    return key, as_bytes(arguments[1])


def _one(ctx: Context, refusal: str) -> str:
    if len(ctx.arguments) != 1:
        raise Failure(refusal, BAD_ARGUMENTS)
    return text_of(ctx.arguments[0])


_FROM_KEY = (
    "{} a permission of keys that are greater than or equal to the given key using byte compare"
)

COMMANDS = (
    Command(
        "role",
        "role <subcommand>",
        "Role related commands",
        example=(
            "  triodectl role add reader\n"
            "  triodectl role grant-permission reader read --prefix app/\n"
            "  triodectl role get reader"
        ),
    ),
    Command(
        "role add", "add <role name>", "Adds a new role", run=add, example="  triodectl role add r"
    ),
    Command(
        "role delete",
        "delete <role name>",
        "Deletes a role",
        run=delete,
        example="  triodectl role delete reader",
    ),
    Command(
        "role get",
        "get <role name>",
        "Gets detailed information of a role",
        run=get,
        example="  triodectl role get reader",
    ),
    Command("role list", "list", "Lists all roles", run=show, example="  triodectl role list"),
    Command(
        "role grant-permission",
        "grant-permission [options] <role name> <permission type> <key> [endkey]",
        "Grants a key to a role",
        run=grant,
        flags=(
            Flag.switch("prefix", "grant a prefix permission"),
            Flag.switch("from-key", _FROM_KEY.format("grant")),
        ),
        example=(
            "  triodectl role grant-permission reader read config\n"
            "  triodectl role grant-permission worker readwrite --prefix jobs/"
        ),
    ),
    Command(
        "role revoke-permission",
        "revoke-permission <role name> <key> [endkey]",
        "Revokes a key from a role",
        run=revoke,
        flags=(
            Flag.switch("prefix", "revoke a prefix permission"),
            Flag.switch("from-key", _FROM_KEY.format("revoke")),
        ),
        example="  triodectl role revoke-permission worker --prefix jobs/",
    ),
)
