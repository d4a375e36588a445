"""`triodectl auth`: whether users have to log in."""

from __future__ import annotations

from ....errors import RootRoleNotExist
from ....rpc.pb.rpc_pb2 import (
    AuthDisableRequest,
    AuthEnableRequest,
    AuthRoleAddRequest,
    AuthStatusRequest,
    AuthUserGrantRoleRequest,
)
from ...common.command import Command
from ..context import Context
from ..views.access import AuthStatusView
from ._arguments import nothing_else

__all__ = ["COMMANDS"]

_REFUSAL = "auth {} command does not accept any arguments"


async def enable(ctx: Context) -> None:
    """Turn it on. The role root is made and granted to the user root if that is what is missing."""
    nothing_else(ctx, _REFUSAL.format("enable"))
    async with ctx.client() as client:
        try:
            await ctx.call(client, "Auth/AuthEnable", AuthEnableRequest())
        except RootRoleNotExist:
            await ctx.call(client, "Auth/RoleAdd", AuthRoleAddRequest(name="root"))
            grant = AuthUserGrantRoleRequest(user="root", role="root")
            await ctx.call(client, "Auth/UserGrantRole", grant)
            await ctx.call(client, "Auth/AuthEnable", AuthEnableRequest())
    ctx.out.line("Authentication Enabled")


async def disable(ctx: Context) -> None:
    """Turn it off."""
    nothing_else(ctx, _REFUSAL.format("disable"))
    async with ctx.client() as client:
        await ctx.call(client, "Auth/AuthDisable", AuthDisableRequest())
    ctx.out.line("Authentication Disabled")


async def status(ctx: Context) -> None:
    """Is it on?"""
    nothing_else(ctx, _REFUSAL.format("status"))
    async with ctx.client() as client:
        answer = await ctx.call(client, "Auth/AuthStatus", AuthStatusRequest())
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
