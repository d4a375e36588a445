"""`triodectl alarm`: what holds a cluster back."""

from __future__ import annotations

from ....rpc.pb.rpc_pb2 import (
    NONE,
    AlarmRequest,
    AlarmResponse,
)
from ...common.command import Command
from ..context import Context
from ..views.cluster import AlarmView
from ._arguments import nothing_else

__all__ = ["COMMANDS"]


def disarm(ctx: Context) -> None:
    """Lower every alarm that is raised; each is printed."""
    nothing_else(ctx, "alarm disarm command accepts no arguments")
    listed = ctx.ask("Maintenance/Alarm", AlarmRequest(alarm=NONE), AlarmResponse)
    done = AlarmResponse()  # without a header: it is the sum of several
    for alarm in listed.alarms:
        request = AlarmRequest(
            action=AlarmRequest.DEACTIVATE, memberID=alarm.memberID, alarm=alarm.alarm
        )
        done.alarms.extend(ctx.ask("Maintenance/Alarm", request, AlarmResponse).alarms)
    ctx.show(AlarmView(done))


def show(ctx: Context) -> None:
    """List the alarms that are raised."""
    nothing_else(ctx, "alarm list command accepts no arguments")
    answer = ctx.ask("Maintenance/Alarm", AlarmRequest(alarm=NONE), AlarmResponse)
    ctx.show(AlarmView(answer))


COMMANDS = (
    Command(
        "alarm", "alarm <subcommand>", "Alarm related commands", example="  triodectl alarm list"
    ),
    Command(
        "alarm disarm",
        "disarm",
        "Disarms all alarms",
        run=disarm,
        example=(
            "  # After a full database was compacted and defragmented\n  triodectl alarm disarm"
        ),
    ),
    Command("alarm list", "list", "Lists all alarms", run=show, example="  triodectl alarm list"),
)
