"""`triodectl downgrade`: to an earlier version of the storage."""

from __future__ import annotations

from ....rpc.pb.rpc_pb2 import DowngradeRequest, DowngradeResponse
from ...common.command import Command
from ...common.exits import BAD_ARGUMENTS, Failure
from ..context import Context
from ..views.cluster import DowngradeView

__all__ = ["COMMANDS"]


def validate(ctx: Context) -> None:
    """May it be done?"""
    _ask(ctx, DowngradeRequest.VALIDATE, _target(ctx), "validate")


def enable(ctx: Context) -> None:
    """Begin."""
    _ask(ctx, DowngradeRequest.ENABLE, _target(ctx), "enable")


def cancel(ctx: Context) -> None:
    """Give it up."""
    _ask(ctx, DowngradeRequest.CANCEL, "", "cancel")


def _ask(ctx: Context, action: DowngradeRequest.DowngradeAction, version: str, done: str) -> None:
    request = DowngradeRequest(action=action, version=version)
    answer = ctx.ask("Maintenance/Downgrade", request, DowngradeResponse)
    ctx.show(DowngradeView(answer, done))


def _target(ctx: Context) -> str:
    if not ctx.arguments:
        raise Failure("TARGET_VERSION not provided", BAD_ARGUMENTS)
    if len(ctx.arguments) > 1:
        raise Failure("too many arguments", BAD_ARGUMENTS)
    if not ctx.arguments[0]:
        raise Failure("target version not provided", BAD_ARGUMENTS)
    return ctx.arguments[0]


COMMANDS = (
    Command(
        "downgrade",
        "downgrade <TARGET_VERSION>",
        "Downgrade related commands",
        example="  triodectl downgrade validate 3.5",
    ),
    Command(
        "downgrade validate",
        "validate <TARGET_VERSION>",
        "Validate downgrade capability before starting downgrade",
        run=validate,
        example="  triodectl downgrade validate 3.5",
    ),
    Command(
        "downgrade enable",
        "enable <TARGET_VERSION>",
        "Start a downgrade action to cluster",
        run=enable,
        example="  triodectl downgrade enable 3.5",
    ),
    Command(
        "downgrade cancel",
        "cancel",
        "Cancel the ongoing downgrade action to cluster",
        run=cancel,
        example="  triodectl downgrade cancel",
    ),
)
