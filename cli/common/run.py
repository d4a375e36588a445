"""From a command line to an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, NoReturn

from .colour import wanted
from .command import Command, Invocation
from .errors import complain, die_of, leaf
from .exits import ERROR, IO_FAILED, OK, Failure
from .flags import HELP, FlagError, parse
from .output import Output
from .program import Program, UnknownCommand
from .standard_files import open_missing

__all__ = ["execute", "main"]


def main(program: Program) -> NoReturn:
    """Run the program as a process: its command line, its exit code, its signals.

    Ctrl-C ends it at once, as it ends a program written in Go; commands that have to clean up receive the
    signal themselves. What is left of the interpreter is not taken apart: the system is faster at that.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a shell's background job
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    open_missing()
    colours = wanted(sys.stdout)
    code = execute(program, sys.argv[1:], Output(sys.stdout.buffer, colours=colours))
    os._exit(code)


def execute(program: Program, arguments: Sequence[str], out: Output) -> int:
    """Run one command line; what is wrong is said on stderr.

    Returns:
        The exit code.
    """
    try:
        code = _execute(program, arguments, out)
        out.flush()
    except Failure as failure:  # what was printed cannot be written
        complain(failure.text)
        return failure.code
    except BrokenPipeError:
        die_of(signal.SIGPIPE)  # who read our output has seen enough
    except KeyboardInterrupt:
        die_of(signal.SIGINT)
    else:
        return code
    return ERROR


def _execute(program: Program, arguments: Sequence[str], out: Output) -> int:
    if arguments[:1] == ["__complete"]:
        from .complete import answer

        answer(program, arguments[1:], out)
        return OK
    try:
        found = program.find(arguments)
    except UnknownCommand as error:
        complain(str(error))
        complain(f"Run '{program.name} --help' for usage.", prefix="")
        return ERROR
    command = found.command
    flags = program.flags_of(command)
    try:
        plain, dash = parse(flags, found.arguments)
        if command.arguments is not None and not flags.switch(HELP):
            _count(program.name, command, plain)
    except FlagError as error:
        complain(str(error))
        _print_help(program, command, out)
        complain("", prefix="")
        return ERROR
    if flags.switch(HELP) or command.run is None:
        _print_help(program, command, out)
        return OK
    invocation = program.invocation(
        program, command, flags, plain, out=out, dash=dash, raw=tuple(arguments)
    )
    return _run(program, command, invocation)


def _print_help(program: Program, command: Command, out: Output) -> None:
    from .help import print_help

    print_help(program, command, out)


def _count(program: str, command: Command, plain: Sequence[str]) -> None:
    """Hold arguments against what the command declares, in cobra's words."""
    assert command.arguments is not None
    least, most = command.arguments
    if not least <= len(plain) <= most:
        wanted = f"{least}" if least == most else f"between {least} and {most}"
        raise FlagError(f"accepts {wanted} arg(s), received {len(plain)}")
    for argument in plain:
        if command.choices and argument not in command.choices:
            from .suggest import did_you_mean

            raise FlagError(
                f'invalid argument "{argument}" for "{program} {command.path}"'
                + did_you_mean(argument, command.choices)
            )


def _run(program: Program, command: Command, invocation: Invocation) -> int:
    assert command.run is not None
    try:
        result = command.run(invocation)
        if isinstance(result, Coroutine):
            result = _wait(result)
        assert result is None or isinstance(result, int)
        return result or OK
    except Failure as failure:
        shown = failure
    except BaseException as error:  # noqa: BLE001 - nothing ends in a traceback
        shown = _explain(program, error)
    if shown.code != IO_FAILED:
        invocation.out.flush()
    if shown.text:
        complain(shown.text)
    return shown.code


def _wait(work: Coroutine[Any, Any, int | None]) -> int | None:
    import trio

    async def wait() -> int | None:
        return await work

    return trio.run(wait)


def _explain(program: Program, error: BaseException) -> Failure:
    """What to say of an exception that a command has not made a Failure of."""
    first = leaf(error)
    if isinstance(first, Failure):
        return first
    if isinstance(first, BrokenPipeError | KeyboardInterrupt | SystemExit):
        raise first
    known = program.explain(first)
    if known is not None:
        return known
    if isinstance(first, OSError):
        name = f"{first.filename}: " if first.filename else ""
        return Failure(f"{name}{(first.strerror or str(first)).lower()}")
    if os.environ.get("TRIODE_TRACEBACK"):
        raise error
    return Failure(f"internal error: {type(first).__name__}: {first}")
