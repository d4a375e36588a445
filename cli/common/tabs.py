"""Go's text/tabwriter as etcd's help uses it: cells end with a tab, columns are padded with tabs of 8."""

from __future__ import annotations

from typing import Final

__all__ = ["align"]

_TAB: Final = 8
_PADDING: Final = 1


def align(text: str) -> str:
    """Pad the cells of each block of neighbouring lines to a common width."""
    lines = [line.split("\t") for line in text.split("\n")]
    out: list[str] = []
    _format(lines, 0, len(lines), [], out)
    return "\n".join(out)


def _format(
    lines: list[list[str]], start: int, end: int, widths: list[int], out: list[str]
) -> None:
    column = len(widths)
    at = start
    while at < end:
        if column >= len(lines[at]) - 1:
            out.append(_line(lines[at], widths))
            at += 1
            continue
        stop = at
        while stop < end and column < len(lines[stop]) - 1:
            stop += 1
        width = max(len(line[column]) for line in lines[at:stop]) + _PADDING
        _format(lines, at, stop, [*widths, -(-width // _TAB) * _TAB], out)
        at = stop


def _line(cells: list[str], widths: list[int]) -> str:
    padded = [
        cell + "\t" * -(-(width - len(cell)) // _TAB)
        for cell, width in zip(cells, widths, strict=False)
    ]
    return "".join(padded) + "".join(cells[len(widths) :])
