"""Tables in ASCII boxes, as etcd's tools draw them: centred capitals above, cells to the right.

Cells of several words are wrapped at 30 columns, in the lines that are least ragged; a longer word widens its column.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

__all__ = ["box"]

_WRAP: Final = 30
_TOO_LONG: Final = 100_000


def box(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Draw a table.

    Args:
        header: one title per column.
        rows: as many cells in each.
    """
    titles = [_wrap(title) for title in header]
    cells = [[_wrap(cell) for cell in row] for row in rows]
    widths = [
        max(_width(line) for row in (titles, *cells) for line in row[column])
        for column in range(len(header))
    ]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+\n"
    heads = [[_title(line) for line in cell] for cell in titles]
    parts = [rule, _row(heads, widths, centred=True), rule]
    parts += [_row(row, widths, centred=False) for row in cells]
    return "".join(parts) + (rule if rows else "")


def _row(cells: list[list[str]], widths: list[int], *, centred: bool) -> str:
    out = []
    for at in range(max(len(cell) for cell in cells)):
        line = "|"
        for cell, width in zip(cells, widths, strict=True):
            text = cell[at] if at < len(cell) else ""
            gap = width - _width(text)
            left = gap // 2 if centred else gap
            line += " " + " " * left + text + " " * (gap - left) + " |"
        out.append(line + "\n")
    return "".join(out)


def _title(text: str) -> str:
    return text.replace("_", " ").strip().upper()


def _width(text: str) -> int:
    """Columns on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _wrap(text: str) -> list[str]:
    lines: list[str] = []
    paragraph = " ".join(text.split("\n"))
    widest = min(_width(paragraph), _WRAP)
    words = paragraph.split(" ")
    limit = max([widest, *map(_width, words)])
    at = 0
    breaks = _breaks([_width(word) for word in words], limit)
    while at < len(words):
        lines.append(" ".join(words[at : breaks[at]]))
        at = breaks[at]
    return lines


def _breaks(lengths: list[int], limit: int) -> list[int]:
    """For a line that starts at each word, the word that the next one should start at."""
    count = len(lengths)
    costs = [0] * (count + 1)
    breaks = [count] * count
    for start in reversed(range(count)):
        if sum(lengths[start:]) + count - start - 1 <= limit:
            continue
        best = None
        length = -1
        for end in range(start + 1, count):
            length += 1 + lengths[end - 1]
            cost = (limit - length) ** 2 + costs[end] + (_TOO_LONG if length > limit else 0)
            if best is None or cost < best:
                best, breaks[start] = cost, end
        costs[start] = best or 0
    return breaks
