"""`triodectl defrag`."""

from __future__ import annotations

import trio

from ....errors import EtcdError
from ....rpc.pb.rpc_pb2 import DefragmentRequest
from ...common.command import Command
from ...common.errors import complain
from ...common.exits import ERROR, Failure
from ...common.gonumbers import duration_text
from ..context import Context
from ._arguments import endpoints_of
from .endpoint import CLUSTER, reason_of

__all__ = ["COMMANDS"]


async def defrag(ctx: Context) -> int:
    """One endpoint after the other: a member does not serve while it is at it."""
    failed = False
    async with ctx.client() as client:
        for endpoint in await endpoints_of(ctx, client):
            start = trio.current_time()
            wrong = None
            try:
                await ctx.call(
                    client, "Maintenance/Defragment", DefragmentRequest(), endpoint=endpoint
                )
            except (EtcdError, Failure) as error:
                wrong = reason_of(error)
            took = duration_text(trio.current_time() - start)
            if wrong is None:
                ctx.out.line(f"Finished defragmenting etcd member[{endpoint}]. took {took}")
                ctx.out.flush()
            else:
                failed = True
                text = f"Failed to defragment etcd member[{endpoint}]. took {took}. ({wrong})"
                complain(text, prefix="")
    return ERROR if failed else 0


COMMANDS = (
    Command(
        "defrag",
        "defrag",
        "Defragments the storage of the etcd members with given endpoints",
        run=defrag,
        flags=(CLUSTER,),
        example="  triodectl defrag --cluster --command-timeout=1m",
    ),
)
