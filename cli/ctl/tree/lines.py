"""A tree as lines of text. Each line is made of pieces with a style, so that colour is an afterthought."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Final

import attrs

from .node import KeyTree, Node

__all__ = ["Look", "Piece", "Style", "lines_of", "printable", "summary_of"]

VALUE_CHARACTERS_MAX: Final = 100


class Style(Enum):
    """What a piece of a line is."""

    FRAME = "frame"
    BRANCH = "branch"
    KEY = "key"
    COUNT = "count"
    VALUE = "value"


Piece = tuple[Style, str]


@attrs.frozen
class Look:
    """What is shown."""

    values: bool = False
    children_max: int = 0  # of one branch; 0: all


def lines_of(tree: KeyTree, look: Look) -> Iterator[list[Piece]]:
    """The lines, from the root down."""
    name = printable(tree.base) or "."
    yield [(Style.BRANCH, name), (Style.COUNT, f" ({_keys(tree.root.keys)})")]
    yield from _below(tree, look)


def summary_of(tree: KeyTree, revision: int) -> str:
    """The line at the end."""
    branches = tree.branches()
    noun = "branch" if branches == 1 else "branches"
    return f"{_keys(tree.root.keys)} in {branches:,} {noun}, revision {revision}"


def printable(text: bytes) -> str:
    r"""UTF-8 as it is, everything that would not show as `\x00` or `\n`."""
    out = []
    for letter in text.decode("utf-8", "surrogateescape"):
        if "\udc80" <= letter <= "\udcff":
            out.append(f"\\x{ord(letter) - 0xDC00:02x}")
        elif letter == "\\":
            out.append("\\\\")
        elif letter.isprintable():
            out.append(letter)
        else:
            out.append(letter.encode("unicode_escape").decode())
    return "".join(out)


def _below(tree: KeyTree, look: Look) -> Iterator[list[Piece]]:
    """All lines below the root. A stack of its own: paths may be deeper than Python's."""
    waiting: list[tuple[str, Iterator[tuple[bytes, Node]], int, int]] = []

    def enter(indent: str, node: Node) -> None:
        names = sorted(node.children)
        shown = names[: look.children_max] if look.children_max else names
        pairs = ((name, node.children[name]) for name in shown)
        waiting.append((indent, iter(list(pairs)), len(shown), len(names) - len(shown)))

    enter("", tree.root)
    while waiting:
        indent, pairs, left, cut = waiting.pop()
        pair = next(pairs, None)
        if pair is None:
            if cut:
                yield [(Style.FRAME, indent + "└── "), (Style.COUNT, f"… {cut:,} more")]
            continue
        left -= 1
        waiting.append((indent, pairs, left, cut))
        last = left == 0 and not cut
        yield _line(indent + ("└── " if last else "├── "), *pair, tree.delimiter, look)
        if pair[1].children:
            enter(indent + ("    " if last else "│   "), pair[1])


def _line(frame: str, name: bytes, node: Node, delimiter: bytes, look: Look) -> list[Piece]:
    text = printable(name) or '""'
    pieces: list[Piece] = [(Style.FRAME, frame)]
    if node.children or node.hidden:
        pieces.append((Style.BRANCH, text + printable(delimiter)))
        pieces.append((Style.COUNT, f" ({_keys(node.keys)})"))
    else:
        pieces.append((Style.KEY, text))
    if look.values and node.key is not None:
        pieces += [(Style.FRAME, " = "), (Style.VALUE, _short(node.key.value))]
    return pieces


def _short(value: bytes) -> str:
    text = printable(value[: VALUE_CHARACTERS_MAX * 4])
    if len(text) <= VALUE_CHARACTERS_MAX and len(value) <= VALUE_CHARACTERS_MAX * 4:
        return text
    return f"{text[:VALUE_CHARACTERS_MAX]}… ({len(value):,} bytes)"


def _keys(count: int) -> str:
    return "1 key" if count == 1 else f"{count:,} keys"
