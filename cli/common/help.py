"""Help and usage, laid out as etcd's tools do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from .command import Command
from .flags import Flag, Kind
from .goquote import as_text
from .output import Output
from .program import Program, help_flag
from .tabs import align

__all__ = ["flag_lines", "help_text", "print_help"]

_HEADING: Final = re.compile(r"^[A-Z][A-Za-z ]*:$", re.MULTILINE)


def print_help(program: Program, command: Command, out: Output) -> None:
    """Write a command's help."""
    text = help_text(program, command)
    if out.colours:
        text = _HEADING.sub(lambda found: as_text(out.painted(found[0], "bold")), text)
    out.write(text)
    out.flush()


def help_text(program: Program, command: Command) -> str:
    """What `--help` prints."""
    parts = ["NAME:", f"  {command.path or program.name} - {command.short}", "", "USAGE:"]
    parts += [f"  {usage_line(program, command)}", ""]
    below = _below(program, command)
    if not command.path:
        parts += ["VERSION:", f"  {program.version}", ""]
    if below and program.api_version:
        parts += ["API VERSION:", f"  {program.api_version}", ""]
    if command.example:
        parts += ["Examples:", command.example.strip("\n"), ""]
    if below:
        runnable = [each for each in below if each.run is not None]
        strip = len(command.path) + 1 if command.path else 0
        parts += ["COMMANDS:", *(f"  {each.path[strip:]}\t{each.short}" for each in runnable), ""]
    if command.long:
        lines = command.long.replace("{program}", program.name).strip("\n\t ").split("\n")
        parts += ["DESCRIPTION:", *(f"  {line}" for line in lines), ""]
    own = [*command.flags, help_flag(command, program)]
    own += program.flags if not command.path else ()
    parts += ["OPTIONS:", *flag_lines(own), ""]
    if command.path:
        parts += ["GLOBAL OPTIONS:", *flag_lines(program.flags), ""]
    return align("\n".join(parts) + "\n")


def usage_line(program: Program, command: Command) -> str:
    """`triodectl lease grant <ttl> [flags]`."""
    words = [program.name] if command.path else []
    line = " ".join([*words, *command.parent.split(), command.usage])
    return line if "[flags]" in line else f"{line} [flags]"


def _below(program: Program, command: Command) -> Sequence[Command]:
    if command.run is not None:
        return ()
    every = program.commands() if not command.path else program.family(command.path.split(" ")[0])
    prefix = f"{command.path} " if command.path else ""
    below = [each for each in every if each.path.startswith(prefix) and each.path != command.path]
    return sorted(
        (each for each in below if not each.hidden), key=lambda each: each.path.split(" ")
    )


def flag_lines(flags: Iterable[Flag]) -> list[str]:
    """One line for each flag, sorted: letter, name, default, help."""
    return [
        _flag_line(flag) for flag in sorted(flags, key=lambda each: each.name) if not flag.hidden
    ]


def _flag_line(flag: Flag) -> str:
    letter = f"  -{flag.short}, " if flag.short else "      "
    value = f"={flag.default_text()}"
    if flag.kind is Kind.BOOL:
        value = f"[{value}]"
    return f"{letter}--{flag.name}{value}\t{flag.help}"
