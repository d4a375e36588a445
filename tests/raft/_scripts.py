"""The text format of the interaction scripts, and interpreters of its three kinds.

A script is a list of directives. Each is a command line `name word key=value key=(a,b)`, lines of
input, `----`, and the expected output up to an empty line (or between two pairs of `----` when it
has empty lines itself). Lines with `#` before a directive are comments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from triode.raft.confchange import Changer
from triode.raft.errors import RaftError
from triode.raft.quorum import JointConfig, committed_index, describe, vote_result
from triode.raft.tracker import ProgressTracker
from triode.raft.types import ConfChangeSingle, ConfChangeType

_SEPARATOR = "----"


@attrs.frozen
class Directive:
    """One command with its input and the output that is expected."""

    line: int
    name: str
    words: list[str]
    options: dict[str, list[str]]
    input: str
    expected: str

    def option(self, key: str, default: str = "") -> str:
        values = self.options.get(key)
        return values[0] if values else default


def parse(text: str) -> Iterator[Directive]:
    """The directives of a script, in order."""
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        start = at
        head = lines[at].strip()
        at += 1
        if not head or head.startswith("#"):
            continue
        given: list[str] = []
        while lines[at] != _SEPARATOR:
            given.append(lines[at])
            at += 1
        at += 1
        expected: list[str] = []
        if lines[at] == _SEPARATOR:
            at += 1
            while lines[at : at + 2] != [_SEPARATOR, _SEPARATOR]:
                expected.append(lines[at])
                at += 1
            at += 2
        else:
            while at < len(lines) and lines[at]:
                expected.append(lines[at])
                at += 1
        name, words, options = _command(head)
        output = "".join(line + "\n" for line in expected)
        yield Directive(start + 1, name, words, options, "\n".join(given), output)


def _command(head: str) -> tuple[str, list[str], dict[str, list[str]]]:
    # Blanks within parentheses do not separate.
    depth, joined = 0, ""
    for char in head:
        depth += (char == "(") - (char == ")")
        if not (char == " " and depth):
            joined += char
    name, *rest = joined.split()
    words, options = [], {}
    for part in rest:
        key, equals, value = part.partition("=")
        if not equals:
            words.append(part)
        elif value.startswith("("):
            inside = value[1:-1]
            options[key] = inside.split(",") if inside else []
        else:
            options[key] = [value]
    return name, words, options


def run(path: Path, handle: Callable[[Directive], str]) -> Iterator[tuple[Directive, str]]:
    """(directive, what it gave) for each directive of a script."""
    for directive in parse(path.read_text()):
        got = handle(directive)
        if got and not got.endswith("\n"):
            got += "\n"
        yield directive, got


# --- quorum/ ----------------------------------------------------------------------------------------


def quorum(directive: Directive) -> str:
    """`committed` and `vote` for one set of voters, or for two with `cfgj`."""
    options = directive.options
    first = [int(voter) for voter in options.get("cfg", [])]
    second = [int(voter) for voter in options.get("cfgj", []) if voter != "zero"]
    config = JointConfig(frozenset(first), frozenset(second))
    swapped = JointConfig(config.outgoing, config.incoming)
    joint = "cfgj" in options
    in_order = list(dict.fromkeys(first + second))
    values = options.get("idx" if directive.name == "committed" else "votes", [])
    if len(values) != len(in_order):
        listed = " ".join({"_": "0", "n": "1", "y": "2"}.get(value, value) for value in values)
        voters = " ".join(f"{voter}:{{}}" for voter in sorted(in_order))
        return f"error: mismatched input (explicit or _) for voters map[{voters}]: [{listed}]"
    told = {voter: value for voter, value in zip(in_order, values, strict=True) if value != "_"}
    if directive.name == "vote":
        votes = {voter: value == "y" for voter, value in told.items()}
        result = config.vote_result(votes) if joint else vote_result(config.incoming, votes)
        assert swapped.vote_result(votes) is result
        return result.value
    acked = {voter: int(value) for voter, value in told.items()}

    def lookup(voter: int) -> int:
        return acked.get(voter, 0)

    if joint:
        index = config.committed_index(lookup)
        chart = config.describe(acked)
    else:
        index = committed_index(config.incoming, lookup)
        chart = describe(config.incoming, acked)
        assert JointConfig(config.incoming, config.incoming).committed_index(lookup) == index
    assert swapped.committed_index(lookup) == index
    return chart + ("∞" if index == (1 << 64) - 1 else str(index))


# --- confchange/ ------------------------------------------------------------------------------------

_KINDS = {
    "v": ConfChangeType.ADD_NODE,
    "l": ConfChangeType.ADD_LEARNER_NODE,
    "r": ConfChangeType.REMOVE_NODE,
    "u": ConfChangeType.UPDATE_NODE,
}


def conf_changes(text: str) -> list[ConfChangeSingle]:
    """Read steps like `v1 l2 r3`."""
    return [ConfChangeSingle(_KINDS[word[0]], int(word[1:])) for word in text.split()]


class ConfChanges:
    """`simple`, `enter-joint` and `leave-joint`, one after the other on one configuration."""

    def __init__(self) -> None:
        self.tracker = ProgressTracker(10, 0)
        self.last_index = 0

    def __call__(self, directive: Directive) -> str:
        changer = Changer(self.tracker, self.last_index)
        self.last_index += 1
        changes = conf_changes(directive.input)
        try:
            if directive.name == "simple":
                result = changer.simple(changes)
            elif directive.name == "enter-joint":
                auto_leave = directive.option("autoleave") == "true"
                result = changer.enter_joint(auto_leave, changes)
            else:
                result = changer.leave_joint()
        except RaftError as error:
            return str(error)
        self.tracker.switch(*result)
        progress = (f"{node}: {one}\n" for node, one in self.tracker.progress.items())
        return f"{self.tracker.config}\n{''.join(progress)}"
