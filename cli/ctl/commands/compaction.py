"""`triodectl compaction`."""

from __future__ import annotations

from typing import Final

from ....rpc.pb.rpc_pb2 import CompactionRequest, CompactionResponse
from ...common.command import Command
from ...common.exits import BAD_ARGUMENTS, Failure
from ...common.flags import Flag
from ...common.gonumbers import parse_int
from ..context import Context

__all__ = ["COMMANDS"]

FLAGS: Final = (
    Flag.switch("physical", "'true' to wait for compaction to physically remove all old revisions"),
)


def compaction(ctx: Context) -> None:
    """Forget what was before a revision."""
    if len(ctx.arguments) != 1:
        raise Failure("compaction command needs 1 argument", BAD_ARGUMENTS)
    try:
        revision = parse_int(ctx.arguments[0])
    except ValueError as error:
        raise Failure(str(error)) from None
    request = CompactionRequest(revision=revision, physical=ctx.flags.switch("physical"))
    ctx.ask("KV/Compact", request, CompactionResponse)
    ctx.out.line(f"compacted revision {revision}")


COMMANDS = (
    Command(
        "compaction",
        "compaction [options] <revision>",
        "Compacts the event history in etcd",
        run=compaction,
        flags=FLAGS,
        example="  triodectl compaction 1234\n  triodectl compaction --physical 1234",
    ),
)
