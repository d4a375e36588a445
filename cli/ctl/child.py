"""A command that is run while something is held for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial

import trio

from ..common.children import cannot_run, ending
from ..common.exits import Failure
from .interrupts import Stop

__all__ = ["run_child"]

KILLED = 255
PATIENCE_SECONDS = 5.0
"""For a command that was told to end; then it is killed."""


async def run_child(words: Sequence[str], variables: Mapping[str, bytes], stop: Stop) -> None:
    """Run a command to its end; its output is ours, and its input too if that is a terminal.

    SIGTERM is passed on to it, and Ctrl-C unless the terminal has told it already. When the caller is cancelled,
    the command is ended by SIGTERM, or after `PATIENCE_SECONDS` by SIGKILL.

    Raises:
        Failure: with its exit code, when that is not 0; or it cannot be run.
    """
    async with trio.open_nursery() as nursery:
        try:
            process: trio.Process = await nursery.start(
                partial(
                    trio.run_process,
                    list(words),
                    env={
                        **os.environb,
                        **{name.encode(): text for name, text in variables.items()},
                    },
                    stdin=None if sys.stdin.isatty() else subprocess.DEVNULL,
                    check=False,
                    deliver_cancel=_put_an_end_to,
                )
            )
        except OSError as error:
            raise Failure(cannot_run(words[0], error)) from None
        nursery.start_soon(_pass_on, stop, process)
        code = await process.wait()
        nursery.cancel_scope.cancel()
    if code:
        raise Failure(ending(code), code if code > 0 else KILLED)


async def _put_an_end_to(process: trio.Process) -> None:
    process.terminate()
    await trio.sleep(PATIENCE_SECONDS)
    process.kill()


async def _pass_on(stop: Stop, process: trio.Process) -> None:
    await stop.event.wait()
    assert stop.number is not None
    if stop.number is not signal.SIGINT or not sys.stdin.isatty():
        process.send_signal(stop.number)
