"""`triodectl auth`: whether users have to log in."""

from __future__ import annotations

from ....errors import RootRoleNotExist
from ....rpc.pb.rpc_pb2 import (
    AuthDisableRequest,
    AuthDisableResponse,
    AuthEnableRequest,
    AuthEnableResponse,
    AuthRoleAddRequest,
    AuthRoleAddResponse,
    AuthStatusRequest,
    AuthStatusResponse,
    AuthUserGrantRoleRequest,
    AuthUserGrantRoleResponse,
)
from ...common.command import Command
from ..context import Context
from ..views.access import AuthStatusView
from ._arguments import nothing_else

__all__ = ["COMMANDS"]

_REFUSAL = "auth {} command does not accept any arguments"


def enable(ctx: Context) -> None:
    """Turn it on. The role root is made and granted to the user root if that is what is missing."""
    nothing_else(ctx, _REFUSAL.format("enable"))
    try:
        ctx.ask("Auth/AuthEnable", AuthEnableRequest(), AuthEnableResponse)
    except RootRoleNotExist:
        ctx.ask("Auth/RoleAdd", AuthRoleAddRequest(name="root"), AuthRoleAddResponse)
        grant = AuthUserGrantRoleRequest(user="root", role="root")
        ctx.ask("Auth/UserGrantRole", grant, AuthUserGrantRoleResponse)
        ctx.ask("Auth/AuthEnable", AuthEnableRequest(), AuthEnableResponse)
    ctx.out.line("Authentication Enabled")


def disable(ctx: Context) -> None:
    """Turn it off."""
    nothing_else(ctx, _REFUSAL.format("disable"))
    ctx.ask("Auth/AuthDisable", AuthDisableRequest(), AuthDisableResponse)
    ctx.out.line("Authentication Disabled")


def status(ctx: Context) -> None:
    """Is it on?"""
    nothing_else(ctx, _REFUSAL.format("status"))
    answer = ctx.ask("Auth/AuthStatus", AuthStatusRequest(), AuthStatusResponse)
    ctx.show(AuthStatusView(answer))


COMMANDS = (
    Command(
        "auth",
        "auth <enable or disable>",
        "Enable or disable authentication",
        example=(
            "  triodectl user add root\n"
            "  triodectl auth enable\n"
            "  triodectl --user root auth status"
        ),
    ),
    Command(
        "auth enable",
        "enable",
        "Enables authentication",
        run=enable,
        example="  triodectl auth enable",
    ),
    Command(
        "auth disable",
        "disable",
        "Disables authentication",
        run=disable,
        example="  triodectl --user root auth disable",
    ),
    Command(
        "auth status",
        "status",
        "Returns authentication status",
        run=status,
        example="  triodectl auth status",
    ),
)
