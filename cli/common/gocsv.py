"""One record of Go's encoding/csv, in which pflag reads lists: `a,"b,c",d`."""

from __future__ import annotations

__all__ = ["read_record"]


def read_record(text: str) -> tuple[str, ...]:
    """The fields of one line.

    Raises:
        ValueError: with Go's text.
    """
    line = text.split("\n", 1)[0]
    fields: list[str] = []
    at = 0
    while True:
        field, at = _quoted(line, at + 1) if line.startswith('"', at) else _bare(line, at)
        fields.append(field)
        if at >= len(line):
            return tuple(fields)
        at += 1  # the comma


def _bare(line: str, at: int) -> tuple[str, int]:
    end = line.find(",", at)
    end = len(line) if end < 0 else end
    mark = line.find('"', at, end)
    if mark >= 0:
        raise ValueError(f'parse error on line 1, column {mark + 1}: bare " in non-quoted-field')
    return line[at:end], end


def _quoted(line: str, at: int) -> tuple[str, int]:
    start = at
    out = ""
    while True:
        end = line.find('"', at)
        if end < 0:
            raise ValueError(
                "record on line 1; parse error on line 2, column 0:"
                ' extraneous or missing " in quoted-field'
            )
        out += line[at:end]
        after = line[end + 1 : end + 2]
        if after in {"", ","}:
            return out, end + 1
        if after != '"':
            column = start + (end - start) + 1
            raise ValueError(
                f'parse error on line 1, column {column}: extraneous or missing " in quoted-field'
            )
        out += '"'
        at = end + 2
