"""What triodectl says otherwise than etcdctl 3.5.1, listed: `differences.txt`.

The file has a paragraph for each reason. Below the reason come the steps that differ, with the lines of etcdctl (`-`) and
of triodectl (`+`), normalized, in which they do:

    # 3.6 says which key it was
    > put_get: put "" x
    - Error: key is empty
    + Error: key is not provided

A step that occurs several times in a script is listed each time. What differs everywhere is a rule instead: what to replace
in etcdctl's words (a regular expression) with what. `> etcd/lease: ...` holds for that kind of server only.

    # 3.5.1 says each error of usage twice
    ~ ^(Error: .*)\\n\\1$ -> \\1
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import attrs

PATH = Path(__file__).with_name("differences.txt")


@attrs.frozen
class Difference:
    """A step of a script whose output differs, and how."""

    script: str
    line: str
    changes: tuple[str, ...]
    reason: str = attrs.field(default="", eq=False)

    def __str__(self) -> str:
        return "\n".join([f"> {self.script}: {self.line}", *self.changes])


@attrs.define(eq=False)
class Rule:
    """What is said otherwise everywhere."""

    pattern: re.Pattern[str]
    replacement: str
    reason: str
    uses: int = 0

    def apply(self, text: str) -> str:
        said = self.pattern.sub(self.replacement, text)
        self.uses += said != text
        return said


@attrs.frozen
class Listing:
    """The file."""

    differences: list[Difference]
    rules: list[Rule]

    def of(self, script: str, kind: str) -> list[Difference]:
        """Those of a script, with servers of a kind."""
        names = {script, f"{kind}/{script}"}
        found = [each for each in self.differences if each.script in names]
        return [attrs.evolve(each, script=script) for each in found]


@cache
def listed() -> Listing:
    """What is meant."""
    listing = Listing([], [])
    reason = ""
    head, changes = "", list[str]()

    def finish() -> None:
        if head:
            script, _, line = head.partition(": ")
            listing.differences.append(Difference(script, line, tuple(changes), reason))

    for line in PATH.read_text().splitlines():
        if line.startswith(("-", "+")):
            changes.append(line)
            continue
        finish()
        head, changes = "", []
        if line.startswith("> "):
            head = line.removeprefix("> ")
        elif line.startswith("~ "):
            pattern, _, replacement = line.removeprefix("~ ").rpartition(" -> ")
            listing.rules.append(
                Rule(re.compile(pattern, re.MULTILINE), unquoted(replacement), reason)
            )
        elif line.startswith("# "):
            reason = line.removeprefix("# ")
        else:
            assert not line, f"neither a reason nor a difference: {line}"
            reason = ""
    finish()
    return listing


def unquoted(replacement: str) -> str:
    return replacement.replace("\\n", "\n")


def differences(script: str, theirs: Sequence[Any], ours: Sequence[Any]) -> list[Difference]:
    """Where two runs of a script differ."""
    assert [step.line for step in theirs] == [step.line for step in ours]
    found = []
    for their, our in zip(theirs, ours, strict=True):
        said = "\n".join(their.said)
        for rule in listed().rules:
            said = rule.apply(said)
        before = said.split("\n") if their.said else []
        lines = list(difflib.unified_diff(before, our.said, n=0, lineterm=""))[2:]
        changes = tuple(f"{x[0]} {x[1:]}".rstrip() for x in lines if not x.startswith("@@"))
        if changes:
            found.append(Difference(script, their.line, changes))
    return found


def report(expected: Sequence[Difference], found: Sequence[Difference]) -> str:
    """What is not listed, and what is listed in vain; empty when all is as listed."""
    rest = list(expected)
    unlisted = []
    for one in found:
        if one in rest:
            rest.remove(one)
        else:
            unlisted.append(one)
    parts = []
    if unlisted:
        parts += ["not in differences.txt:", *map(str, unlisted)]
    if rest:
        parts += ["in differences.txt, but not so:", *map(str, rest)]
    return "\n".join(parts)
