"""`triodectl move-leader`."""

from __future__ import annotations

from ....rpc.pb.rpc_pb2 import MoveLeaderRequest, StatusRequest
from ...common.command import Command
from ...common.exits import BAD_ARGUMENTS, Failure
from ...common.gonumbers import parse_uint
from ..context import Context
from ..views.cluster import MoveLeaderView

__all__ = ["COMMANDS"]


async def move_leader(ctx: Context) -> None:
    """Ask the leader, which must be one of the endpoints, to hand over."""
    if len(ctx.arguments) != 1:
        raise Failure("move-leader command needs 1 argument", BAD_ARGUMENTS)
    try:
        target = parse_uint(ctx.arguments[0], 16)
    except ValueError as error:
        raise Failure(str(error), BAD_ARGUMENTS) from None
    async with ctx.client() as client:
        endpoints = client.channel.endpoints
        for endpoint in endpoints:
            status = await ctx.call(
                client, "Maintenance/Status", StatusRequest(), endpoint=endpoint
            )
            if status.header.member_id == status.leader:
                break
        else:
            text = f"no leader endpoint given at [{' '.join(endpoints)}]"
            raise Failure(text, BAD_ARGUMENTS)
        request = MoveLeaderRequest(targetID=target)
        answer = await ctx.call(client, "Maintenance/MoveLeader", request, endpoint=endpoint)
    ctx.show(MoveLeaderView(answer, status.leader, target))


COMMANDS = (
    Command(
        "move-leader",
        "move-leader <transferee-member-id>",
        "Transfers leadership to another etcd cluster member.",
        run=move_leader,
        example=(
            "  triodectl move-leader 8211f1d0f64f3269"
            " --endpoints=10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379"
        ),
    ),
)
