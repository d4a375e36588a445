"""Play scripts and compare what they give with what they expect, to the letter."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import attrs

from triode.raft.errors import InvariantBroken

from . import cluster, confchange, quorum
from .format import BadScript, Directive, parse

__all__ = ["Failure", "main", "play", "scripts_in"]

Interpreter = Callable[[Directive], str]


@attrs.frozen
class Failure:
    """The first directive of a script that did not give what was expected."""

    line: int
    text: str
    """What is wrong, on one or more lines."""


def scripts_in(directory: Path) -> list[Path]:
    """The scripts (`*.txt`) below a directory, sorted; hidden ones are left out."""
    return sorted(
        path
        for path in directory.rglob("*.txt")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(directory).parts)
    )


def play(path: Path, *, rewrite: bool = False) -> Failure | None:
    """Play one script from its beginning until something differs; None when nothing does.

    `rewrite` puts what was given in the place of what is expected, to be read and judged.
    """
    at = 0
    given: list[tuple[Directive, str]] = []
    try:
        directives = list(parse(path.read_text(encoding="utf-8")))
        for directive, got in _results(directives):
            at = directive.line
            given.append((directive, got))
            if got != directive.expected and not rewrite:
                return Failure(at, _difference(directive, got))
    except (BadScript, OSError, UnicodeDecodeError) as error:
        return Failure(at, str(error))
    if rewrite:
        _rewrite(path, given)
    return None


def _results(directives: Iterable[Directive]) -> Iterator[tuple[Directive, str]]:
    """What each directive gives. Raises BadScript with the directive's place."""
    interpreter: Interpreter | None = None
    for directive in directives:
        if interpreter is None:
            interpreter = _interpreter(directive.name)
        try:
            got = interpreter(directive)
        except BadScript as error:
            raise BadScript(f"line {directive.line}: {directive.name}: {error}") from error
        except InvariantBroken as error:
            raise BadScript(
                f"line {directive.line}: {directive.name}: the node stops: {error}"
            ) from error
        yield directive, got if not got or got.endswith("\n") else got + "\n"


def _interpreter(command: str) -> Interpreter:
    """Which of the three kinds of scripts it is shows in its first command."""
    if command in quorum.COMMANDS:
        return quorum.quorum
    if command in confchange.COMMANDS:
        return confchange.ConfChanges()
    return cluster.Cluster()


def _difference(directive: Directive, got: str) -> str:
    lines = difflib.unified_diff(
        directive.expected.splitlines(), got.splitlines(), "expected", "given", lineterm="", n=3
    )
    words = " ".join((directive.name, *directive.words))
    return "\n".join([f"line {directive.line}: {words}", *lines])


def _rewrite(path: Path, given: list[tuple[Directive, str]]) -> None:
    """Replace each expected output; everything else of the file stays."""
    lines = path.read_text(encoding="utf-8").split("\n")
    for directive, got in reversed(given):
        start = lines.index("----", directive.line) + 1
        old = directive.expected.count("\n")
        if lines[start : start + 1] == ["----"]:
            old += 3
        new = got.removesuffix("\n").split("\n") if got else []
        if "" in new:
            new = ["----", *new, "----", "----"]
        lines[start : start + old] = new
    path.write_text("\n".join(lines), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Play the scripts of directories and files; one line for each, then how many passed."""
    rewrite = "--rewrite" in arguments
    places = [Path(place) for place in arguments if place != "--rewrite"]
    if not places:
        print("usage: run_scripts.py [--rewrite] DIRECTORY-OR-FILE...", file=sys.stderr)
        return 2
    passed = failed = 0
    for place in places:
        for path in [place] if place.is_file() else scripts_in(place):
            name = path.name if path == place else path.relative_to(place)
            failure = play(path, rewrite=rewrite)
            if failure is None:
                passed += 1
                print(f"passed  {name}")
            else:
                failed += 1
                print(f"FAILED  {name}")
                print("".join(f"        {line}\n" for line in failure.text.splitlines()), end="")
    print(f"{passed} passed, {failed} failed")
    if not passed + failed:
        print(f"no script (*.txt) in {', '.join(map(str, places))}", file=sys.stderr)
        return 2
    return 1 if failed else 0
