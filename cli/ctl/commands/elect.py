"""`triodectl elect`."""

from __future__ import annotations

import trio

from ....client.client import Client
from ....client.errors import LeaseLost
from ....errors import EtcdError
from ....rpc.pb.rpc_pb2 import RangeRequest, RangeResponse
from ...common.command import Command
from ...common.exits import BAD_ARGUMENTS, Failure
from ...common.flags import Flag
from ..context import Context
from ..failures import error_text
from ..interrupts import until_signal
from ..views.kv import RangeView

__all__ = ["COMMANDS"]

SESSION_SECONDS = 60


async def elect(ctx: Context) -> None:
    """Campaign, or watch who leads."""
    if not 1 <= len(ctx.arguments) <= 2:
        raise Failure(
            "elect takes one election name argument and an optional proposal argument",
            BAD_ARGUMENTS,
        )
    listen = ctx.flags.switch("listen")
    if len(ctx.arguments) == 1 and not listen:
        raise Failure("no proposal argument but -l not set", BAD_ARGUMENTS)
    if len(ctx.arguments) == 2 and listen:
        raise Failure("proposal given but -l is set", BAD_ARGUMENTS)
    async with ctx.client() as client:
        if listen:
            await _observe(ctx, client)
        else:
            await _campaign(ctx, client)


async def _observe(ctx: Context, client: Client) -> None:
    async with until_signal() as stop:
        with stop.cancels():
            # Later an endpoint may be away for long; now it is probably the wrong one.
            await ctx.call(client, "KV/Range", RangeRequest(key=ctx.argument_bytes(0)))
            try:
                async for pair in client.election(ctx.argument_bytes(0)).observe():
                    ctx.show(RangeView(RangeResponse(kvs=[pair])))
            except EtcdError as error:
                raise Failure(f"elect: observer lost: {error_text(error)}") from None


async def _campaign(ctx: Context, client: Client) -> None:
    election, elected = client.election(ctx.argument_bytes(0)), False
    try:
        async with until_signal() as stop:
            with stop.cancels():
                proposal = ctx.argument_bytes(1)
                async with election.campaign(proposal, ttl=SESSION_SECONDS) as leadership:
                    elected = True
                    found = await client.call("KV/Range", RangeRequest(key=leadership.key))
                    ctx.show(RangeView(found))
                    await trio.sleep_forever()
    except LeaseLost:
        raise Failure("elect: session expired") from None
    if not elected:
        raise Failure("context canceled")


COMMANDS = (
    Command(
        "elect",
        "elect <election-name> [proposal]",
        "Observes and participates in leader election",
        run=elect,
        flags=(Flag.switch("listen", "observation mode", short="l"),),
        long=(
            "With a proposal: waits to be elected, prints key and proposal, and leads until Ctrl-C or SIGTERM.\n"
            "With -l: prints each leader's key and proposal."
        ),
        example="  triodectl elect scheduler host-1\n  triodectl elect scheduler -l",
    ),
)
