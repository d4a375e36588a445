"""The text format of the interaction scripts.

A script is a list of directives. Each is a command line `name word key=value key=(a,b)`, which a
trailing `\\` continues on the next line, then lines of input, `----`, and the expected output up
to an empty line (or between two pairs of `----` when it has empty lines itself). Lines with `#`
before a directive are comments. The format is that of cockroachdb/datadriven.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from triode.raft.types import ConfChangeSingle, ConfChangeType

_SEPARATOR = "----"
_KINDS = {
    "v": ConfChangeType.ADD_NODE,
    "l": ConfChangeType.ADD_LEARNER_NODE,
    "r": ConfChangeType.REMOVE_NODE,
    "u": ConfChangeType.UPDATE_NODE,
}


class BadScript(Exception):
    """The script itself is wrong: what it asks for cannot be read or done."""


@attrs.frozen
class Directive:
    """One command with its input and the output that is expected."""

    line: int
    name: str
    args: list[tuple[str, list[str]]]
    """(key, values) as given, in order; a plain word is a key without values."""
    input: str
    expected: str

    @property
    def words(self) -> list[str]:
        return [key for key, values in self.args if not values]

    @property
    def options(self) -> dict[str, list[str]]:
        """The values by key; those of a key that comes again are added."""
        out: dict[str, list[str]] = {}
        for key, values in self.args:
            if values:
                out.setdefault(key, []).extend(values)
        return out

    def option(self, key: str, default: str = "") -> str:
        values = self.options.get(key)
        return values[-1] if values else default


class _Lines:
    """The lines of a script, from where it is read."""

    def __init__(self, text: str) -> None:
        self.lines = text.removesuffix("\n").split("\n") if text else []
        self.at = 0

    def peek(self) -> str | None:
        return self.lines[self.at] if self.at < len(self.lines) else None

    def take(self) -> str | None:
        line = self.peek()
        self.at += line is not None
        return line


def parse(text: str) -> Iterator[Directive]:
    """The directives of a script, in order. Raises BadScript."""
    lines = _Lines(text)
    while (line := lines.take()) is not None:
        number = lines.at
        head = line.strip()
        if head.startswith("#"):
            continue
        while head.endswith("\\") and (more := lines.take()) is not None:
            head = f"{head[:-1].strip()} {more.strip()}"
        if not head:
            continue
        name, args = _command(head, number)
        if name == "subtest":  # a title for what follows
            continue
        given: list[str] = []
        while (line := lines.take()) not in (None, _SEPARATOR):
            given.append(line or "")
        if line is None:
            raise BadScript(f"line {number}: `{name}` has no `{_SEPARATOR}` after it")
        expected = _expected(lines, number)
        output = "".join(f"{line}\n" for line in expected)
        yield Directive(number, name, args, "\n".join(given).strip(), output)


def _expected(lines: _Lines, number: int) -> list[str]:
    out: list[str] = []
    if lines.peek() != _SEPARATOR:
        while (line := lines.take()) is not None and line.strip():
            out.append(line)
        return out
    lines.take()
    while (line := lines.take()) is not None:
        if line == _SEPARATOR and lines.peek() == _SEPARATOR:
            lines.take()
            if (line := lines.take()) not in (None, ""):
                raise BadScript(f"line {lines.at}: after the end of an output comes no empty line")
            return out
        out.append(line)
    raise BadScript(f"line {number}: the output does not end with two lines of `{_SEPARATOR}`")


def _command(head: str, number: int) -> tuple[str, list[tuple[str, list[str]]]]:
    """The name and the arguments; blanks within parentheses do not separate."""
    depth, parts = 0, [""]
    for char in head:
        depth += (char == "(") - (char == ")")
        if char.isspace() and not depth:
            parts.append("")
        else:
            parts[-1] += char
    if depth:
        raise BadScript(f"line {number}: a parenthesis is not closed")
    args = []
    for part in parts[1:]:
        key, equals, value = part.partition("=")
        if not equals:
            values = []
        elif value[:1] == "(" and value[-1:] == ")":
            values = [one.strip() for one in value[1:-1].split(",") if value != "()"]
        else:
            values = [value]
        if key:
            args.append((key, values))
    return parts[0], args


# --- Reading words ----------------------------------------------------------------------------------


def number(word: str) -> int:
    """A number that the script must have right. Raises BadScript."""
    if not (word.isascii() and word.isdecimal()):
        raise BadScript(f"{word!r} is not a number")
    return int(word)


def conf_changes(text: str) -> list[ConfChangeSingle]:
    """Read steps like `v1 l2 r3`. Raises ValueError with the text that etcd's reader gives."""
    return [_conf_change(token) for token in text.strip().split(" ") if text.strip()]


def _conf_change(token: str) -> ConfChangeSingle:
    if len(token.encode()) < 2:
        raise ValueError(f"unknown token {token}")
    if token[0] not in _KINDS:
        raise ValueError(f"unknown input: {token}")
    return ConfChangeSingle(_KINDS[token[0]], parse_uint(token[1:]))


def parse_uint(text: str) -> int:
    """An unsigned number of 64 bits. Raises ValueError with Go's text."""
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    if int(text) >= 1 << 64:
        raise ValueError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)


def parse_bool(text: str) -> bool:
    """Raises ValueError with Go's text."""
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if text in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def flag(directive: Directive, key: str) -> bool:
    """An option that is true or false, and false unless it is given. Raises BadScript."""
    try:
        return parse_bool(directive.option(key, "false"))
    except ValueError as error:
        raise BadScript(f"{key}: {error}") from error
