"""`triodectl watch`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

import trio

from ...common.command import Command
from ...common.errors import complain
from ...common.exits import BAD_ARGUMENTS, INTERRUPTED, INVALID_INPUT, Failure
from ...common.flags import Flag, FlagError, FlagValues, parse
from ...common.goquote import as_text, quote
from ..argify import argify
from ..context import Context
from ..watching import RangeAndPrefix, Wanted, Watches, wanted
from ..watching import watch as watch_until_end

__all__ = ["COMMANDS"]

FLAGS: Final = (
    Flag.switch("interactive", "Interactive mode", short="i"),
    Flag.switch("prefix", "Watch on a prefix if prefix is set"),
    Flag.number("rev", "Revision to start watching"),
    Flag.switch("prev-kv", "get the previous key-value pair before the event happens"),
    Flag.switch("progress-notify", "get periodic watch progress notification from server"),
)


async def watch(ctx: Context) -> None:
    """Print the events of keys."""
    keys = _keys_of_environment()
    if ctx.flags.switch("interactive"):
        await _interactive(ctx, keys)
        return
    try:
        what = _understand(ctx.flags, ctx.arguments, ctx.dash, keys)
    except ValueError as error:
        raise Failure(str(error), BAD_ARGUMENTS) from None
    async with ctx.client() as client:
        await watch_until_end(ctx, client, what, Watches())
    raise Failure("watch is canceled by the server", INTERRUPTED)


def _keys_of_environment() -> list[str]:
    key = os.environ.get("ETCDCTL_WATCH_KEY", "")
    end = os.environ.get("ETCDCTL_WATCH_RANGE_END", "")
    if end and not key:
        raise Failure(
            f"ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END={quote(end)}",
            BAD_ARGUMENTS,
        )
    return [each for each in (key, end) if each]


def _understand(
    flags: FlagValues, arguments: Sequence[str], dash: int | None, keys: Sequence[str]
) -> Wanted:
    """What a command line asks for; `keys` are those of the environment. Raises ValueError."""
    words = list(arguments if dash is None else arguments[:dash])
    command = [] if dash is None else list(arguments[dash:])
    if dash is not None and not command:
        raise ValueError("bad number of arguments (found separator --, but no commands)")
    if words and keys:
        raise ValueError("bad number of arguments (found conflicting environment key)")
    return wanted(flags, words or keys, command)


async def _interactive(ctx: Context, keys: Sequence[str]) -> None:
    """Take watches, and questions for progress, from stdin, line by line."""
    watches = Watches()
    async with ctx.client() as client, trio.open_nursery() as nursery:
        while True:
            data = await trio.to_thread.run_sync(sys.stdin.buffer.readline, abandon_on_cancel=True)
            if not data.endswith(b"\n"):
                raise Failure("error reading watch request line: EOF", INVALID_INPUT)
            line = as_text(data[:-1])
            words = argify(line)
            if not words:
                complain(f"{line} (watch and progress supported)", prefix="Invalid command: ")
            elif words[0] == "progress":
                await watches.request_progress()
            elif words[0] != "watch":
                complain(f"{line} (only support watch)", prefix="Invalid command ")
            elif len(words) == 1 and not keys:
                complain(f"{line} (command type or key is not provided)", prefix="Invalid command ")
            elif (what := _line(line, words[1:], keys)) is not None:
                nursery.start_soon(watch_until_end, ctx, client, what, watches)


def _line(line: str, words: Sequence[str], keys: Sequence[str]) -> Wanted | None:
    """What a line asks for; None: it has been complained of. Raises Failure for what etcdctl ends at."""
    flags = FlagValues(FLAGS)
    try:
        plain, dash = parse(flags, words)
    except FlagError as error:
        raise Failure(str(error), BAD_ARGUMENTS) from None
    try:
        return _understand(flags, plain, dash, keys)
    except RangeAndPrefix as error:
        complain(f"{line} ({error})", prefix="Invalid command ")
        return None
    except ValueError as error:
        raise Failure(str(error), BAD_ARGUMENTS) from None


COMMANDS = (
    Command(
        "watch",
        "watch [options] [key or prefix] [range_end] [--] [exec-command arg1 arg2 ...]",
        "Watches events stream on keys or prefixes",
        run=watch,
        flags=FLAGS,
        long="""\
Prints the events of a key, a range or a prefix as they come; with a command after "--", runs it for every event.
The command finds ETCD_WATCH_REVISION, ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY and ETCD_WATCH_VALUE in its environment.
ETCDCTL_WATCH_KEY and ETCDCTL_WATCH_RANGE_END name the keys when the command line does not.""",
        example="""\
  triodectl watch greeting
  triodectl watch --prefix config/ --rev 42 --prev-kv
  triodectl watch --prefix config/ -- sh -c 'echo $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY'
  triodectl watch -i""",
    ),
)
