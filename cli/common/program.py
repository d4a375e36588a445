"""A command line program: finds the command that is meant, by cobra's rules, and runs it.

Modules of commands are loaded only when one of theirs is called, so a program names its top commands with
the module of each. Names may be shortened as long as they are unique; flags may stand between names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

import attrs

from .command import Command, Invocation
from .exits import Failure
from .flags import HELP, Flag, FlagValues, Kind

__all__ = ["Found", "Program", "UnknownCommand"]


class UnknownCommand(Exception):
    """There is no such command; the text is cobra's, with suggestions."""


@attrs.frozen
class Found:
    """What a command line means.

    Args:
        command: the command or the group.
        arguments: the command line without the command's names.
    """

    command: Command
    arguments: tuple[str, ...]


def _nobody(_error: BaseException, /) -> Failure | None:
    return None


@attrs.frozen
class Program:
    """A program of many commands.

    Args:
        name: what it is called by.
        description: one line.
        version: of what it speaks for: "3.6.0".
        api_version: "3.6"; "" if it has none.
        package: that the modules' names are relative to.
        modules: its top commands, in the order of suggestions, and the module whose `COMMANDS` has each.
        flags: taken by every command.
        invocation: the class of what `run` gets.
        explain: makes a Failure of an exception that commands let through, or None.
    """

    name: str
    description: str
    version: str
    api_version: str
    package: str
    modules: Mapping[str, str]
    flags: tuple[Flag, ...]
    invocation: Callable[..., Invocation] = Invocation
    explain: Callable[[BaseException], Failure | None] = _nobody

    @property
    def root(self) -> Command:
        """The program as the group of all its commands."""
        return Command("", self.name, self.description)

    def family(self, top: str) -> tuple[Command, ...]:
        """A top command and all below it."""
        if top == HELP:
            return (_HELP_COMMAND,)
        every: Sequence[Command] = import_module(self.modules[top], self.package).COMMANDS
        return tuple(each for each in every if each.path.split(" ", 1)[0] == top)

    def commands(self) -> tuple[Command, ...]:
        """All commands and groups, sorted; loads every module."""
        tops = sorted((*self.modules, HELP))
        every = [each for top in tops for each in self.family(top)]
        return tuple(sorted(every, key=lambda each: each.path.split(" ")))

    def children(self, path: str) -> tuple[Command, ...]:
        """The commands right below a group that has been found; at the top, use `modules`."""
        return tuple(
            each for each in self.family(path.split(" ", maxsplit=1)[0]) if each.parent == path
        )

    def flags_of(self, command: Command) -> FlagValues:
        """All flags that a command takes, unset."""
        return FlagValues((*self.flags, *command.flags, help_flag(command, self)))

    def find(self, arguments: Sequence[str]) -> Found:
        """The command that is meant, as cobra finds it.

        Raises:
            UnknownCommand: the first word is none, nor the beginning of exactly one.
        """
        command, rest = self.root, list(arguments)
        while True:
            flags = self.flags_of(command)
            words = _words(rest, flags)
            below = self._below(command, words[0]) if words else None
            if below is None:
                break
            rest = _without(rest, words[0], flags)
            command = below
        if words and not command.path:
            raise UnknownCommand(self._unknown(words[0]))
        return Found(command, tuple(rest))

    def _below(self, group: Command, word: str) -> Command | None:
        if not group.path:
            top = _pick({name: (name,) for name in (*self.modules, HELP)}, word)
            if top is None:
                return None
            return next(each for each in self.family(top) if each.path == top)
        below = {each.path: each for each in self.children(group.path)}
        names = {path: (each.name, *each.aliases) for path, each in below.items()}
        path = _pick(names, word)
        return None if path is None else below[path]

    def _unknown(self, word: str) -> str:
        from .suggest import did_you_mean

        names = (*self.modules, HELP)
        return f'unknown command "{word}" for "{self.name}"' + did_you_mean(word, names)


def help_flag(command: Command, program: Program) -> Flag:
    """`-h`."""
    return Flag.switch(HELP, f"help for {command.name or program.name}", short="h")


def _pick(names: Mapping[str, tuple[str, ...]], word: str) -> str | None:
    """The key one of whose names is this word, or the only one with a name that begins so."""
    matches = []
    for key, each in names.items():
        if word in each:
            return key
        if any(name.startswith(word) for name in each):
            matches.append(key)
    return matches[0] if len(matches) == 1 else None


def _takes_next(argument: str, flags: FlagValues) -> bool:
    """Is the next argument this flag's value? Unknown flags are taken to have one."""
    if "=" in argument:
        return False
    if argument.startswith("--"):
        flag = flags.find(argument[2:])
    elif argument.startswith("-") and len(argument) == 2:
        flag = flags.find_short(argument[1])
    else:
        return False
    return flag is None or flag.kind is not Kind.BOOL


def _words(arguments: Sequence[str], flags: FlagValues) -> list[str]:
    """What is neither a flag nor a flag's value."""
    words = []
    at = 0
    while at < len(arguments):
        argument = arguments[at]
        at += 1
        if argument == "--":
            break
        if _takes_next(argument, flags):
            at += 1
        elif argument and not argument.startswith("-"):
            words.append(argument)
    return words


def _without(arguments: Sequence[str], word: str, flags: FlagValues) -> list[str]:
    """The arguments less the first that is this word and no flag's value."""
    at = 0
    while at < len(arguments):
        argument = arguments[at]
        if argument == "--":
            break
        if _takes_next(argument, flags):
            at += 1
        elif argument == word:
            return [*arguments[:at], *arguments[at + 1 :]]
        at += 1
    return list(arguments)


def _help(invocation: Invocation) -> int:
    from .help import print_help

    program = invocation.program
    try:
        found = program.find(invocation.arguments)
    except UnknownCommand:
        from .errors import complain

        complain(
            f"Unknown help topic [{' '.join(f'`{a}`' for a in invocation.arguments)}]", prefix=""
        )
        print_help(program, program.root, invocation.out)
        return 0
    print_help(program, found.command, invocation.out)
    return 0


_HELP_COMMAND = Command(
    HELP,
    "help [command]",
    "Help about any command",
    run=_help,
    long="Help provides help for any command in the application.\nSimply type {program} help [path to command] for full details.",
)
