"""What may come next on a command line: asked by the shells' completion scripts, as `PROGRAM __complete WORDS`.

The last word is the one that is being written, perhaps empty. The answer is a line for every candidate, with a
tab and its help, then a line that says what else the shell may offer: `:files` or `:nothing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from .command import Command
from .flags import HELP, Flag, FlagValues, Kind
from .output import Output
from .program import Found, Program, UnknownCommand

__all__ = ["COMPLETE", "answer", "candidates"]

COMPLETE: Final = "__complete"
_PATHS: Final = frozenset(("cert", "key", "cacert", "dest-cert", "dest-key", "dest-cacert"))
Candidates = Iterator[tuple[str, str]]


def answer(program: Program, words: Sequence[str], out: Output) -> None:
    """Print the answer for a command line."""
    shown, files = candidates(program, words)
    for value, about in shown:
        out.line(f"{value}\t{about}")
    out.line(":files" if files else ":nothing")


def candidates(program: Program, words: Sequence[str]) -> tuple[list[tuple[str, str]], bool]:
    """What the last word may become.

    Args:
        program: whose command line it is.
        words: the command line after the program's name; the last one is not finished.

    Returns:
        Candidates with their help, and whether names of files are as good.
    """
    *before, current = words or [""]
    try:
        found = program.find(before)
    except UnknownCommand:
        return [], False
    command = found.command
    flags = program.flags_of(command)
    plain = "--" in before
    wanted = None if plain else _wants_value(flags, before)
    if wanted is not None:
        return _starting(current, _choices(wanted)), wanted.name in _PATHS
    if not plain and current.startswith("--") and "=" in current:
        name, _, _ = current[2:].partition("=")
        flag = flags.find(name)
        if flag is None:
            return [], False
        values = ((f"--{name}={value}", about) for value, about in _choices(flag))
        return _starting(current, values), flag.name in _PATHS
    if not plain and current.startswith("-"):
        return _starting(current, _flags(flags)), False
    return _starting(current, _arguments(program, found)), _takes_files(command)


def _wants_value(flags: FlagValues, before: Sequence[str]) -> Flag | None:
    """The flag whose value comes next, if the last word was one that lacks it."""
    last = before[-1] if before else ""
    flag = None
    if last.startswith("--") and "=" not in last:
        flag = flags.find(last[2:])
    elif last.startswith("-") and len(last) == 2:
        flag = flags.find_short(last[1])
    return flag if flag is not None and flag.kind is not Kind.BOOL else None


def _choices(flag: Flag) -> Candidates:
    values = ("true", "false") if flag.kind is Kind.BOOL else flag.choices
    return ((value, "") for value in values)


def _flags(flags: FlagValues) -> Candidates:
    for name, flag in sorted(flags.flags.items()):
        if not flag.hidden:
            yield f"--{name}", flag.help
            if flag.short:
                yield f"-{flag.short}", flag.help


def _arguments(program: Program, found: Found) -> Candidates:
    command = found.command
    if command.path == HELP:
        path = _helped(program, found.arguments)
        if path is not None:
            yield from _below(program, path)
    elif command.run is None:
        yield from _below(program, command.path)
    else:
        for choice in command.choices:
            if choice not in found.arguments:
                yield choice, ""


def _helped(program: Program, arguments: Sequence[str]) -> str | None:
    try:
        return program.find(arguments).command.path
    except UnknownCommand:
        return None


def _below(program: Program, path: str) -> Candidates:
    every = program.children(path) if path else program.commands()
    below = (each for each in every if each.parent == path)
    return ((each.name, each.short) for each in below if not each.hidden)


def _takes_files(command: Command) -> bool:
    return command.run is not None and "file" in command.usage.lower()


def _starting(start: str, every: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(value, about) for value, about in every if value.startswith(start)]
