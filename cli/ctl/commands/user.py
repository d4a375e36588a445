"""`triodectl user`: who may log in."""

from __future__ import annotations

from ....rpc.pb.auth_pb2 import UserAddOptions
from ....rpc.pb.rpc_pb2 import (
    AuthRoleGetRequest,
    AuthRoleGetResponse,
    AuthUserAddRequest,
    AuthUserAddResponse,
    AuthUserChangePasswordRequest,
    AuthUserChangePasswordResponse,
    AuthUserDeleteRequest,
    AuthUserDeleteResponse,
    AuthUserGetRequest,
    AuthUserGetResponse,
    AuthUserGrantRoleRequest,
    AuthUserGrantRoleResponse,
    AuthUserListRequest,
    AuthUserListResponse,
    AuthUserRevokeRoleRequest,
    AuthUserRevokeRoleResponse,
)
from ...common.command import Command
from ...common.exits import BAD_ARGUMENTS, Failure
from ...common.flags import Flag
from ..context import Context
from ..passwords import ask_new_password, read_password
from ..views.access import DoneView, RoleView, UserListView, UserView
from ._arguments import nothing_else, text_of

__all__ = ["COMMANDS"]


def add(ctx: Context) -> None:
    """Make a user; the password comes from the argument, a flag, the terminal or stdin."""
    given = _one(ctx, "user add command requires user name as its argument")
    name, password = _name_and_password(ctx, given)
    request = AuthUserAddRequest(
        name=name,
        password=password or "",
        options=UserAddOptions(no_password=password is None),
    )
    answer = ctx.ask("Auth/UserAdd", request, AuthUserAddResponse)
    ctx.show(DoneView(answer, f"User {name} created"))


def _name_and_password(ctx: Context, given: str) -> tuple[str, str | None]:
    """None: the user has no password, and logs in by a certificate only."""
    if ctx.flags.switch("no-password"):
        return given, None
    password = ctx.flags.text("new-user-password")
    if password:
        return given, text_of(password)
    name, colon, password = given.partition(":")
    if colon:
        if not name:
            raise Failure("empty user name is not allowed", BAD_ARGUMENTS)
        return name, password
    return given, _ask(ctx, given)


def _ask(ctx: Context, name: str) -> str:
    return ask_new_password(name) if ctx.flags.switch("interactive") else read_password()


def delete(ctx: Context) -> None:
    """Take a user away."""
    name = _one(ctx, "user delete command requires user name as its argument")
    answer = ctx.ask("Auth/UserDelete", AuthUserDeleteRequest(name=name), AuthUserDeleteResponse)
    ctx.show(DoneView(answer, f"User {name} deleted"))


def get(ctx: Context) -> None:
    """Show a user's roles; with `--detail` what each of them may do."""
    name = _one(ctx, "user get command requires user name as its argument")
    answer = ctx.ask("Auth/UserGet", AuthUserGetRequest(name=name), AuthUserGetResponse)
    if not ctx.flags.switch("detail"):
        ctx.show(UserView(answer, name))
        return
    ctx.out.line(f"User: {name}")
    for role in answer.roles:
        ctx.out.line()
        found = ctx.ask("Auth/RoleGet", AuthRoleGetRequest(role=role), AuthRoleGetResponse)
        ctx.show(RoleView(found, role))


def show(ctx: Context) -> None:
    """List the users."""
    nothing_else(ctx, "user list command requires no arguments")
    answer = ctx.ask("Auth/UserList", AuthUserListRequest(), AuthUserListResponse)
    ctx.show(UserListView(answer))


def passwd(ctx: Context) -> None:
    """Give a user another password."""
    name = _one(ctx, "user passwd command requires user name as its argument")
    request = AuthUserChangePasswordRequest(name=name, password=_ask(ctx, name))
    answer = ctx.ask("Auth/UserChangePassword", request, AuthUserChangePasswordResponse)
    ctx.show(DoneView(answer, "Password updated"))


def grant_role(ctx: Context) -> None:
    """Give a user a role."""
    name, role = _two(ctx, "user grant command requires user name and role name as its argument")
    request = AuthUserGrantRoleRequest(user=name, role=role)
    answer = ctx.ask("Auth/UserGrantRole", request, AuthUserGrantRoleResponse)
    ctx.show(DoneView(answer, f"Role {role} is granted to user {name}"))


def revoke_role(ctx: Context) -> None:
    """Take a role from a user."""
    name, role = _two(ctx, "user revoke-role requires user name and role name as its argument")
    request = AuthUserRevokeRoleRequest(name=name, role=role)
    answer = ctx.ask("Auth/UserRevokeRole", request, AuthUserRevokeRoleResponse)
    ctx.show(DoneView(answer, f"Role {role} is revoked from user {name}"))


def _one(ctx: Context, refusal: str) -> str:
    if len(ctx.arguments) != 1:
        raise Failure(refusal, BAD_ARGUMENTS)
    return text_of(ctx.arguments[0])


def _two(ctx: Context, refusal: str) -> tuple[str, str]:
    if len(ctx.arguments) != 2:
        raise Failure(refusal, BAD_ARGUMENTS)
    return text_of(ctx.arguments[0]), text_of(ctx.arguments[1])


_INTERACTIVE = "If false, read the password from stdin instead of the interactive terminal"

COMMANDS = (
    Command(
        "user",
        "user <subcommand>",
        "User related commands",
        example=(
            "  triodectl user add alice\n"
            "  triodectl user grant-role alice reader\n"
            "  triodectl user get alice --detail"
        ),
    ),
    Command(
        "user add",
        "add <user name or user:password> [options]",
        "Adds a new user",
        run=add,
        flags=(
            Flag.switch("interactive", _INTERACTIVE, default=True),
            Flag.text("new-user-password", "Supply password from the command line flag"),
            Flag.switch("no-password", "Create a user without password (CN based auth only)"),
        ),
        example=(
            "  # Asks for the password\n  triodectl user add alice\n\n"
            "  # From a file\n  triodectl user add alice --interactive=false < password.txt"
        ),
    ),
    Command(
        "user delete",
        "delete <user name>",
        "Deletes a user",
        run=delete,
        example="  triodectl user delete alice",
    ),
    Command(
        "user get",
        "get <user name> [options]",
        "Gets detailed information of a user",
        run=get,
        flags=(Flag.switch("detail", "Show permissions of roles granted to the user"),),
        example="  triodectl user get alice --detail",
    ),
    Command("user list", "list", "Lists all users", run=show, example="  triodectl user list"),
    Command(
        "user passwd",
        "passwd <user name> [options]",
        "Changes password of user",
        run=passwd,
        flags=(Flag.switch("interactive", _INTERACTIVE, default=True),),
        example="  triodectl user passwd alice",
    ),
    Command(
        "user grant-role",
        "grant-role <user name> <role name>",
        "Grants a role to a user",
        run=grant_role,
        example="  triodectl user grant-role alice reader",
    ),
    Command(
        "user revoke-role",
        "revoke-role <user name> <role name>",
        "Revokes a role from a user",
        run=revoke_role,
        example="  triodectl user revoke-role alice reader",
    ),
)
