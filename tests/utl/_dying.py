"""Runs a tool so that it is killed at its n-th step: before it makes, changes, syncs, renames or removes a file.

A program of its own, because a process with threads, as that of the tests may be, is not to be forked. Each line of
its input is a list: the tool, its arguments and the step; each line of its output is the tool's exit code, or -9.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from triode.cli.common.output import Output
from triode.cli.common.run import execute
from triode.cli.ctl.main import PROGRAM as CTL
from triode.cli.utl.main import PROGRAM as UTL

PROGRAMS = {"triodectl": CTL, "triodeutl": UTL}
STEPS = (
    "chown",
    "fdatasync",
    "fsync",
    "ftruncate",
    "mkdir",
    "open",
    "posix_fallocate",
    "pwrite",
    "rename",
    "replace",
    "rmdir",
    "truncate",
    "unlink",
    "write",
)


def die_at(step: int) -> None:
    """Have this process killed there."""
    left = step

    def dying(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            if name != "open" or arguments[1] & (os.O_CREAT | os.O_TRUNC):
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return call

    for name in STEPS:
        setattr(os, name, dying(name, getattr(os, name)))


def run(tool: str, words: list[str], step: int) -> int:
    """The exit code of a tool that dies at a step, if it comes so far."""
    child = os.fork()
    if not child:
        code = 99
        try:
            silence = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(silence, number)
            die_at(step)
            code = execute(PROGRAMS[tool], words, Output(sys.stdout.buffer))
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    for line in sys.stdin:
        print(run(*json.loads(line)), flush=True)
