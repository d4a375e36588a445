"""`triodectl put`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from ....rpc.pb.rpc_pb2 import PutRequest, PutResponse
from ...common.command import Command
from ...common.exits import BAD_ARGUMENTS, Failure
from ...common.flags import Flag, FlagValues
from ...common.gonumbers import parse_int
from ...common.goquote import as_bytes
from ..context import Context
from ..views.kv import PutView

__all__ = ["COMMANDS", "put_request"]

_USAGE: Final = "put command needs 1 argument and input from stdin or 2 arguments"

FLAGS: Final = (
    Flag.text("lease", "lease ID (in hexadecimal) to attach to the key", default="0"),
    Flag.switch("prev-kv", "return the previous key-value pair before modification"),
    Flag.switch("ignore-value", "updates the key using its current value"),
    Flag.switch("ignore-lease", "updates the key using its current lease"),
)


def put(ctx: Context) -> None:
    """Put a key."""
    request = put_request(ctx.flags, ctx.arguments)
    response = ctx.ask("KV/Put", request, PutResponse)
    ctx.show(PutView(response))


def put_request(
    flags: FlagValues, arguments: Sequence[str], *, from_stdin: bool = True
) -> PutRequest:
    """What `put` asks for; a line of `txn` may be one, too.

    Args:
        flags: those of `FLAGS`.
        arguments: key and value.
        from_stdin: a missing value is read from there.

    Raises:
        Failure: the arguments do not go together.
    """
    if not arguments:
        raise Failure(_USAGE, BAD_ARGUMENTS)
    ignore_value = flags.switch("ignore-value")
    if ignore_value and len(arguments) > 1:
        raise Failure("put command needs only 1 argument when 'ignore-value' is set", BAD_ARGUMENTS)
    value = b"" if ignore_value else _value(arguments, from_stdin=from_stdin)
    try:
        lease = parse_int(flags.text("lease"), 16)
    except ValueError as error:
        raise Failure(f"bad lease ID ({error}), expecting ID in Hex", BAD_ARGUMENTS) from None
    return PutRequest(
        key=as_bytes(arguments[0]),
        value=value,
        lease=lease,
        prev_kv=flags.switch("prev-kv"),
        ignore_value=ignore_value,
        ignore_lease=flags.switch("ignore-lease"),
    )


def _value(arguments: Sequence[str], *, from_stdin: bool) -> bytes:
    if len(arguments) > 1:
        return as_bytes(arguments[1])
    value = sys.stdin.buffer.read() if from_stdin else b""
    if not value:
        raise Failure(_USAGE, BAD_ARGUMENTS)
    return value


COMMANDS = (
    Command(
        "put",
        "put [options] <key> <value> (<value> can also be given from stdin)",
        "Puts the given key into the store",
        run=put,
        flags=FLAGS,
        long="""\
Puts the given key into the store.

When <value> begins with '-', <value> is interpreted as a flag.
Insert '--' for workaround:

$ put <key> -- <value>
$ put -- <key> <value>

If <value> isn't given as a command line argument and '--ignore-value' is not specified,
this command tries to read the value from standard input.

For example,
$ cat file | put <key>
will store the content of the file to <key>.""",
        example="""\
  triodectl put greeting hello
  triodectl put --lease 694d5765fc71500b service/a 10.0.0.1:80
  triodectl put config/app < app.toml""",
    ),
)
