"""`triodectl del`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from ....rpc.pb.rpc_pb2 import DeleteRangeRequest, DeleteRangeResponse
from ...common.command import Command
from ...common.errors import complain
from ...common.exits import BAD_ARGUMENTS, Failure
from ...common.flags import Flag, FlagValues
from ...common.goquote import quote
from ..context import Context
from ..key_range import KeyRange
from ..views.kv import DeleteView

__all__ = ["COMMANDS", "delete_request"]

WARNING_SECONDS: Final = 2.0

FLAGS: Final = (
    Flag.switch("prefix", "delete keys with matching prefix"),
    Flag.switch("prev-kv", "return deleted key-value pairs"),
    Flag.switch(
        "from-key",
        "delete keys that are greater than or equal to the given key using byte compare",
    ),
    Flag.switch("range", "delete range of keys"),
)


def delete(ctx: Context) -> None:
    """Delete keys."""
    request = delete_request(ctx.flags, ctx.arguments)
    response = ctx.ask("KV/DeleteRange", request, DeleteRangeResponse)
    ctx.show(DeleteView(response))


def delete_request(flags: FlagValues, arguments: Sequence[str]) -> DeleteRangeRequest:
    """What `del` asks for; a line of `txn` may be one, too.

    A range without `--range` is warned of, and may be interrupted for two seconds.

    Raises:
        Failure: the arguments do not go together.
    """
    if not 1 <= len(arguments) <= 2:
        raise Failure(
            "del command needs one argument as key and an optional argument as range_end",
            BAD_ARGUMENTS,
        )
    key, end = KeyRange.of(flags).select(arguments)
    if len(arguments) == 2 and not flags.switch("range"):
        complain(
            f"Keys between {quote(arguments[0])} and {quote(arguments[1])} will be deleted."
            " Please interrupt the command within next 2 seconds to cancel."
            " You can provide `--range` flag to avoid the delay.",
            prefix="Warning: ",
        )
        time.sleep(WARNING_SECONDS)
    return DeleteRangeRequest(key=key, range_end=end, prev_kv=flags.switch("prev-kv"))


COMMANDS = (
    Command(
        "del",
        "del [options] <key> [range_end]",
        "Removes the specified key or range of keys [key, range_end)",
        run=delete,
        flags=FLAGS,
        example="""\
  triodectl del greeting
  triodectl del --prefix cache/ --prev-kv
  triodectl del --range a z""",
    ),
)
