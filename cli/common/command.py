"""The command contract: how a command says what it is, and what it is run with.

    COMMANDS = (
        Command("lease", "lease <subcommand>", "Lease related commands"),            # a group
        Command("lease grant", "grant <ttl>", "Creates leases", run=grant,
                flags=(Flag.switch("once", "..."),), example="  triodectl lease grant 60"),
    )

    async def grant(ctx: Context) -> int | None: ...      # or a plain def, when nothing is to be awaited

`run` returns the exit code (None: 0) or raises `Failure(text, code)`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from .flags import Flag, FlagValues
from .goquote import as_bytes

if TYPE_CHECKING:
    from .output import Output
    from .program import Program

__all__ = ["Command", "Invocation", "Run"]

Run = Callable[[Any], "Awaitable[int | None] | int | None"]


@attrs.frozen
class Command:
    """One command, or a group of commands.

    Args:
        path: its names from the top: "member add".
        usage: its last name and what it takes: "add <memberName> [options]".
        short: one line.
        run: called with an `Invocation` (triodectl: a `Context`); None: a group, which prints its help.
        flags: its own.
        long: more than a line; help shows it as DESCRIPTION.
        example: lines for help, indented by two.
        aliases: other last names.
        choices: what completion offers as arguments.
        arguments: how many there may be, by cobra's rules; None: `run` looks for itself.
        suggest_for: words after which it is suggested though they look different.
        hidden: neither in help nor in completion.
    """

    path: str
    usage: str
    short: str
    run: Run | None = None
    flags: tuple[Flag, ...] = ()
    long: str = ""
    example: str = ""
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    arguments: tuple[int, int] | None = None
    suggest_for: tuple[str, ...] = ()
    hidden: bool = False

    @property
    def name(self) -> str:
        """Its last name."""
        return self.path.rpartition(" ")[2]

    @property
    def parent(self) -> str:
        """The path of its group; "" at the top."""
        return self.path.rpartition(" ")[0]


class Invocation:
    """One run of a command.

    Attributes:
        program: whose command it is.
        command: which.
        flags: all flags, the program's too.
        arguments: what is no flag, as text; `as_bytes` gives the bytes.
        dash: how many of them stood before a "--"; None: there was none.
        raw: the whole command line after the program's name.
        out: stdout.
    """

    def __init__(
        self,
        program: Program,
        command: Command,
        flags: FlagValues,
        arguments: Sequence[str],
        *,
        out: Output,
        dash: int | None = None,
        raw: Sequence[str] = (),
    ) -> None:
        self.program = program
        self.command = command
        self.flags = flags
        self.arguments = tuple(arguments)
        self.dash = dash
        self.raw = tuple(raw)
        self.out = out

    def argument_bytes(self, index: int) -> bytes:
        """An argument as the bytes that the shell handed over."""
        return as_bytes(self.arguments[index])
