"""Flags as pflag defines, parses and shows them.

Own code instead of click, by measurement and by grammar. click's import costs 25-30 ms of a start-up whose
bound is 150 ms, of which Trio and protobuf need most. And pflag's grammar is another one: `--prefix=true` and
`--prefix` are the same flag, `-w=json` means json, flags of a group may stand before, between and after its
commands, and the texts of wrong usage are part of what scripts see.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from .gonumbers import duration_text, parse_bool, parse_duration, parse_int, parse_uint
from .goquote import quote

__all__ = ["HELP", "Flag", "FlagError", "FlagValues", "Kind", "parse"]


class FlagError(Exception):
    """The command line is wrong; the text is pflag's."""


class Kind(enum.Enum):
    """The type of a flag's value."""

    BOOL = "bool"
    TEXT = "string"
    INT = "int"  # 64 bits; 0x, 0o, 0b and underscores are understood
    UINT = "uint"
    SECONDS = "duration"  # Go's: "1h30m"; kept as float seconds
    TEXTS = "stringSlice"  # comma separated, may be given repeatedly


@attrs.frozen
class Flag:
    """One flag.

    Args:
        name: the long name, without dashes.
        kind: of its value.
        default: if it is not given; of the kind's type (bool, str, int, float seconds, tuple of str).
        help: one line.
        short: one letter, or "".
        choices: what completion offers as values.
        shown: the default as help shows it, if that is not the default itself.
        hidden: neither in help nor in completion.
    """

    name: str
    kind: Kind
    default: Any
    help: str
    short: str = ""
    choices: tuple[str, ...] = ()
    shown: str | None = None
    hidden: bool = False

    @classmethod
    def switch(cls, name: str, help: str, *, default: bool = False, **more: Any) -> Flag:
        """`--name`, `--name=false`."""
        return cls(name, Kind.BOOL, default, help, **more)

    @classmethod
    def text(cls, name: str, help: str, *, default: str = "", **more: Any) -> Flag:
        """`--name value`."""
        return cls(name, Kind.TEXT, default, help, **more)

    @classmethod
    def number(cls, name: str, help: str, *, default: int = 0, **more: Any) -> Flag:
        """`--name 12`."""
        return cls(name, Kind.INT, default, help, **more)

    @classmethod
    def unsigned(cls, name: str, help: str, *, default: int = 0, **more: Any) -> Flag:
        """`--name 12`."""
        return cls(name, Kind.UINT, default, help, **more)

    @classmethod
    def seconds(cls, name: str, help: str, *, default: float = 0.0, **more: Any) -> Flag:
        """`--name 1m30s`."""
        return cls(name, Kind.SECONDS, default, help, **more)

    @classmethod
    def texts(cls, name: str, help: str, *, default: tuple[str, ...] = (), **more: Any) -> Flag:
        """`--name a,b --name c`."""
        return cls(name, Kind.TEXTS, default, help, **more)

    def default_text(self) -> str:
        """The default as help shows it."""
        if self.shown is not None:
            return self.shown
        return quote(self.default) if self.kind is Kind.TEXT else self.shown_value(self.default)

    def shown_value(self, value: Any) -> str:
        """A value as Go prints it."""
        if self.kind is Kind.BOOL:
            return "true" if value else "false"
        if self.kind is Kind.SECONDS:
            return duration_text(value)
        return f"[{','.join(value)}]" if self.kind is Kind.TEXTS else str(value)


HELP: Final = "help"


class FlagValues:
    """The flags of one command line: what was given, else the defaults.

    Args:
        flags: all that may be given; a later one of the same name hides an earlier one.
    """

    def __init__(self, flags: Sequence[Flag]) -> None:
        self.flags = {flag.name: flag for flag in flags}
        self._shorts = {flag.short: flag for flag in self.flags.values() if flag.short}
        self._values: dict[str, Any] = {}
        self._changed: set[str] = set()

    def find(self, name: str) -> Flag | None:
        """The flag of this long name."""
        return self.flags.get(name)

    def find_short(self, letter: str) -> Flag | None:
        """The flag of this letter."""
        return self._shorts.get(letter)

    def changed(self, name: str) -> bool:
        """Was it given on the command line?"""
        return name in self._changed

    def set(self, name: str, text: str) -> None:
        """Give a flag its value as text; comes from the command line.

        Raises:
            FlagError: the text is not of its kind.
        """
        flag = self.flags[name]
        try:
            value = _READ[flag.kind](text)
        except ValueError as error:
            called = f"-{flag.short}, --{name}" if flag.short else f"--{name}"
            raise FlagError(
                f'invalid argument {quote(text)} for "{called}" flag: {error}'
            ) from None
        if flag.kind is Kind.TEXTS and name in self._changed:
            value = self._values[name] + value
        self._values[name] = value
        self._changed.add(name)

    def set_default(self, name: str, text: str) -> None:
        """Give a flag its value as text; comes from the environment. Raises FlagError."""
        self.set(name, text)
        self._changed.discard(name)

    def value(self, name: str) -> Any:
        """The value, of the flag's kind."""
        return self._values.get(name, self.flags[name].default)

    def switch(self, name: str) -> bool:
        """The value of a Kind.BOOL."""
        value = self.value(name)
        assert isinstance(value, bool)
        return value

    def text(self, name: str) -> str:
        """The value of a Kind.TEXT."""
        value = self.value(name)
        assert isinstance(value, str)
        return value

    def number(self, name: str) -> int:
        """The value of a Kind.INT or Kind.UINT."""
        value = self.value(name)
        assert isinstance(value, int)
        return value

    def seconds(self, name: str) -> float:
        """The value of a Kind.SECONDS."""
        value = self.value(name)
        assert isinstance(value, float)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """The value of a Kind.TEXTS."""
        value = self.value(name)
        assert isinstance(value, tuple)
        return value


def _texts(text: str) -> tuple[str, ...]:
    if '"' not in text:
        return tuple(text.split(",")) if text else ()
    from .gocsv import read_record

    return read_record(text)


_READ: Final[dict[Kind, Callable[[str], Any]]] = {
    Kind.BOOL: parse_bool,
    Kind.TEXT: str,
    Kind.INT: lambda text: parse_int(text, 0),
    Kind.UINT: lambda text: parse_uint(text, 0),
    Kind.SECONDS: parse_duration,
    Kind.TEXTS: _texts,
}


def parse(values: FlagValues, arguments: Sequence[str]) -> tuple[list[str], int | None]:
    """Read flags out of arguments; they may stand anywhere until a "--".

    Returns:
        What is no flag, and how many of them stood before the "--" (None: there was none).

    Raises:
        FlagError: an unknown flag, a missing or a wrong value.
    """
    plain: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return plain + rest, len(plain)
        if argument.startswith("--"):
            _long(values, argument, rest)
        elif argument.startswith("-") and argument != "-":
            _shorts(values, argument[1:], rest)
        else:
            plain.append(argument)
    return plain, None


def _long(values: FlagValues, argument: str, rest: list[str]) -> None:
    name, equals, text = argument[2:].partition("=")
    if not name or name.startswith("-"):
        raise FlagError(f"bad flag syntax: {argument}")
    flag = values.find(name)
    if flag is None:
        raise FlagError(f"unknown flag: --{name}")
    if equals:
        values.set(name, text)
    elif flag.kind is Kind.BOOL:
        values.set(name, "true")
    elif rest:
        values.set(name, rest.pop(0))
    else:
        raise FlagError(f"flag needs an argument: {argument}")


def _shorts(values: FlagValues, letters: str, rest: list[str]) -> None:
    while letters:
        flag = values.find_short(letters[0])
        if flag is None:
            raise FlagError(f"unknown shorthand flag: '{letters[0]}' in -{letters}")
        if len(letters) > 2 and letters[1] == "=":
            values.set(flag.name, letters[2:])
            return
        if flag.kind is Kind.BOOL:
            values.set(flag.name, "true")
            letters = letters[1:]
            continue
        if len(letters) > 1:
            values.set(flag.name, letters[1:])
        elif rest:
            values.set(flag.name, rest.pop(0))
        else:
            raise FlagError(f"flag needs an argument: '{letters}' in -{letters}")
        return
